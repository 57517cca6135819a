"""What fusion assumes: every number nobody measured, with where it comes from.

Rates are occurrences *reported* per square kilometre and hour where nothing else is known; the mission's own
observations soon outweigh them (`local_rates`).
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from truceline.agreement import Assumption
from truceline.kernels.density import active_cell_days
from truceline.observation import term

Array = npt.NDArray[np.float64]

#: What an occurrence can be: the taxonomy's families, and each kind of notice for itself.
STREAMS = ("impulse", "air", "ground", "weapon", "sea", "fire", "jamming", "access", "detention", "duty")

#: Notices that are no occurrences: a warning is not an attack, an account of something else is not an event.
NOT_OCCURRENCES = ("air_alert", "report")


def stream(what: str) -> str | None:
    """Which of `STREAMS` a term belongs to; None when it names nothing that occurs."""
    family = term(what).family
    name = family if family != "notice" else what.split(".")[0]
    return name if name in STREAMS else None


RATE = {
    name: Assumption(value=value, source=source, confidence="low")
    for names, value, source in (
        (
            ("impulse", "air", "ground"),
            1e-5,
            "some hundred reported a day in 600,000 km2, most of them along a line where the local rate takes over",
        ),
        (("fire",), 1e-5, "42,000 pixels, about 20,000 fires, of one satellite in Ukraine in 260 days of 2023"),
        (("weapon", "sea", "jamming", "access", "detention", "duty"), 1e-6, "rarer than impulses by a guess"),
    )
    for name in names
}

#: How much of the stated rate stays once there are observations: as much as half an occurrence counts.
_PRIOR_COUNT = 0.5
#: Locally means: days with a report in cells of 5 km, in 30 x 30 km, a week before and after. Smaller boxes
#: hold too few reports to count, larger ones mix the line with its hinterland.
_CELL_M, _COLUMN_M, _HALF_DAYS = 5_000.0, 10_000.0, 7
_BOX = (3 * _COLUMN_M / 1000.0) ** 2 * (2 * _HALF_DAYS + 1) * 24.0  # km2 h


def local_rates(streams: npt.NDArray[np.int64], east_m: Array, north_m: Array, at_s: Array) -> Array:
    """Log of the rate of *other* occurrences of its stream round each row, per km2 and hour.

    The stated rate and the mission's own observations, weighted as a gamma prior and a count: rate = (days with
    a report in the cells round here, less the row's own, + 1/2) / (their extent + 1/2 / stated rate). A function
    of the set of rows, not of their order; repeats of one report do not raise it.
    """
    out = np.empty(len(streams))
    for code in np.flatnonzero(np.bincount(streams)):
        rows = streams == code
        stated = RATE[STREAMS[code]].value
        active = active_cell_days(east_m[rows], north_m[rows], at_s[rows], _CELL_M, _COLUMN_M, _HALF_DAYS)
        others = np.maximum(active - 1, 0)
        out[rows] = np.log((others + _PRIOR_COUNT) / (_BOX + _PRIOR_COUNT / stated))
    return out


#: How often an instrument, post or outlet records one occurrence twice, to how often two of them record it:
#: rounds minutes apart stay apart, a corrected report still finds its first.
REPEAT = Assumption(
    value=0.05, source="instruments report an occurrence once; outlets sometimes update", confidence="low"
)

#: How likely two accounts of one occurrence differ in kind: within one head (impact, outgoing), and within
#: one family (explosion, burst). Never across families: a drone and its explosion are two occurrences, and
#: share an incident.
MISNAMED = Assumption(value=0.2, source="by ear, outgoing and impact are often confused", confidence="low")
MISHEARD = Assumption(value=0.1, source="bursts and explosions are rarely confused", confidence="low")

#: The error of an instant whose source states none, seconds: satellites and instruments give the minute,
#: people remember a quarter of an hour.
AT_SIGMA_S = {"hotspot": 60.0, "alert": 60.0, "sighting": 900.0}
#: No person's time is trusted to better than this, 1 sigma, seconds, by means: a clock may be written to the minute,
#: but posts note a minute's delay, and who reports later rounds to five or ten. Instruments' records are as stated.
PERSONS_SIGMA_S = {"heard": 60.0, "saw": 60.0, "recorded": 0.0}
PERSONS_SIGMA_OTHERWISE_S = 300.0
#: The error of a position whose source states none, 1 sigma, metres: a settlement and its fields.
POSITION_SIGMA_M = 2_000.0
#: No position is trusted to better than this, 1 sigma, metres: the size of what happens there.
LEAST_SIGMA_M = 10.0
#: The probability of a kind whose source states none.
CONFIDENCE = 0.9

#: Probability that the conflict caused what was reported, until a model says better.
CONFLICT = {
    "impulse": Assumption(0.95, "demolition, quarries and gas make a few of the explosions reported in war", "low"),
    "air": Assumption(0.95, "some of the aircraft and drones reported are civilian", "low"),
    "ground": Assumption(0.99, "forces are the conflict's by definition; some reports are wrong", "low"),
    "weapon": Assumption(0.99, "weapons are the conflict's by definition; some reports are wrong", "low"),
    "jamming": Assumption(0.95, "interference is sometimes a fault", "low"),
}


@lru_cache(maxsize=8)  # thousands of pairs of words for every drawing of the live picture
def agreement_of_kinds(terms: tuple[str, ...]) -> Array:
    """How likely another account of one occurrence names each of the terms: symmetric, 1 on the diagonal.

    The last row and column stand for "something else", which agrees with nothing. Not to be written to.
    """
    out = np.zeros((len(terms) + 1, len(terms) + 1))
    streams = [stream(one) for one in terms]
    for i, a in enumerate(terms):
        for j, b in enumerate(terms):
            if (a + ".").startswith(b + ".") or (b + ".").startswith(a + "."):
                out[i, j] = 1.0
            elif a.split(".")[0] == b.split(".")[0]:
                out[i, j] = MISNAMED.value
            elif streams[i] == streams[j] is not None:
                out[i, j] = MISHEARD.value
    out.setflags(write=False)
    return out


class Origin(NamedTuple):
    """That an event of stream `child` came of one of stream `parent`, and belongs to its incident.

    `parts` are (offspring per hour when fresh, decay in hours); a child begins within `apart_h` of its parent's
    interval, at a distance of `spread_m` (1 sigma) beyond both errors; `after`: never before its parent.
    """

    parent: str
    child: str
    parts: tuple[tuple[float, float], ...]
    apart_h: float
    spread_m: float
    after: bool
    source: str


#: A satellite of this orbit passes about every twelve hours; a fire that burns is seen by half of the passes (cloud,
#: smoke, size). By how long fires burn: most fields and buildings are out by the next pass, some smoulder for days,
#: one in a hundred is a furnace, a flare or a tip that burns all year.
_SEEN = 0.5 / 12.0

ORIGINS = (
    Origin(
        *("impulse", "impulse", ((1.0, 1.0),), 1.0, 1_000.0, False),
        "the Joint Forces' rule, as restated: more than an hour's gap makes a new shelling; two further events in one",
    ),
    Origin(*("air", "air", ((0.5, 1.0),), 1.0, 2_000.0, False), "as impulses; aircraft move on"),
    Origin(*("air", "impulse", ((0.25, 1.0),), 1.0, 1_000.0, False), "a drone or aircraft seen, and what it struck"),
    Origin(*("impulse", "air", ((0.25, 1.0),), 1.0, 1_000.0, False), "the same, told the other way round"),
    Origin(*("ground", "impulse", ((0.25, 1.0),), 1.0, 1_000.0, False), "an assault is heard, and a mine goes off"),
    Origin(*("impulse", "ground", ((0.25, 1.0),), 1.0, 1_000.0, False), "the same, told the other way round"),
    Origin(*("ground", "ground", ((0.1, 6.0),), 3.0, 1_000.0, False), "an assault lasts hours, with pauses"),
    Origin(*("weapon", "weapon", ((0.02, 48.0),), 24.0, 100.0, False), "a weapon seen again where it stood a day ago"),
    Origin(
        *("impulse", "fire", ((0.1 / 12.0, 6.0),), 24.0, 500.0, True),
        "one reported impact in ten leaves a fire that the next pass sees; most are out within hours",
    ),
    Origin(*("air", "fire", ((0.1 / 12.0, 6.0),), 24.0, 500.0, True), "as impacts"),
    Origin(
        *("fire", "fire", ((0.9 * _SEEN, 12.0), (0.09 * _SEEN, 120.0), (0.01 * _SEEN, 4_320.0)), 336.0, 200.0, True),
        "two weeks, some thirty passes, without a detection are more than cloud: then it is another fire",
    ),
)

#: An incident is of one place: how far its events lie from its first, metres. Fires run further than reports.
ROOT_M = {"impulse": 5_000.0, "air": 10_000.0, "ground": 5_000.0, "weapon": 1_000.0, "fire": 10_000.0}

#: What an impact sets alight burns for days, days; what burns longer was burning for another reason.
SET_BY_IMPACT_DAYS = 5.0

#: Which stream names an incident that has several: the act before its consequences.
LEADING = ("impulse", "ground", "air", "weapon", "sea", "jamming", "access", "detention", "duty", "fire")

#: An interval longer than this says too little of when to tie two episodes together, hours: vague events
#: join sharp ones, not the other way round.
VAGUE_H = 6.0
