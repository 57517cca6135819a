"""The gate: what it acknowledges is on disk, once; a source that misbehaves harms no other."""

import asyncio
import errno
import gzip
import os
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a_gate import NOW, Clock, a_mission, board, journal, line, with_gate
from naive_tail import action
from truceline.errors import BusyError, NotFoundError, SourceError, StoreError, TrucelineError
from truceline.feeds.observations import Observations
from truceline.mission import Live, Source
from truceline.serve import taking
from truceline.serve.gate import Gate, Limits
from truceline.serve.service import Receipt
from truceline.store import tail

FIRES = (
    b"latitude,longitude,acq_date,acq_time,satellite,confidence\n"
    b"48.12345,37.54321,2031-03-14,1034,N,n\n"
    b"95.0,37.54,2031-03-14,1034,N,n\n"
)


def test_a_receipt_means_that_the_records_are_on_disk(tmp_path: Path) -> None:
    """Whoever reads the journal at that moment finds them, in another process too."""

    async def work(gate: Gate) -> None:
        receipt = await gate.submit("field", line(1) + b"\n" + line(2), name="POST by patrol-3", form="jsonl")
        assert receipt == Receipt("field", 2, 2, 0, 0)
        rows = journal(tmp_path).table("observation", ["raw", "file", "record", "received_at", "source"]).to_pylist()
        assert [row.pop("raw") for row in rows] == [line(1), line(2)]
        told = {"file": "POST by patrol-3", "received_at": NOW, "source": "field"}
        assert rows == [told | {"record": 1}, told | {"record": 2}]

    with_gate(tmp_path, work)
    assert journal(tmp_path).verify() == []


def test_every_record_is_accepted_a_duplicate_or_rejected_with_its_reason(tmp_path: Path) -> None:
    bad = line(3, lat=91)

    async def work(gate: Gate) -> list[Receipt]:
        first = await gate.submit("field", b"\n".join([line(1), bad, line(1), line(2)]), name="a", form="jsonl")
        return [first, await gate.submit("field", line(2), name="b", form="jsonl")]

    reason = ["record 2: lat = 91 is outside -90..90"]
    assert with_gate(tmp_path, work) == [Receipt("field", 4, 2, 1, 1, reason), Receipt("field", 1, 0, 1, 0)]
    kept = journal(tmp_path).table("rejection").to_pylist()
    assert [(row["raw"], row["record"], row["file"]) for row in kept] == [(bad, 2, "a")]


def test_rows_of_an_observation_are_taken_in_three_forms_whatever_the_sources_feed_is(tmp_path: Path) -> None:
    table = pa.table({"kind": ["fix"], "what": ["vessel"], "at": pa.array([NOW]), "lon": [30.7], "lat": [46.4]})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    csv = b"kind,what,at,lon,lat\nfix,vessel,2031-03-14T11:59:00Z,30.7,46.4\n"

    async def work(gate: Gate) -> list[Receipt]:
        given = [("jsonl", line(1)), ("csv", csv), ("arrow", sink.getvalue().to_pybytes())]
        return [await gate.submit("viirs", body, name=form, form=form) for form, body in given]

    assert with_gate(tmp_path, work) == [Receipt("viirs", 1, 1, 0, 0)] * 3
    assert journal(tmp_path).table("observation")["file"].to_pylist() == ["jsonl", "csv", "arrow"]


def test_without_a_form_a_payload_is_a_file_of_its_sources_feed(tmp_path: Path) -> None:
    lines = line(1) + b"\n"
    geojson = (
        b'{"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": {"type": "Point", "coordinates": '
        b'[37.5, 48.1]}, "properties": {"when": "2031-03-14"}}]}'
    )
    civil = Source(id="civil", feed="table", columns={"at": "when", "what": {"value": "fire"}}, paths=["x"])

    async def work(gate: Gate) -> list[Receipt]:
        given = [("viirs", FIRES), ("viirs", gzip.compress(FIRES)), ("field", lines), ("civil", geojson)]
        return [await gate.submit(source, body, name="a file") for source, body in given]

    first, again, own, table = with_gate(tmp_path, work, mission=a_mission(civil))
    assert (first.accepted, first.rejected) == (1, 1)
    assert first.reasons == ["record 2: latitude = 95.0 is outside -90..90"]
    assert (again.duplicates, again.rejected) == (1, 1)
    assert own == Receipt("field", 1, 1, 0, 0)
    assert table == Receipt("civil", 1, 1, 0, 0)


