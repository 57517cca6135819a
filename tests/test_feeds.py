"""What every feed keeps, whatever its format: one suite over all that are registered.

A feed that is added brings one sample here and one section in docs/feeds.md; nothing else.
"""

import gzip
import io
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import an_adsb
import an_ais
import an_asterix
from truceline import feeds, observation
from truceline.errors import MissionError, SourceError, TrucelineError
from truceline.feeds.plan import OPTIONS
from truceline.feeds.presets import PRESETS
from truceline.mission import Source

RECEIVED_AT = datetime(2031, 3, 16, 6, 0, tzinfo=UTC)
BOM = b"\xef\xbb\xbf"
DOCS = Path(__file__).parents[1] / "docs" / "feeds.md"


@dataclass(frozen=True)
class Sample:
    """A small file in a feed's real form, and what hostile hands make of it."""

    source: dict[str, Any]
    name: str
    header: str
    records: tuple[str, ...]
    #: A record that splits well but cannot be meant: the text, and field, value and reason of its rejection.
    bad: tuple[tuple[str, str, str, str], ...]
    #: Text before the records, between them and behind, where the format is not lines.
    joint: tuple[str, str, str] = ("", "\n", "\n")
    #: How bytes are written here as text: bytes that are none as Latin-1.
    encoding: str = "utf-8"
    form: str = "lines"
    #: What is said of a file that is another table.
    refused: str = "no column"

    def content(self, records: tuple[str, ...] | None = None) -> bytes:
        """The file's bytes."""
        before, between, behind = self.joint
        head = self.header + "\n" if self.header else ""
        return (head + before + between.join(records or self.records) + behind).encode(self.encoding)


#: A capture of one block with one record of 17 bytes.
CAPTURE = an_asterix.pcap([(1931254801 * 10**6, an_asterix.udp(b"\x15\x00\x14" + bytes(17)))])


def latin(raw: bytes) -> str:
    """Bytes that are no text, as a sample writes them."""
    return raw.decode("latin-1")


def an_event(uid: str, kind: str, **more: str) -> str:
    """One event of Cursor on Target."""
    said = {"how": "m-g", "start": "2031-03-14T10:00:00Z", "lat": "48.1", "lon": "37.5", "ce": "8", "detail": ""} | more
    return (
        f'<event version="2.0" uid="{uid}" type="{kind}" how="{said["how"]}" time="{said["start"]}" '
        f'start="{said["start"]}" stale="2031-03-14T10:05:00Z"><point lat="{said["lat"]}" lon="{said["lon"]}" '
        f'hae="120" ce="{said["ce"]}" le="12"/><detail>{said["detail"]}</detail></event>'
    )


