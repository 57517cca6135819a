"""One finding with all that speaks for and against it, and the way back from any id to the bytes behind it."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from threading import Lock
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from fastapi import APIRouter, Depends, Path, Request, Response

from truceline.agreement import Agreement, Clause, in_force
from truceline.errors import NotFoundError
from truceline.explain import explained, plain
from truceline.intake import JOURNAL
from truceline.observation import ID, to_numpy
from truceline.release import Principal, label_of
from truceline.serve import access
from truceline.serve.audit import audit
from truceline.serve.cases import as_json, released, whole
from truceline.serve.docket import docket_of, whole_id
from truceline.serve.query import query_of
from truceline.serve.service import Service, Snapshot, service_of
from truceline.serve.sifting import Sifter
from truceline.store import Journal

router = APIRouter(tags=["findings"])

#: Findings are alike when they are of one clause and so near: a day's ride, and the length of a report's trend.
NEAR_M, NEAR_DAYS = 25_000.0, 14.0
MOST_ALIKE = 10
_EARTH_M = 6_371_000.0

Of = Annotated[Service, Depends(service_of)]


@router.get("/api/findings/{finding_id}")
async def finding(principal: access.See, service: Of, finding_id: str) -> dict[str, Any]:
    """A finding: its sentence, factors, clause as each party reads it, case, clock, what is like it, what may be done.

    Below the mission: the sentence that was released of its case, and nothing else.
    """
    if label_of(principal) != "mission":
        return await _released(service, principal, finding_id)
    docket = await docket_of(service)
    state = await docket.state(finding_id)
    agreement = await asyncio.to_thread(_agreement, service)
    snapshot, at = service.live.snapshot, service.clock()
    told = await asyncio.to_thread(_finding, snapshot, agreement, whole_id(finding_id))
    case = whole(state, principal, at)
    return told | {"case": case, "actions": case["actions"], "clock": case["clock"]}


async def _released(service: Service, principal: Principal, finding_id: str) -> dict[str, Any]:
    """A finding as the query layer shows it to this principal, its clause, and what was released of its case."""
    try:
        row = await asyncio.to_thread(query_of(service).one, "findings", principal, finding_id)
    except NotFoundError:  # or it was withdrawn, which stays to be seen
        row = None
    docket = await docket_of(service)
    try:
        case = released(await docket.seen(principal, finding_id), principal, service)
    except NotFoundError:
        if row is None:
            raise
        case = None
    told = plain(row.to_pylist()[0]) if row is not None else {}
    told.pop("finding_id", None)
    agreement = await asyncio.to_thread(_agreement, service)
    name = case["clause"] if case is not None else told["clause"]
    clause = _clause(next((one for one in agreement.clause if one.id == name), None), name, agreement)
    told |= {"id": finding_id, "clause": clause, "case": case, "actions": case["actions"] if case is not None else []}
    return told | ({"sentence": case["sentence"]} if case is not None else {})


@router.get("/api/evidence/{identifier}")
async def evidence(
    principal: access.Evidence,
    service: Of,
    request: Request,
    identifier: Annotated[str, Path(description="of a finding, case, incident, event, track or observation")],
) -> Response:
    """Everything behind an id, down to the bytes of every record with their hashes. Who looks is journalled."""
    snapshot = service.live.snapshot
    told = await asyncio.to_thread(_evidence, service, snapshot, identifier)
    await audit(service, principal, "evidence", str(told["id"]), str(told["kind"]), request)
    return await asyncio.to_thread(as_json, told)


class _Tables:
    """A snapshot's tables, as `explained` asks for them."""

    def __init__(self, snapshot: Snapshot, sifter: Sifter) -> None:
        self._snapshot, self._sifter = snapshot, sifter

    def table(self, name: str, /) -> pa.Table:
        return self._snapshot.tables[name]

    def where(self, name: str, column: str, values: Sequence[bytes], /) -> pa.Table:
        rows = self._snapshot.tables["ties" if name == "associations" else name]
        return pa.concat_tables([rows.schema.empty_table(), *self._sifter.where(rows, column, values)])


def _evidence(service: Service, snapshot: Snapshot, identifier: str) -> dict[str, Any]:
    edition = snapshot.edition.number if snapshot.edition is not None else None
    reading = service.kept.setdefault("evidence", (Lock(), Journal(service.folder / JOURNAL)))
    with reading[0]:  # one journal for all: where each record stands is learned once
        return explained(
            reading[1], _Tables(snapshot, query_of(service).sifter), _agreement(service), identifier, edition
        )


def _agreement(service: Service) -> Agreement:
    """The agreement as its file has it; read again when that has changed."""
    path = service.folder / service.mission.agreement
    stamp = path.stat().st_mtime_ns if path.exists() else None
    known: tuple[object, Agreement] | None = service.kept.get("agreement")
    if known is None or known[0] != stamp:
        known = service.kept["agreement"] = stamp, service.mission.load_agreement(service.folder)
    return known[1]