def test_many_single_posts_are_read_and_synced_together_and_each_is_told_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred at once take a few syncs, not a hundred; the numbers of records begin anew in each."""
    syncs = []
    real = tail.sync
    monkeypatch.setattr(tail, "sync", lambda handle: syncs.append(handle) or real(handle))

    async def work(gate: Gate) -> list[Receipt]:
        await gate.submit("field", line(1000), name="warm", form="jsonl")
        bodies = [line(n) + (b"\n\n" + b"{}" if n % 10 == 0 else b"") for n in range(100)]
        return await asyncio.gather(
            *(gate.submit("field", body, name=f"POST {n}", form="jsonl") for n, body in enumerate(bodies))
        )

    receipts = with_gate(tmp_path, work)
    assert len(syncs) < 10
    for number, receipt in enumerate(receipts):
        bad = ["record 2: kind is missing"] if number % 10 == 0 else []
        assert receipt == Receipt("field", 1 + len(bad), 1, 0, len(bad), bad)
    rows = journal(tmp_path).table("observation", ["raw", "file", "record"]).to_pylist()[1:]
    assert [(row["raw"], row["file"], row["record"]) for row in rows] == [(line(n), f"POST {n}", 1) for n in range(100)]


def test_what_is_given_for_a_post_does_not_depend_on_what_is_read_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Posts of all sources are read in one go; rows, hashes and receipts are those of each post alone. Where the
    mission file says of sources what may be said in them, they are read apart."""
    calls = []
    real = taking.posted
    monkeypatch.setattr(taking, "posted", lambda payloads: calls.append(len(payloads)) or real(payloads))
    near = Source(id="near", feed="observations", options={"bounds": [37, 48, 38, 49]}, licence="ours")
    odd: list[dict[str, Any]] = [
        *({"count": 2**53 + 1}, {"count": 2.5}, {"lon": "37.5"}, {"sensor": 5}, {"sensor": 5.0}, {"speed_mps": 1e300}),
        *({"text": "\u00e9"}, {"lon": 39.5}, {"lat": None}, {"identity": True}, {"killed": " 3 "}, {"until": "then"}),
    ]
    posts = [
        (source, line(number, **more))
        for number, more in enumerate(odd)
        for source in ("field", "cameras", "near", "viirs")
    ]

    async def together(gate: Gate) -> list[Receipt]:
        await gate.submit("field", line(1000), name="warm", form="jsonl")
        calls.clear()
        return await asyncio.gather(*(gate.submit(source, body, name="x", form="jsonl") for source, body in posts))

    async def alone(gate: Gate) -> list[Receipt]:
        await gate.submit("field", line(1000), name="warm", form="jsonl")
        return [await gate.submit(source, body, name="x", form="jsonl") for source, body in posts]

    mission = a_mission(near)
    receipts = with_gate(tmp_path / "together", together, mission=mission)
    assert sorted(calls) == [len(odd), 3 * len(odd)]
    assert receipts == with_gate(tmp_path / "alone", alone, mission=mission)
    for kind in ("observation", "rejection"):
        one, other = (
            sorted(journal(tmp_path / folder).table(kind).to_pylist(), key=lambda row: row["leaf"])
            for folder in ("together", "alone")
        )
        assert len(one) > 5
        assert one == other


def test_the_same_post_at_the_same_time_is_once_accepted(tmp_path: Path) -> None:
    """A device that sends again because no answer came may meet its own first try in the same group."""

    async def work(gate: Gate) -> list[Receipt]:
        return await asyncio.gather(*(gate.submit("field", line(1), name="again", form="jsonl") for _ in range(20)))

    receipts = with_gate(tmp_path, work)
    assert sum(receipt.accepted for receipt in receipts) == 1
    assert sum(receipt.duplicates for receipt in receipts) == 19


@pytest.mark.parametrize(
    ("source", "body", "form", "told"),
    [
        ("nobody", b"{}", "jsonl", "the mission has no source 'nobody'"),
        ("field", b"", "jsonl", "name: is empty"),
        ("field", b"a,b\n1,2\n", "csv", "name: an observation has no column 'a'"),
        ("field", b"\xff\xff\xff\xff", "arrow", "name: is not a readable Arrow stream"),
        ("viirs", b"a,b\n1,2\n", None, "name: no column"),
        ("field", b"{}", "xml", "name: there is no form 'xml'; there are jsonl, csv, arrow"),
    ],
)
def test_a_payload_that_is_none_is_refused_in_words(
    source: str, body: bytes, form: Any, told: str, tmp_path: Path
) -> None:
    async def work(gate: Gate) -> None:
        with pytest.raises((NotFoundError, SourceError), match=told):
            await gate.submit(source, body, name="name", form=form)

    with_gate(tmp_path, work)


