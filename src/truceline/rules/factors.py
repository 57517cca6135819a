"""The factors of a probability of breach: kind, cause, weapon, who, place; time is in `holding`, `exemption` apart.

Each is a probability for every row, with where it comes from; NaN means that nothing can be said, and why.
Their product is the probability of breach: they are taken as independent of each other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from truceline.agreement import Agreement, Assumption, Clause, in_force
from truceline.kernels.grid import distinct
from truceline.observation import to_numpy
from truceline.rules.subjects import UNSTATED, Bools, Floats, Ints, Subjects, family, longest, matching
from truceline.rules.zones_at import Drawn, Near, Zones, day_of, days
from truceline.weapons import Weapon, read

if TYPE_CHECKING:
    from truceline.line import DatedLine

#: Usual calibres of a weapon class and how common each is, for a weapon whose calibre nobody stated.
#: Assumption, low confidence: from the calibres that monitors' tables name, not from a count of them.
_CALIBRES_MM: Mapping[str, Mapping[float, float]] = {
    "artillery": {85: 0.05, 122: 0.55, 152: 0.4},
    "mortar": {60: 0.05, 82: 0.5, 120: 0.45},
    "mlrs": {122: 0.8, 220: 0.15, 300: 0.05},
    "tank": {125: 1.0},
    "missile": {650: 1.0},
    "armour": {30: 0.8, 73: 0.2},
    "anti_tank": {100: 0.5, 130: 0.5},
    "anti_aircraft": {23: 1.0},
    "grenade_launcher": {30: 0.5, 73: 0.5},
    "machine_gun": {12.7: 1.0},
    "small_arms": {7.62: 1.0},
}
#: Beyond so many sigmas there is less of a normal distribution than a float's last digit.
_SIGMAS = 9.0
_USUAL_CALIBRES = "assumption: usual calibres of the class, as none was stated"
#: Whose act it was, where the clause binds some of the parties only and does not say how likely it was theirs: no
#: evidence names a party, and a place must not. Too much where others than the agreement's parties may have acted.
_ANY_PARTY = "each party of the agreement as likely, as nothing says whose it was"


@dataclass(frozen=True)
class Factor:
    """One factor of a product, for every row.

    `choice` says row by row which of `source` and `confidence` holds, `why` which of `reasons` makes a NaN.
    """

    name: str
    value: Floats
    source: tuple[str, ...]
    confidence: tuple[str, ...]
    choice: Ints | None = None
    reasons: tuple[str, ...] = ()
    why: Ints | None = None

    def take(self, rows: Ints) -> "Factor":
        """The factor of some rows only."""
        choice = None if self.choice is None else self.choice[rows]
        why = None if self.why is None else self.why[rows]
        return Factor(self.name, self.value[rows], self.source, self.confidence, choice, self.reasons, why)


@dataclass(frozen=True)
class Terms:
    """A clause as one party, or several alike, read it. Times are seconds since 1970, infinite where none is set."""

    what: tuple[str, ...]
    zone: str
    starts_s: float
    ends_s: float
    denies: bool

    @classmethod
    def of(cls, clause: Clause, party: str, what: tuple[str, ...]) -> "Terms":
        """`what` is what the rule speaks of when neither clause nor reading says."""
        starts, ends = in_force(clause, party)
        reading = next((reading for reading in clause.reading if reading.party == party), None)
        terms = tuple(reading.what) if reading and reading.what is not None else tuple(clause.what) or what
        zone = reading.zone if reading and reading.zone else clause.zone
        denies = reading is not None and reading.denies
        return cls(terms, zone, seconds(starts, -np.inf), seconds(ends, np.inf), denies)


def seconds(time: datetime | None, otherwise: float) -> float:
    """Seconds since 1970 of an aware time."""
    return otherwise if time is None else time.timestamp()


class Inside:
    """Probability of rows lying in a zone, worked out only for the rows asked for and kept."""

    def __init__(self, zones: Zones, subjects: Subjects) -> None:
        self.zones, self.subjects = zones, subjects
        self.reasons: list[str] = ["", "no position, or none with its error"]
        self._known: dict[tuple[str, ...], tuple[Floats, Ints, Bools]] = {}

    def __call__(self, zones: tuple[str, ...], rows: Ints) -> tuple[Floats, Ints]:
        """Of `rows`, the probability of lying in all `zones` at once, and for NaN the number of its reason."""
        wanted = tuple(sorted({zone for zone in zones if not self.zones.everywhere(zone)}))
        if not wanted:
            return np.ones(len(rows)), np.zeros(len(rows), np.int64)
        if wanted not in self._known:
            n = self.subjects.rows
            self._known[wanted] = (np.full(n, np.nan), np.zeros(n, np.int64), np.zeros(n, bool))
        value, why, done = self._known[wanted]
        todo = rows[~done[rows]]
        if len(todo):
            self._work_out(wanted, todo, value, why)
            done[todo] = True
        return value[rows], why[rows]

    def _work_out(self, zones: tuple[str, ...], rows: Ints, value: Floats, why: Ints) -> None:
        for some, drawn in self._drawn(zones, rows):
            if drawn.geometry is None:
                value[some], why[some] = np.nan, self._reason(drawn.reason)
                continue
            east, north, var_e, cov, var_n = (part[some] for part in self.subjects.local)
            blur = drawn.tolerance_m**2
            value[some] = drawn.index.probability_in(0, east, north, var_e + blur, cov, var_n + blur)
            why[some] = np.where(np.isnan(value[some]), 1, 0)

    def _drawn(self, zones: tuple[str, ...], rows: Ints) -> Iterable[tuple[Ints, Drawn]]:
        """Rows with the zones' common geometry, one group for each line that was in force."""
        if not any(self.zones.dated(zone) for zone in zones):
            yield rows, self._both(zones, None, rows)
            return
        day = days(self.subjects.at_s[rows])
        lines: dict[object, list[int]] = {}
        for number in distinct(day).tolist():
            dated = None if number < 0 else self.zones.line_at(day_of(number))
            lines.setdefault(None if dated is None else dated.day, []).append(number)
        for numbers in lines.values():
            dated = None if numbers[0] < 0 else self.zones.line_at(day_of(numbers[0]))
            some = rows[np.isin(day, numbers)]
            yield some, self._both(zones, dated, some)

    def _both(self, zones: tuple[str, ...], dated: "DatedLine | None", rows: Ints) -> Drawn:
        east, north, var_e, _, var_n = (part[rows] for part in self.subjects.local)
        near = Near(east, north, _SIGMAS * np.sqrt(var_e + var_n))
        drawn = [self.zones.draw(zone, dated, near) for zone in zones]
        whole = drawn[0]
        for other in drawn[1:]:
            whole = whole.both(other)
        return whole

    def _reason(self, text: str) -> int:
        if text not in self.reasons:
            self.reasons.append(text)
        return self.reasons.index(text)