def _finding(snapshot: Snapshot, agreement: Agreement, finding_id: bytes) -> dict[str, Any]:
    findings = snapshot.tables["findings"]
    number = pc.index(findings["finding_id"], pa.scalar(finding_id, ID)).as_py()
    if number < 0:
        raise NotFoundError("there is no such case or finding")
    row = findings.slice(number, 1).to_pylist()[0]
    clause = next((one for one in agreement.clause if one.id == row["clause"]), None)
    told = plain(row) | {"id": row["finding_id"].hex(), "clause": _clause(clause, row["clause"], agreement)}
    del told["finding_id"]
    told["place"] = _place(snapshot, row["subject_id"])
    told["readings"] = _same_subject(snapshot, row)
    return told | {"similar": _similar(snapshot, number)}  # type: ignore[no-any-return]


def _clause(clause: Clause | None, name: str, agreement: Agreement) -> dict[str, Any]:
    """A clause's words, and what each party reads otherwise."""
    if clause is None:
        return {"id": name, "title": "no longer in the agreement", "readings": []}
    readings = []
    for party in agreement.party:
        own = next((one for one in clause.reading if one.party == party.id), None)
        starts, ends = in_force(clause, party.id)
        readings.append(
            {
                "party": party.id,
                "name": party.name,
                "bound": party.id in clause.parties,
                "denies": own is not None and own.denies,
                "text": (own.text if own is not None else None) or clause.text.get(party.id) or clause.text.get("", ""),
                "zone": (own.zone if own is not None else None) or clause.zone,
                "note": own.note if own is not None else "",
                "in_force_from": _utc(starts or agreement.in_force_from),
                "in_force_until": _utc(ends or agreement.in_force_until),
            }
        )
    told = {"id": clause.id, "title": clause.title, "type": clause.type, "severity": clause.severity}
    return told | {"text": clause.text.get("", ""), "source": clause.source, "readings": readings}


def _utc(at: datetime | None) -> str | None:
    return plain(at.astimezone(UTC)) if at is not None else None


def _place(snapshot: Snapshot, subject: bytes) -> dict[str, Any] | None:
    """Where and when the subject was; null for a duty, which is nowhere."""
    for name, key in (("incidents", "incident_id"), ("tracks", "track_id")):
        rows = snapshot.tables[name]
        found = rows.filter(pc.equal(rows[key], pa.scalar(subject, ID)))
        if found.num_rows:
            shown = ("what", "lon", "lat", "major_m", "minor_m", "tilt_deg", "first_at", "last_at", "place", "count")
            return plain(found.select([c for c in shown if c in found.column_names]).to_pylist()[0])  # type: ignore[no-any-return]
    return None


def _same_subject(snapshot: Snapshot, row: dict[str, Any]) -> list[dict[str, Any]]:
    """The findings on the same subject, in every clause and reading but its own."""
    findings = snapshot.tables["findings"]
    same = findings.filter(pc.equal(findings["subject_id"], pa.scalar(row["subject_id"], ID)))
    shown = ["finding_id", "clause", "reading", "in_force", "p_breach", "severity", "sentence"]
    others = [one for one in same.select(shown).to_pylist() if one["finding_id"] != row["finding_id"]]
    return [plain(one) | {"id": one["finding_id"].hex()} for one in others]


def _similar(snapshot: Snapshot, number: int) -> list[dict[str, Any]]:
    """Findings of the same clause and reading near in place and time, the most alike first."""
    findings = snapshot.tables["findings"]
    own = findings.slice(number, 1).to_pylist()[0]
    same = pc.and_(pc.equal(findings["clause"], own["clause"]), pc.equal(findings["reading"], own["reading"]))
    others = findings.filter(pc.and_(same, pc.not_equal(findings["subject_id"], pa.scalar(own["subject_id"], ID))))
    incidents = snapshot.tables["incidents"]
    keys = incidents["incident_id"].combine_chunks().cast(pa.binary())
    at = pc.index_in(others["subject_id"].cast(pa.binary()), value_set=keys)
    mine = pc.index_in(pa.array([own["subject_id"]]), value_set=keys)
    others, at = others.filter(pc.is_valid(at)), pc.drop_null(at)
    if not others.num_rows or not mine[0].is_valid:
        return []
    lon, lat = (to_numpy(incidents[name].take(at)) for name in ("lon", "lat"))
    when = to_numpy(incidents["first_at"].take(at))
    here = incidents.take(mine)
    lon_0, lat_0 = (float(here[name][0].as_py() or np.nan) for name in ("lon", "lat"))
    # a plane tangent here: at 25 km off by less than a metre in a hundred
    east = np.radians(lon - lon_0) * np.cos(np.radians(lat_0)) * _EARTH_M
    distance_m = np.hypot(east, np.radians(lat - lat_0) * _EARTH_M)
    apart_days = np.abs(when - to_numpy(here["first_at"])[0]) / 86400
    otherwise = np.array([what != here["what"][0].as_py() for what in incidents["what"].take(at).to_pylist()])
    score = distance_m / NEAR_M + apart_days / NEAR_DAYS + 0.5 * otherwise
    near = np.flatnonzero((distance_m <= NEAR_M) & (apart_days <= NEAR_DAYS))
    best = near[np.argsort(score[near], kind="stable")][:MOST_ALIKE]
    rows = others.take(pa.array(best)).select(["finding_id", "p_breach", "severity", "sentence"]).to_pylist()
    return [
        plain(row)
        | {
            "id": row["finding_id"].hex(),
            "distance_m": round(float(distance_m[n])),
            "days": round(float(apart_days[n]), 2),
        }
        for row, n in zip(rows, best.tolist(), strict=True)
    ]