def test_what_a_stream_brought_and_no_feed_can_read_is_rejected_record_by_record(tmp_path: Path) -> None:
    async def work(gate: Gate) -> Receipt:
        return await gate.refuse("viirs", [b"rubbish", b"more"], "is no table", name="tcp 10.0.0.7")

    assert with_gate(tmp_path, work) == Receipt("viirs", 2, 0, 0, 2, ["record 1: is no table", "record 2: is no table"])
    assert journal(tmp_path).table("rejection")["raw"].to_pylist() == [b"rubbish", b"more"]


def test_rows_that_are_no_sources_records_take_the_same_way(tmp_path: Path) -> None:
    async def work(gate: Gate) -> None:
        await asyncio.gather(*(gate.record("action", action(n)) for n in range(5)))
        assert journal(tmp_path).rows("action") == 5
        with pytest.raises(StoreError, match="no rows of kind 'gossip'"):
            await gate.record("gossip", action(9))
        with pytest.raises(StoreError, match="have no column"):
            await gate.record("access", action(9))
        with pytest.raises(StoreError, match="not appended"):
            await gate.record("observation", action(9))

    with_gate(tmp_path, work)


# Onward


def test_what_is_committed_is_passed_on_in_the_order_of_the_journal(tmp_path: Path) -> None:
    """Only what is new; behind the acknowledgement, so that a slow picture delays no sender at once."""
    given: list[pa.Table] = []

    async def committed(rows: pa.Table) -> None:
        await asyncio.sleep(0)
        given.append(rows)

    async def work(gate: Gate) -> None:
        posts = [
            gate.submit(source, line(n % 30), name="x", form="jsonl")
            for n in range(60)
            for source in ("field", "cameras")
        ]
        await asyncio.gather(*posts)

    with_gate(tmp_path, work, committed=committed)
    ids = pa.concat_tables([rows.select(["observation_id"]) for rows in given])["observation_id"].to_pylist()
    assert ids == journal(tmp_path).table("observation")["observation_id"].to_pylist()
    assert len(ids) == 60


def test_a_picture_that_is_far_behind_holds_the_gate_and_nothing_grows(tmp_path: Path) -> None:
    async def work(gate: Gate) -> None:
        for number in range(3):
            await gate.submit("field", line(number), name="x", form="jsonl")
        stuck = asyncio.create_task(gate.submit("field", line(9), name="x", form="jsonl"))
        done, _ = await asyncio.wait([stuck], timeout=0.3)
        assert not done
        free.set()
        assert (await stuck).accepted == 1

    async def committed(rows: pa.Table) -> None:
        await free.wait()

    free = asyncio.Event()
    with_gate(tmp_path, work, committed=committed, limits=Limits(behind_rows=2))


def test_a_picture_that_fails_takes_nothing_from_the_journal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def committed(rows: pa.Table) -> None:
        raise ValueError("no picture today")

    async def work(gate: Gate) -> None:
        for number in range(3):
            assert (await gate.submit("field", line(number), name="x", form="jsonl")).accepted == 1

    with_gate(tmp_path, work, committed=committed)
    assert journal(tmp_path).rows("observation") == 3
    assert "1 observations were not taken on behind the gate" in caplog.text


# Floods, lies, silence


def test_more_than_may_wait_is_refused_and_nothing_of_it_taken(tmp_path: Path) -> None:
    limits = Limits(source_bytes=20_000)

    async def work(gate: Gate) -> tuple[int, int]:
        posts = (gate.submit("field", line(n), name="x", form="jsonl") for n in range(50))
        outcomes = await asyncio.gather(*posts, return_exceptions=True)
        busy = [one for one in outcomes if isinstance(one, BusyError)]
        assert all(one.retry_after_s >= 1 for one in busy)
        assert board(gate)["field"]["waiting_bytes"] == 0
        return len(busy), sum(one.accepted for one in outcomes if isinstance(one, Receipt))

    busy, accepted = with_gate(tmp_path, work, limits=limits)
    assert busy > 30
    assert busy + accepted == 50 == busy + journal(tmp_path).rows("observation")