@dataclass(frozen=True)
class Held:
    """A clause in one reading, held against subjects: what the functions below work on.

    `subjects` are what the clause judges, `picture` all incidents; the same, except for duties.
    """

    agreement: Agreement
    clause: Clause
    terms: Terms
    weight: Mapping[str, Assumption]
    subjects: Subjects
    picture: Subjects
    inside: Inside
    until_s: float

    @cached_property
    def weights(self) -> dict[str, float]:
        """Weight of each term of the picture that the clause speaks of."""
        stated = {name: assumption.value for name, assumption in self.weight.items()}
        return {term: longest(stated, term) for term in matching(self.picture.kinds.terms, self.terms.what)}

    @cached_property
    def kind_mass(self) -> Floats:
        return self.picture.kinds.mass(self.weights)


def kind(held: Held) -> Factor:
    """How likely this is the kind of thing the clause speaks of: likelihoods summed over its terms, with weights."""
    kinds = held.picture.kinds
    guessed = kinds.rests_on_assumed(held.weights)
    weighted = held.kind_mass != kinds.mass(dict.fromkeys(held.weights, 1.0))
    stated, unstated = "likelihoods of the fused event", f"assumption: {UNSTATED.source}"
    weights = "weighted, assumption: " + "; ".join(sorted({a.source for a in held.weight.values()}))
    sources = (stated, unstated, f"{stated}, {weights}", f"{unstated}; {weights}")
    return Factor(
        "kind", held.kind_mass, sources, ("medium", UNSTATED.confidence, "low", "low"), guessed + 2 * weighted
    )


def cause(held: Held) -> Factor:
    """How likely the conflict caused it, as the picture says; where it says nothing, 1 for all but fires."""
    stated = to_numpy(held.subjects.events["p_conflict"]).astype(np.float64)
    fires = {term: weight for term, weight in held.weights.items() if family(term) == "fire"}
    burning = held.picture.kinds.mass(fires) / np.where(held.kind_mass > 0, held.kind_mass, np.inf)
    # what of it is a fire counts for nothing where nobody says who caused it, unless that is most of it
    unsaid = np.where(burning > 0.5, np.nan, 1.0 - burning)
    value = np.where(np.isnan(stated), unsaid, stated)
    models, code = held.subjects.coded("p_conflict_model")
    return Factor(
        "caused by the conflict",
        value,
        ("taken as given for what is no fire", "the picture", *models),
        ("medium", "low", *["low"] * len(models)),
        np.where(np.isnan(stated), 0, code + 2),
        ("", "nobody says whether the conflict caused the fire"),
        np.isnan(value).astype(np.int64),
    )


