"""Cursor on Target: cutting streams and packages into events, and what an event becomes."""

import io
import math
import re
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truceline import feeds, observation
from truceline.errors import MissionError, SourceError
from truceline.feeds import cot, cot_file
from truceline.feeds.cot_types import ATOMS, OTHERS, meaning
from truceline.mission import Source

RECEIVED_AT = datetime(2031, 3, 16, tzinfo=UTC)
AT = datetime(2031, 3, 14, 10, 0, tzinfo=UTC)


def event(detail: str = "", point: str = "", **more: str) -> str:
    """One event as a device sends it."""
    said = {"version": "2.0", "uid": "PATROL-3", "type": "a-f-G-E-V", "how": "m-g"}
    said |= {"time": "2031-03-14T10:00:01Z", "start": "2031-03-14T10:00:00Z", "stale": "2031-03-14T10:05:00Z"} | more
    point = point or 'lat="48.1" lon="37.5" hae="120.5" ce="8.0" le="12.0"'
    attributes = " ".join(f'{name}="{value}"' for name, value in said.items() if value)
    return f"<event {attributes}><point {point}/><detail>{detail}</detail></event>"


@pytest.fixture
def read(tmp_path: Path):
    def read(content: str | bytes, name: str = "team.cot", chunk_bytes: int = 4 << 20, **source: Any):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        given = Source(id="s", feed="cot", paths=[], **source)
        batches = list(feeds.read(given, tmp_path, str(path), RECEIVED_AT, chunk_bytes=chunk_bytes))
        tables = [pa.concat_tables(part).to_pylist() for part in zip(*batches, strict=True)]
        return tables[0], tables[1]

    return read


def one(found: tuple[list[dict[str, Any]], list[dict[str, Any]]]) -> dict[str, Any]:
    """The only row, which must have been accepted."""
    (row,), rejected = found
    assert rejected == []
    return row


# --- what an event becomes


def test_a_position_report_is_a_fix(read):
    detail = '<contact callsign="Patrol 3"/><track speed="3.1" course="-90"/><remarks>Road clear &amp; dry</remarks>'
    row = one(read(event(detail)))
    assert (row["kind"], row["what"], row["means"], row["identity"]) == (
        "fix",
        "ground.vehicle",
        "recorded",
        "cot:PATROL-3",
    )
    assert (row["lon"], row["lat"], row["alt_m"]) == (37.5, 48.1, 120.5)
    assert (row["major_m"], row["minor_m"], row["tilt_deg"], row["cot_le_m"]) == (8, 8, 0, 12)
    assert (row["speed_mps"], row["course_deg"]) == pytest.approx((3.1, 270))
    assert (row["sensor"], row["cot_callsign"], row["text"]) == ("Patrol 3", "Patrol 3", "Road clear & dry")
    assert (row["cot_type"], row["cot_how"]) == ("a-f-G-E-V", "m-g")
    assert row["raw"] == event(detail).encode()


def test_stale_is_no_end_of_anything(read):
    """An event holds since `start`; `stale` says when a map should drop it."""
    row = one(read(event()))
    assert (row["at"], row["until"], row["at_sigma_s"]) == (AT, None, 1)
    assert (row["cot_time"], row["cot_stale"]) == (AT + timedelta(seconds=1), AT + timedelta(minutes=5))


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2031-03-14T10:00:00.25Z", AT + timedelta(milliseconds=250)),
        ("2031-03-14T12:00:00+02:00", AT),
        ("2031-03-14T10:00:00.123456789Z", AT + timedelta(microseconds=123456)),
        (" 2031-03-14T10:00:00", AT),
        ("", AT + timedelta(seconds=1)),
    ],
    ids=["milliseconds", "offset", "nanoseconds", "no zone is UTC", "no start: when it was sent"],
)
def test_times_in_the_forms_that_devices_write(read, written, at):
    assert one(read(event(start=written)))["at"] == at


UNKNOWN = 'lat="48.1" lon="37.5" hae="9999999.0" ce="{}" le="9999999"'


@pytest.mark.parametrize(
    ("ce", "how", "sigma_m"),
    [("9999999.0", "m-g", 10), ("0", "m-g", 10), ("NaN", "m-i", 50), ("-1", "", 50), ("9999999", "h-e", 100)],
)
def test_an_error_that_is_not_stated_is_assumed_by_how_the_place_was_found(read, ce, how, sigma_m):
    row = one(read(event(point=UNKNOWN.format(ce), how=how)))
    assert (row["major_m"], row["minor_m"]) == (sigma_m, sigma_m)
    assert (row["alt_m"], row["cot_ce_m"], row["cot_le_m"]) == (None, None, None)


