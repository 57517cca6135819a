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

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from truceline.errors import MissionError
from truceline.observation import TAXONOMY
from truceline.weapons import KNOWN as WEAPONS

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
    #: What ships do there: stopping in a lane is told, staying in a port or at an anchorage is not.
    use: Literal["", "lane", "port", "anchorage"] = ""


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
    weapons: list[str] = []  # weapon classes or names ("artillery", "mlrs", "uragan"), withdrawal and presence
    min_calibre_mm: Positive | None = None  # of this calibre and more
    below_calibre_mm: Positive | None = None  # of less than this calibre
    effective: dict[str, datetime] = {}  # by party id; "" for all others
    until: dict[str, datetime] = {}
    exemption: list[Exemption] = []
    reading: list[Reading] = []
    severity: Severity = "serious"
    source: str = ""
    # duty: what has to have happened by when, by party id, or how long after it takes effect
    due: dict[str, datetime] = {}
    due_within_h: Positive | None = None
    #: how much of each kind of occurrence is the clause's act, by taxonomy term; assumptions until calibrated
    weight: dict[str, Assumption] = {}
    #: how likely such an act there is of those it binds, where it binds some parties only; None: each party as likely
    whose: Assumption | None = None


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
    """An agreement: its parties, zones, clauses and notices."""

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
    #: Never in force as a whole: a proposal, or terms of several agreements side by side.
    illustrative: bool = False
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
        if self.illustrative:
            return False
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
    """msgspec's message with the table and the value it complains about, found by its path `$.clause[0].type`."""
    text, _, path = message.partition(" - at `$")
    keys = path.rstrip("`").replace("[...]", ".*").replace("[", ".").replace("]", "").strip(".").split(".")
    value, where = document, ""
    for key in keys if path else []:
        try:
            value = value[int(key)] if isinstance(value, list) else value[key]
        except (KeyError, IndexError, ValueError, TypeError):
            break
        named = isinstance(value, dict) and isinstance(value.get("id", value.get("party")), str)
        where += f" {value.get('id', value.get('party'))!r}" if named else f".{key}" if not key.isdigit() else ""
    where = where.removeprefix(".")
    if "unknown field" in text and isinstance(value, dict):
        return f"{where + ': ' if where else ''}{_unknown_key(text.split('`')[1], value)}"
    if isinstance(value, dict | list) and keys[-1] != "*":  # "*": one of the values of this very table
        return f"{where}: {text}" if where else text
    return f"{where} = {value!r}: {text}"


def _unknown_key(key: str, table: Mapping[str, Any]) -> str:
    """What is wrong with `key`, and what was probably meant."""

    def fit(fields: tuple[str, ...]) -> tuple[int, float]:  # the other keys that it knows, and the one most like this
        return len(table.keys() & {*fields}), max(difflib.SequenceMatcher(None, key, one).ratio() for one in fields)

    known = max((kind.__struct_fields__ for kind in Strict.__subclasses__()), key=fit)
    near = difflib.get_close_matches(key, known, 1, 0.6)
    hint = f"; did you mean {near[0]}?" if near else f"; it may be one of {', '.join(known)}" if fit(known)[0] else ""
    return f"there is no key {key!r} (= {table[key]!r}){hint}"


def _check(agreement: Agreement, path: Path) -> None:
    """Ids are unique, references hold, times carry a zone, zones have what their kind needs; else MissionError."""
    try:
        for name, ids in (
            ("party", [p.id for p in agreement.party]),
            ("zone", [z.id for z in agreement.zone]),
            ("clause", [c.id for c in agreement.clause]),
        ):
            _once(name, "id", ids)
        if not agreement.party or not agreement.clause:
            raise MissionError("an agreement needs at least one party and one clause")
        _aware("agreement", {"in_force_from": agreement.in_force_from, "in_force_until": agreement.in_force_until})
        _ordered("agreement", "in_force_from", agreement.in_force_from, "in_force_until", agreement.in_force_until)
        for zone in agreement.zone:
            _check_zone(zone)
        parties = {party.id for party in agreement.party}
        zones = {zone.id for zone in agreement.zone} | {"everywhere"}
        for clause in agreement.clause:
            _check_clause(clause, parties, zones)
        clauses = {clause.id: clause for clause in agreement.clause}
        for notice in agreement.notice:
            where = f"notice of {notice.party!r} on clause {notice.clause!r}"
            _named(where, "clause", [notice.clause], clauses, "a clause")
            _named(where, "party", [notice.party], parties, "a party")
            _named(where, "zone", [notice.zone or "everywhere"], zones, "a zone defined here")
            _terms(where, "what", notice.what)
            _aware(where, {"starts": notice.starts, "ends": notice.ends})
            _ordered(where, "starts", notice.starts, "ends", notice.ends)
            of = clauses[notice.clause]
            if of.type != "duty" and not any(exemption.notice for exemption in of.exemption):
                raise MissionError(
                    f"{where}: the clause is no duty and has no exemption by notice, so it changes nothing"
                )
    except MissionError as error:
        raise MissionError(f"{path}: {error}") from None


