"""One clause held against subjects, in every reading of it: the numbers behind its findings.

An incident is judged by its *strongest event*: the one that most likely breaches the clause in that reading. Its
factors are the finding's factors, and its probability is a lower bound on the incident's (exact when the
events' doubts are one and the same doubt, as they mostly are: one sensor's error, one prior).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from truceline.agreement import Agreement, Assumption, Clause
from truceline.rules.exemption import exemption
from truceline.rules.factors import Factor, Held, Inside, Terms, actor, place, seconds, share_of_interval
from truceline.rules.protocol import Rule
from truceline.rules.subjects import Bools, Floats, Ints, Subjects
from truceline.weapons import read

#: An incident makes rows for a clause only if in someone's reading its probability of breach is at least this, were
#: nothing exempt, or cannot be said while what can be said comes to at least this. Below one in twenty nobody would
#: look; but what is no breach only because it was notified, people want to see, and that it was.
FLOOR = 0.05

SEVERITIES = ("minor", "serious", "grave")
#: From this calibre a weapon is heavy: the limit of the withdrawal agreements.
_HEAVY_MM = 100.0

YES, NO, UNSAID = 1, 0, -1


@dataclass(frozen=True)
class Holding:
    """What came of a clause in one reading; everything of length m, the subjects that make rows."""

    terms: Terms
    subject: Ints  # which subject
    row: Ints  # its strongest event
    kind: Ints  # what that is to the clause: an index of the picture's terms, -1 nothing
    factors: list[Factor]
    p: Floats  # NaN: cannot be said
    in_force: npt.NDArray[np.int8]  # YES, NO, UNSAID
    illustrative: npt.NDArray[np.int8]
    breach_s: tuple[Floats, Floats]
    severity: Ints  # of SEVERITIES
    exemptions: list[str]
    exemption: Ints  # of exemptions, -1 none

    def why(self) -> tuple[list[str], Ints]:
        """For rows whose probability is NaN, the reason of the first factor that cannot be said; 0 elsewhere."""
        reasons, code = [""], np.zeros(len(self.p), np.int64)
        for factor in reversed(self.factors):
            unknown = np.isnan(factor.value)
            if not unknown.any():
                continue
            named = factor.reasons or ("", "it cannot be said")
            why = factor.why if factor.why is not None else np.ones(len(self.p), np.int64)
            code = np.where(unknown, why + len(reasons), code)
            reasons += list(named)
        return reasons, np.where(np.isnan(self.p), code, 0)


@dataclass(frozen=True)
class _Open:
    """One reading while it is being worked on: cheap factors of all rows, then place and exemption of some."""

    held: Held
    cheap: list[Factor]
    rest: Floats  # product of the cheap factors that can be said


def hold(
    agreement: Agreement, clause: Clause, rule: Rule, picture: Subjects, inside: Inside, until_s: float
) -> Mapping[str, Holding]:
    """Hold `clause` against the picture in every party's reading.

    Returns
    -------
    By party id; parties that read the clause alike share one `Holding`. All have the same subjects.
    """
    readings = {party.id: Terms.of(clause, party.id, rule.WHAT) for party in agreement.party}
    weight: Mapping[str, Assumption] = {**rule.WEIGHT, **clause.weight}
    opened: dict[Terms, _Open] = {}
    for terms in readings.values():
        if terms not in opened:
            subjects = rule.subjects(clause, terms, picture)
            opened[terms] = _open(rule, Held(agreement, clause, terms, weight, subjects, picture, inside, until_s))
    force = _times(agreement, opened)
    closed = _judge(opened, force)
    return {party: closed[terms] for party, terms in readings.items()}


def _open(rule: Rule, held: Held) -> _Open:
    who = actor(held)
    cheap = [*rule.factors(held), *([] if who is None else [who])]
    if held.terms.denies:
        nobody = np.zeros(held.subjects.rows)
        cheap.append(Factor("binds anybody, as this party holds", nobody, ("the party's reading",), ("high",)))
    return _Open(held, cheap, _product(cheap, held.subjects.rows)[1])


def _product(factors: list[Factor], n: int) -> tuple[Floats, Floats]:
    """The product, NaN where a factor is, and the product of those that are not; 0 times unknown is 0."""
    rest, unknown = np.ones(n), np.zeros(n, bool)
    for factor in factors:
        missing = np.isnan(factor.value)
        rest *= np.where(missing, 1.0, factor.value)
        unknown |= missing
    return np.where(unknown & (rest > 0), np.nan, rest), rest


@dataclass(frozen=True)
class _Force:
    """Whether and how the clause counts at each row's time, in one reading."""

    factor: Factor
    in_force: npt.NDArray[np.int8]
    illustrative: npt.NDArray[np.int8]