def test_a_source_that_floods_waits_behind_itself_alone(tmp_path: Path) -> None:
    """Behind hundreds of payloads of one source another's single post is in the next group."""
    order: list[str] = []

    async def one(gate: Gate, source: str, number: int) -> None:
        await gate.submit(source, line(number), name="x", form="jsonl")
        order.append(source)

    async def work(gate: Gate) -> None:
        await one(gate, "field", 0)
        flood = [asyncio.create_task(one(gate, "field", n)) for n in range(1, 401)]
        await asyncio.sleep(0)
        await one(gate, "cameras", 1)
        await asyncio.gather(*flood)

    with_gate(tmp_path, work, limits=Limits(group_bytes=20_000, turn_bytes=5_000))
    assert order.index("cameras") < 40


def test_a_source_may_send_so_many_rows_a_second_and_others_do_not_wait_for_it(tmp_path: Path) -> None:
    slow = Source(id="slow", feed="observations", live=Live(rows_per_s=20))

    async def work(gate: Gate) -> None:
        loop = asyncio.get_running_loop()
        await gate.submit("slow", b"\n".join(line(n) for n in range(40)), name="x", form="jsonl")  # two seconds' worth
        began = loop.time()
        held = asyncio.create_task(gate.submit("slow", line(99), name="x", form="jsonl"))
        await gate.submit("field", line(1), name="x", form="jsonl")
        assert not held.done()
        assert (await held).accepted == 1
        assert loop.time() - began > 0.5
        await gate.submit("slow", b"\n".join(line(n) for n in range(100, 400)), name="x", form="jsonl")
        with pytest.raises(BusyError) as busy:
            await gate.submit("slow", line(500), name="x", form="jsonl")
        assert 10 < busy.value.retry_after_s < 16

    with_gate(tmp_path, work, mission=a_mission(slow))


def test_a_large_payload_is_read_beside_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is read, which may take seconds, single posts are acknowledged; it is journalled whole."""
    entered, go_on = threading.Event(), threading.Event()
    real = Observations.read

    def slowly(self: Observations, *arguments: Any) -> Any:
        entered.set()
        assert go_on.wait(30)
        return real(self, *arguments)

    large = b"\n".join(line(n) for n in range(3000)) + b"\n"

    async def work(gate: Gate) -> None:
        await gate.submit("cameras", line(1), name="small", form="jsonl")
        monkeypatch.setattr(Observations, "read", slowly)
        task = asyncio.create_task(gate.submit("field", b"\xef\xbb\xbf" + large, name="large"))
        await asyncio.to_thread(entered.wait, 30)
        for number in range(2, 5):
            assert (await gate.submit("cameras", line(number), name="small", form="jsonl")).accepted == 1
        assert not task.done()
        go_on.set()
        assert (await task).accepted == 3000

    with_gate(tmp_path, work)


def test_a_payload_on_which_its_feed_fails_harms_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Even where the feed has an error of its own: that one is refused and logged, the rest of the group is taken."""
    real = taking.posted

    def broken(payloads: list[taking.Payload]) -> Any:
        if any(b"poison" in payload.body for payload in payloads):
            raise IndexError("an error in a feed")
        return real(payloads)

    async def work(gate: Gate) -> list[Any]:
        await gate.submit("field", line(99), name="warm", form="jsonl")
        monkeypatch.setattr(taking, "posted", broken)
        posts = [
            gate.submit("field", line(n, text="poison" if n == 3 else ""), name="x", form="jsonl") for n in range(6)
        ]
        return await asyncio.gather(*posts, return_exceptions=True)

    outcomes = with_gate(tmp_path, work)
    assert isinstance(outcomes.pop(3), SourceError)
    assert [one.accepted for one in outcomes] == [1] * 5
    assert "could not be read" in caplog.text


