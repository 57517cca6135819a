"""The mission file: where the theatre is, which sources feed it, which agreement it is held against."""

import glob
import os
import re
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Meta

from truceline.agreement import Agreement, Assumption, Lat, Lon, Positive, Strict, file_hash, read_toml
from truceline.errors import MissionError
from truceline.frame import Frame

FILE = "mission.toml"
_WEB = re.compile(r"https?://", re.IGNORECASE)


class Centre(Strict, frozen=True):
    lon: Lon
    lat: Lat


class ReportDay(Strict, frozen=True):
    """Reporting days end at `ends`, local time of `zone`; the day is named after the date it ends on."""

    ends: str = "24:00"
    zone: str = "UTC"


class LineFiles(Strict, frozen=True):
    """Dated lines, or areas whose border is the line; the date is in the file's name (YYYYMMDD or YYYY-MM-DD).

    `select` keeps only features with one of the given values of a property, `{fill = ["#a52714"]}`.
    Of an area's border, what runs within `trim_km` of the coast or of an international border is not line.
    """

    paths: list[str]
    select: dict[str, list[str]] = {}
    tolerance_m: Positive = 500.0
    trim_km: Annotated[float, Meta(ge=0)] = 4.0
    licence: str | None = None


class Baseline(Strict, frozen=True):
    feed: str
    paths: list[str]
    years: list[int] = []
    exclude: str | None = None


class Live(Strict, frozen=True):
    """How records of a source come in while `truceline serve` runs, beside being posted; at most one way."""

    listen: str | None = None  # others connect and send: "tcp://127.0.0.1:10110", "udp://0.0.0.0:10110", "tls://..."
    connect: str | None = None  # we connect and read: "tcp://host:port"
    subscribe: str | None = None  # "mqtt://host:1883/topic/#"; user and password from the environment: {NAME}
    watch: bool = False  # `paths` are looked at again every `every_s`: files that come or grow, addresses
    every_s: Positive = 60.0
    silent_after_s: Positive | None = None  # nothing for so long is told as silence
    rows_per_s: Positive = 20_000.0  # what it may send; more has to wait, and no other source for it


class Source(Strict, frozen=True):
    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    feed: str
    paths: list[str] = []
    live: Live | None = None
    preset: str | None = None  # table
    columns: dict[str, Any] = {}  # table
    options: dict[str, Any] = {}  # what a feed alone understands; the feed checks it
    licence: str | None = None
    release: Literal["public", "parties", "sending_states", "mission"] = "mission"


class Serve(Strict, frozen=True):
    """How `truceline serve` keeps the picture of this mission."""

    settle_every_s: Positive = 300.0  # how often what is new is settled into an edition
    window_h: Positive = 48.0  # the provisional picture goes back so far behind its newest event
    alert_from: Annotated[float, Meta(gt=0, le=1)] = 0.5  # probability of breach that raises an alert
    public: bool = False  # whoever has not signed in sees what is public, a day late and coarse; else nothing


#: Without a baseline this is said of every fire alike.
FIRE_PRIOR = Assumption(
    value=0.28,
    source="share judged the conflict's among 864 fires of 2022 in a published, conservative model's judgement",
    confidence="low",
)


