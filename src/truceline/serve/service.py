"""The parts of a running mission, and what each offers the others.

    inputs ─► gate (journal, fsync, acknowledgement) ─► live (provisional picture) ─► bus ─► streams, TAK, pages
                                                         settle in the background ─┘

All run in one event loop; what takes longer than some milliseconds runs in a thread or a process of its own.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pyarrow as pa
from starlette.requests import HTTPConnection

from truceline.mission import Mission
from truceline.release import Principal
from truceline.store import Edition


class Receipt(msgspec.Struct, frozen=True):
    """What became of a payload's records; they are on disk when this is given."""

    source: str
    read: int
    accepted: int
    duplicates: int
    rejected: int
    reasons: list[str] = []  # of the first rejections: "record 3: lat = 91 is outside -90..90"


class Gate(Protocol):
    """Where everything comes in: the only writer of the journal while the service runs."""

    async def submit(self, source: str, payload: bytes, *, name: str, form: str | None = None) -> Receipt:
        """Take one payload of a source: whole records in its feed's own format, or in `form`.

        Parameters
        ----------
        name
            What the evidence calls where it came from: "POST by patrol-3", "udp 10.0.0.7".
        form
            "jsonl", "csv" or "arrow": rows of `observation.CORE`, whatever the source's feed; None: the feed's own.

        Raises
        ------
        Busy
            When the source has more waiting than it may: come again in `retry_after_s`. Nothing was taken.
        SourceError, NotFoundError
            When the payload as a whole is not what it should be; there is no such source.
        StoreError
            When the disk refuses: nothing was taken.
        """
        ...

    async def refuse(self, source: str, raws: list[bytes], reason: str, *, name: str) -> Receipt:
        """Journal what a stream brought and its feed cannot begin to read (`submit` raised SourceError), one rejection
        each (`feeds.refused`); durable on return. Raises as `submit` does."""
        ...

    async def record(self, kind: str, rows: pa.Table) -> None:
        """Journal rows of a kind that is no source's record (alert, action, access, verdict); durable on return."""
        ...

    def sources(self) -> list[dict[str, Any]]:
        """The board of sources, JSON-ready: id, feed, release, state (waiting, live, silent, refusing, finished),
        read, accepted, duplicates, rejected, last_received_at, last_at, lag_s, waiting_bytes, silent_since, reasons."""
        ...


class Snapshot(msgspec.Struct, frozen=True):
    """The picture as it is now: settled where an edition speaks, provisional behind it. Replaced, never changed."""

    revision: int
    at: datetime  # it speaks up to here, event time
    edition: Edition | None  # the newest
    #: associations, tracks, track_points, movements, events, incidents, findings, cases, line, zones, lineage; tracks,
    #: events, incidents and findings have one column more: `provisional`, bool. Of associations and track_points there
    #: may be more than memory holds: they are `Pieces`; `ties` are the associations of events.
    tables: Mapping[str, pa.Table]


class Changes(msgspec.Struct, frozen=True):
    """What is otherwise than at an earlier revision, by table: ids that are new or other, ids that are gone."""

    since: int
    revision: int
    upserted: Mapping[str, list[bytes]]
    removed: Mapping[str, list[bytes]]


class Live(Protocol):
    """The picture while it changes."""

    @property
    def snapshot(self) -> Snapshot: ...

    def changes(self, since: int) -> Changes | None:
        """None when that revision is too long ago (or of before a restart): take the whole."""
        ...

    async def feed(self, observations: pa.Table) -> None:
        """Observations just journalled, in their order. Waits when the picture is behind."""
        ...

    async def settle(self) -> Edition:
        """Make an edition now, and show it."""
        ...

    async def report(self, day: date | None = None) -> dict[str, Any]:
        """Write the daily report of the newest edition (None: of the last day with an event); what it says."""
        ...

    def tracks(self) -> AsyncIterator[str | bytes]:
        """For one reader: what tracks are, as text, and where, as packed bytes; at most once a second. Ends when the
        picture has to begin anew."""
        ...


class Message(msgspec.Struct, frozen=True):
    """Something that happened, for whoever listens."""

    number: int  # ascending, also over restarts: the resume id
    topic: str  # alert, picture, source, case, tracks
    label: str  # release label; "mission" where nobody said
    content: dict[str, Any]  # JSON-ready


class Alert(msgspec.Struct, frozen=True):
    """One alert as it stands; `state` is that of its newest row in the journal."""

    alert_id: bytes
    state: str  # raised, changed, acknowledged, withdrawn
    what: str  # finding, silence
    sentence: str
    received_at: datetime  # of the newest row
    raised_at: datetime
    finding_id: bytes | None = None
    case_id: bytes | None = None
    source: str | None = None
    clause: str | None = None
    severity: str | None = None
    p_breach: float | None = None
    lon: float | None = None
    lat: float | None = None
    at: datetime | None = None  # of what it is about, event time
    reason: str | None = None
    by: str | None = None
    release: str | None = "mission"
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None

    @property
    def standing(self) -> bool:
        """Whether it has not been taken back."""
        return self.state != "withdrawn"

    def content(self) -> dict[str, Any]:
        """As JSON has it, ids hexadecimal."""
        plain = {name: getattr(self, name) for name in self.__struct_fields__}
        for name in ("alert_id", "finding_id", "case_id"):
            plain[name] = plain[name].hex() if plain[name] is not None else None
        return dict(msgspec.to_builtins(plain))


class Alerts(Protocol):
    """What the watch was told, as it stands."""

    def listed(self, state: str | None = None, limit: int = 200) -> list[Alert]:
        """The newest first; `state` one of the journal's, or "standing": all that were not taken back."""
        ...

    def get(self, alert_id: bytes) -> Alert:
        """One; NotFoundError when there is none of that id."""
        ...

    async def acknowledge(self, alert_id: bytes, by: str, text: str | None = None) -> Alert:
        """Somebody has seen it; NotFoundError when there is none of that id."""
        ...


class Bus(Protocol):
    """Messages to listeners. A slow listener loses its place, never anybody else's time."""

    def publish(self, topic: str, content: dict[str, Any], label: str = "mission") -> Message: ...

    def listen(self, topics: frozenset[str], after: int | None = None) -> AsyncIterator[Message]:
        """Messages of these topics; with `after` first those kept since. Ends when the listener is too slow.

        Raises
        ------
        NotFoundError
            On the first step, when `after` is longer ago than what is kept: begin anew.
        """
        ...


@dataclass
class Service:
    """A mission that is running."""

    folder: Path
    mission: Mission
    clock: Callable[[], datetime]
    gate: Gate
    live: Live
    bus: Bus
    #: Who is behind a connection; from sessions, tokens and certificates.
    principal_of: Callable[[HTTPConnection], Principal]
    alerts: Alerts
    #: What parts keep while it runs, by their name.
    kept: dict[str, Any] = field(default_factory=dict)


#: In a connection's scope: who is behind it. The guard has looked, once for each request.
PRINCIPAL = "truceline.principal"


def service_of(connection: HTTPConnection) -> Service:
    """The running mission, as a dependency of endpoints."""
    return connection.app.state.service  # type: ignore[no-any-return]
