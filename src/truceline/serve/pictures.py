"""The picture for pages: the whole, then what is otherwise; and its editions."""

import threading
from collections import OrderedDict
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
from truceline.serve.service import Service, Snapshot, service_of
from truceline.store.export import features

router = APIRouter(prefix="/api", tags=["picture"])

#: What a picture is made of.
PARTS = ("events", "incidents", "findings")
#: Pictures of a label below the mission's that a page can ask for the difference to: minutes to hours of them.
_KEPT = 64
#: Ways of asking (collections, window) that are remembered of readers below the mission's label.
_KEPT_WAYS = 16


class Seen:
    """What readers of one label have been shown: hashes of features, by a revision made of these alone.

    The live picture's own revision also counts what is not theirs, so they never see it.
    """

    def __init__(self) -> None:
        self.shown: dict[int, dict[str, dict[str, bytes]]] = {}
        self.made_of: tuple[Any, ...] = ()
        self.encoded: dict[str, dict[str, bytes]] = {}
        self.revision = 0

    def is_of(self, made_of: tuple[Any, ...]) -> bool:
        """Whether the newest picture kept was made of these very tables, at the same time."""
        same = len(made_of) == len(self.made_of) and made_of[0] == self.made_of[0]
        return same and all(a is b for a, b in zip(made_of[1:], self.made_of[1:], strict=True))

    def keep(self, made_of: tuple[Any, ...], encoded: dict[str, dict[str, bytes]]) -> None:
        """Remember a picture, encoded, and what it was made of."""
        hashes = {
            name: {one: blake2b(feature, digest_size=16).digest() for one, feature in rows.items()}
            for name, rows in encoded.items()
        }
        whole_of = blake2b(msgspec.msgpack.encode(hashes), digest_size=6).digest()
        self.made_of, self.encoded = made_of, encoded
        self.revision = int.from_bytes(whole_of, "big") + 1  # below 2**48: exact in JavaScript; never 0
        self.shown.pop(self.revision, None)
        self.shown[self.revision] = hashes
        while len(self.shown) > _KEPT:
            self.shown.pop(next(iter(self.shown)))


class Pictures:
    """Answers that many pages ask for, each made once. One thread at a time makes one; the others wait for it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.bodies: OrderedDict[Any, tuple[Snapshot, bytes]] = OrderedDict()
        self.seen: OrderedDict[Any, Seen] = OrderedDict()

    def seen_by(self, key: Any) -> Seen:
        """What was shown to readers who ask for the same."""
        found = self.seen.setdefault(key, Seen())
        self.seen.move_to_end(key)
        while len(self.seen) > _KEPT_WAYS:
            self.seen.popitem(last=False)
        return found

    def keep(self, key: Any, snapshot: Snapshot, body: bytes) -> None:
        """An answer of a picture; those of earlier ones are of no use any more."""
        for old in [one for one, (of, _) in self.bodies.items() if of is not snapshot]:
            del self.bodies[old]
        self.bodies[key] = (snapshot, body)
        while len(self.bodies) > _KEPT:
            self.bodies.popitem(last=False)


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
        body = _of_mission(service, names, known, hours, asking)
    else:
        body = _below(service, label, names, known, hours, asking)
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


def _hours(text: str | None, otherwise: float) -> float:
    try:
        hours = otherwise if text is None else float(text)
    except ValueError:
        hours = -1.0
    if not 0 < hours <= 1e6:
        raise QueryError(f"window_h = {text!r}: it takes a number of hours above 0")
    return hours


def _of_mission(service: Service, names: list[str], since: int | None, hours: float, asking: Principal) -> bytes:
    """The mission's answer: of the live picture's own changes."""
    changes = service.live.changes(since) if since is not None else None
    snapshot = service.live.snapshot  # after the changes: what has come since then is told at the next asking
    revision = snapshot.revision if changes is None else changes.revision
    kept = _pictures(service)
    key = (tuple(names), since if changes is not None else None, revision, hours)
    with kept.lock:
        found = kept.bodies.get(key)
        if found is not None and found[0] is snapshot:
            return found[1]
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
        kept.keep(key, snapshot, body)
        return body


def _below(
    service: Service, label: str | None, names: list[str], since: int | None, hours: float, asking: Principal
) -> bytes:
    """The answer to all others: of what they see alone, compared with what they saw."""
    query = querying.query_of(service)
    now = service.clock().replace(second=0, microsecond=0)
    until = horizon(now) if label in COARSE or label is None else now
    views = {name: query.view(name, asking) for name in names} if label is not None else {}
    kept = _pictures(service)
    with kept.lock:
        seen = kept.seen_by((label, tuple(names), hours))
        made_of = (until, *views.values())
        if not seen.is_of(made_of):
            encoded: dict[str, dict[str, bytes]] = {name: {} for name in names}
            for name, rows in views.items():
                about = query.about(name)
                rows = _recent(rows, about, until, hours)
                ids = [one.hex() for one in rows[about.key].to_pylist()]
                encoded[name] = dict(zip(ids, features(rows, about.key), strict=True))
            seen.keep(made_of, encoded)
        before = seen.shown.get(since) if since is not None else None
        hashes = seen.shown[seen.revision]
        parts = {name: _against(rows, hashes[name], before, name) for name, rows in seen.encoded.items()}
        head = {"revision": seen.revision, "at": stamp(until), "edition": None, "reset": before is None}
        return _encoded(head, parts)


def _against(
    rows: Mapping[str, bytes], hashes: Mapping[str, bytes], before: Mapping[str, Mapping[str, bytes]] | None, name: str
) -> tuple[list[bytes], list[str]]:
    """What is new or other than before, and which ids are gone; everything where there is no before."""
    if before is None:
        return list(rows.values()), []
    old = before[name]
    changed = [feature for one, feature in rows.items() if old.get(one) != hashes[one]]
    return changed, [one for one in old if one not in rows]


def _pictures(service: Service) -> Pictures:
    found = service.kept.get("pictures")
    if found is None:
        found = service.kept.setdefault("pictures", Pictures())
    assert isinstance(found, Pictures)
    return found


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