class Mission(Strict, frozen=True):
    """A mission file; docs/mission.md says what each key means."""

    name: str
    centre: Centre
    agreement: str
    source: list[Source]
    radius_km: Positive = 800.0
    counting: str = "osce-smm"
    report_day: ReportDay = ReportDay()
    line: LineFiles | None = None
    baseline: Baseline | None = None
    fire_prior: Assumption = FIRE_PRIOR
    gazetteer: str | None = None  # a table of settlements (truceline.places); else those that come with truceline
    exercise: bool = False  # invented data; every page says so
    serve: Serve = Serve()

    @classmethod
    def load(cls, folder: Path) -> "Mission":
        """Read and check `folder`/mission.toml.

        Raises
        ------
        MissionError
            Naming the file, the key and the value.
        """
        path = folder / FILE
        try:
            there = path.is_file()
        except OSError as error:
            raise MissionError(f"{path}: cannot be read: {error.strerror}") from error
        if not there:
            raise MissionError(f"{path}: there is no mission here; make one with: truceline init {folder}")
        mission = read_toml(path, cls)
        if not mission.source:
            raise MissionError(f"{path}: source: a mission needs at least one")
        for source in mission.source:
            if not source.paths and source.live is None:
                raise MissionError(f"{path}: source {source.id!r}: it has neither paths nor live: nothing can come in")
        names = [source.id for source in mission.source]
        for name in names:
            if names.count(name) > 1:
                raise MissionError(f"{path}: source: id {name!r} is given twice")
        try:
            mission.zone()
            mission.day_ends()
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise MissionError(f"{path}: report_day: {error}") from error
        return mission

    def frame(self) -> Frame:
        """The theatre's local metres."""
        return Frame(self.centre.lon, self.centre.lat, self.radius_km * 1000)

    def zone(self) -> ZoneInfo:
        """The time zone of reporting days."""
        return ZoneInfo(self.report_day.zone)

    def day_ends(self) -> timedelta:
        """Local time of day at which a reporting day ends, as time since midnight."""
        match = re.fullmatch(r"(\d\d):(\d\d)", self.report_day.ends)
        if match is None or int(match[2]) > 59 or (int(match[1]), int(match[2])) > (24, 0):
            raise ValueError(f"ends = {self.report_day.ends!r} is not a time like '19:30'")
        ends = timedelta(hours=int(match[1]), minutes=int(match[2]))
        if not ends:
            raise ValueError("ends = '00:00': write '24:00' for the end of the day")
        return ends

    def day(self, day: date) -> tuple[datetime, datetime]:
        """Begin and end (exclusive) of the reporting day `day`, UTC. 23 or 25 h long when clocks change."""

        def end(of: date) -> datetime:
            ends = self.day_ends()
            of += timedelta(days=ends.days)
            clock = time(ends.seconds // 3600, ends.seconds % 3600 // 60)
            return datetime.combine(of, clock, self.zone()).astimezone(UTC)

        return end(day - timedelta(days=1)), end(day)

    def day_of(self, at: datetime) -> date:
        """The reporting day that holds `at`."""
        day = at.astimezone(self.zone()).date()
        while at >= self.day(day)[1]:
            day += timedelta(days=1)
        while at < self.day(day)[0]:
            day -= timedelta(days=1)
        return day

    def load_agreement(self, folder: Path) -> Agreement:
        """The agreement file, read and checked."""
        return Agreement.load(folder / self.agreement)


def files(folder: Path, patterns: list[str]) -> list[str]:
    """The files and http(s) addresses that `patterns` name, relative to `folder`, each once, in the order
    of the patterns and, within one, of their names. A pattern that matches nothing gives nothing."""
    found: dict[str, None] = {}
    for pattern in patterns:
        if _WEB.match(pattern):
            found[pattern] = None
        else:
            for path in sorted(glob.glob(str(folder / Path(pattern).expanduser()), recursive=True)):
                if Path(path).is_file():
                    found[path] = None
    return list(found)


def hashes(folder: Path, mission: Mission) -> dict[str, str]:
    """SHA-256 of every file the picture depends on beside the observations, by its role and name."""
    named = {"mission": folder / FILE, "agreement": folder / mission.agreement}
    agreement = mission.load_agreement(folder)
    for zone in agreement.zone:
        if zone.path is not None:
            named[f"zone:{zone.id}"] = folder / zone.path
    if mission.gazetteer is not None:
        named["gazetteer"] = folder / mission.gazetteer
    patterns = {
        "line": mission.line.paths if mission.line else [],
        "baseline": mission.baseline.paths if mission.baseline else [],
    }
    for role, paths in patterns.items():
        for path in files(folder, paths):
            if not _WEB.match(path):
                name = f"{role}:{Path(path).name}"
                if name in named:  # of another folder
                    name = f"{role}:{os.path.relpath(path, folder)}"
                named[name] = Path(path)
    if mission.baseline and mission.baseline.exclude:
        named["baseline:exclude"] = folder / mission.baseline.exclude
    out = {}
    for role, file in named.items():
        if not file.is_file():
            raise MissionError(f"{file}: named as {role} but there is no such file")
        out[role] = file_hash(file)
    return out
