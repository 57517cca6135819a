"""The live picture: provisional within a second, settled in the background, every correction told.

What comes in here has been journalled by the simplest of gates; the drawing and the settling are the real ones, in
processes of their own.
"""

import asyncio
import csv
import io
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import a_service
from truceline import desk, feeds
from truceline.errors import NotFoundError, StoreError
from truceline.mission import Mission
from truceline.serve import window
from truceline.serve.alerts import Alerts
from truceline.serve.bus import Ring
from truceline.serve.changes import IDS, fingerprints
from truceline.serve.live import LivePicture
from truceline.store import Book, Journal

#: What a test waits for at most; the machine may be busy.
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def settled(tmp_path_factory) -> Path:
    """The example mission, settled; not to be written to."""
    return a_service.an_example(tmp_path_factory.mktemp("example") / "two-days")


@pytest.fixture
def mission(settled, tmp_path) -> Path:
    """A copy of it."""
    return shutil.copytree(settled, tmp_path / "two-days")


@pytest.fixture
def empty(settled, tmp_path) -> Path:
    """The example mission with nothing read."""
    kept = shutil.ignore_patterns("journal", "book.sqlite*", "picture.gpkg", "reports")
    return shutil.copytree(settled, tmp_path / "empty", ignore=kept)


class Running:
    """A live picture, its gate and its bus."""

    def __init__(self, folder: Path, settle_every_s: float = 3600.0) -> None:
        self.folder, self.mission = folder, Mission.load(folder)
        self.now = a_service.NOW
        self.gate = a_service.SimpleGate(folder, self.mission, self.clock)
        self.bus = Ring()
        with Journal(folder / "journal") as journal:
            self.alerts = Alerts(self.gate, self.bus, self.clock, journal.table("alert"))
        self.live = LivePicture(folder, self.mission, self.clock, self.gate, self.bus, self.alerts, settle_every_s)
        self.told: list[Any] = []

    def clock(self) -> Any:
        return self.now

    async def post(self, source: str, payload: bytes) -> None:
        """Journal a payload, and give what was accepted to the picture."""
        before = len(self.gate.observations)
        receipt = await self.gate.submit(source, payload, name="test")
        assert not receipt.rejected, receipt.reasons
        for rows in self.gate.observations[before:]:
            await self.live.feed(rows)

    async def heard(
        self, which: Callable[[Any], bool], topics: frozenset[str] = frozenset({"picture", "alert"})
    ) -> Any:
        """The first message since the start that is so; waits for it."""

        async def first() -> Any:
            async for message in self.bus.listen(topics, 0):
                if which(message):
                    return message
            raise AssertionError("the bus ended")

        return await asyncio.wait_for(first(), PATIENCE_S)

    async def until(self, so: Callable[[], bool]) -> None:
        """Wait for messages until something is so."""

        async def wait() -> None:
            messages = self.bus.listen(frozenset({"picture", "alert"}))
            while not so():
                waiting = asyncio.ensure_future(anext(messages))
                await asyncio.wait({waiting}, timeout=0.2)
                if not waiting.done():
                    waiting.cancel()
                    await asyncio.gather(waiting, return_exceptions=True)
                    messages = self.bus.listen(frozenset({"picture", "alert"}))

        await asyncio.wait_for(wait(), PATIENCE_S)


def run(folder: Path, scene: Callable[[Running], Awaitable[None]], **settings: Any) -> None:
    """Play a scene with a live picture that is running, and end it."""

    async def play() -> None:
        running = Running(folder, **settings)
        await running.live.start()
        try:
            await scene(running)
        finally:
            await running.live.stop()

    asyncio.run(play())


def patrols(folder: Path) -> tuple[bytes, list[bytes]]:
    """The header and the records of the patrols' file."""
    lines = (folder / "field" / "patrols.csv").read_bytes().splitlines(keepends=True)
    return lines[0], lines[1:]


def a_shelling(no: str, when: str = "2031-03-15 19:00", lon: float = 39.2, lat: float = 49.3) -> dict[str, str]:
    """What a patrol writes of three explosions."""
    return {
        "no": no, "post": "Patrol 9", "from": when, "to": when, "lon": str(lon), "lat": str(lat), "error_m": "300",
        "means": "heard", "count": "3", "observation": "explosion", "description": "impact", "position": "somewhere",
    }  # fmt: skip


def as_csv(folder: Path, *rows: dict[str, str]) -> bytes:
    """Rows of the patrols' file."""
    header = (folder / "field" / "patrols.csv").read_text("utf-8-sig").splitlines()[0].split(",")
    out = io.StringIO()
    writer = csv.DictWriter(out, header)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


