"""OGC API Features: what QGIS, GDAL and people with curl may rely on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pyogrio
import pytest

from a_server import N, a_server, rows
from a_service import ANYBODY, OFFICER, PARTY_A, STATE
from a_shown import Asking, a_mission, an_incident, shown, tables
from truceline.mission import Mission
from truceline.serve.ogc import CONFORMANCE, MOST

COLLECTIONS = ["incidents", "findings", "events", "tracks", "track_points", "sites", "zones", "line"]
ITEMS = "/ogc/collections/incidents/items"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_mission(tmp_path_factory.mktemp("ogc") / "mission")


@pytest.fixture(scope="module")
def ask(folder: Path) -> Asking:
    made: Any = rows()
    return Asking(shown(folder, tables(**made)))


def path_of(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


# ---- what a client finds its way by --------------------------------------------------------------------------------


def test_the_landing_page_leads_to_all_else(ask: Asking) -> None:
    """QGIS needs the links of these relations to be there."""
    links = {link["rel"]: link for link in ask.json(OFFICER, "/ogc")["links"]}
    assert {"self", "service-desc", "conformance", "data"} <= links.keys()
    assert links["service-desc"]["type"] == "application/vnd.oai.openapi+json;version=3.0"
    for link in links.values():
        assert ask(OFFICER, path_of(link["href"])).headers["content-type"] == link["type"]


def test_conformance_claims_core_geojson_and_openapi(ask: Asking) -> None:
    claimed = ask.json(OFFICER, "/ogc/conformance")["conformsTo"]
    assert claimed == CONFORMANCE
    assert [one.rpartition("/")[2] for one in claimed] == ["core", "oas30", "geojson"]


def test_the_api_definition_says_how_much_may_be_asked_for(ask: Asking) -> None:
    document = ask.json(OFFICER, "/ogc/api")
    assert document["openapi"].startswith("3.0")
    assert document["components"]["parameters"]["limit"]["schema"]["maximum"] == MOST
    assert [path for path in document["paths"] if path.endswith("/items")] == [
        f"/collections/{name}/items" for name in COLLECTIONS
    ]


def test_collections_have_what_the_standard_wants(ask: Asking) -> None:
    found = ask.json(OFFICER, "/ogc/collections")["collections"]
    assert [one["id"] for one in found] == COLLECTIONS
    for one in found:
        assert one["itemType"] == "feature"
        assert one["crs"] == ["http://www.opengis.net/def/crs/OGC/1.3/CRS84"]
        west, south, east, north = one["extent"]["spatial"]["bbox"][0]
        assert west <= east
        assert south <= north
        assert {"self", "items"} <= {link["rel"] for link in one["links"]}
        assert ask.json(OFFICER, f"/ogc/collections/{one['id']}") == one
    assert found[0]["extent"]["temporal"]["interval"] == [["2031-03-04T00:30:00Z", "2031-03-14T10:00:00Z"]]


def test_the_extent_is_of_what_the_reader_sees(folder: Path) -> None:
    far = an_incident("far", lon=30.0, release="mission")
    asking = Asking(shown(folder, tables([an_incident(), far])))
    boxes = {
        who.label: asking.json(who, "/ogc/collections/incidents")["extent"]["spatial"]["bbox"][0]
        for who in (OFFICER, STATE)
    }
    assert boxes["mission"][0] == 30.0
    assert boxes["sending_states"][0] == 38.8012


# ---- items ---------------------------------------------------------------------------------------------------------


def test_a_feature_has_an_id_a_place_and_the_columns_of_the_table(ask: Asking) -> None:
    (feature,) = ask.json(OFFICER, f"{ITEMS}?limit=1")["features"]
    assert feature["id"] == feature["properties"]["incident_id"] == an_incident(0)["incident_id"].hex()
    assert feature["geometry"] == {"type": "Point", "coordinates": [38.0, 49.4]}
    assert feature["properties"]["first_at"] == "2031-03-04T00:30:00Z"
    assert feature["properties"]["provisional"] is False


@pytest.mark.parametrize(
    ("collection", "kind"),
    [
        ("incidents", "Point"),
        ("findings", "Point"),
        ("tracks", "Point"),
        ("track_points", "Point"),
        ("sites", "Point"),
        ("zones", "MultiPolygon"),
        ("line", "MultiLineString"),
    ],
)
def test_each_collection_has_geometry_of_one_kind(ask: Asking, collection: str, kind: str) -> None:
    features = ask.json(OFFICER, f"/ogc/collections/{collection}/items")["features"]
    assert {one["geometry"]["type"] for one in features} == {kind}
    assert len({one["id"] for one in features}) == len(features), "ids tell features apart"


def test_without_asking_a_page_has_a_hundred(ask: Asking) -> None:
    page = ask.json(OFFICER, ITEMS)
    assert (page["numberMatched"], page["numberReturned"], len(page["features"])) == (N, 100, 100)
    assert page["timeStamp"] == "2031-03-16T12:30:00Z"


def test_more_than_the_most_is_the_most(ask: Asking) -> None:
    assert ask.json(OFFICER, f"{ITEMS}?limit=123456")["numberReturned"] == N


@pytest.mark.parametrize("who", [OFFICER, STATE, PARTY_A], ids=lambda who: who.label)
def test_following_next_gives_every_feature_once_and_prev_leads_back(ask: Asking, who: Any) -> None:
    address, pages, back = f"{ITEMS}?limit=30", [], []
    while address:
        page = ask.json(who, address)
        links = {link["rel"]: path_of(link["href"]) for link in page["links"]}
        pages.append([one["id"] for one in page["features"]])
        back.append(links.get("prev"))
        address = links.get("next", "")
    seen = [one for page in pages for one in page]
    assert len(seen) == len(set(seen)) == page["numberMatched"] > 200
    assert back[0] is None
    assert [one["id"] for one in ask.json(who, back[2])["features"]] == pages[1]


def test_links_keep_what_was_asked(ask: Asking) -> None:
    page = ask.json(OFFICER, f"{ITEMS}?bbox=38,49,39,50&what=explosion.impact&limit=5")
    (following,) = (link["href"] for link in page["links"] if link["rel"] == "next")
    assert parse_qs(urlsplit(following).query) == {
        "bbox": ["38,49,39,50"],
        "what": ["explosion.impact"],
        "limit": ["5"],
        "offset": ["5"],
    }


def test_a_single_feature_is_the_one_of_the_list(ask: Asking) -> None:
    first = ask.json(OFFICER, f"{ITEMS}?limit=1")["features"][0]
    alone = ask.json(OFFICER, f"{ITEMS}/{first['id']}")
    assert {link["rel"] for link in alone.pop("links")} == {"self", "collection"}
    assert alone == first


@pytest.mark.parametrize("name", ["0" * 32, "x", an_incident(3)["incident_id"].hex()])
def test_what_is_not_there_and_what_is_not_yours_are_the_same(ask: Asking, name: str) -> None:
    """The last is the mission's id of a row that the party sees under another."""
    answer = ask(PARTY_A, f"{ITEMS}/{name}")
    assert answer.status_code == 404
    assert answer.json() == {"detail": f"incidents has no '{name}'"}
    for collection in ("tracks", "nonsense"):
        answer = ask(PARTY_A, f"/ogc/collections/{collection}/items")
        assert (answer.status_code, answer.json()) == (404, {"detail": f"there is no collection '{collection}'"})


