"""The picture held against the agreement: one clause type, one module.

To add a clause type: its name in `agreement.ClauseType`, a module with the names of `Rule`, a line in `REGISTRY`,
a verdict table in its docstring and in tests/test_rules.py.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from truceline.agreement import Agreement, Clause
from truceline.finding import FACTOR, FINDINGS
from truceline.frame import Frame
from truceline.kernels.sha256 import of_rows
from truceline.observation import ID, LIKELIHOODS, RELEASES, TIME, bytes_of, nullable
from truceline.rules import cessation, duty, no_fly, presence, protected_site, withdrawal
from truceline.rules.factors import Factor, Inside, Terms
from truceline.rules.holding import FLOOR, SEVERITIES, Holding, hold
from truceline.rules.protocol import Rule
from truceline.rules.sentences import kinds, leads, middles, sentences, tri_state
from truceline.rules.subjects import Floats, Subjects, matching, of_incidents
from truceline.rules.zones_at import Zones, zones_table

if TYPE_CHECKING:
    from truceline.line import Line
    from truceline.places import Gazetteer

__all__ = ["FLOOR", "REGISTRY", "Rule", "Zones", "judge", "zones_table"]

REGISTRY: Mapping[str, Rule] = {
    "cessation": cessation,
    "protected_site": protected_site,
    "withdrawal": withdrawal,
    "no_fly": no_fly,
    "presence": presence,
    "duty": duty,
}


def judge(
    events: pa.Table,
    incidents: pa.Table,
    agreement: Agreement,
    line: "Line | None",
    frame: Frame,
    gazetteer: "Gazetteer | None",
    folder: Path,
    until: datetime,
    zone: tzinfo = UTC,
    drawn_before: Zones | None = None,
) -> pa.Table:
    """Every incident, and every duty, held against every clause in every party's reading.

    An incident makes rows for a clause when in at least one reading its probability of breach is `FLOOR` or
    more, or cannot be said while the factors that can come to as much; it then has a row in every reading, so
    that readings can be set side by side. All others make none: the clause does not speak of their kind, they lie
    outside its zone, or it was in force at that time in nobody's reading although the agreement was. A duty has
    one row for each party bound and each reading, always.

    Parameters
    ----------
    events, incidents
        Tables of `picture.EVENTS` and `picture.INCIDENTS`, in any order.
    folder
        Where the agreement's file lies: paths in it are relative to that.
    until
        Up to when the picture speaks. A duty due later is not judged.
    zone
        In which sentences tell times.
    drawn_before
        The agreement's zones where they have been drawn already.

    Returns
    -------
    pa.Table of `finding.FINDINGS`, by clause, reading and subject; the same for any order of the inputs' rows.

    Raises
    ------
    MissionError
        When a file that a zone names cannot be read.
    """
    picture = of_incidents(events, incidents, frame)
    zones = drawn_before or Zones(agreement, line, frame, gazetteer, folder)
    inside = Inside(zones, picture)
    names = {party.id: party.name for party in agreement.party}
    lead = leads(picture, names, [], zone)
    tables = []
    for clause in agreement.clause:
        rule = REGISTRY[clause.type]
        if not _speaks(agreement, clause, rule, picture):
            continue
        shared: dict[int, tuple[dict[str, Any], pa.Array, pa.Array | None]] = {}  # by reading, of whoever reads alike
        for party, holding in hold(agreement, clause, rule, picture, inside, until.timestamp()).items():
            if not len(holding.p):
                continue
            subjects = rule.subjects(clause, holding.terms, picture)
            if id(holding) not in shared:
                words = lead if subjects is picture else leads(subjects, names, sorted(clause.parties), zone)
                kind = site = None
                if subjects is picture:
                    east, north, *_ = (part[holding.row] for part in picture.local)
                    kind, site = kinds(picture, holding), zones.nearest_site(holding.terms.zone, east, north)
                shared[id(holding)] = (_alike(clause, holding, subjects), middles(holding, kind, words), site)
            columns, middle, site = shared[id(holding)]
            own = {
                "finding_id": _ids(clause.id, party, columns["subject_id"]),
                "reading": _same(party, len(holding.p)),
                "sentence": sentences(clause, names[party], holding, rule.WHO, middle, site),
            }
            tables.append(pa.table([(columns | own)[field.name] for field in FINDINGS], FINDINGS))
    return pa.concat_tables([FINDINGS.empty_table(), *tables])


def _speaks(agreement: Agreement, clause: Clause, rule: Rule, picture: Subjects) -> bool:
    """Whether the clause may make rows: of a picture without anything of its kinds only a duty does."""
    of = {word for party in agreement.party for word in Terms.of(clause, party.id, rule.WHAT).what}
    return clause.type == "duty" or bool(matching(picture.kinds.terms, tuple(of)))


def _alike(clause: Clause, holding: Holding, subjects: Subjects) -> dict[str, Any]:
    """The columns of one clause's findings in one reading that are the same for all parties that read so."""
    n = len(holding.p)
    subject = pa.array(holding.subject)
    release = subjects.table["release"].take(subject)
    known = pc.fill_null(pc.is_in(release, value_set=pa.array(RELEASES)), False)
    exemptions = pa.array([*holding.exemptions, None], pa.string())
    return {
        "clause": _same(clause.id, n),
        "rule": _same(clause.type, n),
        "subject_kind": _same(subjects.kind, n),
        "subject_id": subjects.ids.take(subject),
        "in_force": tri_state(holding.in_force),
        "illustrative": tri_state(holding.illustrative),
        "p_breach": nullable(holding.p.astype(np.float32)),
        "factors": _factors(holding.factors, n),
        "calibrated": pa.repeat(pa.scalar(False), n),
        "first_breach_from": _time(holding.breach_s[0]),
        "first_breach_until": _time(holding.breach_s[1]),
        "attribution": _attribution(clause, subjects, holding),
        "severity": pa.array(SEVERITIES).take(pa.array(holding.severity)),
        "coverage": _same("not assessed", n),
        "exemption": exemptions.take(
            pa.array(np.where(holding.exemption < 0, len(holding.exemptions), holding.exemption))
        ),
        "release": pc.if_else(known, release, RELEASES[-1]),
    }