def weapon(held: Held) -> Factor:
    """How likely the weapon is of the classes and calibres the clause speaks of.

    What the words of `weapon` say decides, where the event is of the clause's kind in the first place: the weapon
    of an explosion is not where it fell. A calibre not stated takes the usual ones of its class, an assumption; a
    class neither stated nor among the event's kinds leaves the factor unknown.
    """
    words, code = held.subjects.coded("weapon")
    stated = [weapon_share(held.clause, read(text)) for text in words] or [(np.nan, 0)]
    whats, what = held.subjects.coded("what")
    seen = np.array([word in held.weights and family(word) == "weapon" for word in whats] or [False])[what]
    by_words = np.where((code < 0) | ~seen, np.nan, np.array([p for p, _ in stated])[code])
    # of the clause's terms: those that are no weapons count whole, the weapons as far as they are the right ones
    right = {term: _of_term(held.clause, term) for term in held.weights}
    known = {term: weight for term, weight in held.weights.items() if not np.isnan(right[term])}
    said, kinds = held.subjects.kinds.mass(known), held.subjects.kinds
    share = kinds.mass({term: weight * right[term] for term, weight in known.items()}) / np.where(
        said > 0, said, np.nan
    )
    anything = not (held.clause.weapons or held.clause.min_calibre_mm or held.clause.below_calibre_mm)
    value = np.ones(len(code)) if anything else np.where(np.isnan(by_words), share, by_words)
    usual = np.where(np.isnan(by_words), 1, np.array([guess for _, guess in stated])[code])
    return Factor(
        "weapon",
        value,
        ("as stated", _USUAL_CALIBRES),
        ("medium", "low"),
        np.zeros(len(code), np.int64) if anything else usual,
        ("", "the weapon's class, name or calibre is not stated"),
        np.isnan(value).astype(np.int64),
    )


def actor(held: Held) -> Factor | None:
    """How likely it was one of those whom the clause binds; None where it binds every party, or is a duty.

    A duty is its bearer's, whoever else may have acted.
    """
    bound = [party.name for party in held.agreement.party if party.id in held.clause.parties]
    share = len(bound) / len(held.agreement.party)
    if held.subjects.kind == "duty" or share == 1:
        return None
    whose = held.clause.whose or Assumption(value=share, source=_ANY_PARTY)
    value = np.full(held.subjects.rows, whose.value)
    return Factor(f"by {' or '.join(bound)}", value, (f"assumption: {whose.source}",), (whose.confidence,))


def _of_term(clause: Clause, term: str) -> float:
    if family(term) != "weapon":
        return 1.0
    return weapon_share(clause, [Weapon(term.partition(".")[2], "", None)])[0]


def weapon_share(clause: Clause, weapons: list[Weapon]) -> tuple[float, int]:
    """How likely one of `weapons` is what the clause speaks of (NaN: not said); 1 if that rests on usual calibres.

    Several calibres of one class are alternatives and count by halves; of several classes the likeliest counts.
    """
    by_class: dict[str, list[tuple[float, int]]] = {}
    for one in weapons:
        by_class.setdefault(one.kind, []).append(_share(clause, one))
    shares = [(float(np.mean([p for p, _ in some])), max(guess for _, guess in some)) for some in by_class.values()]
    known = [share for share in shares if not np.isnan(share[0])]
    if any(p > 0 for p, _ in known) or (known and len(known) == len(shares)):
        return max(known, key=lambda share: (share[0], -share[1]))
    return np.nan, 0


def _share(clause: Clause, one: Weapon) -> tuple[float, int]:
    low, high = clause.min_calibre_mm or 0.0, clause.below_calibre_mm or np.inf
    named = set(clause.weapons)
    if named and not named & {one.kind, one.name}:
        classes = {weapon.kind for name in named for weapon in read(name)}
        if not one.kind or (not one.name and one.kind in classes):
            return np.nan, 0  # could be the one named
        return 0.0, 0
    if low == 0 and high == np.inf:
        return 1.0, 0
    if one.calibre_mm is not None:
        return float(low <= one.calibre_mm < high), 0
    usual = _CALIBRES_MM.get(one.kind)
    if usual is None:
        return np.nan, 0
    return sum(p for calibre, p in usual.items() if low <= calibre < high), 1


def share_of_interval(subjects: Subjects, starts_s: float, ends_s: float) -> Floats:
    """The share of each row's interval within [starts, ends); an instant counts whole or not at all. NaN: no time."""
    begin, end = subjects.interval_s
    length = end - begin
    overlap = np.clip(np.minimum(end, ends_s) - np.maximum(begin, starts_s), 0.0, None)
    instant = ((begin >= starts_s) & (begin < ends_s)).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(length > 0, overlap / length, instant)
    return np.where(np.isnan(begin), np.nan, np.clip(share, 0.0, 1.0))


def place(held: Held, rows: Ints) -> Factor:
    """How likely the rows lie in the clause's zone."""
    value, why = held.inside((held.terms.zone,), rows)
    zone = held.inside.zones.by_id[held.terms.zone]
    source = "position error integrated over the zone"
    if zone.kind == "band":
        source += ", the line's tolerance added"
    return Factor(
        f"inside {held.inside.zones.name(zone.id)}",
        value,
        (source,),
        ("medium",),
        None,
        tuple(held.inside.reasons),
        why,
    )
