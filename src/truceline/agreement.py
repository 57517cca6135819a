"""The agreement as data: parties, zones, clauses, each party's reading, notices.

An agreement file is TOML. Texts are per party, because translations differ; times and zones may be read
differently by each party, and a finding is always made in one party's reading.

    id = "measures-2020-07-22"
    title = "..."
    [[party]]            id, name, inside = true|false  (does the line's area show its control?)
    [[zone]]             id, kind = everywhere | band | polygon | circles | settlements, ...
    [[clause]]           id, type, title, text.<party>, parties, zone, effective.<party>, until.<party>, ...
    [[clause.reading]]   party, and whatever that party reads differently
    [[clause.exemption]] what is exempt, and which notice is needed
    [[notice]]           clause, party, from, until, zone or lon/lat/radius_km, text
"""

import tomllib
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from truceline.errors import MissionError

T = TypeVar("T")

Positive = Annotated[float, Meta(gt=0)]
Lon = Annotated[float, Meta(ge=-180, le=180)]
Lat = Annotated[float, Meta(ge=-90, le=90)]
Severity = Literal["minor", "serious", "grave"]
Confidence = Literal["low", "medium", "high"]


class Strict(Struct, frozen=True, forbid_unknown_fields=True):
    """A table of a TOML file: unknown keys are errors."""


class Party(Strict, frozen=True):
    id: str
    name: str
    #: True: the areas of the mission's line files are those this party holds; False: the other side.
    inside: bool | None = None


class Site(Strict, frozen=True):
    name: str
    lon: Lon
    lat: Lat
    radius_km: Positive | None = None


class Zone(Strict, frozen=True):
    """A place the agreement speaks of.

    everywhere   no border
    band         `from_km`..`to_km` on each side of the line (`measured = "from_line"`), or a strip of
                 `to_km` in all, half on each side (`measured = "total_width"`); `side` keeps one side only;
                 `line` is "actual" (the newest not after the event) or a date, "2014-09-19"
    polygon      `coordinates` (lon, lat rings) or `path` to GeoJSON
    circles      `sites` here, or `path` to a CSV with name, lon, lat, filtered by `where`; `radius_km`
    settlements  within `radius_km` of a named settlement of at least `population`
    """

    id: str
    kind: Literal["everywhere", "band", "polygon", "circles", "settlements"]
    name: str = ""
    line: str = "actual"
    measured: Literal["from_line", "total_width"] = "from_line"
    from_km: Annotated[float, Meta(ge=0)] = 0.0
    to_km: Positive | None = None
    side: Literal["both", "inside", "outside"] = "both"
    coordinates: list[list[tuple[Lon, Lat]]] = []
    path: str | None = None
    where: dict[str, str] = {}
    sites: list[Site] = []
    radius_km: Positive | None = None
    population: Annotated[int, Meta(ge=0)] = 0


class Exemption(Strict, frozen=True):
    """Acts of kind `what` in `zone` are exempt; with `notice`, only when a notice of the party covers them."""

    text: str
    what: list[str] = []
    zone: str | None = None
    notice: bool = False


class Assumption(Strict, frozen=True):
    """A number nobody measured, with where it comes from."""

    value: float
    source: str
    confidence: Confidence = "low"


class Reading(Strict, frozen=True):
    """What one party reads differently; None means as the clause says."""

    party: str
    text: str | None = None
    zone: str | None = None
    effective: datetime | None = None
    until: datetime | None = None
    what: list[str] | None = None
    denies: bool = False  # the party holds that the clause binds nobody
    note: str = ""


ClauseType = Literal["cessation", "protected_site", "withdrawal", "no_fly", "presence", "duty"]


class Clause(Strict, frozen=True):
    id: str
    type: ClauseType
    title: str
    parties: list[str]  # who is bound
    text: dict[str, str] = {}  # by party id; "" is the neutral wording
    zone: str = "everywhere"
    what: list[str] = []  # taxonomy terms the clause speaks of; prefix match; empty: the rule's default
    weapons: list[str] = []  # weapon classes ("artillery", "mlrs", ...), withdrawal and presence
    min_calibre_mm: float | None = None
    effective: dict[str, datetime] = {}  # by party id; "" for all others
    until: dict[str, datetime] = {}
    exemption: list[Exemption] = []
    reading: list[Reading] = []
    severity: Severity = "serious"
    source: str = ""
    # duty: what has to have happened by when, or how long after another clause's breach
    due: dict[str, datetime] = {}
    due_within_h: float | None = None
    #: how much of each kind of occurrence is the clause's act, by taxonomy term; assumptions until calibrated
    weight: dict[str, Assumption] = {}


class Notice(Strict, frozen=True):
    """Something a party notified: a window in which an act is exempt, or a duty done."""

    clause: str
    party: str
    text: str
    starts: datetime
    ends: datetime | None = None
    what: list[str] = []
    zone: str | None = None


