"""The form for sightings: it opens and keeps what is entered without a network, and sends each entry once.

A patrol fills it in where there is no network, drives on, and does not have to think of it again.
"""

import json
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pyarrow.compute as pc
import pytest
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from a_door import PASSWORD, Clock, a_door, a_person
from a_service import PATROL, SimpleBus, SimpleGate
from truceline.mission import Mission
from truceline.serve.app import application
from truceline.serve.service import Service
from truceline.store import Journal

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NOW = datetime(2031, 3, 14, 10, 0, tzinfo=UTC)
MISSION = """
name = "field"
centre = {lon = 39.1, lat = 49.4}
agreement = "agreement.toml"
[[source]]
id = "field"
feed = "observations"
live = {}
"""
AGREEMENT = """
id = "none"
title = "none"
party = [{id = "a", name = "A"}]
clause = [{id = "1", type = "cessation", title = "no fire", parties = ["a"]}]
"""


class Station:
    """A service on loopback that takes sightings, and what it has taken."""

    def __init__(self, folder: Path) -> None:
        (folder / "mission.toml").write_text(MISSION)
        (folder / "agreement.toml").write_text(AGREEMENT)
        mission = Mission.load(folder)
        self.folder = folder
        gate = SimpleGate(folder, mission, lambda: NOW)
        nothing = cast(Any, None)  # neither picture nor alerts are asked for
        self.service = Service(folder, mission, lambda: NOW, gate, nothing, SimpleBus(), lambda _: PATROL, nothing)
        self.app: FastAPI = application(self.service)
        config = uvicorn.Config(self.app, port=0, log_level="error", lifespan="off", ws="none")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive(), "the server did not start"
            self.thread.join(0.01)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)

    def rows(self) -> list[dict[str, Any]]:
        with Journal(self.folder / "journal") as journal:
            return cast(list[dict[str, Any]], journal.table("observation").to_pylist())

    def count(self, kind: str) -> int:
        with Journal(self.folder / "journal") as journal:
            return journal.rows(kind)


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    running = Station(tmp_path)
    yield running
    running.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM)
        yield opened
        opened.close()


@pytest.fixture
def device(browser: Browser, station: Station) -> Iterator[BrowserContext]:
    """A telephone in a zone two hours from UTC that knows where it is."""
    context = browser.new_context(
        viewport={"width": 390, "height": 780},
        timezone_id="Europe/Kyiv",
        locale="en-GB",
        geolocation={"longitude": 39.1, "latitude": 49.4, "accuracy": 25},
        permissions=["geolocation"],
    )
    context.set_default_timeout(10_000)
    yield context
    context.close()


def opened(device: BrowserContext, station: Station) -> Page:
    """The form, with its worker in charge: from here on the device can do without the service."""
    page = device.new_page()
    page.errors = []  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: page.errors.append(str(error)))  # type: ignore[attr-defined]
    page.goto(f"{station.address}/field")
    page.evaluate("navigator.serviceWorker.ready.then(() => undefined)")
    page.wait_for_function("navigator.serviceWorker.controller !== null")
    expect(page.get_by_role("status").first).to_have_text("Connected")
    return page


def fill(page: Page, what: str = "Explosion: impact", *, words: str = "two posts heard it") -> None:
    page.get_by_label(what, exact=True).check()
    page.get_by_label("Heard").check()
    page.get_by_role("button", name="Take this device's position").click()
    expect(page.locator("#located")).to_have_text("Position taken, ±25 m")
    page.get_by_label("Direction, ° from north").fill("90")
    page.get_by_label("Distance, metres").fill("2000")
    page.get_by_label("How many").fill("3")
    page.get_by_role("combobox").select_option("mortar")
    page.get_by_label("In your words").fill(words)
    page.get_by_label("Post or patrol").fill("Patrol 3")


def states(page: Page) -> list[str]:
    return [item.get_attribute("data-state") or "" for item in page.locator("#entries li").all()]


def test_an_entry_waits_offline_and_is_accepted_once_when_the_network_is_back(
    device: BrowserContext, station: Station
) -> None:
    """The whole way: filled in without a network, the form opened anew without one, sent when it is back."""
    page = opened(device, station)
    device.set_offline(True)
    fill(page)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#entries li")).to_have_attribute("data-state", "waiting")
    expect(page.locator("#connection")).to_have_text("No connection: entries stay on this device")
    page.reload()  # the telephone was switched off and on
    expect(page.locator("#entries li")).to_have_attribute("data-state", "waiting")
    assert station.count("observation") == 0

    device.set_offline(False)
    expect(page.locator("#entries li")).to_have_attribute("data-state", "accepted")
    (row,) = station.rows()
    assert (row["kind"], row["what"], row["means"], row["description"]) == (
        "sighting",
        "explosion.impact",
        "heard",
        "impact",
    )
    assert (row["count"], row["weapon"], row["sensor"], row["text"]) == (3, "mortar", "Patrol 3", "two posts heard it")
    assert (row["bearing_deg"], row["range_m"]) == (90, 2000)
    assert row["lon"] == pytest.approx(39.1 + 2000 / 72536, abs=2e-4), "two kilometres east of the telephone"
    assert row["major_m"] == pytest.approx(600, abs=5), "assumed: 30 % of the distance"
    assert json.loads(row["raw"])["at"].endswith(("+02:00", "+03:00")), "the device's clock with its own offset"
    assert page.errors == []  # type: ignore[attr-defined]