SAMPLES = {
    "firms VIIRS": Sample(
        {"feed": "firms"},
        "fires.csv",
        "latitude,longitude,bright_ti4,scan,track,acq_date,acq_time,satellite,instrument,confidence,version,"
        "bright_ti5,frp,daynight",
        (
            "48.12345,37.54321,331.2,0.45,0.39,2031-03-14,1034,N,VIIRS,n,2.0NRT,285.1,4.2,D",
            "48.12000,37.54000,301.2,0.51,0.49,2031-03-14,56,1,VIIRS,h,2.0NRT,275.1,2.2,N",
            "48.13000,37.55000,301.2,0.51,0.49,2031-03-14,2301,N21,VIIRS,l,2.0NRT,275.1,2.2,N",
        ),
        (
            ("95.2,37.5,331,0.4,0.4,2031-03-14,56,N,VIIRS,n,2,285,4,D", "latitude", "95.2", "is outside -90..90"),
            ("48.1,NaN,331,0.4,0.4,2031-03-14,56,N,VIIRS,n,2,285,4,D", "longitude", "NaN", "is not a number"),
            ("48.1,37.5,331,0.4,0.4,2031-02-30,56,N,VIIRS,n,2,285,4,D", "acq_date", "2031-02-30", "is not a date"),
            ("48.1,37.5,331,0.4,0.4,2031-03-14,2460,N,VIIRS,n,2,285,4,D", "acq_time", "2460", "is not a time of day"),
            ("48.1,37.5,331,0.4,0.4,2031-03-14,56,N,VIIRS,x,2,285,4,D", "confidence", "x", "is neither low, nominal"),
            ("48.1,37.5,331,0.4,0.4,2031-03-14,56,N,VIIRS,n,2,285,hot,D", "frp", "hot", "is not a number"),
        ),
    ),
    "table VIINA": Sample(
        {"feed": "table", "preset": "viina"},
        "press.csv",
        '"datetime","lon","lat","place_name","event_type","headline"',
        (
            '"2031-03-14 00:00:00","37.54321","48.12345","Ivanivka","artillery|loc","Навчання: ""тиша"" скінчилася"',
            '"2031-03-14 09:40:00","37.6","48.2","","","Exercise: nothing, of note"',
            '"2031-03-14 09:40:00","37.6","48.2","","arresb|loc","Exercise: one held"',
        ),
        (
            ('"2031-03-14 00:00:00","37.5","95.2","","",""', "lat", "95.2", "is outside -90..90"),
            ('"2031-03-14 25:00:00","37.5","48","","",""', "datetime", "2031-03-14 25:00:00", "is not a time like"),
            ('"","37.5","48","","",""', "datetime", "", "is missing"),
            ('"2031-03-14","","48","","",""', "lon", "", "is missing"),
        ),
    ),
    "table ACLED": Sample(
        {"feed": "table", "preset": "acled"},
        "acled.csv",
        "event_id_cnty,event_date,year,time_precision,event_type,sub_event_type,latitude,longitude,geo_precision,"
        "location,notes,fatalities,source",
        (
            "UKR1,14 March 2031,2031,1,Battles,Armed clash,48.1,37.5,1,Ivanivka,Exercise,0,Invented",
            "UKR2,2031-03-14,2031,2,Explosions/Remote violence,Shelling/artillery/missile attack,48.1,37.5,2,I,E,3,I",
        ),
        (("UKR3,someday,2031,1,B,Armed clash,48.1,37.5,1,I,E,0,I", "event_date", "someday", "is not a time like"),),
    ),
    "table UCDP": Sample(
        {"feed": "table", "preset": "ucdp"},
        "ged.csv",
        "id,type_of_violence,where_prec,where_coordinates,latitude,longitude,date_prec,date_start,date_end,best,high,"
        "low,source_headline,source_office",
        ("7,1,2,Ivanivka,48.1,37.5,2,2031-03-14 00:00:00.000,2031-03-16 00:00:00.000,4,6,2,Exercise,Invented",),
        (
            (
                "8,1,2,I,48.1,37.5,2,2031-03-14,2031-03-01,4,6,2,E,I",
                "date_end",
                "2031-03-01",
                "is before date_start",
            ),
            ("9,1,9,I,48.1,37.5,2,2031-03-14,2031-03-14,4,6,2,E,I", "where_prec", "9", "is not in the map of where"),
            ("9,1,1,I,48.1,37.5,2,2031-03-14,2031-03-14,many,6,2,E,I", "best", "many", "is not a number"),
        ),
    ),
    "table own columns": Sample(
        {
            "feed": "table",
            "columns": {
                "at": {"column": "when", "format": "%d.%m.%Y %H:%M"},
                "lon": "x",
                "lat": "y",
                "what": {"column": "seen", "map": {"бух": "explosion.impact", "дим": {"fire": 0.7}}},
                "means": {"value": "heard"},
            },
            "options": {"delimiter": ";", "decimal": ",", "zone": "Europe/Kyiv"},
        },
        "own.csv",
        "when;x;y;seen",
        ("14.03.2031 09:10;37,5;48,1;бух", "14.03.2031 09:12;37,5;48,1;дим"),
        (("14.03.2031 09:10;37,5;48,1;грім", "seen", "грім", "is not in the map of what: 'грім'"),),
    ),
    "table GeoJSON": Sample(
        {"feed": "table", "columns": {"at": "time", "what": {"value": "fire"}, "text": "note"}},
        "calls.geojson",
        "",
        (
            '{"type": "Feature", "properties": {"time": "2031-03-14T09:10:00Z", "note": "дим"}, '
            '"geometry": {"type": "Point", "coordinates": [37.5, 48.1]}}',
            '{"type": "Feature", "geometry": {"type": "Point", "coordinates": [37.6, 48.2, 90]},\n'
            '  "properties": {"note": null, "time": "2031-03-14T11:10+02:00"}}',
        ),
        (
            ('{"type": "Thing"}', "type", "Thing", "is no GeoJSON feature: its type is 'Thing'"),
            ("[1, 2]", "", "", "is no GeoJSON feature"),
            (
                '{"type": "Feature", "properties": {"time": "2031-03-14"}, '
                '"geometry": {"type": "Point", "coordinates": [37.5, 95]}}',
                "geometry:lat",
                "95",
                "is outside -90..90",
            ),
            (
                '{"type": "Feature", "properties": {"time": "2031-03-14"}, "geometry": null}',
                "geometry:lon",
                "",
                "is missing",
            ),
        ),
        ('{"type": "FeatureCollection", "features": [\n', ",\n", "\n]}"),
        form="GeoJSON",
        refused="no array",
    ),
    "adsb frames": Sample(
        {"feed": "adsb"},
        "aircraft.csv",
        "",
        (
            "1931250900.0," + an_adsb.squitter(an_adsb.position(30.75, 46.45, False)),
            "1931250900.5," + an_adsb.squitter(an_adsb.position(30.75, 46.45, True)),
            "1931250901.0," + an_adsb.squitter(an_adsb.velocity(300, 100)),
            "1931250902.0," + an_adsb.answer(21, 0, message="0" * 56),
        ),
        (
            ("1931250900.0,8D4B1814", "", "", "holds no Mode S frame"),
            ("1931250900.0,8D4B181458B98218DD7D36456600", "parity", "", "has a wrong parity"),
            (
                "123456789.0," + an_adsb.squitter(an_adsb.velocity(300, 100)),
                "time",
                "123456789",
                "is outside the years",
            ),
        ),
    ),
    "adsb beast": Sample(
        {"feed": "adsb"},
        "aircraft.bin",
        "",
        tuple(
            latin(an_adsb.beast(an_adsb.squitter(an_adsb.position(30.75, 46.45, odd)), 12_000_000 + odd))
            for odd in (False, True)
        ),
        (
            (latin(an_adsb.beast("1234")), "", "", "is an answer of Mode A or C"),
            (latin(an_adsb.beast("00" * 14)), "parity", "", "a length that is not its format's"),
        ),
        ("", "", ""),
        encoding="latin-1",
        form="beast",
    ),
    "adsb table": Sample(
        {"feed": "adsb"},
        "states.csv",
        "timestamp,icao24,latitude,longitude,groundspeed,track,vertical_rate,callsign,altitude,onground",
        (
            "1931250900000,4b1814,46.45,30.75,300.0,90.0,-640.0,EXER1,30000.0,False",
            "2031-03-14 10:34:00+00:00,4b1815,,,,,,EXER2,,True",
        ),
        (
            ("soon,4b1814,46.45,30.75,,,,,,", "timestamp", "soon", "is not a time"),
            ("1931250900,4b1814,96.45,30.75,,,,,,", "latitude", "96.45", "is outside -90..90"),
            ("1931250900,aeroplane,46.45,30.75,,,,,,", "address", "aeroplane", "is not 6 hexadecimal digits"),
            ("1931250900,4b1814,,30.75,,,,,,", "position", "", "has only one of longitude and latitude"),
        ),
    ),
    "adsb states": Sample(
        {"feed": "adsb"},
        "states.json",
        "",
        (
            '["4b1814", "EXER1   ", "Nowhere", 1931250899, 1931250900, 30.75, 46.45, 9144.0, false, 154.3, 90.0, -3.2, '
            'null, 9200.0, "1000", false, 0, 4]',
            '["4b1815", null, "Nowhere", null, 1931250900, null, null, null, true, null, null, null, null, null, null, '
            "false, 0]",
        ),
        (
            ("{}", "", "", "is no array of a state"),
            ("[1; 2]", "", "", "is no state vector"),
            ('["4b1814", null, "", 1931250899, 1931250900, 30.75, 96.45]', "latitude", "96.45", "is outside -90..90"),
        ),
        ('{"time": 1931250900, "states": [\n', ",\n", "\n]}"),
        form="JSON",
    ),
    "ais sentences": Sample(
        {"feed": "ais"},
        "ships.nmea",
        "",
        (
            an_ais.tagged(an_ais.sentence(1, **an_ais.ship()), 1931250900, "odesa"),
            "\n".join(an_ais.tagged(part, 1931250903, "odesa") for part in an_ais.sentences(5, **an_ais.static())),
            an_ais.sentence(18, 211234570, **an_ais.ship()) + ",r003669946,1931250904",
        ),
        (
            (an_ais.sentence(1, **an_ais.ship())[:-2] + "00", "", "", "has a wrong checksum"),
            (an_ais.sentence(1, lon=190, lat=46), "lon", "190", "is outside -180..180"),
            (an_ais.raw("1" * 6 + "0" * 162), "message type", "63", "is not one of 1..27"),
            (an_ais.raw("000001" + "0" * 60), "bits", "66", "is cut off"),
            ("$GPZDA,160012.71,11,03,2004,-1,00*7D", "", "", "only VDM and VDO are read"),
        ),
    ),
    "ais table": Sample(
        {"feed": "ais"},
        "ships.csv",
        "MMSI,BaseDateTime,LAT,LON,SOG,COG,Heading,VesselName,IMO,CallSign,VesselType,Status,Length,Width,Draft,Cargo,"
        "TransceiverClass",
        (
            "211234560,2031-03-14T10:34:00,46.45,30.75,12.3,181.5,180.0,EXERCISE,IMO9074729,EXER1,70,0,150,22,7.5,70,A",
            "211234570,2031-03-14T10:34:01,46.46,30.76,102.3,360.0,511.0,,,,,,,,,,B",
        ),
        (
            ("0211,2031-03-14,46,30.75,0,0,0,,,,,,,,,,A", "time", "2031-03-14", "is not a time like"),
            ("211234560,2031-03-14T10:34:00,96.45,30.75,,,,,,,,,,,,,A", "lat", "96.45", "is outside -90..90"),
            ("ship,2031-03-14T10:34:00,46.45,30.75,,,,,,,,,,,,,A", "mmsi", "ship", "is not a number"),
        ),
    ),
    "asterix": Sample(
        {"feed": "asterix", "options": {"day": "2031-03-14"}},
        "radar.ast",
        "",
        (
            latin(an_asterix.report(37.5, 48.1, 36000.0, 0x4B1814)),
            latin(an_asterix.report(37.6, 48.2, 36001.5, 0x4B1815)),
            latin(an_asterix.report(-37.6, -48.2, 36001.75, 0x4B1815)),
        ),
        (
            (latin(an_asterix.report(37.5, 112.5, 36000.0)), "lat", "112.5", "is outside -90..90"),
            (latin(an_asterix.report(37.5, 48.1, 90000.0)), "time of day", "90000", "is more than a day has"),
            (latin(b"\x01\x01\x01\x01\x01\x01\x01\x01" + bytes(9)), "", "", "is longer than the category has"),
            (latin(b"\x41\x00" + b"\xff" * 15), "040", "", "021: item 040 of the record at byte"),
            (latin(bytes(17)), "", "", "has no item"),
        ),
        (latin(b"\x15\x00\x14"), latin(b"\x15\x00\x14"), ""),
        encoding="latin-1",
        form="blocks",
        refused="is neither ASTERIX",
    ),
    "asterix capture": Sample(
        {"feed": "asterix"},
        "radar.pcap",
        "",
        (
            latin(an_asterix.report(37.5, 48.1, 36000.0, 0x4B1814)),
            latin(an_asterix.report(37.6, 48.2, 36001.5, 0x4B1815)),
        ),
        ((latin(an_asterix.report(37.5, 112.5, 36000.0)), "lat", "112.5", "is outside -90..90"),),
        (latin(CAPTURE[:-17]), latin(CAPTURE[24:-17]), ""),
        encoding="latin-1",
        form="capture",
        refused="is neither ASTERIX",
    ),
    "observations JSON lines": Sample(
        {"feed": "observations"},
        "posted.jsonl",
        "",
        (
            '{"kind": "sighting", "what": "explosion.impact", "at": "2031-03-14T10:34:00Z", "lon": 37.5, "lat": 48.1, '
            '"count": 3, "text": "дим", "alternatives": {"fire": 0.2}}',
            '{"at":"2031-03-14T12:34:05.25+02:00","kind":"fix","what":"vessel","identity":"mmsi:211234560","lon":30.75,'
            '"lat":46.45,"speed_mps":6.1}',
            '{"kind": "status", "what": "report", "at": "2031-03-14T10:35Z", "sensor": "post 4", "id": "17"}',
        ),
        (
            (
                '{"kind": "sighting", "what": "fire", "at": "2031-03-14T10:34:00Z", "lon": 37.5, "lat": 95.2}',
                "lat",
                "95.2",
                "is outside -90..90",
            ),
            (
                '{"kind": "sighting", "what": "fire", "at": "2031-03-14T10:34:00Z", "lon": 37.5}',
                "lon, lat",
                "",
                "go together",
            ),
            (
                '{"kind": "sighting", "what": "fire", "at": "2031-03-14T10:34:00", "lon": 37.5, "lat": 48.1}',
                "at",
                "2031-03-14T10:34:00",
                "has no zone",
            ),
            ('{"kind": "sighting", "what": "fire"}', "at", "", "is missing"),
            ('{"kind": "rumour", "what": "fire", "at": "2031-03-14T10:34:00Z"}', "kind", "rumour", "is not one of fix"),
            (
                '{"kind": "sighting", "what": "thunder", "at": "2031-03-14T10:34:00Z"}',
                "what",
                "thunder",
                "is not a term of the taxonomy",
            ),
            (
                '{"kind": "sighting", "what": "fire", "at": "2031-03-14T10:34:00Z", "speed": 48}',
                "speed",
                "",
                "no column 'speed'; did you mean 'speed_mps'?",
            ),
            (
                '{"kind": "sighting", "what": "fire", "at": "2031-03-14T10:34:00Z", "count": true}',
                "count",
                "true",
                "is not a number",
            ),
            (
                '{"kind": "sighting", "what": "fire", "at": "2031-03-14T10:34:00Z", "alternatives": {"uav": 2}}',
                "alternatives",
                '{"uav":2}',
                "has a probability outside 0..1",
            ),
            ('{"kind": "sighting"', "", "", "is no JSON object"),
            ("[1, 2]", "", "", "is no JSON object"),
        ),
    ),
    "observations CSV": Sample(
        {"feed": "observations"},
        "posted.csv",
        "kind,what,at,until,lon,lat,count,text,source",
        (
            "sighting,explosion.impact,2031-03-14T10:34:00Z,,37.5,48.1,3,дим,elsewhere",
            'sighting,burst,2031-03-14T10:34:00Z,2031-03-14T10:39:00Z,,,,"heard, not seen",',
        ),
        (
            ("sighting,fire,soon,,37.5,48.1,,,", "at", "soon", "is not a time like"),
            (
                "sighting,fire,2031-03-14T10:34:00Z,2031-03-14T09:34:00Z,,,,,",
                "until",
                "2031-03-14T09:34:00Z",
                "is before at",
            ),
            ("sighting,fire,2031-03-14T10:34:00Z,,37.5,48.1,2.5,,", "count", "2.5", "is not a whole number"),
            ("sighting,fire,1031-03-14T10:34:00Z,,37.5,48.1,,,", "at", "1031-03-14T10:34:00Z", "is outside the years"),
        ),
    ),
    "cot": Sample(
        {"feed": "cot"},
        "team.xml",
        "",
        (
            an_event("PATROL-3", "a-f-G-E-V", detail='<contact callsign="Patrol 3"/><track speed="3.1" course="90"/>'),
            an_event("PATROL-3", "b-m-p-s-m", how="h-e", start="2031-03-14T10:01:00Z", detail="<remarks>дим</remarks>"),
            an_event("DRONE-1", "a-u-A-M-H-Q", lat="-48.3", ce="9999999.0").replace("><", ">\n  <"),
        ),
        (
            (an_event("P", "a-f-G", lat="95"), "lat", "95", "is outside -90..90"),
            (an_event("P", "a-f-G", lon="east"), "lon", "east", "is not a number"),
            (an_event("P", "a-f-G", start="today"), "start", "today", "is not a time like"),
            (
                an_event("P", "a-f-G", start="9031-03-14T10:00:00Z"),
                "start",
                "9031-03-14T10:00:00Z",
                "is outside the years",
            ),
            (an_event("", "a-f-G"), "uid", "", "is missing"),
            ('<event uid="P"><point></event>', "", "", "is no well-formed event: mismatched tag"),
            ('<event uid="P" type="a-f-G"></event>', "point", "", "has no point"),
            (an_event("P", "a-f-G", detail="<remarks>&lol9;</remarks>"), "", "", "undefined entity"),
        ),
        ("<?xml version='1.0'?>\n", "\n<?xml version='1.0'?><!-- <event -->\n", "\n"),
        form="events",
        refused="holds no Cursor on Target event",
    ),
}


