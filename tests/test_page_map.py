"""The page's map, time line and streams; and how it comes to the browser.

Modules are asked directly, in the browser that runs them; the map is asked as people ask it, by pointing at it.
"""

import gzip
import json
import math
import re
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from msgspec import structs

from a_page import PASSWORD, Running, a_browser, a_running_mission
from a_service import ANYBODY, OFFICER, PARTY_A, a_service, an_example, client
from truceline import places
from truceline.frame import geodesic
from truceline.serve import pages, streams

ROOT = Path(__file__).parents[1]
BUILT = (pages.VENDOR / "maplibre-gl.mjs").is_file()
#: Milliseconds; a shared machine draws the map by its processor.
PATIENCE = 60_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return an_example(tmp_path_factory.mktemp("map") / "mission")


# ---- how it comes to the browser -----------------------------------------------------------------------------------


def test_the_page_names_all_its_modules_so_that_they_are_fetched_at_once(folder):
    page = client(a_service(folder), ANYBODY).get("/")
    named = set(re.findall(r'modulepreload" href="/page/([^"]+)"', page.text))
    own = {path.relative_to(pages.PAGE).as_posix() for path in pages.PAGE.rglob("*.js")}
    assert own <= named
    assert "<!--" not in page.text


def test_a_file_that_was_had_before_costs_one_line(folder):
    asking = client(a_service(folder), ANYBODY)
    first = asking.get("/page/main.js")
    again = asking.get("/page/main.js", headers={"if-none-match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert first.headers["cache-control"] == "no-cache", "what is kept is asked for again: a new version shows at once"
    assert first.headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize(
    "path",
    ["../pages.py", "vendor/../made_from.json", "vendor/made_from.json/..", "nothing.js", "views", "", "%2e%2e/app.py"],
)
def test_nothing_outside_the_page_is_served(folder, path):
    assert client(a_service(folder), OFFICER).get(f"/page/{path}").status_code in (401, 404)


def test_inline_scripts_and_styles_are_neither_there_nor_allowed(folder):
    answer = client(a_service(folder), ANYBODY).get("/")
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", answer.text)


def test_who_has_not_signed_in_learns_the_missions_name_and_not_where_it_is(folder):
    service = a_service(folder)
    service.mission = structs.replace(service.mission, serve=structs.replace(service.mission.serve, public=False))
    told = client(service, ANYBODY).get("/api/mission").json()
    assert told["name"] == "two-days"
    assert told["exercise"] is True
    assert not {"centre", "parties", "clauses", "sources"} & told.keys()


def test_where_sources_look_is_the_missions_own(folder):
    ours = client(a_service(folder), OFFICER).get("/api/mission").json()
    theirs = client(a_service(folder), PARTY_A).get("/api/mission").json()
    assert {one["id"]: one["bounds"] for one in ours["sources"]}["viirs"] == [36, 47, 42, 52]
    assert "sources" not in theirs


def test_the_map_underneath_is_the_reports_to_sixty_metres(folder):
    """Coordinates come as steps of whole numbers; put together again they are what `places` has."""
    packed = client(a_service(folder), OFFICER).get("/page/basemap.json").json()

    def unpacked(steps: list[int]) -> np.ndarray:
        return np.cumsum(np.reshape(steps, (-1, 2)), axis=0) / packed["scale"]

    layers = places.basemap()
    for name in ("borders", "rivers"):
        assert len(packed["layers"][name]) == len(layers[name])
        for steps, line in zip(packed["layers"][name], layers[name], strict=True):
            found = shapely.linestrings(unpacked(steps)) if len(steps) > 2 else shapely.points(unpacked(steps)[0])
            assert shapely.hausdorff_distance(found, line) < 0.0006
    areas = zip(packed["layers"]["land"], layers["land"], strict=True)
    assert all(np.array_equal(unpacked(rings[0])[0], unpacked(rings[0])[-1]) for rings, _ in areas), "rings close"


def test_borders_are_lines_alone_so_that_no_map_can_colour_a_territory(folder):
    packed = client(a_service(folder), OFFICER).get("/page/basemap.json").json()
    assert set(packed["layers"]) == {"land", "lakes", "rivers", "borders", "disputed", "regions"}
    assert "resolution 68/262" in client(a_service(folder), OFFICER).get("/api/mission").json()["viewpoint"]


@pytest.mark.skipif(not BUILT, reason="the page's third-party modules are not built: pip install -e .")
def test_all_that_a_browser_loads_is_below_a_megabyte(folder):
    asking = client(a_service(folder), OFFICER)
    own = [path for path in pages.PAGE.rglob("*.*") if path.is_file()]
    vendor = [path for path in pages.VENDOR.iterdir() if path.suffix in (".js", ".mjs", ".css", ".woff2")]
    total = sum(
        len(path.read_bytes() if path.suffix == ".woff2" else gzip.compress(path.read_bytes(), 9))
        for path in own + vendor
    )
    total += len(gzip.compress(asking.get("/page/basemap.json").content, 9))
    assert total < 1_000_000


def test_nothing_of_others_is_in_the_repository_and_the_lock_names_no_address():
    lock = json.loads((ROOT / "tools" / "page" / "package-lock.json").read_text())
    packages = [about for name, about in lock["packages"].items() if name]
    assert all("resolved" not in about and about["integrity"].startswith("sha512-") for about in packages)
    if (ROOT / ".git").exists():
        kept = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert not re.search(r"maplibre-gl\.|milsymbol\.js|\.woff2", kept)


def test_no_symbol_says_whose_side_a_track_is_on():
    """APP-6 has a digit for it; the page knows pending, unknown and neutral, and no code for friend or foe."""
    source = (pages.PAGE / "map" / "symbols.js").read_text()
    given = dict(re.findall(r'(\w+): "(\d)"', source.split("const IDENTITY")[1].split(";")[0]))
    assert given == {"pending": "0", "unknown": "1", "neutral": "4"}
    everywhere = "".join(path.read_text().lower() for path in pages.PAGE.rglob("*.js"))
    assert "hostile" not in everywhere.replace("hostile text", "")


# ---- its modules ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Running]:
    found = a_running_mission(folder)
    yield found
    found.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with a_browser() as found:
        yield found


@pytest.fixture(scope="module")
def ask(browser: Any, running: Running) -> Iterator[Callable[..., Any]]:
    """Asks a module of the page: `ask("state.js", "m.fromAddress(given)", "#queue")`."""
    page = browser.new_page()
    page.goto(f"{running.address}/api/mission")

    def asked(module: str, expression: str, given: Any = None) -> Any:
        return page.evaluate(
            f"async (given) => {{ const m = await import('/page/{module}'); return {expression}; }}", given
        )

    yield asked
    page.close()


@pytest.mark.parametrize(
    "address",
    [
        "#queue",
        "#queue/incident/00aa?clause=2.1&severity=grave",
        "#sources?mode=paused&at=2031-03-15T10:00:00Z&knowledge=known",
        "#queue/finding/00ff?map=8.25/48.3/37.5",
    ],
)
def test_an_address_says_all_that_is_shown_and_comes_back_the_same(ask, address):
    """So that a picture can be sent to a colleague."""
    assert ask("state.js", "m.toAddress({...m.store().get(), ...m.fromAddress(given)})", address) == address


@pytest.mark.parametrize(
    "address", ["", "#", "#%E0%A4%A", "#queue?mode=paused", "#queue?at=never&mode=replay&map=1/x/2"]
)
def test_an_address_that_says_nonsense_shows_the_beginning(ask, address):
    shown = ask("state.js", "m.fromAddress(given)", address)
    assert (shown["mode"], shown["at"], shown["map"], shown["selected"]) == ("live", None, None, None)


def test_a_listener_hears_once_of_all_that_changed_together(ask):
    heard = ask(
        "state.js",
        """(() => {
          const [s, heard] = [m.store(), []];
          s.on(['view', 'filters'], (values, changed) => heard.push([...changed].sort()));
          s.set({view: 'a', filters: {x: '1'}});
          s.set({filters: {x: '1'}});
          s.set({theme: 'dark'});
          return heard;
        })()""",
    )
    assert heard == [["filters", "view"]], "equal filters are no change, and nobody listens to the theme"


def a_frame(rows: list[tuple[Any, ...]], at: float = 1000.0) -> list[int]:
    """A binary frame of tracks as the service packs it, as numbers."""
    body = b"".join(struct.pack("<IfffHBBI", *row) for row in rows)
    return list(b"TLT1" + struct.pack("<Id", len(rows), at) + body)


TAKEN = """(() => {
  const tracks = new m.Tracks();
  tracks.text({kinds: ['vessel.cargo', 'uav']});
  tracks.text({tracks: [{serial: 7, id: 'aa', what: 'vessel.cargo', identity: 'MMSI 1'}]});
  for (const frame of given) tracks.binary(new Uint8Array(frame).buffer);
  const row = tracks.find('aa');
  const one = row < 0 ? null : tracks.of(row);
  return {size: tracks.size, live: tracks.live, row, one: one && {...one, seen: one.seen.getTime()}};
})()"""


def test_a_track_is_told_as_its_frame_says(ask):
    frame = a_frame([(7, 37.5, 48.25, 12.5, 27000, 0, 2, 2000)])
    told = ask("tracks.js", TAKEN, [frame])
    assert told["one"] == {
        "id": "aa", "what": "vessel.cargo", "identity": "MMSI 1", "lon": 37.5, "lat": 48.25, "speed_mps": 12.5,
        "course_deg": 270, "seen": 998_000, "coasting": True,
    }  # fmt: skip


def test_what_the_service_does_not_know_of_a_track_is_not_invented(ask):
    told = ask("tracks.js", TAKEN, [a_frame([(7, 37.5, 48.25, math.nan, 65535, 0, 0, 0)])])
    assert math.isnan(told["one"]["speed_mps"])
    assert math.isnan(told["one"]["course_deg"])


def test_a_later_frame_changes_only_the_tracks_it_speaks_of(ask):
    first = a_frame([(i, 37.0 + i / 1e5, 48.0, 1.0, 0, 1, 0, 0) for i in range(3000)])
    later = a_frame([(7, 40.0, 50.0, 1.0, 0, 0, 0, 0), (8, 0.0, 0.0, 1.0, 0, 0, 1, 0)])
    told = ask("tracks.js", TAKEN, [first, later])
    assert (told["size"], told["live"], told["one"]["lon"]) == (3000, 2999, 40.0), "serial 8 is gone"


def test_a_frame_of_many_tracks_comes_as_several_that_say_the_same(ask):
    """One of 50,000 held the page up for twenty milliseconds."""
    whole = bytes(a_frame([(i, 37.0 + i / 1e5, 48.0, 1.0, 0, 1, 0, 0) for i in range(20_000)]))
    told = list(streams.parts(whole))
    assert [struct.unpack("<Id", part[4:16]) for part in told] == [(8192, 1000.0), (8192, 1000.0), (3616, 1000.0)]
    assert b"".join(part[16:] for part in told) == whole[16:]
    assert list(streams.parts(told[0])) == [told[0]]
    taken = ask("tracks.js", TAKEN, [list(part) for part in told])
    assert (taken["size"], taken["live"]) == (20_000, 20_000)


def test_tracks_that_are_gone_leave_no_rows_behind(ask):
    """A page stays open for weeks."""
    first = a_frame([(i, 37.0, 48.0, 1.0, 0, 1, 0, 0) for i in range(5000)])
    gone = a_frame([(i, 37.0, 48.0, 1.0, 0, 1, 1, 0) for i in range(5000) if i != 7])
    again = a_frame([(7, 41.0, 48.0, 1.0, 0, 0, 0, 0)])
    told = ask("tracks.js", TAKEN, [first, gone, again])
    assert (told["size"], told["live"], told["row"], told["one"]["lon"]) == (1, 1, 0, 41.0)


@pytest.mark.parametrize("broken", [b"TLT2" + bytes(12), b"TLT1" + struct.pack("<Id", 5, 0.0), b"TL"])
def test_a_frame_that_is_none_is_refused_aloud(ask, broken):
    said = ask(
        "tracks.js",
        "(() => { try { new m.Tracks().binary(new Uint8Array(given).buffer); } catch (e) { return e.message; } })()",
        list(broken),
    )
    assert "frame of tracks" in said


def test_tries_to_connect_come_ever_more_slowly_and_not_all_at_once(ask):
    waits = ask("stream.js", "Array.from({length: 12}, (_, i) => [m.pause(i, () => 0), m.pause(i, () => 1)])")
    assert waits[0] == [250, 500]
    assert all(a <= b for a, b in zip([w[1] for w in waits], [w[1] for w in waits][1:], strict=False))
    assert waits[-1] == [15_000, 30_000]


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ('id: 5\nevent: alert\ndata: {"a": 1}', {"id": "5", "topic": "alert", "content": {"a": 1}}),
        ("event: reset\ndata: {}", {"id": "", "topic": "reset", "content": {}}),
        (": still here", None),
        ("event: alert\ndata: {not json", None),
    ],
)
def test_a_block_of_the_stream_is_one_message(ask, block, told):
    assert ask("stream.js", "m.parsed(given)", block) == told


