"""What a finding says to a person, made for all rows at once.

Clause 2 (no firing), as Ukraine reads it: an explosion 3 km NE of Avdiivka between 14:00 and 15:00 UTC on
5 October 2023, probability of breach 0.62 (uncalibrated): kind 0.90, caused by the conflict 0.70, inside the
security zone 0.98, within its time 1.00. Who fired is undetermined. Illustrative: the agreement was not in force.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.agreement import Clause
from truceline.observation import term
from truceline.rules.exemption import NOT_EXEMPT
from truceline.rules.holding import NO, UNSAID, YES, Holding
from truceline.rules.subjects import Floats, Ints, Subjects

#: How a kind is said at the head of a sentence; the longest prefix counts, else the taxonomy's word for it.
_NOUNS = {
    "explosion": "an explosion",
    "explosion.outgoing": "outgoing fire",
    "explosion.airburst": "an airburst",
    "burst": "a burst",
    "shot": "a shot",
    "projectile": "a projectile in flight",
    "muzzle_flash": "a muzzle flash",
    "flare": "an illumination flare",
    "fire": "a fire",
    "uav": "an unmanned aircraft",
    "aircraft": "an aircraft",
    "weapon": "a weapon",
    "weapon.artillery": "a gun",
    "weapon.mlrs": "a multiple launch rocket system",
    "weapon.mortar": "a mortar",
    "weapon.tank": "a tank",
    "weapon.armour": "an armoured vehicle",
    "weapon.missile": "a missile system",
    "ground": "forces",
    "ground.assault": "an assault",
    "ground.raid": "a raid",
    "ground.build_up": "forces gathering",
    "ground.exercise": "a live-fire exercise",
    "ground.control": "a claim that control changed",
    "ground.mine": "mines",
    "vessel": "a vessel",
    "access.denied": "access denied",
    "access": "an account of access",
}


def noun(what: str) -> str:
    """A kind as a sentence names it: `noun("explosion.impact") == "an explosion"`."""
    at = what
    while at not in _NOUNS and "." in at:
        at = at.rpartition(".")[0]
    return _NOUNS.get(at, f"a report of {term(what).osce}")


_HUNDREDTHS = pa.array([f"{i / 100:.2f}" for i in range(101)] + ["<0.01", ">0.99", "unknown"])


def spoken(p: Floats) -> pa.Array:
    """Probabilities with two decimals; what is not certain is never rounded to 0 or 1; NaN is "unknown"."""
    code = np.rint(np.nan_to_num(p) * 100).astype(np.int64)
    code = np.where((p > 0) & (p < 0.005), 101, np.where((p < 1) & (p >= 0.995), 102, code))
    return _HUNDREDTHS.take(pa.array(np.where(np.isnan(p), 103, code)))


def when(begin_s: Floats, end_s: Floats, zone: tzinfo = UTC) -> pa.Array:
    """Intervals as people say them, in `zone`.

    >>> when(np.array([1696514400.0]), np.array([1696518000.0])).to_pylist()
    ['between 14:00 and 15:00 UTC on 5 October 2023']
    """
    city = "UTC" if zone is UTC else getattr(zone, "key", "").rpartition("/")[2].replace("_", " ")
    mark = " UTC" if city == "UTC" else f" {city} time" if city else ""
    unknown = np.isnan(begin_s)
    first, last = (_local_minutes(np.where(unknown, 0.0, time), zone) for time in (begin_s, end_s))
    day, end_day = first // 1440, last // 1440
    whole = (first % 1440 == 0) & (last == first + 1440) | (first % 1440 == 0) & (last == first + 1439)
    case = np.select([unknown, whole, first == last, day == end_day], [4, 3, 0, 1], 2)
    clock = pa.array([f"{m // 60:02d}:{m % 60:02d}" for m in range(1440)])
    from_clock, to_clock = clock.take(pa.array(first % 1440)), clock.take(pa.array(last % 1440))
    short, long, end_long = _dates(day, False), _dates(day, True), _dates(end_day, True)
    ways = [
        _join("at ", from_clock, f"{mark} on ", long),
        _join("between ", from_clock, " and ", to_clock, f"{mark} on ", long),
        _join("between ", from_clock, " on ", short, " and ", to_clock, f"{mark} on ", end_long),
        _join("on ", long),
        _words(["at an unknown time"] * len(case)),
    ]
    return pc.choose(pa.array(case), *ways)


def _local_minutes(time_s: Floats, zone: tzinfo) -> Ints:
    minutes = np.floor(time_s / 60).astype(np.int64)
    if zone is UTC:
        return minutes
    hours, at = np.unique(minutes // 60, return_inverse=True)
    offsets = [datetime.fromtimestamp(h * 3600, zone).utcoffset() or timedelta() for h in hours.tolist()]
    shift = np.array([round(offset.total_seconds() / 60) for offset in offsets], np.int64)
    return np.asarray(minutes + shift[at])


def _dates(day: Ints, year: bool) -> pa.Array:
    days, at = np.unique(day, return_inverse=True)
    dates = [datetime.fromtimestamp(d * 86_400, UTC) for d in days.tolist()]
    names = _words([f"{d.day} {d:%B} {d.year}" if year else f"{d.day} {d:%B}" for d in dates])
    return names.take(pa.array(at.ravel()))


def _words(words: list[str]) -> pa.Array:
    return pa.array(words, pa.string())


def _join(*parts: Any) -> pa.Array:
    """Strings and arrays of strings joined row by row; null where any is."""
    return pc.binary_join_element_wise(*parts, "")


def leads(subjects: Subjects, names: dict[str, str], parties: list[str], zone: tzinfo) -> pa.Array:
    """Where and when of every row of `subjects`; of a duty, whose it is (`parties`) and when it is due."""
    time = when(*subjects.interval_s, zone)
    if subjects.kind == "duty":
        due = _join(" due ", time)
        known = pa.array(~np.isnan(subjects.interval_s[0]))
        owner = _words([f"the duty of {names[party]}" for party in parties])
        return _join(owner, pc.if_else(known, due, ""))
    place = pc.fill_null(subjects.table["place"].combine_chunks(), "at an undetermined place")
    place = pa.concat_arrays(place.chunks) if isinstance(place, pa.ChunkedArray) and place.num_chunks else place
    where = place.take(pa.array(subjects.of)) if len(subjects.ids) else pa.array([], pa.string())
    return _join(where, " ", time)


def kinds(subjects: Subjects, holding: Holding) -> pa.Array:
    """What the strongest event was; where the clause speaks of another of its kinds, "a fire, perhaps a burst,"."""
    words, code = subjects.coded("what")
    terms = subjects.kinds.terms
    most = [terms.index(word) for word in words]
    pairs, at = np.unique(
        np.stack([np.array([*most, -1])[code[holding.row]], holding.kind]), axis=1, return_inverse=True
    )
    said = []
    for own, other in pairs.T.tolist():
        first, second = (noun(terms[i]) if i >= 0 else "" for i in (own, other))
        said.append(first if other < 0 or first == second else f"{first}, perhaps {second},")
    return _words(said or [""]).take(pa.array(at.ravel()))


def middles(holding: Holding, kind: pa.Array | None, lead: pa.Array) -> pa.Array:
    """What every reading alike says of each subject of `holding`: what, where, when, how likely, what exempts it.

    `lead` is of every row of the subjects; `kind` (None: a duty) is of every subject of `holding`.
    """
    reasons, why = holding.why()
    known = ~np.isnan(holding.p)
    factors: list[Any] = []
    for i, factor in enumerate(holding.factors):
        factors += [", " if i else "", f"{factor.name} ", spoken(factor.value)]
    said = _join(", probability of breach ", spoken(holding.p), " (uncalibrated): ", *factors, ". ")
    if not known.all():
        unsaid = _join(", no probability of breach can be given: ", pa.array(reasons).take(pa.array(why)), ". ")
        said = pc.if_else(pa.array(known), said, unsaid)
    words = [f"{may}xempt: {text}. " for may in ("May be e", "E") for text in holding.exemptions]
    rather = np.any([f.value < 0.5 for f in holding.factors if f.name == NOT_EXEMPT], axis=0)
    covers = np.where(holding.exemption < 0, len(words), holding.exemption + len(holding.exemptions) * rather)
    parts: list[Any] = [] if kind is None else [kind, " "]
    parts += [lead.take(pa.array(holding.row)), said]
    return _join(*parts, pa.array([*words, ""]).take(pa.array(covers)) if words else "")


def sentences(
    clause: Clause, party: str, holding: Holding, who: str, middle: pa.Array, site: pa.Array | None
) -> pa.Array:
    """A sentence for every subject of `holding`, in `party`'s reading (its name, as written).

    `middle` of `middles`; `site`, the nearest of a zone of sites, is of every subject of `holding`.
    """
    unsure = (holding.in_force == UNSAID) & ~np.isnan(holding.p)
    force = np.select([holding.illustrative == YES, holding.in_force == NO, unsure], [1, 2, 3], 0)
    endings = [
        "",
        "Illustrative: the agreement was not in force. ",
        f"{party} holds that the clause binds nobody. "
        if holding.terms.denies
        else f"Not in force then, as {party} reads it. ",
        "Whether the clause was in force then cannot be said. ",
    ]
    if holding.terms.denies:
        endings[1] = endings[2] + endings[1]
    near = [] if site is None else ["Nearest site: ", site, ". "]
    # what ends with a blank does so only where neither a site nor anything of who fired follows
    if not who and site is None:
        endings = [text.rstrip() for text in endings]
        middle = pc.if_else(pa.array(force == 0), pc.utf8_rtrim_whitespace(middle), middle)
    ending = pa.array(endings).take(pa.array(force.astype(np.int64)))
    begin = f"Clause {clause.id} ({clause.title}), as {party} reads it: "
    return _join(begin, middle, ending, *near, *([who] if who else []))


def tri_state(code: npt.NDArray[np.int8]) -> pa.Array:
    """YES, NO, UNSAID as true, false, null."""
    return pa.array(code == YES, mask=code == UNSAID)