def source(sample: Sample, **more: Any) -> Source:
    return Source(id="s", paths=[], **{**sample.source, **more})


def read(given: Source, path: Path, **options: Any) -> tuple[pa.Table, pa.Table]:
    """All batches of a file as two tables."""
    batches = list(feeds.read(given, path.parent, str(path), RECEIVED_AT, **options))
    if not batches:
        return observation.table({}, 0), observation.table({}, 0, observation.REJECTION)
    return pa.concat_tables([b.observations for b in batches]), pa.concat_tables([b.rejections for b in batches])


@pytest.fixture(params=SAMPLES, ids=list(SAMPLES))
def sample(request) -> Sample:
    return SAMPLES[request.param]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(content: bytes, name: str) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def check_rows(accepted: pa.Table, rejected: pa.Table, content: bytes, given: Source, name: str) -> None:
    """What must hold of every file's rows, good or hostile."""
    numbers = sorted(accepted["record"].to_pylist() + rejected["record"].to_pylist())
    assert numbers == list(range(1, len(numbers) + 1)), "every record is accepted or rejected, once"
    assert accepted.schema.names[: len(observation.CORE)] == observation.CORE.names
    assert accepted.schema.field("at").type == observation.TIME
    assert rejected.schema == observation.REJECTION
    at = 0
    rows = accepted.select(["record", "raw"]).to_pylist() + rejected.select(["record", "raw"]).to_pylist()
    if given.feed == "ais" and b"VDM," in content:
        check_lines([row["raw"] for row in rows], content)
        rows = []
    for row in sorted(rows, key=lambda row: row["record"]):
        found = content.find(row["raw"], at)
        assert found >= 0, "a record's bytes stand in the file, in the order of the records"
        at = found + len(row["raw"])
    for table in (accepted, rejected):
        assert set(table["file"].to_pylist()) <= {name}
        assert set(table["source"].to_pylist()) <= {given.id}
        assert set(table["release"].to_pylist()) <= {given.release}
        assert table["received_at"].null_count == table["licence"].null_count == 0 or not given.preset
    for row in accepted.to_pylist():
        assert row["observation_id"] == row["leaf"][:16]
        if row["at"] is not None:
            assert row["at"].tzinfo is not None
            # A record with a time of day alone is hashed with its day; one that has its packet's time alone, with
            # the how-manieth of its bytes it is.
            day, occurrence = row.get("asterix_day"), row.get("asterix_occurrence")
            number = [(day - date(1970, 1, 1)).days] if day is not None else [occurrence] if occurrence else None
            assert row["leaf"] == observation.leaves(given.id, [row["raw"]], number)[0]
        assert row["kind"] in observation.KINDS
        assert observation.term(row["what"]) is not observation.TAXONOMY["report"] or row["what"] == "report"
        assert 0 < row["confidence"] <= 1 if row["confidence"] is not None else True
        for degrees, most in (("lon", 180), ("lat", 90)):
            assert row[degrees] is None or abs(row[degrees]) <= most
    for row in rejected.to_pylist():
        assert row["reason"]
        assert "\n" not in row["reason"]
        assert "Traceback" not in row["reason"]