OF_CASES = ("cases", "incidents", "events", "associations")


def a_verdict(folder: Path, tables: Mapping[str, pa.Table]) -> pa.Table:
    """A verdict on the first case, signed and in no journal yet."""
    row = tables["cases"].slice(0, 1).to_pylist()[0]
    _, signed = desk.sign(folder, row, tables, "verified", reason="seen twice", by="vera", at=a_service.NOW, edition=1)
    return signed


class TestProvisionalAndSettled:
    """The same code draws both, so they agree where they can."""

    def test_of_a_settled_mission_nothing_is_provisional(self, mission):
        """What the newest edition has exactly so is settled; the tables are the edition's, rows and all."""

        async def scene(running: Running) -> None:
            shown = running.live.snapshot
            book = Book(mission / "book.sqlite")
            assert shown.edition == book.latest()
            for name in ("events", "incidents", "findings"):
                rows = shown.tables[name]
                assert not pc.any(rows["provisional"]).as_py()
                plain = rows.drop_columns("provisional")
                assert sorted(fingerprints(plain).tolist()) == sorted(fingerprints(book.table(name)).tolist())
            assert shown.tables["zones"].num_rows
            assert shown.tables["line"].num_rows

        run(mission, scene)

    def test_what_comes_in_is_shown_at_once_and_provisional(self, mission):
        """A report is an event, an incident and findings as soon as it is drawn, and is said to be provisional."""

        async def scene(running: Running) -> None:
            before = running.live.snapshot
            await running.post("patrols", as_csv(mission, a_shelling("9001")))
            await running.until(lambda: running.live.snapshot.revision > before.revision)
            shown = running.live.snapshot
            changes = running.live.changes(before.revision)
            assert changes is not None
            assert len(changes.upserted["incidents"]) >= 1
            rows = shown.tables["incidents"]
            new = rows.filter(
                pc.is_in(rows["incident_id"], value_set=pa.array(changes.upserted["incidents"], pa.binary(16)))
            )
            assert pc.all(new["provisional"]).as_py()
            assert not pc.all(rows["provisional"]).as_py()

        run(mission, scene)

    def test_settling_makes_it_an_edition(self, mission):
        """After it nothing is provisional, ids are the same, and what changed is that it is settled now."""

        async def scene(running: Running) -> None:
            live = running.live
            first = live.snapshot
            await running.post("patrols", as_csv(mission, a_shelling("9001")))
            await running.until(lambda: live.snapshot.revision > first.revision)
            provisional = live.snapshot
            edition = await live.settle()
            assert edition.number == first.edition.number + 1
            assert live.snapshot.edition == edition
            for name in ("events", "incidents", "findings"):
                rows = live.snapshot.tables[name]
                assert not pc.any(rows["provisional"]).as_py()
                key = IDS[name]
                assert set(rows[key].to_pylist()) == set(provisional.tables[name][key].to_pylist())
            told = live.changes(provisional.revision)
            assert told is not None
            assert told.upserted["incidents"]
            assert not any(told.removed.values())

        run(mission, scene)

    def test_settling_again_with_nothing_new_is_the_same_edition(self, mission):
        async def scene(running: Running) -> None:
            before = running.live.snapshot
            assert await running.live.settle() == before.edition
            assert running.live.snapshot.revision == before.revision

        run(mission, scene)

    def test_it_begins_with_nothing(self, empty):
        """No journal, no edition: an empty picture, and the first report is in it."""

        async def scene(running: Running) -> None:
            shown = running.live.snapshot
            assert shown.edition is None
            assert shown.tables["incidents"].num_rows == 0
            await running.post("patrols", as_csv(empty, a_shelling("9001")))
            await running.until(lambda: running.live.snapshot.tables["incidents"].num_rows == 1)
            assert pc.all(running.live.snapshot.tables["incidents"]["provisional"]).as_py()
            assert running.live.snapshot.tables["zones"].num_rows

        run(empty, scene)

    def test_piece_by_piece_it_becomes_what_the_batch_makes(self, empty, settled):
        """All the example's records, a file at a time: the edition has the digest of the run that read them all."""

        async def scene(running: Running) -> None:
            for source in running.mission.source:
                for path in sorted(p for pattern in source.paths for p in empty.glob(pattern)):
                    before = len(running.gate.observations)
                    with Journal(empty / "journal", write=True) as journal:
                        for batch in feeds.read(source, empty, str(path), running.clock()):
                            journal.ingest(batch.observations, batch.rejections)
                            running.gate.observations.append(batch.observations)
                    for rows in running.gate.observations[before:]:
                        await running.live.feed(rows)
            edition = await running.live.settle()
            assert edition.digest == Book(settled / "book.sqlite").latest().digest

        run(empty, scene)

    def test_it_settles_by_itself(self, mission):
        """Every so often, when something is new."""

        async def scene(running: Running) -> None:
            number = running.live.snapshot.edition.number
            await running.post("patrols", as_csv(mission, a_shelling("9001")))
            await running.until(lambda: running.live.snapshot.edition.number == number + 1)

        run(mission, scene, settle_every_s=0.5)

    def test_a_verdict_alone_makes_an_edition(self, mission):
        """Nothing else being new, what was signed stands in the next edition's cases."""

        async def scene(running: Running) -> None:
            first = running.live.snapshot
            signed = a_verdict(mission, first.tables)
            await running.gate.record("verdict", signed)
            await running.until(lambda: running.live.snapshot.edition.number == first.edition.number + 1)
            assert "verified" in running.live.snapshot.tables["cases"]["state"].to_pylist()

        run(mission, scene, settle_every_s=0.5)

    def test_what_an_earlier_run_left_unsettled_makes_one_too(self, mission):
        """It was acknowledged, and then the service was killed: nobody has to send anything for it to be settled."""

        async def scene(running: Running) -> None:
            number = Book(mission / "book.sqlite").latest().number
            await running.until(lambda: Book(mission / "book.sqlite").latest().number == number + 1)

        with Journal(mission / "journal", write=True) as journal:
            signed = a_verdict(mission, {name: Book(mission / "book.sqlite").table(name) for name in OF_CASES})
            journal.append("verdict", signed)
        run(mission, scene, settle_every_s=0.5)