def _check_zone(zone: Zone) -> None:
    where = f"zone {zone.id!r}"
    if zone.kind == "band":
        if zone.to_km is None:
            raise MissionError(f"{where}: a band needs to_km")
        if zone.to_km <= zone.from_km:
            raise MissionError(f"{where}: to_km = {zone.to_km} is not beyond from_km = {zone.from_km}")
        if zone.measured == "total_width" and zone.from_km:
            raise MissionError(f"{where}: from_km = {zone.from_km} means nothing when the total width is measured")
    if zone.kind == "polygon" and not zone.coordinates and zone.path is None:
        raise MissionError(f"{where}: a polygon needs coordinates or a path")
    if any(len(ring) < 3 for ring in zone.coordinates):
        raise MissionError(f"{where}: coordinates: a ring needs at least three points")
    if zone.kind == "circles" and not zone.sites and zone.path is None:
        raise MissionError(f"{where}: circles need sites or a path")
    if zone.kind == "circles" and zone.radius_km is None and (zone.path or not all(s.radius_km for s in zone.sites)):
        raise MissionError(f"{where}: circles need radius_km, here or on every site")
    if zone.kind == "settlements" and zone.radius_km is None:
        raise MissionError(f"{where}: settlements need radius_km")
    if zone.line != "actual" and not _is_date(zone.line):
        raise MissionError(f"{where}: line = {zone.line!r} is neither 'actual' nor a date like '2014-09-19'")


def _check_clause(clause: Clause, parties: set[str], zones: set[str]) -> None:
    where = f"clause {clause.id!r}"
    if not clause.parties:
        raise MissionError(f"{where}: parties: a clause binds at least one")
    _once(where, "reading of party", [reading.party for reading in clause.reading])
    _named(where, "parties", clause.parties, parties, "a party")
    for key in ("text", "effective", "until", "due"):
        _named(where, key, [name for name in getattr(clause, key) if name], parties, "a party")
    _named(where, "reading", [reading.party for reading in clause.reading], parties, "a party")
    _named(where, "zone", [clause.zone], zones, "a zone defined here")
    _named(where, "reading zone", [r.zone for r in clause.reading if r.zone], zones, "a zone defined here")
    _named(where, "exemption zone", [e.zone for e in clause.exemption if e.zone], zones, "a zone defined here")
    _terms(where, "what", [*clause.what, *clause.weight])
    _terms(where, "reading what", [term for reading in clause.reading for term in reading.what or []])
    _terms(where, "exemption what", [term for exemption in clause.exemption for term in exemption.what])
    _named(where, "weapons", clause.weapons, WEAPONS, f"a weapon of {', '.join(sorted(WEAPONS))}")
    stated = {f"weight of {name!r}": assumption for name, assumption in clause.weight.items()}
    for name, assumption in (stated | ({"whose": clause.whose} if clause.whose else {})).items():
        if not 0 <= assumption.value <= 1:
            raise MissionError(f"{where}: {name} = {assumption.value} is not between 0 and 1")
    if clause.whose and (clause.type == "duty" or parties == {*clause.parties}):
        raise MissionError(f"{where}: whose is for a clause that binds some of the parties, and for no duty")
    if clause.min_calibre_mm and clause.below_calibre_mm and clause.below_calibre_mm <= clause.min_calibre_mm:
        raise MissionError(
            f"{where}: below_calibre_mm = {clause.below_calibre_mm} is not above "
            f"min_calibre_mm = {clause.min_calibre_mm}"
        )
    if clause.type != "duty" and (clause.due or clause.due_within_h):
        raise MissionError(f"{where}: due belongs to clauses of type 'duty', not {clause.type!r}")
    for key in ("effective", "until", "due"):
        _aware(where, {f"{key} of {name!r}": time for name, time in getattr(clause, key).items()})
    for reading in clause.reading:
        _aware(where, {"reading effective": reading.effective, "reading until": reading.until})
    for name in sorted(parties):
        starts, ends = in_force(clause, name)
        _ordered(where, f"effective for {name!r}", starts, f"until for {name!r}", ends)


def in_force(clause: Clause, party: str) -> tuple[datetime | None, datetime | None]:
    """From when and until when the clause is in force as `party` reads it; None: the agreement's own times."""
    reading = next((reading for reading in clause.reading if reading.party == party), Reading(party=party))
    starts = reading.effective or clause.effective.get(party) or clause.effective.get("")
    return starts, reading.until or clause.until.get(party) or clause.until.get("")


def _once(where: str, key: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise MissionError(f"{where}: {key} {name!r} is given twice")


def _named(where: str, key: str, names: Iterable[str], known: Iterable[str], what: str) -> None:
    known = set(known)
    for name in names:
        if name not in known:
            raise MissionError(f"{where}: {key} = {name!r} is not {what}")


def _terms(where: str, key: str, terms: Iterable[str]) -> None:
    for term in terms:
        if term.split(".")[0] not in TAXONOMY:
            near = difflib.get_close_matches(term, TAXONOMY, 1, 0.6)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise MissionError(f"{where}: {key} = {term!r} is not a term of the taxonomy{hint}")


def _aware(where: str, times: Mapping[str, datetime | None]) -> None:
    for key, time in times.items():
        if time is not None and time.tzinfo is None:
            said = time.isoformat()
            raise MissionError(f"{where}: {key} = {said} has no time zone; write for example {said}Z")


def _ordered(where: str, key: str, starts: datetime | None, until_key: str, ends: datetime | None) -> None:
    if starts is not None and ends is not None and ends <= starts:
        raise MissionError(f"{where}: {key} = {starts.isoformat()} is not before {until_key} = {ends.isoformat()}")


def _is_date(text: str) -> bool:
    try:
        datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return False
    return True


def file_hash(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return sha256(path.read_bytes()).hexdigest()