def test_nobody_stands_at_zero_with_an_error_that_is_not_known(read):
    """A device without a position sends 0, 0; one that knows its error may well be there."""
    nowhere = one(read(event(point='lat="0.0" lon="0" hae="0" ce="9999999"')))
    assert (nowhere["kind"], nowhere["lon"], nowhere["lat"], nowhere["alt_m"]) == ("status", None, None, None)
    assert nowhere["major_m"] is None
    there = one(read(event(point='lat="0.0" lon="0" hae="0" ce="20"')))
    assert (there["kind"], there["lon"]) == ("fix", 0)


@pytest.mark.parametrize(
    ("track", "expected"),
    [
        ('speed="-1.0" course="9999999.0"', (None, None)),
        ('speed="NaN" course="361"', (None, 1)),
        ('course="12"', (None, 12)),
    ],
)
def test_motion_that_is_not_known_is_null(read, track, expected):
    row = one(read(event(f"<track {track}/>")))
    assert (row["speed_mps"], row["course_deg"]) == expected


@pytest.mark.parametrize(
    ("detail", "sensor"),
    [
        ('<link relation="p-p" uid="U-1" parent_callsign="Maker"/><contact callsign="C"/>', "Maker"),
        ('<link relation="p-p" uid="U-1"/>', "U-1"),
        ('<link relation="c" uid="U-1"/>', "PATROL-3"),
        ('<__chat senderCallsign="Speaker"/>', "Speaker"),
        ('<contact callsign="C"/>', "C"),
    ],
)
def test_the_sensor_is_whoever_made_the_event(read, detail, sensor):
    assert one(read(event(detail)))["sensor"] == sensor


@pytest.mark.parametrize(
    ("kind", "how", "expected"),
    [
        ("a-f-G-U-C", "m-g", ("fix", "ground")),
        ("a-h-G-E-V-A-T-H", "h-e", ("sighting", "weapon.tank")),
        ("a-u-A-M-F-Q", "m-f", ("fix", "uav")),
        ("a-n-A-C-H", None, ("fix", "aircraft.rotary")),
        ("a-u-A", "m-r", ("fix", "air")),
        ("a-n-S-X-M-C", "m-g", ("fix", "vessel.cargo")),
        ("a-n-S-X-M", "m-g", ("fix", "vessel")),
        ("a-n-G-I-X-H", "m-g", ("status", "report")),
        ("a-f-A-M-F", "m-s", ("status", "aircraft.fixed_wing")),
        ("a-f-P", "m-g", ("status", "report")),
        ("a-f", "m-g", ("status", "report")),
        ("b-m-p-s-m", "h-g-i-g-o", ("sighting", "report")),
        ("b-m-p-s-p-i", "h-e", ("status", "report")),
        ("b-m-r", "h-e", ("status", "report")),
        ("b-a-o-tbl", "h-e", ("alert", "report")),
        ("b-l-f-a-s", "m-p", ("alert", "fire")),
        ("b-d-i-m", "m-p", ("sighting", "explosion.impact")),
        ("b-d-l-b", "m-p", ("sighting", "shot")),
        ("b-t-f", "h-g-i-g-o", ("sighting", "report")),
        ("b-t-f-d", "h-g-i-g-o", ("status", "report")),
        ("u-d-f", "h-e", ("status", "report")),
        ("t-x-c-t", "m-g", ("status", "report")),
        ("hospital", "m-g", ("status", "report")),
    ],
)
def test_the_type_gives_kind_and_term(kind, how, expected):
    assert meaning(kind, how) == expected


def test_every_term_is_of_the_taxonomy():
    assert {*ATOMS.values(), *(term for _, term in OTHERS.values())} <= set(observation.TAXONOMY)


@pytest.mark.parametrize("affiliation", "phsufnajok")
def test_friend_and_foe_are_the_senders_word_and_nothing_more(read, affiliation):
    """The letter stays in `cot_type`; every other column is the same for all of them."""
    row = one(read(event(type=f"a-{affiliation}-G-E-V")))
    neutral = one(read(event(type="a-n-G-E-V")))
    differ = {name for name in row if row[name] != neutral[name]}
    assert differ <= {"cot_type", "raw", "leaf", "observation_id"}
    assert row["party"] is None


def test_an_emergency_says_what_it_is(read):
    row = one(read(event('<emergency type="911 Alert">P</emergency>', type="b-a-o-tbl")))
    assert (row["kind"], row["text"]) == ("alert", "911 Alert")


# --- streams, packages, damage