def test_the_board_says_how_far_behind_a_source_is_and_whether_its_clock_lies(tmp_path: Path) -> None:
    """A replay of yesterday is taken, and seen: those rows are `late`. What claims to come from the future is `ahead`
    and does not move the newest event time."""

    async def work(gate: Gate) -> dict[str, Any]:
        assert board(gate)["field"]["state"] == "waiting"
        behind = [line(n, NOW - timedelta(seconds=n)) for n in (10, 20, 30)]
        await gate.submit("field", b"\n".join(behind), name="x", form="jsonl")
        first = board(gate)["field"]
        assert (first["state"], first["lag_s"], first["late"]) == ("live", 20.0, 0)
        replay = [line(n, NOW - timedelta(days=1, seconds=n)) for n in range(5)]
        await gate.submit("field", b"\n".join([*replay, line(9, NOW + timedelta(hours=1))]), name="x", form="jsonl")
        assert board(gate)["cameras"]["read"] == 0
        return board(gate)["field"]

    row = with_gate(tmp_path, work)
    assert (row["late"], row["ahead"], row["read"], row["accepted"]) == (5, 1, 9, 9)
    assert (row["last_at"], row["last_received_at"]) == ("2031-03-14T11:59:50Z", "2031-03-14T12:00:00Z")
    assert row["lag_s"] > 80_000


def test_silence_is_told_with_the_time_since_when(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured by a clock that nobody sets; a source that has no `silent_after_s` is never silent."""

    async def work(gate: Gate) -> None:
        loop = asyncio.get_running_loop()
        await gate.submit("field", line(1), name="x", form="jsonl")
        await gate.submit("cameras", line(1), name="x", form="jsonl")
        now_s = loop.time()
        for later_s, state in ((59, "live"), (61, "silent")):
            monkeypatch.setattr(loop, "time", lambda later_s=later_s: now_s + later_s)
            assert board(gate)["field"]["state"] == state
        assert board(gate)["field"]["silent_since"] == "2031-03-14T12:00:00Z"
        assert board(gate)["cameras"]["state"] == "live"
        monkeypatch.undo()
        await gate.submit("field", line(2), name="x", form="jsonl")
        assert (board(gate)["field"]["state"], board(gate)["field"]["silent_since"]) == ("live", None)

    with_gate(tmp_path, work)


def test_a_clock_that_is_set_back_makes_no_source_silent_and_loses_nothing(tmp_path: Path) -> None:
    clock = Clock()

    async def work(gate: Gate) -> None:
        await gate.submit("field", line(1), name="x", form="jsonl")
        clock.later(-86_400)
        assert (await gate.submit("field", line(2), name="x", form="jsonl")).accepted == 1
        clock.later(10 * 86_400)
        assert board(gate)["field"]["state"] == "live"
        assert board(gate)["field"]["last_received_at"] == "2031-03-14T12:00:00Z"

    with_gate(tmp_path, work, clock=clock)


def test_after_a_restart_the_board_goes_on_where_it_was(tmp_path: Path) -> None:
    async def first(gate: Gate) -> None:
        await gate.submit("field", b"\n".join([line(1), line(1), b"{}"]), name="x", form="jsonl")

    async def second(gate: Gate) -> dict[str, Any]:
        return board(gate)["field"]

    with_gate(tmp_path, first)
    row = with_gate(tmp_path, second, clock=Clock(NOW + timedelta(seconds=90)))
    assert (row["accepted"], row["duplicates"], row["rejected"], row["state"]) == (1, 1, 1, "silent")
    assert (row["last_at"], row["silent_since"]) == ("2031-03-14T12:00:00Z", "2031-03-14T12:00:00Z")


# The journal's tail


def test_the_tail_is_rolled_when_it_is_long_and_when_it_has_waited(tmp_path: Path) -> None:
    """So a day of live running is some thousand frames, not a million."""

    async def work(gate: Gate) -> None:
        for number in range(4):
            await gate.submit("field", b"\n".join(line(10 * number + n) for n in range(10)), name="x", form="jsonl")
        assert (tmp_path / "journal" / tail.NAME).stat().st_size > 0
        size = (tmp_path / "journal" / "000001.journal").stat().st_size
        head = await gate.roll()
        assert head == journal(tmp_path).head
        assert (tmp_path / "journal" / "000001.journal").stat().st_size > size > 0
        assert journal(tmp_path).rows("observation") == 40

    with_gate(tmp_path, work, limits=Limits(roll_rows=25))


def test_one_gate_at_a_time(tmp_path: Path) -> None:
    async def work(gate: Gate) -> None:
        other = Gate(tmp_path, a_mission(), Clock())
        with pytest.raises(StoreError, match="is writing to this journal"):
            await other.start()

    with_gate(tmp_path, work)


def test_what_waits_when_the_service_stops_is_journalled_and_then_nothing_is_taken(tmp_path: Path) -> None:
    async def run() -> None:
        gate = Gate(tmp_path, a_mission(), Clock())
        await gate.start()
        posts = [asyncio.create_task(gate.submit("field", line(n), name="x", form="jsonl")) for n in range(50)]
        await asyncio.sleep(0)
        await gate.stop()
        assert [receipt.accepted for receipt in await asyncio.gather(*posts)] == [1] * 50
        with pytest.raises(BusyError, match="is stopping"):
            await gate.submit("field", line(99), name="x", form="jsonl")
        with pytest.raises(StoreError, match="is stopping"):
            await gate.record("action", action(1))

    asyncio.run(run())
    assert journal(tmp_path).rows("observation") == 50
    assert (tmp_path / "journal" / tail.NAME).stat().st_size == 0


@pytest.mark.parametrize("call", ["pwrite", "write"])
def test_a_full_disk_refuses_the_group_and_the_service_goes_on(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`write` is of frames: there it is the roll that fails, and what was acknowledged waits in the tail."""
    full = threading.Event()
    real = getattr(os, call)

    def writing(handle: int, *rest: Any) -> int:
        if full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, *rest)

    monkeypatch.setattr(os, call, writing)

    async def work(gate: Gate) -> None:
        assert (await gate.submit("field", line(1), name="x", form="jsonl")).accepted == 1
        full.set()
        if call == "write":
            assert (await gate.submit("field", line(2), name="x", form="jsonl")).accepted == 1  # then rolled in vain
        for _ in range(2):
            with pytest.raises(StoreError, match="No space left on device"):
                await gate.submit("field", line(3), name="x", form="jsonl")
        with pytest.raises(StoreError, match="No space left on device"):
            await gate.record("action", action(1))
        full.clear()
        assert (await gate.submit("field", line(3), name="x", form="jsonl")).accepted == 1
        assert gate.problem is None
        await gate.record("action", action(1))

    with_gate(tmp_path, work, limits=Limits(pause_s=0.01, roll_rows=2 if call == "write" else 1000))
    raws = journal(tmp_path).table("observation")["raw"].to_pylist()
    assert raws == [line(1), *([line(2)] if call == "write" else []), line(3)]
    assert journal(tmp_path).verify() == []


