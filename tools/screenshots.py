"""Take pictures of the page, of the example mission: python tools/screenshots.py [FOLDER], by default docs/images.

Served on a loopback port as the tests do it, looked at in an installed Chromium. The clock stands at the evening of the
example's second day, so that the pictures are the same until the page, or what the example shows, is another.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
import a_page  # noqa: E402 (of the tests)

DESK, TABLET = {"width": 1280, "height": 800}, {"width": 820, "height": 1100}
#: Name, address, window, light. `{incident}` is the one with the most events, `{finding}` the likeliest grave breach.
PICTURES = (
    ("page", "#queue", DESK, "light"),
    ("page-dark", "#queue/incident/{incident}", DESK, "dark"),
    ("page-finding", "#queue/finding/{finding}", DESK, "light"),
    ("page-then", "#queue?mode=paused&at=2031-03-14T12:00:00Z&knowledge=settled", DESK, "light"),
    ("page-tablet", "#sites", TABLET, "light"),
)
#: The board of sources as it would be that evening.
BOARD = [
    {"id": name, "feed": feed, "state": "silent" if since else "live", "silent_since": since, "last_at": last}
    | {"read": read, "accepted": read - twice, "duplicates": twice, "rejected": 0, "lag_s": 240.0, "release": "mission"}
    for name, feed, since, last, read, twice in (
        ("viirs", "firms", "2031-03-15T11:25:00Z", "2031-03-15T11:25:00Z", 129, 14),
        ("cameras", "table", "2031-03-15T09:12:00Z", "2031-03-15T09:12:00Z", 28, 0),
        ("press", "table", None, "2031-03-15T17:20:00Z", 61, 3),
        ("patrols", "table", None, "2031-03-15T17:41:00Z", 44, 0),
        ("liaison", "table", None, "2031-03-15T16:58:00Z", 37, 0),
        ("civil", "geojson", None, "2031-03-15T15:30:00Z", 19, 0),
    )
]


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, a_page.a_browser() as browser:
        running = a_page.a_running_mission(Path(scratch) / "mission")
        running.service.gate.sources = lambda: BOARD  # type: ignore[method-assign]
        try:
            for name, address, window, light in PICTURES:
                path = folder / f"{name}.png"
                take(browser, running, address.format(**chosen(running)), window, light, path)
                print(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
        finally:
            running.stop()


def chosen(running: Any) -> dict[str, str]:
    tables = running.service.live.snapshot.tables
    incident = max(tables["incidents"].to_pylist(), key=lambda one: (one["events"], one["incident_id"]))
    grave = [one for one in tables["findings"].to_pylist() if one["severity"] == "grave"]
    finding = max(grave, key=lambda one: (one["p_breach"] or 0, one["finding_id"]))
    return {"incident": incident["incident_id"].hex(), "finding": finding["finding_id"].hex()}


def take(browser: Any, running: Any, address: str, window: dict[str, int], light: str, path: Path) -> None:
    context = browser.new_context(viewport=window, color_scheme=light, locale="en-GB", service_workers="block")
    context.request.post(f"{running.address}/api/session", data={"name": "olena", "password": a_page.PASSWORD})
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(f"{running.address}/{address}")
    page.wait_for_selector("html[data-map=idle]")
    page.wait_for_load_state("load")
    page.locator("#panel h2, #panel h3").first.wait_for(state="attached")
    page.locator("#time svg rect").first.wait_for(state="attached")
    page.evaluate("document.fonts.ready.then(() => true)")
    page.screenshot(path=str(path))
    context.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images")