# ---- filters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bbox", "n"),
    [
        pytest.param("38,49,38.1,50", 11, id="its border belongs to it"),
        pytest.param("38,49,-100,38.1,50,9000", 11, id="heights are not looked at"),
        pytest.param("20,40,21,41", 0, id="elsewhere"),
    ],
)
def test_bbox(ask: Asking, bbox: str, n: int) -> None:
    assert ask.json(OFFICER, f"{ITEMS}?bbox={bbox}")["numberMatched"] == n


@pytest.mark.parametrize(
    ("when", "n"),
    [
        pytest.param("2031-03-04T00:30:00Z", 1, id="an instant"),
        pytest.param("2031-03-04T00:30:00Z/2031-03-04T02:30:00Z", 3, id="an interval, both ends in it"),
        pytest.param("2031-03-04T02:30:00+02:00", 1, id="another zone's clock"),
        pytest.param("2031-03-14T09:30:00Z/..", 1, id="open at its end"),
        pytest.param("../2031-03-04T01:15:00Z", 1, id="open at its beginning: the second incident begins at 01:30"),
        pytest.param("2031-03-04/2031-03-05", 24, id="dates are their first moments"),
        pytest.param("/2031-03-04T01:15:00Z", 1, id="open without dots"),
    ],
)
def test_datetime(ask: Asking, when: str, n: int) -> None:
    """An incident of half an hour is in every interval that touches it."""
    assert ask.json(OFFICER, f"{ITEMS}?datetime={when}")["numberMatched"] == n


def test_what_has_no_place_or_no_time_is_everywhere_and_always(folder: Path) -> None:
    """As the standard wants it: a duty is nowhere, a zone of all times."""
    asking = Asking(shown(folder, tables([an_incident(lon=None, lat=None)])))
    assert asking.json(OFFICER, f"{ITEMS}?bbox=1,1,2,2")["numberMatched"] == 1
    assert asking.json(OFFICER, "/ogc/collections/zones/items?datetime=1999-01-01")["numberMatched"] == 2