def test_room_that_comes_back_is_noticed_without_anybody_sending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A balancer that asks for readiness sends nothing to a service that says it is not ready."""
    full: list[bool] = []

    def writing(handle: int, *rest: Any) -> int:
        if full:
            full.clear()
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, *rest)

    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", writing)

    async def work(gate: Gate) -> None:
        full.append(True)
        with pytest.raises(StoreError):
            await gate.submit("field", line(1), name="x", form="jsonl")
        assert gate.problem is not None
        assert board(gate)["field"]["state"] == "refusing"
        async with asyncio.timeout(10):
            while gate.problem is not None:
                await asyncio.sleep(0.01)

    with_gate(tmp_path, work, limits=Limits(pause_s=0.05))


JUNK = st.binary(max_size=200) | st.text(alphabet='{}[]":,\\n atkindw9.-é\0', max_size=200).map(str.encode)


@settings(deadline=None, max_examples=25)
@given(bodies=st.lists(st.tuples(st.sampled_from(["jsonl", "csv", "arrow", None]), JUNK), min_size=1, max_size=12))
def test_whatever_is_sent_every_record_is_counted(bodies: list[Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    """A receipt whose numbers add up and are what the journal has, or a sentence; good posts in between are taken."""
    folder = tmp_path_factory.mktemp("junk")

    async def work(gate: Gate) -> list[Any]:
        posts = [gate.submit("field", body, name="x", form=form) for form, body in bodies]
        good = [gate.submit("field", line(n), name="good", form="jsonl") for n in range(3)]
        return await asyncio.gather(*posts, *good, return_exceptions=True)

    outcomes = with_gate(folder, work)
    receipts = [one for one in outcomes if isinstance(one, Receipt)]
    assert all(isinstance(one, Receipt | TrucelineError) for one in outcomes)
    assert [one.accepted for one in outcomes[-3:]] == [1, 1, 1]
    assert all(one.read == one.accepted + one.duplicates + one.rejected for one in receipts)
    kept = journal(folder)
    for kind, name in (("observation", "accepted"), ("duplicate", "duplicates"), ("rejection", "rejected")):
        assert kept.rows(kind) == sum(getattr(one, name) for one in receipts)
    assert kept.verify() == []
