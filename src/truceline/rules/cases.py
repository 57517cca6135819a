"""Cases: what people do about findings. One for each clause and subject that somebody's reading makes likely.

A case binds to its clause and to observations, not to an incident: when late data or better code fuses the same
observations into other incidents, a signed verdict goes where most of its observations went, keeps its id, and
says that its evidence has changed.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from truceline.finding import CASES, observations_digest
from truceline.kernels.idset import index_in
from truceline.observation import ID, RELEASES, TIME, bytes_of, id_column, id_order, ids, narrowest, one_array, to_numpy
from truceline.pieces import Rows, filtered
from truceline.rules.holding import SEVERITIES
from truceline.rules.subjects import Floats, Ints, coded, identity

#: A case is opened when a breach is as likely as not in somebody's reading. Verdicts may be signed on less.
OPEN = 0.5

_NEVER = 2**62
_NARROWEST = len(RELEASES) - 1


@dataclass(frozen=True)
class Evidence:
    """Which observations are behind each incident, and the one its earliest event began with.

    Observations are numbered in the order of their ids, so that sorted numbers are sorted ids.
    """

    observations: pa.Array  # distinct ids, sorted
    incidents: pa.Array  # distinct ids, sorted
    first: Ints  # (i + 1,) members of incident i: first[i] to first[i + 1]
    members: Ints  # observation numbers, ascending within an incident
    anchors: Ints  # (i,) observation number; -1 where no observation is known

    @cached_property
    def incident_of(self) -> Ints:
        """(o,) the incident of each observation."""
        of = np.full(len(self.observations), -1, np.int64)
        of[self.members] = np.repeat(np.arange(len(self.incidents)), np.diff(self.first))
        return of

    def numbers(self, observation_ids: pa.Array) -> Ints:
        """Numbers of observations by their ids; those that are not in the picture are left out."""
        return _found(observation_ids, self.observations)

    @cached_property
    def _member_ids(self) -> bytes:
        return bytes_of(self.observations.take(pa.array(self.members))).tobytes()

    @cached_property
    def anchor_ids(self) -> list[bytes | None]:
        """The anchor of every incident; None where no observation is known."""
        return list(self.observations.take(pa.array(self.anchors, mask=self.anchors < 0)).to_pylist())

    def of(self, incident: int) -> Ints:
        """Observation numbers behind an incident; none for -1."""
        return self.members[self.first[incident] : self.first[incident + 1]] if incident >= 0 else self.members[:0]

    def digest_of(self, incident: int) -> str:
        """`observations_digest` of what is behind an incident; of nothing for -1."""
        a, b = (16 * int(at) for at in self.first[incident : incident + 2]) if incident >= 0 else (0, 0)
        return hashlib.sha256(self._member_ids[a:b]).hexdigest()

    def bytes_of(self, numbers: Ints) -> list[bytes]:
        """The ids of observations, as bytes."""
        return list(self.observations.take(pa.array(numbers)).to_pylist())


def ties(associations: Rows) -> pa.Table:
    """The associations that tie observations to events: of those with tracks there may be more than memory holds."""
    return filtered(associations, lambda piece: piece.filter(pc.is_valid(piece["event_id"])))


def evidence(incidents: pa.Table, events: pa.Table, associations: Rows) -> Evidence:
    """Tie observations to incidents by way of events."""
    incident_ids = _sorted(incidents["incident_id"])
    tied = ties(associations)
    event_ids = _sorted(events["event_id"])
    order = id_order(events["event_id"])
    of_event = _positions(events["incident_id"], incident_ids)[order]
    begin = to_numpy(events["at_from"].cast(pa.int64()).fill_null(_NEVER))[order]
    event = _positions(tied["event_id"], event_ids)
    known = event >= 0
    observation_ids = _sorted(tied["observation_id"].filter(pa.array(known)))
    observation = _positions(tied["observation_id"], observation_ids)[known]
    event = event[known]
    incident = of_event[event]
    began = pc.is_null(tied["log_ratio"]).to_numpy()[known]
    order = np.lexsort((observation, incident))
    first = np.searchsorted(incident[order], np.arange(len(incident_ids) + 1))
    # the anchor: of the earliest event (by begin, then id) the observation it began with, else the first by id
    rank = np.lexsort((observation, ~began, event, begin[event], incident))
    anchors = np.full(len(incident_ids), -1, np.int64)
    heads = rank[np.unique(incident[rank], return_index=True)[1]] if len(rank) else rank
    anchors[incident[heads]] = observation[heads]
    return Evidence(observation_ids, incident_ids, first.astype(np.int64), observation[order], anchors)


def cases(
    findings: pa.Table, incidents: pa.Table, events: pa.Table, associations: pa.Table, verdicts: pa.Table
) -> pa.Table:
    """What people have to decide, and what they have decided.

    A case is opened for every clause and subject with p_breach of `OPEN` or more in any reading, and kept for every
    signed verdict, also where its findings have since become unlikely or gone. Its id comes of the clause and
    of the observation that its earliest event began with; once signed it keeps the id it was signed under.

    A verdict goes to the subject of its clause that holds most of the observations it was signed on (of equals, the
    one with fewer others, then the first id). Of several verdicts on one case the newest counts.

    Parameters
    ----------
    findings, incidents, events, associations
        Of one edition, rows in any order.
    verdicts
        Rows of `finding.VERDICT`: all that were ever signed.

    Returns
    -------
    pa.Table of `finding.CASES`, in the order of their ids.
    """
    behind = evidence(incidents, events, associations)
    held = _Held.of(findings, behind)
    signed = _bound(verdicts, held, behind)
    groups = np.array(sorted({*np.flatnonzero(held.p >= OPEN).tolist(), *(g for g in signed if g >= 0)}), np.int64)
    taken = {verdict["case_id"] for verdict in signed.values()}
    columns = held.columns(groups)
    case_ids, digests = [], []
    for group, incident in zip(groups.tolist(), held.incident[groups].tolist(), strict=True):
        case_ids.append(signed[group]["case_id"] if group in signed else held.fresh(group, behind, taken))
        taken.add(case_ids[-1])
        digests.append(behind.digest_of(incident))
    columns |= {"case_id": pa.array(case_ids, ID), "observations_digest": pa.array(digests, pa.string())}
    verdict_of: list[dict[str, Any]] = [signed.get(group, {}) for group in groups.tolist()]
    columns["state"] = pa.array([verdict.get("verdict", "alleged") for verdict in verdict_of], pa.string())
    columns["reopened"] = pa.array(
        [bool(v) and v["observations_digest"] != now for v, now in zip(verdict_of, digests, strict=True)], pa.bool_()
    )
    for name, key in (("verdict_by", "by"), ("verdict_at", "received_at"), ("verdict_reason", "reason")):
        columns[name] = pa.array([v.get(key) for v in verdict_of], CASES.field(name).type)
    # who decided, and why, is released no wider than their verdict is
    columns["release"] = pa.array(
        [
            narrowest([label, v["release"]]) if v else label
            for label, v in zip(columns["release"].to_pylist(), verdict_of, strict=True)
        ],
        pa.string(),
    )
    built = pa.table([columns[field.name] for field in CASES], CASES)
    orphans = pa.Table.from_pylist([_orphan(verdict) for group, verdict in signed.items() if group < 0], CASES)
    built = pa.concat_tables([built, orphans]).combine_chunks()
    return built.take(pa.array(np.lexsort(ids(built["case_id"]).T[::-1])))


def case_of(
    row: Mapping[str, Any], opened: pa.Table, incidents: pa.Table, events: pa.Table, associations: Rows
) -> tuple[bytes, list[bytes]]:
    """The case that a finding belongs to, opened or not, and the observations behind it.

    Parameters
    ----------
    row
        Of `finding.FINDINGS` or `finding.CASES`: its clause and subject are read.
    opened
        The edition's cases.

    Returns
    -------
    Id of the case, and ids of observations, sorted; none for a duty.
    """
    behind = evidence(incidents, events, associations)
    number = int(_positions(pa.array([row["subject_id"]], ID), behind.incidents)[0])
    observations = behind.bytes_of(behind.of(number))
    for case in opened.to_pylist():
        if case["clause"] == row["clause"] and case["subject_id"] == row["subject_id"]:
            return case["case_id"], observations
    anchor = behind.bytes_of(behind.anchors[[number]])[0] if observations else row["subject_id"]
    return identity("case", row["clause"], anchor), observations


#: What is read of findings: factors and sentences are most of them.
_READ = ("finding_id", "subject_id", "p_breach", "first_breach_from", "severity", "release")


@dataclass(frozen=True)
class _Held:
    """Findings grouped by clause and subject; groups in the order of clause, then subject."""

    table: pa.Table  # findings, by clause, subject, finding id
    first: Ints  # rows of group g: first[g] to first[g + 1]
    clause: list[str]
    incident: Ints  # of a group; -1 for a duty
    p: Floats  # (g,) greatest over the readings; -1 where none can be given

    @classmethod
    def of(cls, findings: pa.Table, behind: Evidence) -> "_Held":
        words, code = coded(findings["clause"])
        names = sorted(words)
        code = np.array([names.index(word) for word in words] or [0])[code]
        subject, own = ids(findings["subject_id"]), ids(findings["finding_id"])
        order = np.lexsort((own[:, 1], own[:, 0], subject[:, 1], subject[:, 0], code))
        few = findings.select(_READ)
        table, code, subject = few.take(pa.array(order)).combine_chunks(), code[order], subject[order]
        change = (np.diff(code) != 0) | (np.diff(subject, axis=0) != 0).any(axis=1)
        heads = np.flatnonzero(np.concatenate([[True], change])) if len(code) else np.empty(0, np.int64)
        p = np.nan_to_num(to_numpy(table["p_breach"]).astype(np.float64), nan=-1.0)
        return cls(
            table,
            np.append(heads, len(code)).astype(np.int64),
            [names[c] for c in code[heads]],
            _positions(table["subject_id"].take(pa.array(heads)), behind.incidents),
            np.maximum.reduceat(p, heads) if len(heads) else p,
        )

    def columns(self, groups: Ints) -> dict[str, Any]:
        """What the findings of each of `groups` come to."""
        p = to_numpy(self.table["p_breach"])
        begin = to_numpy(self.table["first_breach_from"].cast(pa.int64()).fill_null(_NEVER))
        words, code = coded(self.table["severity"])
        severity = np.array([SEVERITIES.index(word) for word in words] + [-1])[code]
        labels, code = coded(self.table["release"])
        narrow = np.array([RELEASES.index(r) if r in RELEASES else _NARROWEST for r in labels] + [_NARROWEST])[code]
        # opened by the earliest reading in which there was a breach at all
        begun = self._over(np.minimum, np.where(p == 0, _NEVER, begin), groups)
        worst, label = self._over(np.maximum, severity, groups), self._over(np.maximum, narrow, groups)
        sizes = np.diff(self.first)[groups]
        rows = np.repeat(self.first[groups] - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
        offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32))
        likely = self.p[groups]
        return {
            "clause": pa.array([self.clause[group] for group in groups], pa.string()),
            "findings": pa.ListArray.from_arrays(offsets, one_array(self.table["finding_id"].take(pa.array(rows)))),
            "subject_id": self.table["subject_id"].take(pa.array(self.first[groups])),
            "opened_at": pa.array(begun, pa.int64(), mask=begun == _NEVER).cast(TIME),
            "p_breach": pa.array(likely.astype(np.float32), mask=likely < 0),
            "severity": pa.array([*SEVERITIES, None]).take(pa.array(worst)),
            "release": pa.array(RELEASES).take(pa.array(label)),
        }

    def _over(self, function: Any, values: Any, groups: Ints) -> Any:
        return function.reduceat(values, self.first[:-1])[groups] if len(groups) else values[:0]

    def subject(self, group: int) -> bytes:
        return bytes(self.table["subject_id"][int(self.first[group])].as_py())

    def fresh(self, group: int, behind: Evidence, taken: set[bytes]) -> bytes:
        """An id of clause and anchor; where that is taken, by what it split from, of clause and another observation."""
        incident = int(self.incident[group])
        anchor = behind.anchor_ids[incident] if incident >= 0 else None
        if anchor is None:
            return identity("case", self.clause[group], self.subject(group))
        case_id = identity("case", self.clause[group], anchor)
        if case_id not in taken:
            return case_id
        numbers = behind.of(incident)
        for other in behind.bytes_of(numbers):
            case_id = identity("case", self.clause[group], other)
            if case_id not in taken:
                return case_id
        return identity("case", self.clause[group], "again", *behind.bytes_of(numbers))


def _bound(verdicts: pa.Table, held: _Held, behind: Evidence) -> dict[int, dict[str, Any]]:
    """The newest verdict of each group; negative keys for verdicts whose evidence is in no finding any more."""
    groups: dict[tuple[str, int], int] = {
        (clause, incident): group
        for group, (clause, incident) in enumerate(zip(held.clause, held.incident.tolist(), strict=True))
        if incident >= 0
    }
    newest = sorted(
        verdicts.to_pylist(), key=lambda v: (v["received_at"].timestamp() if v["received_at"] else 0, v["leaf"])
    )
    duties = {identity("case", held.clause[g], held.subject(g)): g for g in np.flatnonzero(held.incident < 0).tolist()}
    out: dict[int, dict[str, Any]] = {}
    used: set[bytes] = set()
    for verdict in reversed(newest):
        numbers = behind.numbers(pa.array(verdict["observations"] or [], ID))
        at, shared = np.unique(behind.incident_of[numbers], return_counts=True)
        sizes = np.diff(behind.first)[at]
        best = [
            groups[verdict["clause"], incident]
            for _, _, incident in sorted(zip((-shared).tolist(), sizes.tolist(), at.tolist(), strict=True))
            if (verdict["clause"], incident) in groups
        ]
        group = best[0] if best else duties.get(verdict["case_id"], -1 - len(out))
        if group not in out and verdict["case_id"] not in used:
            out[group] = verdict
            used.add(verdict["case_id"])
    return out


def _orphan(verdict: dict[str, Any]) -> dict[str, Any]:
    """A signed case whose observations are behind no finding any more: it stays, and says so."""
    row = dict.fromkeys(CASES.names)
    return row | {
        "case_id": verdict["case_id"],
        "clause": verdict["clause"],
        "state": verdict["verdict"],
        "reopened": True,
        "findings": [],
        "verdict_by": verdict["by"],
        "verdict_at": verdict["received_at"],
        "verdict_reason": verdict["reason"],
        "observations_digest": observations_digest([]),
        "release": narrowest([verdict["release"]]),
    }


def _sorted(column: pa.ChunkedArray) -> pa.Array:
    """Distinct ids in their order."""
    pairs = ids(column)[id_order(column)]
    new = np.append(True, (np.diff(pairs, axis=0) != 0).any(axis=1)) if len(pairs) else np.empty(0, bool)
    return id_column(pairs[new])


def _positions(column: pa.ChunkedArray, among: pa.Array) -> Ints:
    """Where each id stands in `among`; -1 where it does not, and for null."""
    known = column.is_valid().to_numpy(zero_copy_only=False) if column.null_count else np.ones(len(column), np.bool_)
    return np.where(known, index_in(ids(column), ids(among)), -1)


def _found(wanted: pa.Array, among: pa.Array) -> Ints:
    at = _positions(wanted, among)
    return at[at >= 0]