def test_a_picture_is_brought_up_to_date_by_what_changed(ask):
    """Maps are kept, so that a list of 5,000 is not made anew for one incident."""
    told = ask(
        "api.js",
        """(async () => {
          const { noPicture } = await import('/page/state.js');
          const feature = (id, n) => ({type: 'Feature', id, properties: {n}});
          const of = (upserted, removed) => ({incidents: {upserted, removed}});
          const news = (revision, reset, upserted, removed) =>
            ({revision, reset, at: '2031-03-15T00:00:00Z', collections: of(upserted, removed)});
          const first = m.applied(noPicture(), news(1, true, [feature('a', 1), feature('b', 1)], []));
          const second = m.applied(first, news(2, false, [feature('b', 2)], ['a']));
          return {
            ids: [...second.incidents.keys()],
            n: second.incidents.get('b').properties.n,
            same: first.incidents === second.incidents,
            other: first !== second,
            whole: first.changes.incidents,
            change: second.changes.incidents,
          };
        })()""",
    )
    change = {"upserted": ["b"], "removed": ["a"]}
    assert told == {"ids": ["b"], "n": 2, "same": True, "other": True, "whole": None, "change": change}


def test_an_incident_is_coloured_by_its_findings_however_the_picture_came(ask):
    """The map may be ready only after the first picture and a change of it; then one is other, then it is gone."""
    told = ask(
        "map/incidents.js",
        """(() => {
          const none = {upserted: [], removed: []};
          const place = {type: 'Point', coordinates: [37, 48]};
          const picture = {revision: 2, changes: {incidents: none, findings: none},
            incidents: new Map([['a', {id: 'a', geometry: place, properties: {count: 3}}]]),
            findings: new Map([['f', {id: 'f', properties: {subject_id: 'a', severity: 'grave', p_breach: 0.9}}]])};
          const [drawn, said] = [new m.Incidents(), []];
          const hear = () => (drawn.hear(picture), said.push(drawn.told(picture)));
          hear();
          picture.findings.get('f').properties.p_breach = 0.1;
          picture.changes = {incidents: none, findings: {upserted: ['f'], removed: []}};
          hear();
          picture.incidents.delete('a');
          picture.changes = {incidents: {upserted: [], removed: ['a']}, findings: none};
          hear();
          return said;
        })()""",
    )
    first, later, last = told
    assert [one["properties"]["rank"] for one in first["whole"]["features"]] == [3]
    assert ([one["properties"]["rank"] for one in later["add"]], later["remove"]) == ([0], [])
    assert (last["add"], last["remove"]) == ([], ["a"])