def check_lines(raws: list[bytes], content: bytes) -> None:
    """A message's lines need not stand together in the file: every line is in exactly one record."""
    told, there = (Counter(re.split(rb"[\r\n]+", text)) for text in (b"\n".join(raws), content.removeprefix(BOM)))
    del told[b""], there[b""]
    assert told == there


def test_every_registered_feed_has_a_sample():
    assert {sample.source["feed"] for sample in SAMPLES.values()} == set(feeds.REGISTRY)


@pytest.mark.parametrize("name", sorted(feeds.REGISTRY))
def test_every_registered_feed_has_a_section_in_the_docs(name):
    assert f"\n## `{name}`" in DOCS.read_text()


@pytest.mark.parametrize(
    "word", sorted({*OPTIONS, *PRESETS, "satellite", "instrument", "start", "clock", "sites", "day"})
)
def test_every_option_and_preset_is_in_the_docs(word):
    assert f"`{word}`" in DOCS.read_text()


def test_every_record_of_a_good_file_is_accepted(sample, write):
    path = write(sample.content(), sample.name)
    accepted, rejected = read(source(sample), path)
    assert (accepted.num_rows, rejected.num_rows) == (len(sample.records), 0)
    assert [raw.decode(sample.encoding) for raw in accepted["raw"].to_pylist()] == list(sample.records)
    check_rows(accepted, rejected, sample.content(), source(sample), sample.name)


