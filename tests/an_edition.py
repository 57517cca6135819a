"""Builders of an edition by hand: what fuse, rules and store would give a report."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import shapely

from truceline.agreement import Agreement, Clause, Party
from truceline.finding import CASES, FINDINGS
from truceline.mission import Centre, Mission, ReportDay, Source
from truceline.observation import table
from truceline.picture import EVENTS, INCIDENTS, LINE
from truceline.places import Gazetteer
from truceline.report import Provenance, Report, SourceCount, build
from truceline.report.document import Document, document

DAY = date(2023, 10, 4)
#: In the middle of the reporting day that ends at 19:30 Kyiv time on the 4th.
NOON = datetime(2023, 10, 4, 9, 0, tzinfo=UTC)
AVDIIVKA = (37.75, 48.14)

ZONES = pa.schema([("id", pa.string()), ("name", pa.string()), ("kind", pa.string()), ("geometry", pa.binary())])
LINE_OF_CONTACT = shapely.LineString([(36.2, 47.5), (37.5, 47.9), (37.7, 48.15), (37.9, 48.6), (38.0, 49.2)])


def an_id(*parts: Any) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()[:16]


def a_mission(**changes: Any) -> Mission:
    given: dict[str, Any] = {
        "name": "donbas-2023",
        "centre": Centre(37.5, 48.3),
        "agreement": "agreement.toml",
        "report_day": ReportDay("19:30", "Europe/Kyiv"),
        "source": [
            Source("viirs", "firms", ["*.csv"], licence="NASA FIRMS"),
            Source("press", "table", ["*.csv"], licence="ODbL, VIINA"),
        ],
    }
    return Mission(**(given | changes))


def an_agreement(**changes: Any) -> Agreement:
    given: dict[str, Any] = {
        "id": "measures",
        "title": "Measures to strengthen the ceasefire",
        "party": [Party("a", "Party A", inside=False), Party("b", "Party B", inside=True)],
        "clause": [
            Clause("2", "cessation", "Ban on firing", ["a", "b"]),
            Clause("npp", "protected_site", "No fire at nuclear plants", ["a", "b"]),
            Clause("4", "duty", "Disciplinary action notified", ["a", "b"]),
            Clause("7", "cessation", "Repair window", ["a", "b"]),
        ],
    }
    return Agreement(**(given | changes))


class Edition:
    """An edition's tables, grown row by row."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in ("event", "incident", "finding", "case")}
        self.observations: list[tuple[str, datetime]] = []
        self.lines: list[dict[str, Any]] = [
            {
                "date": "2023-10-02",
                "file": "line_20231002.geojson",
                "length_km": 281.25,
                "tolerance_m": 500.0,
                "problems": [],
                "geometry": shapely.to_wkb(LINE_OF_CONTACT),
            }
        ]
        band = LINE_OF_CONTACT.buffer(0.15)
        self.zones = [{"id": "security", "name": "security zone", "kind": "band", "geometry": shapely.to_wkb(band)}]

    def incident(
        self,
        name: str,
        what: str = "explosion.impact",
        at: datetime = NOON,
        place: tuple[float, float] = AVDIIVKA,
        p: float | None = 0.7,
        events: int = 1,
        clause: str = "2",
        source: str = "press",
        **changes: Any,
    ) -> bytes:
        """An incident of `events` alike, an hour apart, held against `clause` in both parties' readings."""
        incident_id = an_id("incident", name)
        shared = {
            "what": what,
            "confidence": 0.9,
            "lon": place[0],
            "lat": place[1],
            "major_m": 2000.0,
            "minor_m": 1500.0,
            "tilt_deg": 30.0,
            "line_date": "2023-10-02",
            "line_distance_m": 2345.6,
            "p_inside": 0.25,
            "observations": 1,
            "sources": [source],
            "release": "mission",
        } | changes
        for i in range(events):
            when = at + timedelta(hours=i)
            own = {"at": when, "at_from": when - timedelta(minutes=30), "at_until": when + timedelta(minutes=30)}
            ids = {"event_id": an_id("event", name, i), "incident_id": incident_id}
            event = (
                ids
                | own
                | {key: value for key, value in shared.items() if key in EVENTS.names}
                | {key: value for key, value in changes.items() if key in own}
            )
            self.rows["event"].append(event)
            self.observations.append((source, when))
        begin, end = at - timedelta(minutes=30), at + timedelta(hours=events, minutes=-30)
        row = {"incident_id": incident_id, "first_at": begin, "last_at": end, "events": events} | shared
        self.rows["incident"].append({key: value for key, value in row.items() if key in INCIDENTS.names})
        if p is not None:
            for reading in ("a", "b"):
                self.finding(incident_id, clause, reading, p)
        return incident_id

    def finding(self, subject: bytes, clause: str, reading: str, p: float | None, **changes: Any) -> bytes:
        rule = {"2": "cessation", "npp": "protected_site", "4": "duty", "7": "cessation"}[clause]
        finding_id = an_id("finding", subject, clause, reading)
        self.rows["finding"].append(
            {
                "finding_id": finding_id,
                "clause": clause,
                "rule": rule,
                "reading": reading,
                "subject_kind": "incident",
                "subject_id": subject,
                "in_force": True,
                "illustrative": False,
                "p_breach": p,
                "calibrated": False,
                "severity": "serious",
                "coverage": "not assessed",
                "release": "mission",
                "first_breach_from": NOON,
                "sentence": "",
            }
            | changes
        )
        return finding_id

    def case(self, subject: bytes, clause: str, state: str) -> None:
        self.rows["case"].append(
            {"case_id": an_id("case", subject, clause), "clause": clause, "state": state, "subject_id": subject}
        )

    def tables(self) -> dict[str, pa.Table]:
        source, at = zip(*self.observations, strict=True) if self.observations else ((), ())
        return {
            "events": pa.Table.from_pylist(self.rows["event"], schema=EVENTS),
            "incidents": pa.Table.from_pylist(self.rows["incident"], schema=INCIDENTS),
            "findings": pa.Table.from_pylist(self.rows["finding"], schema=FINDINGS),
            "cases": pa.Table.from_pylist(self.rows["case"], schema=CASES),
            "line": pa.Table.from_pylist(self.lines, schema=LINE),
            "zones": pa.Table.from_pylist(self.zones, schema=ZONES),
            "observations": table({"source": list(source), "at": list(at)}, len(source)).select(["source", "at"]),
        }

    def report(self, day: date = DAY, number: int = 4, **changes: Any) -> Report:
        """The report of `day`, by mission, agreement and provenance as given or as above."""
        mission = changes.pop("mission", None) or a_mission()
        agreement = changes.pop("agreement", None) or an_agreement()
        provenance = changes.pop("provenance", None) or Provenance(
            number, f"{number:064x}", "ab" * 32, "0.1.0", "cd" * 32
        )
        journal = changes.pop(
            "journal", [SourceCount("press", 51_686, 40_130, 11_556, 0), SourceCount("viirs", 900, 898, 0, 2)]
        )
        picture = self.tables() | changes.pop("picture", {})
        return build(mission, agreement, day, picture, provenance, Gazetteer.load(), journal=journal, **changes)


