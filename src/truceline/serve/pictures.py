"""The picture for pages: the whole, then what is otherwise; and its editions."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Annotated, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import WithJsonSchema

from truceline.errors import QueryError
from truceline.observation import TIME
from truceline.release import COARSE, Principal, horizon
from truceline.serve import query as querying
from truceline.serve.access import See
from truceline.serve.ogc import stamp, whole
from truceline.serve.service import Service, service_of
from truceline.store.export import features

router = APIRouter(prefix="/api", tags=["picture"])

#: What a picture is made of.
PARTS = ("events", "incidents", "findings")
#: Pictures of a label below the mission's that a page can ask for the difference to: minutes to hours of them.
_KEPT = 64


class Seen:
    """What readers of one label have been shown: hashes of features, by a revision made of these alone.

    The live picture's own revision also counts what is not theirs, so they never see it.
    """

    def __init__(self) -> None:
        self.shown: dict[int, dict[str, dict[str, bytes]]] = {}

    def keep(self, encoded: Mapping[str, Mapping[str, bytes]]) -> int:
        """Remember a picture; its revision."""
        hashes = {
            name: {one: blake2b(feature, digest_size=16).digest() for one, feature in rows.items()}
            for name, rows in encoded.items()
        }
        whole_of = blake2b(msgspec.msgpack.encode(hashes), digest_size=6).digest()
        revision = int.from_bytes(whole_of, "big") + 1  # below 2**48: exact in JavaScript; never 0
        self.shown.pop(revision, None)
        self.shown[revision] = hashes
        while len(self.shown) > _KEPT:
            self.shown.pop(next(iter(self.shown)))
        return revision


@router.get(
    "/picture",
    summary="The picture, or what is otherwise",
    response_model=None,
    responses={
        200: {
            "description": "Features that are new or other, and ids that are gone; all of them where reset is true.",
            "content": {
                "application/json": {
                    "example": {
                        "revision": 42,
                        "at": "2031-03-15T18:00:00Z",
                        "edition": 7,
                        "reset": False,
                        "collections": {"incidents": {"upserted": [], "removed": ["7255f16632b8c1d3c0009bca96ea53f6"]}},
                    }
                }
            },
        },
        400: {"description": "A parameter is not what it has to be; the answer names it."},
    },
)
def picture(
    request: Request,
    asking: See,
    since: Annotated[
        str | None,
        WithJsonSchema({"type": "integer", "minimum": 0}),
        Query(description="The revision that is known already; without it, or where it is too old, the whole."),
    ] = None,
    collections: Annotated[
        str, Query(description=f"Which of {', '.join(PARTS)}, with commas between them.")
    ] = "incidents,findings",
    window_h: Annotated[
        str | None,
        WithJsonSchema({"type": "number", "exclusiveMinimum": 0}),
        Query(description="How many hours back; without it as the mission says.", examples=[48]),
    ] = None,
) -> Response:
    """Incidents and findings of the last hours, then only what has changed since a revision.

    Ask once without `since`, then with the revision of the last answer whenever the stream says that the picture has
    changed. What is removed was fused into something else, is gone, or is no longer yours to see.
    """
    service = service_of(request)
    names = [name for name in collections.split(",") if name]
    unknown = [name for name in names if name not in PARTS]
    if unknown or not names:
        raise QueryError(f"collections = {collections!r}: there are {', '.join(PARTS)}")
    known = whole("since", since, 0, None)
    hours = _hours(window_h, service.mission.serve.window_h)
    query = querying.query_of(service)
    label = query.label(asking)
    if label == "mission":
        return _of_mission(service, names, known, hours, asking)
    return _below(service, label, names, known, hours, asking)


def _hours(text: str | None, otherwise: float) -> float:
    try:
        hours = otherwise if text is None else float(text)
    except ValueError:
        hours = -1.0
    if not 0 < hours <= 1e6:
        raise QueryError(f"window_h = {text!r}: it takes a number of hours above 0")
    return hours


def _of_mission(service: Service, names: list[str], since: int | None, hours: float, asking: Principal) -> Response:
    """The mission's answer: of the live picture's own changes."""
    changes = service.live.changes(since) if since is not None else None
    snapshot = service.live.snapshot  # after the changes: what has come since then is told at the next asking
    revision = snapshot.revision if changes is None else changes.revision
    kept = service.kept.setdefault("pictures", {})
    key = (tuple(names), since if changes is not None else None, revision, hours)
    found = kept.get(key)
    if found is not None and found[0] is snapshot:
        return Response(found[1], media_type="application/json")
    query = querying.query_of(service)
    parts = {}
    for name in names:
        rows = _recent(query.view(name, asking), query.about(name), snapshot.at, hours)
        removed: list[str] = []
        if changes is not None:
            wanted = pa.array(changes.upserted.get(name, []), pa.binary(16))
            rows = rows.filter(pc.is_in(rows[query.about(name).key], value_set=wanted))
            removed = [one.hex() for one in changes.removed.get(name, [])]
        parts[name] = (list(features(rows, query.about(name).key)), removed)
    head = {
        "revision": revision,
        "at": stamp(snapshot.at),
        "edition": snapshot.edition.number if snapshot.edition is not None else None,
        "reset": changes is None,
    }
    body = _encoded(head, parts)
    for old in [one for one, (of, _) in kept.items() if of is not snapshot]:  # 500 pages ask for the same few
        kept.pop(old, None)
    kept[key] = (snapshot, body)
    return Response(body, media_type="application/json")


def _below(
    service: Service, label: str | None, names: list[str], since: int | None, hours: float, asking: Principal
) -> Response:
    """The answer to all others: of what they see alone, compared with what they saw."""
    query = querying.query_of(service)
    now = service.clock().replace(second=0, microsecond=0)
    until = horizon(now) if label in COARSE or label is None else now
    encoded: dict[str, dict[str, bytes]] = {}
    for name in names:
        if label is None:
            encoded[name] = {}
            continue
        rows, key = query.view(name, asking), query.about(name).key
        rows = _recent(rows, query.about(name), until, hours)
        ids = [one.hex() for one in rows[key].to_pylist()]
        encoded[name] = dict(zip(ids, features(rows, key), strict=True))
    seen: Seen = service.kept.setdefault(("seen", label, tuple(names), hours), Seen())
    before = seen.shown.get(since) if since is not None else None
    revision = seen.keep(encoded)
    now_shown = seen.shown[revision]
    parts = {}
    for name, rows_by_id in encoded.items():
        if before is None:
            parts[name] = (list(rows_by_id.values()), [])
            continue
        old = before[name]
        changed = [feature for one, feature in rows_by_id.items() if old.get(one) != now_shown[name][one]]
        parts[name] = (changed, [one for one in old if one not in rows_by_id])
    head = {"revision": revision, "at": stamp(until), "edition": None, "reset": before is None}
    return Response(_encoded(head, parts), media_type="application/json")


def _recent(rows: pa.Table, about: Any, until: datetime, hours: float) -> pa.Table:
    """Rows that had not ended so many hours before `until`; those without a time too."""
    least = pa.scalar(until - timedelta(hours=hours), TIME)
    return rows.filter(pc.fill_null(pc.greater_equal(rows[about.ends], least), True))


def _encoded(head: Mapping[str, Any], parts: Mapping[str, tuple[list[bytes], list[str]]]) -> bytes:
    collections = [
        msgspec.json.encode(name)
        + b':{"upserted":['
        + b",\n".join(upserted)
        + b'],"removed":'
        + msgspec.json.encode(removed)
        + b"}"
        for name, (upserted, removed) in parts.items()
    ]
    return msgspec.json.encode(head)[:-1] + b',"collections":{' + b",".join(collections) + b"}}"


@router.get("/editions", summary="Editions of the picture", response_model=None)
def editions(request: Request, asking: See) -> list[dict[str, Any]]:
    """Number, when it was made, up to when it speaks, digest and remarks of every edition, the oldest first.

    For the mission's own readers; others have an empty list, because an edition is made whenever anything is new.
    """
    return [
        {
            "number": one.number,
            "made_at": stamp(one.made_at),
            "cutoff": stamp(one.cutoff.astimezone(UTC)) if one.cutoff else None,
            "digest": one.digest,
            "journal_rows": one.journal_rows,
            "code_version": one.code_version,
            "note": one.note,
        }
        for one in querying.query_of(service_of(request)).editions(asking)
    ]