def test_a_bad_value_rejects_its_record_alone_and_is_named(sample, write):
    """Field, value and reason stand in the row, and together in the reason."""
    records = tuple(text for bad in sample.bad for text in (bad[0], sample.records[0]))
    content = sample.content(records)
    accepted, rejected = read(source(sample), write(content, sample.name))
    assert accepted.num_rows == len(sample.bad)
    for row, (text, field, value, reason) in zip(rejected.to_pylist(), sample.bad, strict=True):
        assert row["raw"].decode(sample.encoding) == text
        assert (row["field"] or "", row["value"] or "") == (field, value)
        assert reason in row["reason"]
        assert value in row["reason"]
    check_rows(accepted, rejected, content, source(sample), sample.name)


def test_ids_do_not_depend_on_the_files_name_nor_on_how_it_is_packed_and_read(sample, write):
    path = write(sample.content(), sample.name)
    moved = write(gzip.compress(sample.content()), f"moved-{sample.name}.gz")
    ids = read(source(sample), path)[0]["leaf"]
    assert read(source(sample), moved)[0]["leaf"] == ids
    for chunk_bytes in (1, 7, 64):
        again, _ = read(source(sample), path, chunk_bytes=chunk_bytes)
        assert again["leaf"].combine_chunks() == ids.combine_chunks()