class TestReport:
    def test_a_reporting_day_that_has_ended_is_reported_by_itself(self, mission):
        """Nothing new has to come in for it; a day that was reported is left alone."""
        with closing(sqlite3.connect(mission / "book.sqlite")) as book, book:
            book.execute("DELETE FROM report")
        shutil.rmtree(mission / "reports")

        async def scene(running: Running) -> None:
            await running.until((mission / "reports/2031-03-15-edition-1/report.html").is_file)
            assert {str(row.day) for row in Book(mission / "book.sqlite").published()} == {"2031-03-15"}
            for day in (date(1999, 1, 1), date(2031, 3, 17)):
                with pytest.raises(NotFoundError, match="nothing is known"):
                    await running.live.report(day)

        run(mission, scene, settle_every_s=0.5)


@pytest.fixture(scope="module")
def large(settled, tmp_path_factory) -> Path:
    """No exercise, and a window of two hours."""
    folder = shutil.copytree(settled, tmp_path_factory.mktemp("large") / "two-days")
    path = folder / "mission.toml"
    path.write_text(path.read_text().replace("exercise = true", "exercise = false") + "\n[serve]\nwindow_h = 2\n")
    desk.run(folder, a_service.NOW)
    return folder


class TestWindow:
    """A large mission's picture is drawn of its last while; what is older stands as settled."""

    @pytest.fixture
    def narrow(self, large, monkeypatch) -> Any:
        """Its window; the mission counts as too large to be drawn whole."""
        monkeypatch.setattr(window, "WHOLE", 0)
        made = window.Window(large)
        made.begin(a_service.NOW)
        return made

    def test_what_stands_and_what_is_drawn_are_the_edition(self, narrow, large):
        """No incident is in both, none is lost, and every one has all of its observations."""
        drawn = narrow.draw(a_service.NOW, 0.5)
        book = Book(large / "book.sqlite")
        for name, key in (("events", "event_id"), ("incidents", "incident_id"), ("findings", "finding_id")):
            whole = book.table(name)
            standing = whole.filter(pa.array(drawn.outside[name]))[key].to_pylist()
            now = drawn.tables[name][key].to_pylist()
            assert standing, name
            assert now, name
            assert set(standing).isdisjoint(now)
            assert len(set(standing) | set(now)) == whole.num_rows
        assert 0 < drawn.tables["associations"].num_rows < book.table("associations").num_rows

    def test_a_source_whose_clock_is_ahead_moves_nothing(self, narrow):
        """Its observations wait until time gets there; the window does not run after them."""
        before = narrow.draw(a_service.NOW, 0.5)
        rows = narrow._rows.slice(0, 1)
        ahead = pa.array([a_service.NOW + timedelta(days=300)], rows["at"].type)
        rows = rows.set_column(rows.column_names.index("at"), "at", ahead)
        rows = rows.set_column(0, "observation_id", pa.array([b"ahead of its day"], pa.binary(16)))
        narrow.take(rows, a_service.NOW)
        after = narrow.draw(a_service.NOW, 0.5)
        assert after.waiting == before.waiting + 1
        assert not any(after.upserted.values())
        assert not any(after.removed.values())
        assert after.until == before.until

    def test_what_is_older_than_the_window_waits_for_the_edition(self, narrow):
        """A source replaying last week changes nothing here and now, and is counted."""
        rows = narrow._rows.slice(0, 1)
        old = pa.array([a_service.NOW - timedelta(days=7)], rows["at"].type)
        for name in ("at", "until"):
            rows = rows.set_column(rows.column_names.index(name), name, old)
        rows = rows.set_column(0, "observation_id", pa.array([b"from a week ago."], pa.binary(16)))
        before = narrow._rows.num_rows
        narrow.take(rows, a_service.NOW)
        assert narrow._rows.num_rows == before
        assert narrow.draw(a_service.NOW, 0.5).waiting == 1

    def test_the_same_observation_twice_is_one(self, narrow):
        rows = narrow._rows
        before = rows.num_rows
        narrow.take(rows, a_service.NOW)
        assert narrow._rows.num_rows == before


