"""The way back from a finding to the bytes: clause, incident, events, observations, records and their hashes."""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from truceline.agreement import Agreement
from truceline.errors import NotFoundError
from truceline.mission import Mission
from truceline.observation import ID, ids
from truceline.pieces import filtered
from truceline.store import Book, Journal

#: Where an id may stand, in the order it is looked for.
_TABLES = (
    ("finding", "findings"),
    ("case", "cases"),
    ("incident", "incidents"),
    ("event", "events"),
    ("track", "tracks"),
    ("movement", "movements"),
)
#: The column of a table's own ids, where it is not called after its kind.
_ID = {"movement": "event_id"}
_FEWEST_DIGITS = 6
#: Of a track's records, so many are shown: a ship at anchor reports for weeks.
_MOST_RECORDS = 1000


class Tables(Protocol):
    """The picture's tables by their names."""

    def table(self, name: str, /) -> pa.Table: ...

    def where(self, name: str, column: str, values: Sequence[bytes], /) -> pa.Table:
        """The rows with one of these ids in a column, of a table that may not fit into memory.

        Of associations those of events are enough.
        """
        ...


class Newest:
    """The tables of a book's newest edition."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def table(self, name: str, /) -> pa.Table:
        return self._book.table(name)

    def where(self, name: str, column: str, values: Sequence[bytes], /) -> pa.Table:
        wanted = pa.array(values, ID)
        return filtered(self._book.pieces(name), lambda rows: rows.filter(pc.is_in(rows[column], value_set=wanted)))


def find(column: pa.ChunkedArray, prefix: str) -> list[int]:
    """Row numbers of the ids that begin with the hexadecimal `prefix`."""
    pairs = ids(column)
    low, high = bytes.fromhex(prefix.ljust(32, "0")), bytes.fromhex(prefix.ljust(32, "f"))
    (low_a, low_b), (high_a, high_b) = ((int.from_bytes(x[:8]), int.from_bytes(x[8:])) for x in (low, high))
    first, second = pairs[:, 0], pairs[:, 1]
    after = (first > np.uint64(low_a)) | ((first == np.uint64(low_a)) & (second >= np.uint64(low_b)))
    until = (first < np.uint64(high_a)) | ((first == np.uint64(high_a)) & (second <= np.uint64(high_b)))
    return [int(row) for row in np.flatnonzero(after & until)]


def resolve(tables: Tables, journal: Journal, identifier: str) -> tuple[str, bytes]:
    """What kind of thing an id (or its first digits) names, and the whole id.

    Raises
    ------
    NotFoundError
        When it is no id, names nothing, or more than one thing.
    """
    prefix = identifier.lower().strip()
    if len(prefix) < _FEWEST_DIGITS or len(prefix) > 32 or set(prefix) - set("0123456789abcdef"):
        raise NotFoundError(f"{identifier!r} is not an id: {_FEWEST_DIGITS} to 32 of the digits 0-9 and a-f")
    found: list[tuple[str, bytes]] = []
    for kind, name in _TABLES:
        column = tables.table(name)[_ID.get(kind, f"{kind}_id")]
        named = [column[row].as_py() for row in find(column, prefix)]
        # a visit to a zone is an event and a movement under one id: the event, which leads to its findings
        found += [(kind, whole) for whole in named if whole not in {known for _, known in found}]
    if not found:
        for rows in journal.blocks("observation", ["observation_id"]):
            column = rows["observation_id"]
            found += [("observation", column[row].as_py()) for row in find(column, prefix)]
    if not found:
        raise NotFoundError(
            f"no finding, case, incident, event, track or observation has an id that begins with {prefix}"
        )
    if len(found) > 1:
        some = ", ".join(f"{kind} {whole.hex()[:16]}" for kind, whole in found[:5])
        raise NotFoundError(f"{len(found)} ids begin with {prefix} ({some} ...): give more digits")
    return found[0]


def explain(folder: Path, identifier: str) -> dict[str, Any]:
    """Everything behind an id, down to the raw bytes of each record.

    Returns
    -------
    JSON-ready dict: `kind`, `edition`, and from the top down whichever stand above or below it: `finding`,
    `clause`, `case`, `incident`, `events`, each event with its `observations`; or `track`, `movements`, `points`
    and `observations`; each observation with
    `raw` (text, or hexadecimal where it is not UTF-8), `raw_sha256`, `leaf`, `file`, `record`.

    Raises
    ------
    NotFoundError
        When the id names nothing, or there is no picture yet.
    """
    mission = Mission.load(folder)
    with Journal(folder / "journal") as journal, Book(folder / "book.sqlite") as book:
        latest = book.latest()
        if latest is None:
            raise NotFoundError(f"{folder}: there is no picture yet; first: truceline run {folder}")
        return explained(journal, Newest(book), mission.load_agreement(folder), identifier, latest.number)


def explained(
    journal: Journal, tables: Tables, agreement: Agreement, identifier: str, edition: int | None
) -> dict[str, Any]:
    """`explain` of any picture's tables: an edition's, or the provisional one while it changes.

    Parameters
    ----------
    edition
        What is told as `edition`: the newest one behind these tables.
    """
    kind, whole = resolve(tables, journal, identifier)
    told: dict[str, Any] = {"id": whole.hex(), "kind": kind, "edition": edition}
    if kind == "observation":
        events = tables.where("associations", "observation_id", [whole])["event_id"].drop_null()
        if len(events):
            told["event_id"] = events[0].as_py().hex()
        told["observations"] = [_observation(journal.record(whole))]
        return told
    if kind in ("track", "movement"):
        return told | _track(journal, tables, kind, whole)
    subject = whole
    if kind in ("finding", "case"):
        row = _where(tables.table(f"{kind}s"), f"{kind}_id", whole)
        told[kind] = plain(row.to_pylist()[0])
        subject = row["subject_id"][0].as_py()
        told["clause"] = _clause(agreement, told[kind])
        if kind == "finding":
            opened = tables.table("cases")
            same = pc.equal(opened["clause"], told[kind]["clause"])
            for case in plain(opened.filter(pc.fill_null(same, False)).to_pylist()):
                if told["id"] in (case["findings"] or []):
                    told["case"] = case
    events = tables.table("events")
    if kind == "event":
        mine = _where(events, "event_id", whole)
        subject = mine["incident_id"][0].as_py()
    else:
        mine = _where(events, "incident_id", subject)
    incident = _where(tables.table("incidents"), "incident_id", subject)
    if incident.num_rows:
        told["incident"] = plain(incident.to_pylist()[0])
    if kind in ("incident", "event"):
        findings = _where(tables.table("findings"), "subject_id", subject)
        told["findings"] = plain(
            findings.select(["finding_id", "clause", "reading", "p_breach", "sentence"]).to_pylist()
        )
    told["events"] = _events(journal, tables, mine)
    return told


#: What the fire model's factors stand for, in the order in which it takes them into account.
FACTORS = {
    "line": "its distance from the line",
    "season": "what burns there at this time of the year",
    "activity": "what burnt round it and before it",
    "steady heat": "heat that stays on its spot",
    "hour": "the hour: by night or by day, against what burns far from the line",
    "reports": "reports of shelling or strikes near by",
    "later": "what was seen and reported afterwards",
}
#: A factor of less than 5 % makes no difference worth a line.
_NO_DIFFERENCE = 0.05


def conflict(event: dict[str, Any]) -> list[str]:
    """How an event's probability of being the conflict's was come to, in sentences; none for a bare prior."""
    factors = event.get("p_conflict_factors")
    if not factors:
        return []
    said = [
        f"{event['p_conflict']:.2f} with all that is known now (settled); {event['p_conflict_online']:.2f} with what "
        f"was known when it was seen (online); model: {event['p_conflict_model']}"
    ]
    odds = "from even odds: "
    for name, words in FACTORS.items():
        if name in factors:
            said.append(f"{odds}{_times(factors[name])} for {words}")
            odds = "then "
    return said


def _times(log_odds: float) -> str:
    """How a factor changes the odds."""
    if abs(log_odds) < _NO_DIFFERENCE:
        return "no difference"
    change = math.exp(abs(log_odds))
    size = f"{change:,.0f}" if change >= 10 else f"{change:.1f}"
    return f"odds {size} times {'higher' if log_odds > 0 else 'lower'}"


def _track(journal: Journal, tables: Tables, kind: str, whole: bytes) -> dict[str, Any]:
    """A track, or the part of it that tells a movement: what it tells, its points, the records behind them."""
    told: dict[str, Any] = {}
    track, movements = whole, tables.table("movements")
    if kind == "movement":
        (mine,) = _where(movements, "event_id", whole).to_pylist()
        told["movement"], track = plain(mine), mine["track_id"]
    points = tables.where("track_points", "track_id", [track])
    if kind == "movement":
        during = pc.and_(
            pc.greater_equal(points["at"], pa.scalar(mine["at_from"], points["at"].type)),
            pc.less_equal(points["at"], pa.scalar(mine["at_until"], points["at"].type)),
        )
        points = points.filter(during)
    told["track"] = plain(_where(tables.table("tracks"), "track_id", track).to_pylist()[0])
    if kind == "track":
        told["movements"] = plain(_where(movements, "track_id", track).sort_by("at_from").to_pylist())
    points = points.sort_by("at")
    told["points"] = plain(points.drop_columns(["track_id"]).to_pylist())
    behind = points["observation_id"].to_pylist()
    told["observations"] = [_observation(one) for one in journal.records(behind[:_MOST_RECORDS])]
    told["observations_left_out"] = max(len(behind) - _MOST_RECORDS, 0)
    return told


def _events(journal: Journal, tables: Tables, events: pa.Table) -> list[dict[str, Any]]:
    behind = tables.where("associations", "event_id", events["event_id"].to_pylist())
    by_event: dict[bytes, list[tuple[bytes, float | None]]] = {}
    for row in behind.to_pylist():
        by_event.setdefault(row["event_id"], []).append((row["observation_id"], row["log_ratio"]))
    wanted = sorted({whole for pairs in by_event.values() for whole, _ in pairs})
    shown = dict(zip(wanted, map(_observation, journal.records(wanted)), strict=True))
    out = []
    for row in events.sort_by("at").to_pylist():
        event = plain(row)
        event["conflict"] = conflict(event)
        event["observations_behind"] = [
            {"log_ratio": ratio, **shown[whole]} for whole, ratio in sorted(by_event.get(row["event_id"], []))
        ]
        out.append(event)
    return out


def _observation(row: dict[str, Any]) -> dict[str, Any]:
    """A record of the journal, JSON-ready."""
    raw = row.pop("raw", None)
    shown = {name: value for name, value in plain(row).items() if value is not None}
    if raw is not None:
        try:
            shown["raw"] = raw.decode()
        except UnicodeDecodeError:
            shown["raw"] = raw.hex()
        shown["raw_sha256"] = hashlib.sha256(raw).hexdigest()
    return shown


def _clause(agreement: Agreement, row: dict[str, Any]) -> dict[str, Any]:
    """The clause as the agreement has it now, and as the finding's party reads it."""
    for clause in agreement.clause:
        if clause.id == row["clause"]:
            reader = row.get("reading")
            reading = next((r for r in clause.reading if r.party == reader), None)
            own = reading.text if reading and reading.text else clause.text.get(reader or "", "")
            return {"id": clause.id, "title": clause.title, "type": clause.type, "text": own or clause.text.get("", "")}
    return {"id": row["clause"], "title": "no longer in the agreement"}


def _where(rows: pa.Table, column: str, value: bytes) -> pa.Table:
    return rows.filter(pc.equal(rows[column], pa.scalar(value, rows.schema.field(column).type)))


def plain(value: Any) -> Any:
    """Arrow's Python values as JSON's: ids hexadecimal, times ISO 8601 with Z, maps as objects."""
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list):
        if value and all(isinstance(v, tuple) for v in value):
            return {k: plain(v) for k, v in value}
        return [plain(v) for v in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float):
        return float(f"{value:.8g}") if value == value else None
    if hasattr(value, "isoformat"):
        return value.isoformat().replace("+00:00", "Z")
    return value