def test_the_rows_do_not_depend_on_how_much_is_read_at_a_time(sample, write):
    records = sample.records * 3 + tuple(bad[0] for bad in sample.bad)
    path = write(sample.content(records), sample.name)
    for whole, parts in zip(read(source(sample), path), read(source(sample), path, chunk_bytes=50), strict=True):
        assert whole.combine_chunks().equals(parts.combine_chunks())


def test_repeats_have_equal_leaves_which_the_store_tells_duplicates_by(sample, write):
    accepted, _ = read(source(sample), write(sample.content(sample.records * 2), sample.name))
    leaves = accepted["leaf"].to_pylist()
    half = len(sample.records)
    assert leaves[:half] == leaves[half:]
    assert len(set(leaves)) == half


def test_another_source_gives_other_ids(sample, write):
    path = write(sample.content(), sample.name)
    other = Source(id="other", paths=[], **sample.source)
    assert set(read(source(sample), path)[0]["leaf"].to_pylist()).isdisjoint(read(other, path)[0]["leaf"].to_pylist())


def test_the_source_says_release_and_licence(sample, write):
    given = source(sample, release="parties", licence="mine")
    accepted, _ = read(given, write(sample.content(), sample.name))
    assert set(accepted["release"].to_pylist()) == {"parties"}
    assert set(accepted["licence"].to_pylist()) == {"mine"}


def test_files_are_named_relative_to_the_mission(sample, tmp_path):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / sample.name
    path.write_bytes(sample.content())
    batch = next(feeds.read(source(sample), tmp_path, str(path), RECEIVED_AT))
    assert set(batch.observations["file"].to_pylist()) == {f"in/{sample.name}"}


def hostile(sample: Sample) -> dict[str, tuple[bytes, str]]:
    """Files as they come from hostile or careless hands, and words of the message or of the rejection."""
    good = sample.content()
    head = sample.content(("",))
    files = {
        "empty": (b"", "is empty"),
        "zip": (b"PK\x03\x04" + good, "is a zip archive"),
        "UTF-16": (b"\xff\xfe" + good.decode(sample.encoding).encode("utf-16-le"), "is UTF-16"),
        "binary": (bytes(range(256)) * 40, ""),
        "cut gzip": (gzip.compress(good + good[-40:] * 200)[:-20], "breaks off at byte"),
        "another table": (b"a,b\n1,2\n", sample.refused),
        "byte order mark": (b"\xef\xbb\xbf" + good, ""),
        "header alone": (head, ""),
    }
    if sample.form == "lines":
        first = sample.records[0].encode()
        files |= {
            "mixed line ends": (good.replace(b"\n", b"\r\n", 1) + first + b"\r" + first, ""),
            "NUL": (good + first[:5] + b"\0" + first[5:] + b"\n", "is NUL"),
            "not UTF-8": (good + b"\xff" + first[1:] + b"\n", "is not UTF-8"),
            "long line": (good + b"x" * (2 << 20) + b"\n" + first + b"\n", "is 2097152 bytes long"),
        }
        if sample.header:
            files |= {
                "open quote": (good + b'"' + first.replace(b'"', b"") + b"\n" + first + b"\n", "opens a quote"),
                "too few fields": (good + b"1\n", "has 1 field where"),
            }
    elif sample.form == "blocks":
        block = sample.joint[0].encode(sample.encoding)
        files |= {
            "cut": (good[:-3], "runs past the end"),
            "rubbish between": (good.replace(block, b"\0\xff" + block)[2:], "no data block begins at byte 20"),
            "block too long": (block[:2] + b"\xff" + good[3:], "runs past the end"),
            "block too short": (block[:2] + b"\x0b" + good[3:], "runs past the end of its block"),
            "empty block": (good + block[:2] + b"\x03" + good, "no data block begins"),
        }
    elif sample.form == "capture":
        files |= {"cut": (good[:-3], "is cut off"), "rubbish behind": (good + b"\xff" * 40, "is damaged")}
    elif sample.form == "beast":
        files |= {
            "cut": (good[:-3], "is a frame that breaks off"),
            "rubbish between": (good + b"rubbish" + good, "holds bytes between frames"),
            "text": (good + b"*8D4B1814;\n", "holds bytes between frames"),
        }
    elif sample.form == "events":
        bomb = b"<!DOCTYPE lolz [<!ENTITY lol 'lol'><!ENTITY lol9 '&lol;&lol;&lol;'>]>"
        files |= {
            "cut": (good[:-30], "the file ends inside an event"),
            "billion laughs": (
                bomb + sample.bad[-1][0].encode() + good,
                "a document type with its entities is not read",
            ),
            "bomb inside": (good.replace(b"<detail>", b"<detail>" + bomb, 1), "is no well-formed event"),
            "deep": (good + b"<event>" + b"<a>" * 100_000 + b"</event>", "is no well-formed event"),
            "huge": (good + b"<event>" + b" " * (2 << 20) + b"</event>", "is part of an event longer than 1048576"),
            "self-closed": (b'<event uid="P"/>' + good, "has no point"),
            "not UTF-8": (good.replace("дим".encode(), b"\xff\xfe", 1), "is no well-formed event"),
        }
    else:
        files |= {
            "cut": (good[:-30], "the file ends inside its "),
            "rubbish between": (good.replace(b",\n", b", ], {,\n", 1), ""),
            "deep": (head.replace(b"\n]", b"[" * 100_000 + b"]" * 100_000 + b"]"), "is no "),
        }
    return files