@pytest.mark.parametrize(
    ("asked", "n"),
    [
        ("what=explosion.impact", N),
        ("what=fire", 0),
        ("what=fire&what=explosion.impact", N),
        ("killed=1&release=public", N),
        ("p_conflict_min=0.97", N),
        ("p_conflict_max=0.5", 0),
        ("first_at_min=2031-03-14T00:00:00Z", 10),
        ("sources=press", N),
        ("sources=viirs", 0),
        ("provisional=true", 0),
        (f"incident_id={an_incident(5)['incident_id'].hex()}", 1),
    ],
)
def test_properties(ask: Asking, asked: str, n: int) -> None:
    """Exactly; twice the same name: either; `_min`, `_max`: at least, at most; of lists: holds it."""
    assert ask.json(OFFICER, f"{ITEMS}?{asked}")["numberMatched"] == n


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("bbox=1,2,3", "bbox = '1,2,3': it takes 4 numbers"),
        ("bbox=a,b,c,d", "bbox = 'a,b,c,d': it takes numbers"),
        ("bbox=170,0,-170,10", "bbox = '170,0,-170,10': west is east of east; a box over the date line is not taken"),
        ("bbox=1,9,2,3", "south is north of north"),
        ("bbox=nan,0,1,1", "bbox = 'nan,0,1,1': longitudes are within"),
        ("datetime=yesterday", "datetime = 'yesterday': it takes times like"),
        ("datetime=../..", "at least one end has to be given"),
        ("datetime=2031-03-05/2031-03-04", "it begins after it ends"),
        ("datetime=1/2/3", "it takes one time, or two"),
        ("limit=0", "limit = '0': it takes a whole number from 1 on"),
        ("limit=many", "limit = 'many'"),
        ("offset=-1", "offset = '-1': it takes a whole number from 0 on"),
        ("edition=first", "edition = 'first'"),
        ("as_of=never", "as_of = 'never'"),
        ("colour=red", "there is no parameter 'colour' here; properties to ask for are incident_id, what"),
        ("killed=some", "killed = 'some': it takes a whole number"),
        ("p_conflict_min=x", "p_conflict_min = 'x': it takes a number"),
        ("provisional=maybe", "provisional = 'maybe': it takes true or false"),
        ("incident_id=7", "incident_id = '7': it takes an id of 32 hexadecimal digits"),
        ("what_min=a", "what has no order"),
        ("alternatives=fire", "this property cannot be asked for"),
        ("f=html", "f = 'html': there is json"),
    ],
)
def test_what_is_asked_wrongly_is_told_with_its_name_and_value(ask: Asking, asked: str, sentence: str) -> None:
    answer = ask(OFFICER, f"{ITEMS}?{asked}")
    assert answer.status_code == 400
    assert sentence in answer.json()["detail"]


def test_a_hidden_column_is_no_property_to_ask_for(ask: Asking) -> None:
    """A party that could ask `?weapon=` would learn what it is not shown."""
    for hidden in ("weapon=artillery", "p_inside_min=0.1", "sources=press"):
        assert ask(PARTY_A, f"{ITEMS}?{hidden}").status_code == 400


def test_nobody_is_told_anything_before_signing_in_where_nothing_is_public(folder: Path) -> None:
    service = shown(folder, tables([an_incident()]))
    service.mission = Mission.load(folder)
    asking = Asking(service)
    assert [asking(ANYBODY, address).status_code for address in ("/ogc", "/ogc/collections", ITEMS)] == [401] * 3


# ---- GDAL ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gdal(folder: Path) -> Iterator[str]:
    """GDAL holds Python's lock while it waits, so the server is a process of its own."""
    with a_server(folder, "officer") as address:
        yield f"OAPIF:{address}/ogc"


def test_gdal_reads_the_collections_as_layers(gdal: str) -> None:
    assert pyogrio.list_layers(gdal)[:, 0].tolist() == COLLECTIONS


@pytest.mark.parametrize(
    ("layer", "n", "kind"),
    [("incidents", N, "Point"), ("tracks", 2, "Point"), ("zones", 2, "MultiPolygon"), ("line", 2, "MultiLineString")],
)
def test_gdal_knows_how_many_features_of_which_kind_there_are(gdal: str, layer: str, n: int, kind: str) -> None:
    about = pyogrio.read_info(gdal, layer=layer)
    assert (about["features"], about["geometry_type"], about["crs"]) == (n, kind, "EPSG:4326")


def test_gdal_reads_all_pages(gdal: str) -> None:
    about, _, _, columns = pyogrio.raw.read(gdal, layer="incidents", read_geometry=False)
    ids = columns[about["fields"].tolist().index("incident_id")]
    assert len(set(ids)) == N


def test_gdal_hands_a_box_to_the_server(gdal: str) -> None:
    _, _, wkb, _ = pyogrio.raw.read(gdal, layer="incidents", bbox=(38.0, 49.0, 38.1005, 50.0))
    assert len(wkb) == 11


def test_gdal_filters_by_time(gdal: str) -> None:
    """GDAL makes `datetime=` of a condition on a time; the server gives what touches it: one began before midnight."""
    about, _, _, columns = pyogrio.raw.read(
        gdal, layer="incidents", where="first_at >= '2031/03/14 00:00:00'", read_geometry=False
    )
    ends = columns[about["fields"].tolist().index("last_at")]
    assert len(ends) == 11
    assert ends.min() == np.datetime64("2031-03-14T00:00:00")


def test_gdal_reads_what_is_a_partys_alone(folder: Path) -> None:
    with a_server(folder, "party") as address:
        layers = pyogrio.list_layers(f"OAPIF:{address}/ogc")[:, 0].tolist()
        about = pyogrio.read_info(f"OAPIF:{address}/ogc", layer="incidents")
    assert layers == ["incidents", "findings", "events", "sites", "zones", "line"]
    assert "weapon" not in about["fields"].tolist()