def a_busy_day() -> Edition:
    """Thirty shellings along the line, casualties, a nuclear plant, two hundred fires; a quieter day before."""
    edition = Edition()
    for i in range(30):
        share = i / 29
        spot = LINE_OF_CONTACT.interpolate(share, normalized=True)
        edition.incident(
            f"shelling {i}",
            what=("explosion.impact", "explosion", "burst", "explosion.outgoing", "uav.fpv")[i % 5],
            at=datetime(2023, 10, 3, 17, 0, tzinfo=UTC) + timedelta(minutes=45 * i),
            place=(spot.x + 0.03 * (i % 3 - 1), spot.y + 0.02 * (i % 4 - 2)),
            p=round(0.05 + 0.9 * ((i * 7) % 30) / 29, 3),
            count=(i % 7) + 1,
            count_max=(i % 7) + 1 + (i % 2) * 4,
            means=("heard", "saw", "recorded", None)[i % 4],
            description=("impact", None, "in flight", "outgoing", None)[i % 5],
            weapon=(None, "mortar 120 mm", "artillery", None)[i % 4],
            killed=1 if i == 7 else None,
            injured=3 if i in (7, 12) else None,
            line_distance_m=-1500.0 + 250 * i,
        )
    for i in range(12):
        edition.incident(f"before {i}", at=NOON - timedelta(days=1, hours=i % 5), count=2)
    edition.incident("plant", what="explosion", place=(34.585, 47.507), p=0.44, clause="npp", line_distance_m=None)
    for i in range(200):
        edition.incident(
            f"fire {i}",
            what="fire",
            at=NOON - timedelta(hours=i % 3, minutes=i % 50),
            place=(35.5 + 3.2 * ((i * 37) % 200) / 200, 47.2 + 2.2 * ((i * 53) % 200) / 200),
            p=None,
            source="viirs",
            frp_mw=1.5 + (i * 31 % 97),
            line_distance_m=500.0 * i,
            p_conflict=0.28,
            p_conflict_model="stated prior",
        )
    edition.observations += [("viirs", NOON - timedelta(days=d, minutes=k)) for d in range(1, 20) for k in range(150)]
    return edition


def said(page: Document) -> Iterator[str]:
    """Every string that a document holds."""
    yield from (page.title, page.mission, *page.footer)
    yield from (word for pair in [*page.facts, *page.banners] for word in pair)
    for section in page.sections:
        yield from (section.title, *section.paragraphs, *section.bullets)
        for drawn in section.tables:
            yield from (drawn.caption, drawn.note, *drawn.columns)
            yield from (part for row in drawn.rows for cell in row for part in cell.split("\n"))


def everything(report: Report) -> str:
    return "\n".join(said(document(report)))