def test_a_stream_is_events_one_after_the_other(read):
    heads = "<?xml version='1.0' encoding='UTF-8'?>"
    content = f"{heads}{event(uid='A')}{event(uid='B')}\n{heads}\n\n<!-- <event -->{event(uid='C')}\r\n"
    rows, rejected = read(content)
    assert rejected == []
    assert [row["identity"] for row in rows] == ["cot:A", "cot:B", "cot:C"]
    assert [row["record"] for row in rows] == [1, 2, 3]


def test_a_root_of_events_and_the_heads_of_datagrams_are_no_records(read):
    datagrams = b"".join(b"\xbf\x00\xbf" + event(uid=uid).encode() for uid in "AB")
    rows, rejected = read(datagrams + b"<events>" + event(uid="C").encode() + b"</events>")
    assert (len(rows), rejected) == (3, [])


PIECES = st.lists(
    st.sampled_from(
        [
            event(uid="A"),
            event("<remarks>два</remarks>", uid="B"),
            "<?xml version='1.0'?>",
            "<!-- <event> -->",
            "<!DOCTYPE x>",
            "<event uid='P'/>",
            event(uid="C")[:-9],
            "text ",
            "<events>",
            "</event>",
            "<event",
            "\n",
            "<",
            "<!--",
        ]
    ),
    max_size=7,
)


FURNITURE = re.compile(rb"(\s|<\?[^>]*\?>|</?events>|<!--.*?-->)*", re.DOTALL)


@settings(deadline=None, max_examples=300)
@given(PIECES, st.integers(1, 60))
def test_events_are_cut_the_same_however_the_stream_comes(pieces, step):
    """And nothing is lost: between the records there is only what is no record by right."""
    data = "".join(pieces).encode()
    whole, behind = cot_file.cut(data, 0, True)
    assert behind == len(data)
    found: list[Any] = []
    begin, end = 0, min(step, len(data))
    while True:
        some, begin = cot_file.cut(data[:end], begin, end == len(data))
        found += some
        if end == len(data) and not some:
            break
        end = min(end + step, len(data))
    assert found == whole
    at = 0
    for raw, _ in whole:
        at = behind_furniture(data, at)
        assert data.startswith(raw, at)
        at += len(raw)
    assert behind_furniture(data, at) == len(data)


def behind_furniture(data: bytes, at: int) -> int:
    found = FURNITURE.match(data, at)
    assert found is not None
    return found.end()


def test_an_event_that_is_cut_off_does_not_take_the_next_with_it(read):
    rows, rejected = read(event(uid="A") + event(uid="B")[:-20] + event(uid="C"))
    assert [(row["record"], row["identity"]) for row in rows] == [(1, "cot:A"), (3, "cot:C")]
    assert "is no well-formed event" in rejected[0]["reason"]


def test_what_stands_between_events_is_told(read):
    rows, rejected = read(event() + "\nlost words\n" + event(uid="B"))
    assert [row["record"] for row in rows] == [1, 3]
    assert [(row["raw"], row["reason"]) for row in rejected] == [(b"lost words", "is no Cursor on Target event")]


BOMB = (
    "<!DOCTYPE lolz [<!ENTITY a 'lol'>"
    + "".join(f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]>"
)


def test_a_bomb_of_entities_does_not_go_off(read):
    """A hundred million laughs: the document type is one rejection, the event that wants them another."""
    rows, rejected = read(BOMB + event("<remarks>&i;</remarks>") + event(uid="B"))
    assert [row["identity"] for row in rows] == ["cot:B"]
    assert [row["reason"].partition(":")[0] for row in rejected] == [
        "a document type with its entities is not read",
        "is no well-formed event",
    ]
    inside = BOMB.join(event("<remarks>&i;</remarks>").split("<point", 1)).replace("]>", "]><point")
    assert read(inside)[0] == []


@pytest.mark.parametrize(
    "text", ['<!DOCTYPE x SYSTEM "file:///etc/passwd">', '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>']
)
def test_nothing_outside_the_file_is_read(read, text):
    _, rejected = read(text + event("<remarks>&e;</remarks>"))
    assert len(rejected) == 2
    assert all("root:" not in row["reason"] for row in rejected)