@pytest.mark.parametrize(
    ("name", "case"), [(name, case) for name, sample in SAMPLES.items() for case in hostile(sample)]
)
def test_hostile_files_are_told_not_traced(name, case, write):
    """Either the file is refused with a message that names it, or every record is accounted for."""
    sample = SAMPLES[name]
    content, words = hostile(sample)[case]
    path = write(content, sample.name)
    try:
        accepted, rejected = read(source(sample), path)
    except SourceError as error:
        told = str(error)
        assert told.startswith(f"{sample.name}: ")
        assert "\n" not in told
    else:
        told = " | ".join(rejected["reason"].to_pylist())
        if case != "cut gzip":
            check_rows(accepted, rejected, content, source(sample), sample.name)
        if case in ("byte order mark", "mixed line ends"):
            assert rejected.num_rows == 0
            assert accepted.num_rows >= len(sample.records)
    assert words in told


BYTES = st.binary(max_size=300) | st.text(alphabet='12,.;:-"\n\r{}[] NaN\0éT', max_size=200).map(str.encode)


@settings(deadline=None, max_examples=60)
@given(rubbish=BYTES, where=st.floats(0, 1))
@pytest.mark.parametrize("name", SAMPLES)
def test_rubbish_never_raises_anything_but_a_message(name, rubbish, where, tmp_path_factory):
    """Bytes of any kind, anywhere in a file: a SourceError, or rows that account for every record."""
    sample = SAMPLES[name]
    good = sample.content()
    cut = int(where * len(good))
    content = good[:cut] + rubbish + good[cut:]
    path = tmp_path_factory.mktemp("rubbish") / sample.name
    path.write_bytes(content)
    try:
        accepted, rejected = read(source(sample), path)
    except SourceError:
        return
    check_rows(accepted, rejected, content, source(sample), sample.name)


def test_a_parquet_file_is_a_table_like_any_other(tmp_path):
    """A row has no bytes of its own in the file: canonical JSON stands for them."""
    rows = {
        "time": pa.array([datetime(2031, 3, 14, 9, 10, tzinfo=UTC), None], pa.timestamp("ms", tz="UTC")),
        "x": [37.5, 37.6],
        "y": [48.1, 48.2],
        "n": [3, None],
    }
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(rows), path)
    columns = {"at": "time", "lon": "x", "lat": "y", "count": "n", "what": {"value": "burst"}}
    accepted, rejected = read(Source(id="s", feed="table", paths=[], columns=columns), path)
    assert accepted["raw"].to_pylist() == [b'{"n":3,"time":"2031-03-14T09:10:00Z","x":37.5,"y":48.1}']
    assert accepted["at"].to_pylist() == [datetime(2031, 3, 14, 9, 10, tzinfo=UTC)]
    assert accepted["count"].to_pylist() == [3]
    assert rejected["reason"].to_pylist() == ["time is missing"]


ARROW = {
    "kind": ["sighting", "fix"],
    "what": ["explosion.impact", "vessel"],
    "at": pa.array([datetime(2031, 3, 14, 9, 10, tzinfo=UTC), datetime(2031, 3, 14, 9, 11, tzinfo=UTC)]),
    "lon": [37.5, 30.75],
    "lat": [48.1, 46.45],
    "speed_mps": pa.array([float("nan"), 6.1], pa.float32()),
    "count": pa.array([3, None], pa.int8()),
    "text": ['heard, not "seen"\n', None],
    "alternatives": pa.array([[("fire", 0.25)], None], observation.LIKELIHOODS),
    "leaf": pa.array([bytes(32)] * 2, pa.binary(32)),
}


NOT_UTF8 = pa.array([b"\xff", b""]).cast(pa.string(), safe=False)