def test_sent_twice_is_one_observation(device: BrowserContext, station: Station) -> None:
    """The answer was lost on the way: the same bytes again are a duplicate, and the entry is accepted."""
    page = opened(device, station)
    lost = iter([True, False])

    def lose(route: Any) -> None:
        if next(lost, False):
            route.fetch()  # it arrives, and nobody hears so
            route.abort()
        else:
            route.continue_()

    device.route("**/api/sources/field/records", lose)
    fill(page)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#entries li")).to_have_attribute("data-state", "waiting")
    expect(page.locator("#connection")).to_have_text("No connection: entries stay on this device")
    assert station.count("observation") == 1
    page.get_by_role("button", name="Send now").click()
    expect(page.locator("#entries li")).to_have_attribute("data-state", "accepted")
    assert (station.count("observation"), station.count("duplicate")) == (1, 1)


def test_two_alike_are_two(device: BrowserContext, station: Station) -> None:
    """Two shots in one second are two sightings: every entry has a name of its own."""
    page = opened(device, station)
    for _ in range(2):
        fill(page, "Single shot")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#said")).to_have_text("Saved on this device.")
    expect(page.locator("#entries li[data-state=accepted]")).to_have_count(2)
    assert pc.count_distinct([row["observation_id"] for row in station.rows()]).as_py() == 2


def test_what_is_refused_says_why_and_holds_up_nothing(device: BrowserContext, station: Station) -> None:
    """A fault of one record is that record's; what comes behind it is sent."""
    page = opened(device, station)
    fill(page)
    device.route(
        "**/api/sources/field/records",
        lambda route: route.continue_(post_data='{"kind": "sighting", "what": "explosion", "at": "yesterday"}\n'),
        times=1,
    )
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#entries li")).to_have_attribute("data-state", "refused")
    expect(page.locator("#entries li .state")).to_contain_text("yesterday")
    fill(page, "Burst")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#entries li[data-state=accepted]")).to_have_count(1)
    assert station.count("rejection") == 1


def test_whoever_has_not_signed_in_is_asked_to_and_loses_nothing(device: BrowserContext, station: Station) -> None:
    """With a real account: cookie and CSRF token are the service's own, and a wrong password changes nothing."""
    page = opened(device, station)
    door = a_door(station.folder, Clock())
    a_person(door, "patrol-3", "reporter")
    station.service.kept["door"] = door
    station.service.principal_of = door.principal_of
    fill(page)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert states(page) == ["waiting"]
    for password in ("not this", PASSWORD):
        page.get_by_label("Name").fill("patrol-3")
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        if password != PASSWORD:
            expect(page.get_by_role("alert").filter(has_text="Name or password is wrong.")).to_be_visible()
            assert page.get_by_label("Password").input_value() == ""
    expect(page.locator("#entries li")).to_have_attribute("data-state", "accepted")
    expect(page.get_by_role("button", name="Sign in")).to_be_hidden()
    assert len(station.rows()) == 1


def test_what_is_missing_is_said_and_gets_the_focus(device: BrowserContext, station: Station) -> None:
    page = opened(device, station)
    page.get_by_label("Explosion", exact=True).check()
    page.get_by_label("Saw").check()
    page.get_by_label("Latitude").fill("149,4")
    page.get_by_label("Longitude").fill("39,1")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert").filter(has_text="Latitude is a number")).to_be_visible()
    expect(page.get_by_label("Latitude")).to_be_focused()
    assert states(page) == []


def test_it_is_filled_in_by_keyboard_and_read_in_ukrainian(device: BrowserContext, station: Station) -> None:
    """Every control has a name and is reached by Tab; the words are the reader's, and hostile ones stay words."""
    page = opened(device, station)
    page.get_by_role("button", name="Українська").press("Enter")
    assert page.locator("html").get_attribute("lang") == "uk"
    page.keyboard.press("Tab")
    for key in (" ", "Tab", "ArrowRight", "Tab"):  # what: the first; how: the second of two, then the first
        page.keyboard.press(key)
    expect(page.get_by_label("Вибух", exact=True)).to_be_checked()
    expect(page.get_by_label("Бачили")).to_be_checked()
    page.get_by_label("Широта").fill("49,4")
    page.get_by_label("Довгота").fill("39,1")
    page.get_by_label("Своїми словами").fill("<img src=x onerror=alert(1)>")
    page.get_by_label("Своїми словами").press("Tab")
    page.get_by_role("button", name="Зберегти").press("Enter")
    expect(page.locator("#entries li")).to_have_attribute("data-state", "accepted")
    assert station.rows()[0]["text"] == "<img src=x onerror=alert(1)>"
    unnamed = page.evaluate(
        "[...document.querySelectorAll('input, select, textarea, button')]"
        ".filter((one) => !(one.labels?.[0]?.textContent || one.textContent).trim()).map((one) => one.id)"
    )
    assert unnamed == []
    assert page.errors == []  # type: ignore[attr-defined]


def test_nothing_of_the_mission_is_kept_on_the_device(device: BrowserContext, station: Station) -> None:
    """What the worker keeps is the form; answers of the service are in no cache."""
    page = opened(device, station)
    kept = page.evaluate(
        "caches.keys().then((names) => Promise.all(names.map((one) => caches.open(one).then((c) => c.keys()))))"
        ".then((all) => all.flat().map((one) => new URL(one.url).pathname).sort())"
    )
    assert kept == [
        "/field",
        *(f"/field/{name}" for name in ("field.css", "field.js", "queue.js", "row.js", "text.js")),
    ]
