"""How each class of object moves, and what sensors state nothing of: every number with where it comes from."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from truceline.agreement import Assumption
from truceline.kernels import motion as kernel

#: What a track can be, in the order of their codes; by the first parts of taxonomy terms.
CLASSES = ("unknown", "vessel", "aircraft", "uav", "vehicle")
_HEADS = {"vessel": 1, "aircraft": 2, "uav": 3, "ground": 4, "weapon": 4}


def class_code(what: str) -> int:
    """The class of a taxonomy term, as an index of `CLASSES`."""
    return _HEADS.get(what.split(".", 1)[0], 0)


class Motion(NamedTuple):
    """How one class moves, and how long it stays when nothing is seen of it."""

    q: Assumption  # density of the accelerations of steady motion, m2/s3
    q_manoeuvre: Assumption  # and of manoeuvres
    persistence_s: Assumption  # how long a velocity lasts while steady; infinite: for good
    persistence_manoeuvre_s: Assumption
    steady_s: Assumption  # mean time between manoeuvres
    manoeuvre_s: Assumption  # mean length of one
    speed_sigma_mps: Assumption  # of a velocity nobody has seen yet, per axis
    speed_most_mps: Assumption
    silence_s: Assumption  # a confirmed track ends after so long without a detection, where coverage is not known
    silence_tentative_s: Assumption
    hits: Assumption  # detections to be confirmed; a name counts as one
    climb_q: Assumption  # density of vertical accelerations, m2/s3
    climb_sigma_mps: Assumption
    silence_named_s: Assumption  # the same of a track with a name: it is found again by it
    gate_sigmas: Assumption  # how far from where it is expected a track looks for its detection


def _table(rows: str, source: Mapping[str, str]) -> dict[str, Motion]:
    """Motions from lines of a name and a number for each class."""
    by_name = {line.split()[0]: [float(v) for v in line.split()[1:]] for line in rows.strip().splitlines()}
    return {
        kind: Motion(*(Assumption(by_name[name][k], source[name]) for name in Motion._fields))
        for k, kind in enumerate(CLASSES)
    }


_SOURCES = {
    "q": "courses held by autopilots and helmsmen: rms change of speed sqrt(60 q) in a minute",
    "q_manoeuvre": "turns and stops of a ship at 0.005 m/s2, of an airliner at 3, of a drone at 5, of a car at 3, "
    "lasting as long as manoeuvres last; the ship's and the airliner's tuned on Suez and Paris (bench)",
    "persistence_s": "a passage keeps its course for hours; roads do not",
    "persistence_manoeuvre_s": "with q_manoeuvre it gives the speeds of the class in the long run",
    "steady_s": "guess from AIS and ADS-B samples: tens of minutes at sea and in cruise, minutes near the ground",
    "manoeuvre_s": "a ship's turn takes minutes, an aircraft's half a minute to a minute",
    "speed_sigma_mps": "half of the speeds of the class lie within 0.7 of it",
    "speed_most_mps": "fastest ferries 20 m/s and naval craft 25; airliners with a jet stream 330, fighters 600 rarely "
    "held; jet-driven one-way drones 180; cars 50",
    "silence_s": "class A ships at anchor report every 3 minutes and are missed more often than not at the edge of "
    "reception; airliners every second",
    "silence_tentative_s": "a second detection that does not come is more telling than a tenth",
    "hits": "three detections in a gate are clutter once in hundreds at the densities met; at sea clutter is rare",
    "climb_q": "airliners change their climb by some m/s in half a minute",
    "climb_sigma_mps": "climbs of 2000 ft/min are 10 m/s",
    "silence_named_s": "as long as an object is likely to be out of reception and still on its way",
    "gate_sigmas": "of an object's own detections one in 25,000 lies beyond 4.5, one in 1,400 beyond 3.8: airliners in "
    "a stack are nearer to each other than that (tuned on Paris, bench)",
}

MOTIONS = _table(
    #                      unknown vessel aircraft  uav   vehicle
    """
    q                       0.5    0.0001   0.5     0.5    0.05
    q_manoeuvre             20     0.005    40      25     4
    persistence_s           inf    7200     inf     600    120
    persistence_manoeuvre_s 300    1200     300     60     30
    steady_s                300    3600     600     90     60
    manoeuvre_s             60     600      40      30     20
    speed_sigma_mps         120    5        150     40     12
    speed_most_mps          350    30       600     200    60
    silence_s               120    3600     40      60     120
    silence_tentative_s     60     1200     20      30     60
    hits                    3      2        3       3      3
    climb_q                 1      0.01     1       2      0.1
    climb_sigma_mps         10     1        15      10     3
    silence_named_s         600    21600    900     300    1800
    gate_sigmas             4.5    4.5      3.8     4.5    4.5
    """,
    _SOURCES,
)


def parameters(motions: Mapping[str, Motion]) -> npt.NDArray[np.float64]:
    """(classes, motion.PARAMETERS) the table kernels take; a class that is not named moves as `MOTIONS` says."""
    out = np.empty((len(CLASSES), kernel.PARAMETERS))
    for row, kind in enumerate(CLASSES):
        m = motions.get(kind, MOTIONS[kind])
        out[row] = [
            m.q.value,
            1.0 / m.persistence_s.value,
            m.q_manoeuvre.value,
            1.0 / m.persistence_manoeuvre_s.value,
            1.0 / m.steady_s.value,
            1.0 / m.manoeuvre_s.value,
            *(m.speed_sigma_mps.value, m.speed_most_mps.value, m.silence_s.value, m.silence_tentative_s.value),
            *(m.hits.value, m.climb_q.value, m.climb_sigma_mps.value, m.silence_named_s.value, m.gate_sigmas.value),
        ]
    return out


class Looks(NamedTuple):
    """How a sensor looks, where that is known: every `revisit_s`, seeing what is there with probability `pd`."""

    revisit_s: float
    pd: float
    east_m: float = 0.0
    north_m: float = 0.0
    range_m: float = float("inf")


#: Odds that a detection no track took is an object's and not chance, before a second one has come.
BEGINNING = Assumption(
    0.007, "where one object in a hundred comes each scan and half of all detections are chance", "low"
)

#: The position error of a fix whose source states none, 1 sigma, metres, by the first parts of what it is.
FIX_SIGMA_M = {
    "vessel": Assumption(30.0, "GNSS with an antenna up to 30 m from the middle of the ship, positions rounded", "low"),
    "aircraft": Assumption(100.0, "ADS-B states 0.1 nautical miles or better, positions are extrapolated", "low"),
    "uav": Assumption(100.0, "as aircraft", "low"),
    "ground": Assumption(50.0, "GNSS under trees and between houses", "low"),
    "": Assumption(150.0, "radars of 100 m in range and a fifth of a degree at 50 km", "low"),
}
#: Of a speed and course, per axis.
SPEED_SIGMA_MPS = Assumption(2.0, "smoothed by the sender and as old as half a report's interval", "low")
#: Of an altitude.
ALT_SIGMA_M = Assumption(100.0, "barometric against geometric altitude", "low")
#: Of a time: none.
LEAST_SIGMA_M = 5.0  # no fix is trusted to better than this: the size of what it is a fix of