def test_an_event_longer_than_any_event_is_rejected_in_pieces(read):
    long = event("<remarks>" + "x" * (5 << 19) + "</remarks>", uid="LONG")
    for chunk_bytes in (1 << 16, 8 << 20):
        rows, rejected = read(event() + long + event(uid="B"), chunk_bytes=chunk_bytes)
        assert [row["identity"] for row in rows] == ["cot:PATROL-3", "cot:B"]
        assert b"".join(row["raw"] for row in rejected) == long.encode()
        assert max(len(row["raw"]) for row in rejected) == 1 << 20


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"uid": " "}, "uid", "uid is missing"),
        ({"type": ""}, "type", "type is missing"),
        ({"time": "", "start": ""}, "start", "start is missing, and so is time"),
        ({"start": "2031-03-14"}, "start", "start = 2031-03-14 is not a time like 2031-03-14T10:00:00Z"),
        ({"stale": "later"}, "stale", "stale = later is not a time like"),
        ({"time": "1031-03-14T10:00:00Z"}, "time", "time = 1031-03-14T10:00:00Z is outside the years"),
        ({"point": 'lat="91" lon="5"'}, "lat", "lat = 91 is outside -90..90"),
        ({"point": 'lat="1" lon="181"'}, "lon", "lon = 181 is outside -180..180"),
        ({"point": 'lat="1"'}, "lon", "lon is missing"),
        ({"point": 'lat="1" lon="2" hae="high"'}, "hae", "hae = high is not a number"),
        ({"point": 'lat="1" lon="2" hae="-20000"'}, "hae", "hae = -20000 is outside -12000"),
        ({"detail": '<track speed="200000"/>'}, "speed", "speed = 200000 is more than 100000 m/s"),
        ({"detail": '<track course="north"/>'}, "course", "course = north is not a number"),
    ],
)
def test_an_impossible_value_rejects_its_event(read, changes, field, reason):
    rows, rejected = read(event(**changes) + event())
    assert [row["record"] for row in rows] == [2]
    assert rejected[0]["field"] == field
    assert rejected[0]["reason"].startswith(reason)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xbf\x01\xbf\x12\x05event", r"is TAK protocol version 1 \(protobuf\), which is not read"),
        (b"\xbf\x90\x01\x12\x05", "is TAK protocol version 1"),
        (b"<kml></kml>", "holds no Cursor on Target event"),
        (b"\n", "holds no Cursor on Target event"),
        (b" " * (2 << 20) + event().encode(), "holds no Cursor on Target event"),
        (b"PK\x03\x04 and no more", "is a zip archive that cannot be read"),
    ],
)
def test_a_file_that_is_something_else_is_refused(read, content, reason):
    with pytest.raises(SourceError, match=rf"^team\.cot: {reason}"):
        read(content)