class TestDisk:
    def test_what_the_disk_refused_is_told_when_there_is_room(self, mission, monkeypatch):
        """The picture is shown all the same; the alert waits for its row in the journal."""

        async def scene(running: Running) -> None:
            record, refused = running.gate.record, asyncio.Event()
            before = running.live.snapshot.revision
            known = {one.alert_id for one in running.alerts.listed(limit=10_000)}

            async def full(kind: str, rows: pa.Table) -> None:
                refused.set()
                raise StoreError("no room on the disk")

            monkeypatch.setattr(running.gate, "record", full)
            await running.post("patrols", as_csv(mission, a_shelling("9001")))
            await asyncio.wait_for(refused.wait(), PATIENCE_S)
            assert running.live.snapshot.revision > before
            assert {one.alert_id for one in running.alerts.listed(limit=10_000)} == known
            monkeypatch.setattr(running.gate, "record", record)
            await running.heard(lambda m: m.topic == "alert" and bytes.fromhex(m.content["alert_id"]) not in known)

        run(mission, scene)


class TestRestart:
    def test_a_process_that_is_killed_is_made_anew(self, mission):
        """The picture's process dies: it is told, and what comes in after that is shown."""

        async def scene(running: Running) -> None:
            live = running.live
            live._picture.process.kill()
            await asyncio.to_thread(live._picture.process.join)
            await running.post("patrols", as_csv(mission, a_shelling("9001")))
            await running.heard(lambda m: m.topic == "picture" and m.content.get("problem"))
            await running.until(lambda: pc.any(live.snapshot.tables["incidents"]["provisional"]).as_py())
            assert live._picture.process.is_alive()

        run(mission, scene)

    def test_nothing_is_raised_twice(self, mission):
        """Alerts are journalled before they are told: a second start finds them there."""
        raised: list[int] = []

        async def scene(running: Running) -> None:
            await asyncio.sleep(0)
            raised.append(len(running.alerts.listed(limit=10_000)))

        run(mission, scene)
        run(mission, scene)
        with Journal(mission / "journal") as journal:
            rows = journal.table("alert")
        assert raised[0] == raised[1] > 0
        assert rows.num_rows == raised[0]
        assert set(rows["state"].to_pylist()) == {"raised"}


def test_fingerprints_are_of_content_alone():
    """Chunks and order have no part in it; a null is not a zero, nor a list of two one of one."""
    rows = pa.table(
        {
            "a": pa.array([1, None, 0, 1]),
            "x_m": pa.array([1.0, 1.04, None, 1.0]),
            "l": pa.array([["p"], ["p", "q"], None, ["p"]], pa.list_(pa.string())),
            "m": pa.array([[("k", 1.0)], [("k", 2.0)], [], [("k", 1.0)]], pa.map_(pa.string(), pa.float32())),
        }
    )
    found = fingerprints(rows)
    assert found[0] == found[3]
    assert len({*found[:3].tolist()}) == 3
    order = np.array([2, 0, 3, 1])
    cut = pa.concat_tables([rows.take(pa.array(order[:1])), rows.take(pa.array(order[1:]))])
    assert fingerprints(cut).tolist() == found[order].tolist()