def test_an_ellipse_is_as_long_as_it_says_and_points_where_it_says(ask):
    """Against the geodesic: 3 km and 1 km, the long axis 30 degrees east of north."""
    ring = np.array(ask("map/geometry.js", "m.ellipse(37.5, 48.3, 3000, 1000, 30, 48)"))
    away, bearing = geodesic(np.full(49, 37.5), np.full(49, 48.3), ring[:, 0], ring[:, 1])
    assert away.max() == pytest.approx(3000, rel=0.005)
    assert away.min() == pytest.approx(1000, rel=0.005)
    assert bearing[0] % 180 == pytest.approx(30, abs=0.3)
    assert np.array_equal(ring[0], ring[-1])


def test_a_trail_is_not_drawn_through_a_time_in_which_nothing_was_heard(ask):
    def at(minute: int) -> dict[str, Any]:
        point = {"type": "Point", "coordinates": [30 + minute / 100, 50]}
        return {"geometry": point, "properties": {"at": f"2031-03-15T{10 + minute // 60:02}:{minute % 60:02}:00Z"}}

    drawn = ask("map/trail.js", "m.path(given)", [at(5), at(0), at(60), at(65)])["features"]
    lines = [one["geometry"]["coordinates"] for one in drawn if one["geometry"]["type"] == "LineString"]
    assert lines == [[[30.0, 50], [30.05, 50]], [[30.6, 50], [30.65, 50]]]