def an_arrow_stream(columns: dict[str, Any], **options: Any) -> bytes:
    table, sink = pa.table(columns), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def test_rows_of_an_arrow_stream_are_records_whose_bytes_are_their_json_lines(write):
    """So the same row is the same record whether it is sent as Arrow or as that line."""
    given = Source(id="s", feed="observations")
    accepted, rejected = read(given, write(an_arrow_stream(ARROW), "posted.arrow"))
    assert rejected.num_rows == 0
    raws = accepted["raw"].to_pylist()
    assert json.loads(raws[0]) == {
        "kind": "sighting",
        "what": "explosion.impact",
        "at": "2031-03-14 09:10:00.000000Z",
        "lon": 37.5,
        "lat": 48.1,
        "count": 3,
        "text": 'heard, not "seen"\n',
        "alternatives": {"fire": 0.25},
    }
    check_rows(accepted, rejected, b"".join(raws), given, "posted.arrow")
    again, _ = read(given, write(b"\n".join(raws), "posted.jsonl"))
    assert again.drop_columns(["file"]) == accepted.drop_columns(["file"])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (an_arrow_stream(ARROW, compression="zstd"), "its batches are packed: send them plain"),
        (an_arrow_stream(ARROW | {"text": pa.array(["a", "b"]).dictionary_encode()}), "'text' is dictionary<"),
        (an_arrow_stream(ARROW | {"speed": [1, 2]}), "no column 'speed'; did you mean 'speed_mps'?"),
        (an_arrow_stream({name: ARROW[name] for name in ("kind", "what")}), "it has no column 'at'"),
        (an_arrow_stream(ARROW)[:200], "is not a readable Arrow stream"),
        (an_arrow_stream(ARROW)[:1500], "cannot be read on"),
        (an_arrow_stream(ARROW | {"text": ["\0", ""]}), "text holds a NUL"),
        (an_arrow_stream(ARROW | {"text": NOT_UTF8}), "cannot be read on"),
    ],
    ids=["packed", "dictionary", "unknown column", "missing column", "cut schema", "cut batch", "NUL", "not UTF-8"],
)
def test_hostile_arrow_streams_are_told_not_traced(content, told, write):
    path = write(content, "posted.arrow")
    try:
        _, rejected = read(Source(id="s", feed="observations"), path)
        said = rejected["reason"].to_pylist()[0]
    except SourceError as error:
        said = str(error)
    assert told in said


@settings(deadline=None, max_examples=100)
@given(where=st.integers(0, 2500), flips=st.binary(min_size=1, max_size=8), cut=st.integers(0, 2500))
def test_a_damaged_arrow_stream_never_raises_anything_but_a_message(where, flips, cut, tmp_path_factory):
    content = bytearray(an_arrow_stream(ARROW))
    at = where % len(content)
    content[at : at + len(flips)] = flips
    path = tmp_path_factory.mktemp("damaged") / "posted.arrow"
    path.write_bytes(bytes(content[: len(content) - cut] if cut % 3 == 0 else content))
    try:
        accepted, rejected = read(Source(id="s", feed="observations"), path)
    except SourceError:
        return
    assert sorted(accepted["record"].to_pylist() + rejected["record"].to_pylist()) == list(
        range(1, accepted.num_rows + rejected.num_rows + 1)
    )


def test_a_damaged_parquet_file_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(SourceError, match=r"^t\.parquet: is not a readable Parquet file: "):
        read(Source(id="s", feed="table", paths=[], columns={"what": {"value": "burst"}}), path)


def test_points_of_a_geoparquet_file_are_places(tmp_path):
    import shapely

    path = tmp_path / "t.geoparquet"
    points = shapely.to_wkb([shapely.Point(37.5, 48.1), shapely.LineString([(0, 0), (1, 1)])])
    pq.write_table(pa.table({"geometry": pa.array(points, pa.binary())}), path)
    accepted, rejected = read(Source(id="s", feed="table", paths=[], columns={"what": {"value": "burst"}}), path)
    assert (accepted["lon"].to_pylist(), accepted["lat"].to_pylist()) == ([37.5], [48.1])
    assert rejected["reason"].to_pylist() == ["geometry:lon is missing"]


def test_a_geojson_file_without_features_is_refused(tmp_path):
    path = tmp_path / "f.geojson"
    path.write_text(json.dumps({"type": "Feature", "geometry": None, "properties": {}}))
    with pytest.raises(SourceError, match='it has no array "features"'):
        read(source(SAMPLES["table GeoJSON"]), path)


def test_an_unknown_feed_is_answered_with_the_nearest():
    with pytest.raises(MissionError, match=r"source 's': feed: there is no feed 'firm'; did you mean 'firms'\?"):
        feeds.check(Source(id="s", feed="firm", paths=[]))


def test_all_errors_are_of_one_root():
    assert issubclass(SourceError, TrucelineError)


def test_a_batch_holds_many_records(write):
    """Columns are read whole: what costs time per batch must not be paid per record."""
    sample = SAMPLES["firms VIIRS"]
    rng = np.random.default_rng(7)
    text = io.StringIO()
    for lat, lon in rng.uniform((44, 22), (52, 40), (20_000, 2)):
        text.write(f"{lat:.5f},{lon:.5f},331.2,0.45,0.39,2031-03-14,1034,N,VIIRS,n,2.0NRT,285.1,4.2,D\n")
    path = write((sample.header + "\n" + text.getvalue()).encode(), "many.csv")
    batches = list(feeds.read(source(sample), path.parent, str(path), RECEIVED_AT))
    assert [batch.observations.num_rows for batch in batches] == [20_000]
