"""Agreements as data: what ships, and what is said of a file that cannot be meant."""

import json
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from a_picture import FRAME, UNTIL, a_picture, an_event, t
from truceline.agreement import Agreement, in_force
from truceline.errors import MissionError
from truceline.places import Gazetteer
from truceline.rules import REGISTRY, judge, zones_table
from truceline.rules.zones_at import Zones, sites

SHIPPED = Path(__file__).parents[1] / "examples" / "agreements"

LEAST = """
id = "test"
title = "a test"
[[party]]
id = "a"
name = "Party A"
[[party]]
id = "b"
name = "Party B"
[[zone]]
id = "plant"
kind = "circles"
radius_km = 2.0
sites = [{name = "Plant", lon = 37.5, lat = 48.3}]
[[clause]]
id = "1"
type = "cessation"
title = "no firing"
parties = ["a", "b"]
zone = "plant"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "agreement.toml"
    path.write_text(text, "utf-8")
    return path


# ---- what ships ----


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_every_agreement_that_ships_reads_judges_and_draws(path: Path) -> None:
    """Against a little of everything, without a line: nothing is guessed, nothing fails."""
    agreement = Agreement.load(path)
    whats = (
        "explosion.impact",
        "fire",
        "uav",
        "weapon.mlrs",
        "ground.assault",
        "ground.mine",
        "duty.orders",
        "access.denied",
    )
    events, incidents = a_picture(*(an_event(what, p_conflict=0.5) for what in whats))
    found = judge(events, incidents, agreement, None, FRAME, Gazetteer.load(), path.parent, UNTIL)
    assert found.num_rows
    assert set(found["clause"].to_pylist()) <= {clause.id for clause in agreement.clause}
    layer = zones_table(agreement, None, FRAME, Gazetteer.load(), path.parent, date(2023, 10, 5))
    assert {zone.id for zone in agreement.zone if zone.kind in ("circles", "settlements")} == set(
        layer["id"].to_pylist()
    )


def test_the_measures_of_22_july_2020_are_encoded_whole() -> None:
    """Seven items, and the orders that were to hold them; both parties bound by each; in force from 00:01 in Kyiv."""
    measures = Agreement.load(SHIPPED / "measures-2020-07-22.toml")
    assert [clause.id for clause in measures.clause] == ["0", "1a", "1b", "2", "3", "4", "5", "6", "7"]
    assert all(sorted(clause.parties) == ["cadlr", "ukraine"] for clause in measures.clause)
    assert all(clause.text for clause in measures.clause)
    assert measures.in_force_from == datetime(2020, 7, 26, 21, 1, tzinfo=UTC)
    assert not measures.in_force_at(datetime(2023, 10, 5, tzinfo=UTC))


def test_the_measures_find_the_violations_they_speak_of_and_no_others() -> None:
    measures = Agreement.load(SHIPPED / "measures-2020-07-22.toml")
    at = {"at": t("2020-08-01T12:00")}
    events, incidents = a_picture(
        an_event("explosion", event="a", incident="a", **at),
        an_event("uav", event="b", incident="b", **at),
        an_event("ground.raid", event="c", incident="c", **at),
        an_event("air_alert", event="d", incident="d", **at),
    )
    until = datetime(2020, 8, 2, tzinfo=UTC)
    found = judge(events, incidents, measures, None, FRAME, Gazetteer.load(), SHIPPED, until).to_pylist()
    breaches = {row["clause"] for row in found if (row["p_breach"] or 0) > 0.9 and row["reading"] == "ukraine"}
    assert breaches == {"1a", "1b", "2"}
    kept = [row["p_breach"] for row in found if row["clause"] == "0"]
    assert kept == [0.0] * 4  # both announced their orders the day before
    unsaid = {row["clause"] for row in found if row["p_breach"] is None}
    assert unsaid == {"4", "5", "6", "7"}  # the text sets no time for them


@pytest.mark.parametrize(
    ("at", "by_ukraine", "by_russia"),
    [
        pytest.param("2025-03-17T12:00", 1.0, 1.0, id="before both dates: held as if, illustrative"),
        pytest.param("2025-03-20T12:00", 0.0, 1.0, id="after the Kremlin's date, before Kyiv's"),
        pytest.param("2025-03-27T12:00", 1.0, 1.0, id="after both"),
        pytest.param("2025-04-20T12:00", 1.0, 0.0, id="ended by one reading only"),
    ],
)
def test_the_energy_moratorium_begins_when_each_party_says(at: str, by_ukraine: float, by_russia: float) -> None:
    agreement = Agreement.load(SHIPPED / "line-and-sites.toml")
    events, incidents = a_picture(an_event("explosion.impact", lon=35.09, lat=47.87, at=t(at)))
    found = judge(
        events, incidents, agreement, None, FRAME, None, SHIPPED, datetime(2025, 6, 1, tzinfo=UTC)
    ).to_pylist()
    held = {row["reading"]: row["p_breach"] for row in found if row["clause"] == "energy"}
    assert held == {"ukraine": pytest.approx(by_ukraine, abs=1e-3), "russia": pytest.approx(by_russia, abs=1e-3)}
    assert all(row["illustrative"] for row in found if row["clause"] == "energy")


# ---- what is said of a file that cannot be meant ----


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        pytest.param(
            "radius_km", "radius_m", ["zone 'plant'", "'radius_m'", "2.0", "did you mean radius_km"], id="wrong unit"
        ),
        pytest.param('title = "no', 'tittle = "no', ["clause '1'", "'tittle'", "did you mean title"], id="unknown key"),
        pytest.param(
            'zone = "plant"', 'zone = "plants"', ["clause '1'", "zone = 'plants'"], id="a zone that is not there"
        ),
        pytest.param(
            '["a", "b"]', '["a", "c"]', ["clause '1'", "parties = 'c'", "not a party"], id="a party that is not"
        ),
        pytest.param('["a", "b"]', "[]", ["clause '1'", "parties"], id="a clause that binds nobody"),
        pytest.param('"cessation"', '"ceasefire"', ["clause '1'", "type", "'ceasefire'"], id="a type that is not"),
        pytest.param(
            "radius_km = 2.0", "radius_km = -2.0", ["zone 'plant'", "radius_km", "-2.0"], id="a negative radius"
        ),
        pytest.param("radius_km = 2.0\n", "", ["zone 'plant'", "radius_km"], id="circles without a radius"),
        pytest.param("lat = 48.3", "lat = 148.3", ["zone 'plant'", "lat", "148.3"], id="off the globe"),
        pytest.param("lon = 37.5", 'lon = "37.5"', ["lon", "'37.5'"], id="a string for a number"),
        pytest.param('id = "b"', 'id = "a"', ["party", "id 'a'", "twice"], id="a party twice"),
        pytest.param('name = "Party B"', "", ["party 'b'", "name"], id="a missing key"),
        pytest.param('id = "test"', 'id = "test', ["TOML"], id="not TOML"),
    ],
)
def test_what_cannot_be_meant_is_named(tmp_path: Path, was: str, now: str, said: list[str]) -> None:
    assert was in LEAST
    path = written(tmp_path, LEAST.replace(was, now))
    with pytest.raises(MissionError) as error:
        Agreement.load(path)
    for words in (str(path), *said):
        assert words in str(error.value)


CLAUSE = '[[clause]]\nid = "2"\ntype = "cessation"\ntitle = "again"\nparties = ["a"]\n'


@pytest.mark.parametrize(
    ("more", "said"),
    [
        pytest.param(CLAUSE.replace('"2"', '"1"'), ["clause", "id '1'", "twice"], id="a clause twice"),
        pytest.param('[[zone]]\nid = "plant"\nkind = "everywhere"', ["zone", "id 'plant'", "twice"], id="a zone twice"),
        pytest.param(
            CLAUSE + 'effective = {"" = 2020-07-27T00:01:00}',
            ["clause '2'", "effective", "2020-07-27T00:01:00", "no time zone"],
            id="a time without a zone",
        ),
        pytest.param(
            CLAUSE + 'effective = {"" = 2020-07-27T00:00:00Z}\nuntil = {"b" = 2020-07-26T00:00:00Z}',
            ["clause '2'", "effective for 'b'", "2020-07-27", "until", "2020-07-26"],
            id="in force after it ends",
        ),
        pytest.param(
            CLAUSE
            + 'effective = {"" = 2020-07-27T00:00:00Z}\n[[clause.reading]]\nparty = "b"\nuntil = 2020-01-01T00:00:00Z',
            ["clause '2'", "until for 'b'", "2020-01-01"],
            id="a reading that ends before it begins",
        ),
        pytest.param(
            CLAUSE + 'effective = {"c" = 2020-07-27T00:00:00Z}', ["effective", "'c'"], id="a time of no party"
        ),
        pytest.param(
            CLAUSE + 'effective = {"" = "soon"}', ["clause '2'", "effective", "soon"], id="a time that is none"
        ),
        pytest.param(
            CLAUSE + "[[clause.reading]]\nparty = 'a'\n[[clause.reading]]\nparty = 'a'",
            ["clause '2'", "'a'", "twice"],
            id="two readings of one party",
        ),
        pytest.param(
            CLAUSE + 'what = ["explosions"]', ["clause '2'", "'explosions'", "'explosion'"], id="a kind that is not"
        ),
        pytest.param(
            CLAUSE + 'weapons = ["howitzers"]', ["clause '2'", "'howitzers'", "artillery"], id="a weapon that is not"
        ),
        pytest.param(
            CLAUSE + 'due = {"" = 2020-07-27T00:00:00Z}', ["clause '2'", "due", "'duty'"], id="a due cessation"
        ),
        pytest.param(
            CLAUSE + "min_calibre_mm = 100\nbelow_calibre_mm = 82",
            ["clause '2'", "below_calibre_mm = 82", "100"],
            id="no calibre between",
        ),
        pytest.param(
            CLAUSE + 'weight = {fire = {value = 1.2, source = "x"}}',
            ["clause '2'", "'fire'", "1.2"],
            id="a weight above one",
        ),
        pytest.param(
            CLAUSE + 'whose = {value = 1.2, source = "x"}',
            ["clause '2'", "whose", "1.2"],
            id="more than certainly theirs",
        ),
        pytest.param(
            CLAUSE.replace('["a"]', '["a", "b"]') + 'whose = {value = 0.9, source = "x"}',
            ["clause '2'", "whose", "some of the parties"],
            id="whose it was where everybody is bound",
        ),
        pytest.param(
            '[[zone]]\nid = "band"\nkind = "band"\nto_km = 5\nfrom_km = 15',
            ["zone 'band'", "to_km = 5", "15"],
            id="band inside out",
        ),
        pytest.param('[[zone]]\nid = "band"\nkind = "band"', ["zone 'band'", "to_km"], id="a band without an end"),
        pytest.param(
            '[[zone]]\nid = "band"\nkind = "band"\nto_km = 5\nline = "2014"',
            ["zone 'band'", "'2014'"],
            id="no date of a line",
        ),
        pytest.param(
            '[[zone]]\nid = "area"\nkind = "polygon"', ["zone 'area'", "coordinates"], id="a polygon without any"
        ),
        pytest.param(
            '[[zone]]\nid = "area"\nkind = "polygon"\ncoordinates = [[[37, 48], [38, 48]]]',
            ["zone 'area'", "three"],
            id="a flat one",
        ),
        pytest.param(
            '[[notice]]\nclause = "9"\nparty = "a"\ntext = ""\nstarts = 2020-07-27T00:00:00Z',
            ["notice", "'9'"],
            id="a lost notice",
        ),
        pytest.param(
            '[[notice]]\nclause = "1"\nparty = "a"\ntext = ""\nstarts = 2020-07-27T00:00:00Z',
            ["notice", "clause '1'", "changes nothing"],
            id="a notice that exempts nothing",
        ),
    ],
)
def test_what_cannot_be_meant_in_more_tables_is_named(tmp_path: Path, more: str, said: list[str]) -> None:
    path = written(tmp_path, LEAST + more)
    with pytest.raises(MissionError) as error:
        Agreement.load(path)
    for words in (str(path), *said):
        assert words in str(error.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"", b"\x00\x01"], ids=["not UTF-8", "empty", "binary"])
def test_a_file_that_is_no_agreement_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "agreement.toml"
    path.write_bytes(content)
    with pytest.raises(MissionError, match=r"agreement\.toml"):
        Agreement.load(path)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "agreement.toml"
    path.write_bytes(b"\xef\xbb\xbf" + LEAST.encode())
    assert Agreement.load(path).id == "test"


def test_times_are_the_reading_s_then_the_party_s_then_everybody_s(tmp_path: Path) -> None:
    times = 'effective = {"" = 2020-01-01T00:00:00Z, "a" = 2020-02-01T00:00:00Z}\n'
    reading = '[[clause.reading]]\nparty = "b"\neffective = 2020-03-01T00:00:00Z\n'
    clause = Agreement.load(written(tmp_path, LEAST + CLAUSE + times + reading)).clause[1]
    assert in_force(clause, "a") == (datetime(2020, 2, 1, tzinfo=UTC), None)
    assert in_force(clause, "b") == (datetime(2020, 3, 1, tzinfo=UTC), None)


# ---- files that a zone names ----

CSV = "Id,Name,Latitude,Longitude,CountryCode\n1,One,48.3,37.5,UA\n2,Two,50.0,30.0,SE\n3,Three,,,UA\n"
CIRCLES = '[[zone]]\nid = "sites"\nkind = "circles"\nradius_km = 2\npath = "sites.csv"\n'


def test_sites_come_from_a_table_with_the_usual_column_names(tmp_path: Path) -> None:
    (tmp_path / "sites.csv").write_text(CSV, "utf-8-sig")
    agreement = Agreement.load(written(tmp_path, LEAST + CIRCLES + 'where = {countrycode = "SE"}'))
    assert [(s.name, s.lon, s.lat) for s in sites(agreement.zone[1], tmp_path)] == [("Two", 30.0, 50.0)]


@pytest.mark.parametrize(
    ("csv", "where", "said"),
    [
        pytest.param(CSV, 'CountryCode = "UA"', ["line 4", "'Three'", "not numbers"], id="a site without a place"),
        pytest.param(CSV, 'CountryCode = "XX"', ["keeps no row"], id="a filter that keeps nothing"),
        pytest.param(CSV, 'Country = "UA"', ["no column 'Country'", "countrycode"], id="a filter on no column"),
        pytest.param(CSV.replace("Latitude", "North"), "", ["no column of latitude"], id="no latitude"),
        pytest.param(CSV.replace("48.3", "148.3"), 'Id = "1"', ["line 2", "148.3", "globe"], id="off the globe"),
        pytest.param("", "", ["no rows"], id="empty"),
    ],
)
def test_a_table_of_sites_that_cannot_be_meant_is_named(tmp_path: Path, csv: str, where: str, said: list[str]) -> None:
    (tmp_path / "sites.csv").write_text(csv, "utf-8")
    agreement = Agreement.load(written(tmp_path, LEAST + CIRCLES + f"where = {{{where}}}"))
    with pytest.raises(MissionError) as error:
        sites(agreement.zone[1], tmp_path)
    for words in ("sites.csv", "zone 'sites'", *said):
        assert words in str(error.value)


@pytest.mark.parametrize("kind", ["circles", "polygon"])
def test_a_zone_s_file_that_is_not_there_is_named(tmp_path: Path, kind: str) -> None:
    text = (
        LEAST
        + CIRCLES.replace("circles", kind)
        + '[[clause]]\nid="9"\ntype="no_fly"\ntitle=""\nparties=["a"]\nzone="sites"'
    )
    agreement = Agreement.load(written(tmp_path, text))
    with pytest.raises(MissionError, match=r"sites\.csv"):
        judge(*a_picture(an_event("uav")), agreement, None, FRAME, None, tmp_path, UNTIL)


def test_polygons_come_from_geojson(tmp_path: Path) -> None:
    square = [[[37, 48], [38, 48], [38, 49], [37, 49], [37, 48]]]
    features: list[Any] = [
        {"type": "Feature", "properties": {"name": name}, "geometry": {"type": "Polygon", "coordinates": square}}
        for name in ("one", "two")
    ]
    (tmp_path / "areas.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    zone = '[[zone]]\nid = "area"\nkind = "polygon"\npath = "areas.geojson"\nwhere = {name = "two"}\n'
    agreement = Agreement.load(written(tmp_path, LEAST + zone))
    drawn = Zones(agreement, None, FRAME, None, tmp_path).draw("area", None)
    assert drawn.geometry is not None
    assert drawn.geometry.area / 1e6 == pytest.approx(8200, rel=0.02)


@pytest.mark.realdata
def test_nuclear_plants_of_the_real_table_are_protected(realdata: Path) -> None:
    """The table of plants as it is published: Name, Latitude, Longitude, CountryCode."""
    zone = '[[zone]]\nid = "sites"\nkind = "circles"\nradius_km = 2\npath = "nuclear_power_plants.csv"\n'
    folder = realdata / "geo" / "geonuclear"
    clause = '[[clause]]\nid="9"\ntype="protected_site"\ntitle="plants"\nparties=["a","b"]\nzone="sites"'
    text = LEAST + zone + 'where = {CountryCode = "UA", Status = "Operational"}\n' + clause
    agreement = msgspec.convert(tomllib.loads(text), Agreement)
    events, incidents = a_picture(an_event(lon=34.627, lat=47.508), an_event(lon=34.7, lat=47.508))
    found = judge(events, incidents, agreement, None, FRAME, None, folder, UNTIL).to_pylist()
    assert [row["p_breach"] for row in found if row["clause"] == "9"] == [1.0, 1.0]  # one incident, two readings
    assert "Nearest site: Zaporozhye-" in found[0]["sentence"]


def test_the_examples_in_the_documentation_make_one_agreement_that_reads(tmp_path: Path) -> None:
    """docs/agreements.md: its pieces, put together as they stand, and judged."""
    text = (SHIPPED.parents[1] / "docs" / "agreements.md").read_text("utf-8")
    pieces = [part.partition("```")[0] for part in text.split("```toml\n")[1:]]
    agreement = Agreement.load(written(tmp_path, "\n".join(pieces)))
    assert {clause.type for clause in agreement.clause} == set(REGISTRY)
    assert {zone.kind for zone in agreement.zone} == {"band", "circles", "polygon", "settlements"}
    events, incidents = a_picture(an_event("explosion", at=t("2031-03-03T12:00")))
    assert judge(events, incidents, agreement, None, FRAME, None, tmp_path, datetime(2031, 5, 1, tzinfo=UTC)).num_rows