def test_silence_is_that_of_the_time_shown(ask):
    """Live it is the board's; at another time the time line's."""
    values = {
        "mission": {"sources": [{"id": "viirs", "bounds": [36, 47, 42, 52]}]},
        "sources": [
            {"id": "viirs", "state": "live"},
            {"id": "cameras", "state": "silent", "silent_since": "2031-03-15T09:00:00Z"},
        ],
    }
    spans = [{"source": "viirs", "from": "2031-03-14T02:00:00Z", "until": "2031-03-14T11:00:00Z"}]
    now = ask(
        "map/silence.js", "m.silent({...given[0], mode: 'live', at: null}, given[1]).map((s) => s.id)", [values, spans]
    )
    then = "m.silent({...given[0], mode: 'paused', at: new Date(given[2])}, given[1]).map((s) => [s.id, s.bounds])"
    assert now == ["cameras"]
    assert ask("map/silence.js", then, [values, spans, "2031-03-14T05:00:00Z"]) == [["viirs", [36, 47, 42, 52]]]
    assert ask("map/silence.js", then, [values, spans, "2031-03-14T12:00:00Z"]) == []


def test_the_line_shown_is_the_newest_not_after_the_time(ask):
    lines = [{"properties": {"date": day}} for day in ("2031-03-03", "2031-03-15")]
    shown = "m.datedLine(given[0], new Date(given[1])).features.map((f) => [f.properties.date, f.properties.actual])"
    assert ask("map/ground.js", shown, [lines, "2031-03-10T00:00:00Z"]) == [["2031-03-03", True]]
    assert ask("map/ground.js", shown, [lines, "2031-03-16T00:00:00Z"]) == [["2031-03-03", False], ["2031-03-15", True]]