def _ids(clause: str, party: str, subjects: pa.Array) -> pa.Array:
    """The first 16 bytes of SHA-256 over "finding", clause, reading and subject, as `subjects.identity` has them."""
    parts = ("finding", clause, party)
    begin = b"".join(len(part.encode()).to_bytes(2, "big") + part.encode() for part in parts) + (16).to_bytes(2, "big")
    halves = np.ascontiguousarray(of_rows(begin, bytes_of(subjects))[:, :16])
    return pa.Array.from_buffers(ID, len(subjects), [None, pa.py_buffer(halves)])


def _factors(factors: list[Factor], n: int) -> pa.Array:
    """The factors of n rows as lists of structs."""
    k = len(factors)
    order = np.arange(n * k).reshape(k, n).T.ravel() if n else np.empty(0, np.int64)
    names = pa.array([f.name for f in factors], pa.string()).take(pa.array(np.tile(np.arange(k), n)))
    values = np.concatenate([f.value for f in factors])[order].astype(np.float32) if n else np.empty(0, np.float32)
    words = []
    for which in ("source", "confidence"):
        texts = [text for f in factors for text in getattr(f, which)]
        base = np.cumsum([0, *[len(getattr(f, which)) for f in factors]])
        code = [np.full(n, b) + (0 if f.choice is None else f.choice) for f, b in zip(factors, base, strict=False)]
        words.append(pa.array(texts, pa.string()).take(pa.array(np.concatenate(code)[order] if n else order)))
    struct = pa.StructArray.from_arrays([names, nullable(values), *words], fields=list(FACTOR))
    return pa.ListArray.from_arrays(pa.array(np.arange(n + 1, dtype=np.int32) * k), struct)


def _attribution(clause: Clause, subjects: Subjects, holding: Holding) -> pa.Array:
    """Undetermined, whoever is said to have fired; a duty is borne by the party that the clause binds."""
    n = len(holding.p)
    bearers = pa.array(sorted(clause.parties) if subjects.kind == "duty" else ["undetermined"])
    keys = bearers.take(pa.array(holding.row if subjects.kind == "duty" else np.zeros(n, np.int64)))
    ones = pa.array(np.ones(n, np.float32))
    return pa.MapArray.from_arrays(pa.array(np.arange(n + 1, dtype=np.int32)), keys, ones).cast(LIKELIHOODS)


def _same(text: str, n: int) -> pa.Array:
    return pa.repeat(pa.scalar(text), n)


def _time(seconds: Floats) -> pa.Array:
    micros = np.rint(np.nan_to_num(seconds) * 1e6).astype(np.int64)
    return pa.array(micros, pa.int64(), mask=np.isnan(seconds)).cast(TIME)