def package(members: dict[str, bytes]) -> bytes:
    """A data package as devices exchange them."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {"MANIFEST/manifest.xml": b"<MissionPackageManifest/>", **members}.items():
            archive.writestr(name, content)
    return out.getvalue()


def test_a_data_package_gives_the_events_of_its_files(read):
    """What is no event is a rejection that names the file; the manifest is none."""
    content = package(
        {"A/A.cot": event(uid="A").encode(), "photo.jpg": b"\xff\xd8", "two.xml": event(uid="B").encode() * 2}
    )
    rows, rejected = read(content, "package.zip")
    assert [(row["record"], row["identity"]) for row in rows] == [(1, "cot:A"), (3, "cot:B"), (4, "cot:B")]
    assert [(row["record"], row["raw"]) for row in rejected] == [(2, b"\xff\xd8")]
    assert rejected[0]["reason"] == "photo.jpg in the package is no Cursor on Target event"


def test_a_package_that_unpacks_to_more_than_is_read_is_told(read, monkeypatch):
    """Of each file at most 16 MiB are unpacked, of a package at most 10,000 files."""
    content = package({"bomb.cot": event().encode() + bytes(17 << 20), "A.cot": event().encode()})
    rows, rejected = read(content, "bomb.zip")
    assert (len(rows), len(rejected)) == (1, 1)
    assert rejected[0]["reason"] == "bomb.cot in the package is longer than 16777216 bytes"
    monkeypatch.setattr(cot_file, "MOST_MEMBERS", 1)
    with pytest.raises(SourceError, match="is a zip archive of 3 files; 1 are the most"):
        read(content, "bomb.zip")


def test_a_damaged_file_in_a_package_is_a_rejection_and_a_damaged_package_is_refused(read):
    content = bytearray(package({"A.cot": event().encode() * 50, "B.cot": event().encode()}))
    content[content.index(b"A.cot") + 20] ^= 0xFF
    rows, rejected = read(bytes(content), "package.zip")
    assert (len(rows), rejected[0]["raw"]) == (1, b"A.cot")
    assert "A.cot in the package cannot be unpacked: " in rejected[0]["reason"]
    with pytest.raises(SourceError, match="is a zip archive that cannot be read"):
        read(bytes(content[:-30]), "package.zip")


def test_bounds_are_kept(read):
    _, rejected = read(event(), options={"bounds": [22, 50, 41, 53]})
    assert "is outside the source's bounds" in rejected[0]["reason"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"options": {"bound": []}}, "options.bound: the feed 'cot' has no such option; did you mean 'bounds'"),
        ({"preset": "viina"}, "preset: belongs to the feed 'table'"),
        ({"columns": {"what": "x"}}, "columns: belongs to the feed 'table'"),
    ],
)
def test_what_the_mission_file_cannot_mean_is_named(given, message):
    with pytest.raises(MissionError, match=message):
        feeds.check(Source(id="s", feed="cot", paths=[], **given))


# --- and back


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cn")), max_size=20)
MAYBE = st.none() | st.floats(-400, 9000)


@settings(deadline=None)
@given(WORDS.filter(str.strip), WORDS, WORDS, st.floats(-180, 180), st.floats(-90, 90), MAYBE, st.floats(0.1, 1e4))
def test_an_event_that_is_written_reads_back(tmp_path_factory, uid, callsign, remarks, lon, lat, hae_m, ce_m):
    """Texts may lose characters that XML cannot write, and the blanks around them."""
    written = cot.event(
        uid,
        "a-n-G-E-V",
        AT,
        AT + timedelta(minutes=5),
        lon,
        lat,
        hae_m=math.nan if hae_m is None else hae_m,
        ce_m=ce_m,
        callsign=callsign,
        speed_mps=2.5,
        remarks=remarks,
    )
    ElementTree.fromstring(written)
    path = tmp_path_factory.mktemp("written") / "team.cot"
    path.write_bytes(written)
    (batch,) = feeds.read(Source(id="s", feed="cot", paths=[]), path.parent, str(path), RECEIVED_AT)
    (row,) = batch.observations.to_pylist()
    assert (row["at"], row["cot_stale"], row["lon"], row["lat"]) == (AT, AT + timedelta(minutes=5), lon, lat)
    assert row["alt_m"] == (None if hae_m is None else pytest.approx(hae_m))
    assert (row["major_m"], row["speed_mps"], row["course_deg"]) == (pytest.approx(ce_m), 2.5, None)
    for said, told in ((uid, row["identity"][4:]), (callsign, row["cot_callsign"]), (remarks, row["text"])):
        if said.isprintable():
            assert (told or "") == said.strip()


# --- real events


@pytest.mark.realdata
def test_every_real_event_is_accepted_but_the_broken_one(realdata):
    """One of the samples is broken on purpose: it has no type."""
    source = Source(id="s", feed="cot", paths=[])
    kinds: dict[str, str] = {}
    told = []
    for path in sorted((realdata / "cot" / "xml").iterdir()):
        (batch,) = feeds.read(source, realdata, str(path), RECEIVED_AT)
        for kind in batch.observations["kind"].to_pylist():
            kinds[path.stem] = kind
        told += [(path.stem, row["reason"]) for row in batch.rejections.to_pylist()]
    assert told == [("cli_03", "type is missing")]
    assert len(kinds) == 32
    assert {name: kinds[name] for name in ("cot-itak_05", "cot-emergency_04", "cot-spotted_11", "cot-routes_07")} == {
        "cot-itak_05": "fix",
        "cot-emergency_04": "alert",
        "cot-spotted_11": "sighting",
        "cot-routes_07": "status",
    }


@pytest.mark.realdata
def test_real_types_have_terms_that_fit_their_descriptions(realdata):
    """MITRE's list of types: what it calls a helicopter, a tank or a drone is called so here."""
    text = (realdata / "cot" / "cot-types.xml").read_text(errors="replace")
    full = dict(re.findall(r'<cot\s+cot="a-\.-([^"]+)"\s+full="([^"]*)"', text))
    assert len(full) > 500
    for word, terms in {
        "Rotor": {"aircraft.rotary", "uav"},
        "Drone": {"uav"},
        "Tank": {"weapon.tank"},
        "Howitzer": {"weapon.artillery"},
        "Mortar": {"weapon.mortar"},
        "Missile Launcher": {"weapon.missile"},
        "Fishing": {"vessel.fishing"},
    }.items():
        equipment = {kind: name for kind, name in full.items() if word.lower() in name.lower().split("/")}
        equipment = {kind: name for kind, name in equipment.items() if not kind.startswith(("G-U", "G-I"))}
        found = {meaning(f"a-u-{kind}", "m-g")[1] for kind in equipment}
        assert found <= terms, (word, equipment)