def _times(agreement: Agreement, opened: Mapping[Terms, _Open]) -> dict[Terms, _Force]:
    """Time in force, by reading.

    Where the agreement as a whole was not in force, findings are illustrative: the clause's own times still part
    the readings, but where by none of them it was in force, it is held as if it were.
    """
    starts, ends = seconds(agreement.in_force_from, -np.inf), seconds(agreement.in_force_until, np.inf)
    own = {terms: share_of_interval(one.held.subjects, terms.starts_s, terms.ends_s) for terms, one in opened.items()}
    best = np.max([np.nan_to_num(share) * (not terms.denies) for terms, share in own.items()], axis=0)
    out = {}
    for terms, one in opened.items():
        subjects = one.held.subjects
        whole = np.zeros(subjects.rows) if agreement.illustrative else share_of_interval(subjects, starts, ends)
        whole = np.where(np.isnan(own[terms]) & (not agreement.illustrative), np.nan, whole)
        both = share_of_interval(subjects, max(starts, terms.starts_s), min(ends, terms.ends_s))
        as_if = np.where(best > 0, own[terms], np.where(np.isnan(own[terms]), np.nan, 1.0))
        alone = whole == 0
        value = np.where(alone, as_if, both)
        said = np.where(value >= 1, YES, np.where(value == 0, NO, UNSAID))
        in_force = np.where(alone | terms.denies, NO, said).astype(np.int8)
        factor = Factor(
            "within its time",
            value,
            ("share of the event's interval in force", "held as if in force: the agreement was not"),
            ("medium", "low"),
            alone.astype(np.int64),
            ("", "nothing says when it was"),
            np.isnan(value).astype(np.int64),
        )
        illustrative = np.where(np.isnan(whole), UNSAID, np.where(alone, YES, NO)).astype(np.int8)
        out[terms] = _Force(factor, in_force, illustrative)
    return out


def _judge(opened: Mapping[Terms, _Open], force: Mapping[Terms, _Force]) -> dict[Terms, Holding]:
    """Pick the subjects that make rows, and the strongest event of each in every reading."""
    rows = np.flatnonzero(np.any([_worth(one, force[terms]) for terms, one in opened.items()], axis=0))
    worked = {}
    for terms, one in opened.items():
        factors = [factor.take(rows) for factor in (*one.cheap, force[terms].factor)]
        texts, best = list[str](), np.full(len(rows), -1, np.int64)
        incidents = one.held.subjects.kind == "incident"
        if incidents and not one.held.inside.zones.everywhere(terms.zone):
            factors.append(place(one.held, rows))
        _, bare = _product(factors, len(rows))
        found = exemption(one.held, rows) if incidents else None
        if found is not None:
            factor, texts, best = found
            factors.append(factor)
        p, rest = _product(factors, len(rows))
        rank = _rank(p, rest, bare, force[terms].illustrative[rows])
        worked[terms] = (factors, texts, best, p, rank)
    subjects = next(iter(opened.values())).held.subjects
    # the first row of each subject, among the rows worked on
    first = np.flatnonzero(np.concatenate([[True], np.diff(subjects.of[rows]) > 0])) if len(rows) else rows
    tops = {terms: np.maximum.reduceat(rank, first) if len(first) else rank for terms, (*_, rank) in worked.items()}
    keep = (np.max(list(tops.values()), axis=0) >= _EXEMPT) | (subjects.kind == "duty")
    out = {}
    for terms, (factors, texts, best, p, rank) in worked.items():
        held = opened[terms].held
        strongest = _first_of_rank(rank, tops[terms], first, len(rows))[keep]
        row = rows[strongest]
        top = np.repeat(tops[terms], np.diff(np.append(first, len(rows))))
        least = np.where(top >= _REAL, _REAL, _EXEMPT)
        candidates = rank >= np.where(top >= least + 1, least + 1, least)  # what is exempt breaches nothing first
        subject = held.subjects.of[row]
        out[terms] = Holding(
            terms,
            subject,
            row,
            held.picture.kinds.likeliest(held.weights)[row] if subjects.kind == "incident" else -np.ones_like(row),
            [factor.take(strongest) for factor in factors],
            p[strongest],
            force[terms].in_force[row],
            force[terms].illustrative[row],
            _first_breach(held, rows, first, candidates, keep, strongest, force[terms].in_force),
            severity(held, subject, row),
            texts,
            best[strongest],
        )
    return out