# ---- the map and the time line -------------------------------------------------------------------------------------


@pytest.fixture
def opened(browser: Any, running: Running) -> Iterator[Callable[..., Any]]:
    """Opens the page for the duty officer; afterwards no error may have been told."""
    if not BUILT:
        pytest.skip("the page's third-party modules are not built: pip install -e .")
    wrong: list[str] = []
    contexts: list[Any] = []

    def at(address: str, prepare: Callable[[Any], None] = lambda _: None, **how: Any) -> Any:
        context = browser.new_context(
            viewport={"width": 1280, "height": 800}, locale="en-GB", service_workers="block", **how
        )
        contexts.append(context)
        context.request.post(f"{running.address}/api/session", data={"name": "olena", "password": PASSWORD})
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        prepare(page)
        page.goto(f"{running.address}/{address}")
        page.wait_for_selector("html[data-map=idle]")
        return page

    yield at
    for context in contexts:
        context.close()
    assert wrong == []


def centre(page: Any) -> tuple[float, float]:
    box = page.locator("#map canvas").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_what_one_points_at_explains_itself_and_a_click_opens_it(running, opened):
    """What, when, how sure, from what; then the same in the panel, with what is held against the agreement."""
    incidents = running.service.live.snapshot.tables["incidents"].to_pylist()
    alone = max(
        incidents,
        key=lambda one: min(
            math.dist((one["lon"], one["lat"]), (o["lon"], o["lat"])) for o in incidents if o is not one
        ),
    )
    page = opened(f"#queue?map=11/{alone['lat']:.4f}/{alone['lon']:.4f}")
    page.mouse.move(*centre(page))
    told = page.locator(".tip")
    told.wait_for(state="visible")
    assert alone["place"] in told.inner_text()
    assert f"From {alone['observations']} observation" in told.inner_text()
    assert "Settled in an edition." in told.inner_text()
    page.mouse.click(*centre(page))
    heading = page.locator("[data-view=thing] h2")
    heading.wait_for()
    assert alone["place"] in heading.inner_text()
    assert f"#queue/incident/{alone['incident_id'].hex()}" in page.url