class Agreement(Strict, frozen=True):
    id: str
    title: str
    party: list[Party]
    clause: list[Clause]
    zone: list[Zone] = []
    notice: list[Notice] = []
    source: str = ""
    #: The agreement as a whole; findings outside it are "illustrative".
    in_force_from: datetime | None = None
    in_force_until: datetime | None = None
    note: str = ""

    @classmethod
    def load(cls, path: Path) -> "Agreement":
        """Read an agreement file and check that what it refers to exists.

        Raises
        ------
        MissionError
            Naming the file, the table, the key and the value.
        """
        agreement = read_toml(path, cls)
        _check(agreement, path)
        return agreement

    def in_force_at(self, at: datetime) -> bool:
        """Whether the agreement as a whole was in force at `at`."""
        after = self.in_force_from is None or at >= self.in_force_from
        return after and (self.in_force_until is None or at < self.in_force_until)


def read_toml(path: Path, kind: type[T]) -> T:
    """A TOML file as `kind`.

    Raises
    ------
    MissionError
        When the file is absent, not UTF-8, not TOML, or holds a key or value that `kind` does not.
    """
    try:
        document = tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise MissionError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MissionError(f"{path}: byte {error.start} is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise MissionError(f"{path}: not valid TOML: {error}") from error
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise MissionError(f"{path}: {_explain(str(error), document)}") from error


def _explain(message: str, document: Any) -> str:
    """msgspec's message with the value it complains about, found by its path `$.clause[0].type`."""
    text, found, path = message.partition(" - at `$")
    if not found:
        return message
    value: Any = document
    keys = path.rstrip("`").replace("[", ".").replace("]", "").strip(".").split(".")
    for key in keys:
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, ValueError, TypeError):
            return f"{'.'.join(keys)}: {text}"
    shown = "" if isinstance(value, dict | list) else f" (value: {value!r})"
    return f"{'.'.join(keys)}: {text}{shown}"


def _check(agreement: Agreement, path: Path) -> None:
    """Ids are unique, references hold, times carry a zone, zones have what their kind needs."""

    def fail(where: str, message: str) -> None:
        raise MissionError(f"{path}: {where}: {message}")

    for table in ("party", "zone", "clause"):
        names = [item.id for item in getattr(agreement, table)]
        for name in names:
            if names.count(name) > 1:
                fail(table, f"id {name!r} is given twice")
    parties = {party.id for party in agreement.party}
    zones = {zone.id: zone for zone in agreement.zone} | {"everywhere": Zone(id="everywhere", kind="everywhere")}
    clauses = {clause.id for clause in agreement.clause}
    for zone in agreement.zone:
        where = f"zone {zone.id!r}"
        if zone.kind == "band" and zone.to_km is None:
            fail(where, "a band needs to_km")
        if zone.kind == "band" and zone.to_km is not None and zone.to_km <= zone.from_km:
            fail(where, f"to_km = {zone.to_km} is not beyond from_km = {zone.from_km}")
        if zone.kind == "polygon" and not zone.coordinates and zone.path is None:
            fail(where, "a polygon needs coordinates or a path")
        if zone.kind == "circles" and not zone.sites and zone.path is None:
            fail(where, "circles need sites or a path")
        if zone.kind == "circles" and zone.radius_km is None and not all(s.radius_km for s in zone.sites):
            fail(where, "circles need radius_km, here or on every site")
        if zone.kind == "settlements" and zone.radius_km is None:
            fail(where, "settlements need radius_km")
        if zone.line != "actual" and not _is_date(zone.line):
            fail(where, f"line = {zone.line!r} is neither 'actual' nor a date like '2014-09-19'")
    for clause in agreement.clause:
        where = f"clause {clause.id!r}"
        readers = [reading.party for reading in clause.reading]
        for name in [*clause.parties, *readers, *(k for k in (*clause.text, *clause.effective, *clause.until) if k)]:
            if name not in parties:
                fail(where, f"{name!r} is not a party")
        for name in [clause.zone, *(r.zone for r in clause.reading), *(e.zone for e in clause.exemption)]:
            if name is not None and name not in zones:
                fail(where, f"zone {name!r} is not defined")
        times = [*clause.effective.values(), *clause.until.values(), *clause.due.values()]
        times += [t for r in clause.reading for t in (r.effective, r.until) if t is not None]
        for time in times:
            if time.tzinfo is None:
                fail(where, f"{time.isoformat()} has no time zone")
    for notice in agreement.notice:
        where = f"notice of {notice.party!r} on clause {notice.clause!r}"
        if notice.clause not in clauses:
            fail(where, "there is no such clause")
        if notice.party not in parties:
            fail(where, f"{notice.party!r} is not a party")
        if notice.zone is not None and notice.zone not in zones:
            fail(where, f"zone {notice.zone!r} is not defined")
        if any(t is not None and t.tzinfo is None for t in (notice.starts, notice.ends)):
            fail(where, "a time has no time zone")


def _is_date(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return False
    return True


def file_hash(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return sha256(path.read_bytes()).hexdigest()