def _worth(one: _Open, force: _Force) -> Bools:
    """Whether a row is of a subject of which one row may reach the floor, by its cheap factors and its time."""
    subjects = one.held.subjects
    if subjects.kind == "duty":
        return np.ones(subjects.rows, np.bool_)
    some = one.rest * np.nan_to_num(force.factor.value, nan=1.0) >= FLOOR
    hit = np.zeros(len(subjects.ids), np.bool_)
    hit[subjects.of[some]] = True
    return np.asarray(hit[subjects.of])


#: From here on ranks make rows; from `_REAL` on they are of events at whose time the agreement was in force.
_EXEMPT, _REAL = 1.0, 5.0


def _rank(p: Floats, rest: Floats, bare: Floats, illustrative: npt.NDArray[np.int8]) -> Floats:
    """Order of rows within a subject, by probability, what can be said of it, and that without the exemption.

    | from | the floor is                               |
    |------|--------------------------------------------|
    | 3    | reached                                    |
    | 2    | perhaps reached: it cannot be said         |
    | 1    | not reached, but would be were it not exempt |
    | 0    | not reached                                |

    What makes rows, and happened while the agreement was in force, goes before all else: an incident that began
    before a truce did is judged by what was done under it.
    """
    reached = np.nan_to_num(p) >= FLOOR
    might = np.isnan(p) & (rest >= FLOOR)
    rank = np.select([reached, might, bare >= FLOOR], [3 + np.nan_to_num(p), 2 + rest / 2, _EXEMPT + rest], bare / 2)
    return np.where((rank >= _EXEMPT) & (illustrative != YES), rank + (_REAL - _EXEMPT), rank)


def _first_of_rank(rank: Floats, top: Floats, first: Ints, n: int) -> Ints:
    """The first row of each subject that has its highest rank: rows are in the order of their ids."""
    if not len(first):
        return first
    sizes = np.diff(np.append(first, n))
    at = np.where(rank == np.repeat(top, sizes), np.arange(n), n)
    return np.minimum.reduceat(at, first)


def _first_breach(
    held: Held, rows: Ints, first: Ints, candidates: Bools, keep: Bools, strongest: Ints, in_force: npt.NDArray[np.int8]
) -> tuple[Floats, Floats]:
    """From when until when the first breach lies: the first of several is no later than the earliest of their ends."""
    if not len(first):
        return np.empty(0), np.empty(0)
    begin, end = (time[rows] for time in held.subjects.interval_s)
    begin, end = np.where(candidates, begin, np.inf), np.where(candidates, end, np.inf)
    begin, end = (np.minimum.reduceat(np.where(np.isnan(t), np.inf, t), first)[keep] for t in (begin, end))
    own = [
        time[rows[strongest]] for time in held.subjects.interval_s
    ]  # where no row is a candidate: not in this reading
    begin, end = np.where(np.isinf(begin), own[0], begin), np.where(np.isinf(end), own[1], end)
    # not before the clause was in force, where it partly was
    partly = in_force[rows[strongest]] == UNSAID
    starts = np.maximum(held.terms.starts_s, seconds(held.agreement.in_force_from, -np.inf))
    return np.where(partly, np.clip(begin, starts, end), begin), end


def severity(held: Held, subject: Ints, row: Ints) -> Ints:
    """How bad, as an index of SEVERITIES: the clause's own, raised by what is stated, never lowered.

    | stated                                             | at least |
    |----------------------------------------------------|----------|
    | somebody killed                                    | grave    |
    | somebody injured                                   | serious  |
    | a weapon of 100 mm or more, an MLRS or a missile   | serious  |
    | an explosion, burst, shot or fire at a protected site | serious |
    """
    subjects = held.subjects
    level = np.full(len(subject), SEVERITIES.index(held.clause.severity), np.int64)
    killed, injured = (np.nan_to_num(subjects.number(name))[subject] for name in ("killed", "injured"))
    words, code = subjects.coded("weapon")
    heavy = np.array(
        [any(w.kind in ("mlrs", "missile") or (w.calibre_mm or 0) >= _HEAVY_MM for w in read(text)) for text in words]
        + [False]
    )
    serious = (injured > 0) | heavy[code[row]]
    if held.clause.type == "protected_site":
        kinds = subjects.kinds
        air = kinds.mass({term: 1.0 for term in kinds.terms if term.startswith(("uav", "aircraft"))})[row]
        serious |= air < 0.5
    level = np.where(serious, np.maximum(level, 1), level)
    return np.where(killed > 0, 2, level)