def test_time_is_stopped_stepped_and_shown_as_it_was_known(opened):
    """Space stops; arrows step; what was not settled by then is said not to have been."""
    page = opened("#queue")
    page.locator("body").press("Space")
    page.locator("#connection[data-state=paused]").wait_for()
    stopped = page.locator("#clock").get_attribute("datetime")
    page.locator("body").press("Shift+ArrowLeft")
    page.locator(f'#clock:not([datetime="{stopped}"])').wait_for()
    assert page.locator("#clock").get_attribute("datetime") < stopped
    assert "mode=paused" in page.url
    page.locator(".controls select").last.select_option("known")
    page.get_by_text("Nothing had been settled by then.").wait_for()
    page.get_by_role("button", name="Live").click()
    page.locator("#connection[data-state=live]").wait_for()
    assert "mode=" not in page.url


def test_who_is_silent_stands_above_the_map_whatever_is_looked_at(running, opened, monkeypatch):
    board = [
        {"id": "viirs", "state": "silent", "silent_since": "2031-03-15T11:30:00Z"},
        {"id": "press", "state": "live"},
    ]
    monkeypatch.setattr(running.service.gate, "sources", lambda: board)
    page = opened("#queue")
    strip = page.locator("#silence")
    page.locator("#silence[data-silent='1']").wait_for()
    assert "1 source silent" in strip.inner_text()
    assert "viirs" in strip.inner_text()
    assert "area on the map" in strip.inner_text()


def test_a_track_says_what_it_is_and_how_old_that_is(opened):
    """By the stream's frames; drawn as a dot, told when pointed at."""

    def prepare(page: Any) -> None:
        def serve(socket: Any) -> None:
            socket.send(json.dumps({"kinds": ["vessel.cargo"]}))
            socket.send(
                json.dumps(
                    {"tracks": [{"serial": 1, "id": "ab" * 16, "what": "vessel.cargo", "identity": "MMSI 273000000"}]}
                )
            )
            socket.send(bytes(a_frame([(1, 36.0, 45.5, 7.5, 9000, 0, 0, 61_000)], 1_930_000_000.0)))

        page.route_web_socket(re.compile("/api/stream/tracks"), serve)

    page = opened("#queue?map=7.5/45.5/36", prepare)
    page.mouse.move(*centre(page))
    told = page.locator(".tip")
    told.wait_for(state="visible")
    assert "Cargo vessel" in told.inner_text()
    assert "MMSI 273000000" in told.inner_text()
    assert "27 km/h (15 kn), course 90°" in told.inner_text()
    page.mouse.click(*centre(page))
    page.get_by_text("Shown neutral or unknown, whoever it belongs to.").wait_for()


def test_it_is_dark_where_the_system_is_dark_and_the_switch_says_otherwise(opened):
    page = opened("#queue", color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.locator("#theme").click()
    assert page.locator("html").get_attribute("data-theme") == "light"
    assert page.evaluate(ground) != dark
