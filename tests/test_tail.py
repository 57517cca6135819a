"""The journal's tail: small groups are on disk when they are acknowledged, and once, whenever a process is killed."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naive_store as naive
import naive_tail
from truceline.errors import NotFoundError, StoreError
from truceline.store import Journal, check_proof, tail
from truceline.store.tail import TailReader


def path(folder: Path) -> Path:
    return folder / tail.NAME


def raws(journal: Journal) -> list[bytes]:
    return journal.table("observation")["raw"].to_pylist()


def three_groups(folder: Path) -> Journal:
    """A journal whose tail holds three groups: six observations, three duplicates less one, rejections, actions."""
    journal = Journal(folder, write=True)
    for number in range(3):
        journal.admit([naive_tail.batch(number)], [("action", naive_tail.action(number))])
    return journal


# What is in the tail is the journal's


def test_rows_are_there_for_every_reader_before_they_are_rolled_and_after(tmp_path: Path) -> None:
    """In the same order, with the same ids; only the head does not cover them yet."""
    journal = three_groups(tmp_path / "j")
    reader = Journal(tmp_path / "j")
    before = {kind: reader.table(kind) for kind in ("observation", "duplicate", "rejection", "action")}
    assert raws(reader) == [b"0", b"1", b"2", b"3", b"4", b"5", b"6"]
    assert [before[kind].num_rows for kind in before] == [reader.rows(kind) for kind in before] == [7, 2, 3, 3]
    head = reader.head
    assert journal.roll() == 15
    assert {kind: reader.table(kind) for kind in before} == before
    assert reader.head != head
    assert path(tmp_path / "j").stat().st_size == 0
    assert journal.verify() == []


def test_each_batch_is_told_which_of_its_rows_were_new(tmp_path: Path) -> None:
    """Against what is in frames, what is in the tail, and what stands further up in the same call."""
    journal = Journal(tmp_path / "j", write=True)
    journal.ingest(naive.observations([b"framed"]))
    none = naive.rejections([])
    journal.admit([(naive.observations([b"waiting"]), none)])
    first, second = journal.admit(
        [
            (naive.observations([b"framed", b"new", b"waiting"]), none),
            (naive.observations([b"new", b"newer", b"newer"]), none),
        ]
    )
    assert (first.tolist(), second.tolist()) == ([False, True, False], [False, True, False])
    assert raws(journal) == [b"framed", b"waiting", b"new", b"newer"]
    assert journal.rows("duplicate") == 4


def test_a_record_is_shown_with_where_it_stands_and_proved_once_it_is_in_a_frame(tmp_path: Path) -> None:
    with three_groups(tmp_path / "j") as journal:
        row = journal.table("observation").slice(4, 1).to_pylist()[0]
        found = journal.record(row["observation_id"])
        assert (found["raw"], found["segment"], found["frame"]) == (b"4", "tail.wal", None)
        with pytest.raises(NotFoundError, match="in its frames"):
            journal.prove(row["leaf"])
        journal.roll()
        assert journal.record(row["observation_id"])["segment"] == "000001.journal"
        assert check_proof(journal.prove(row["leaf"]), row["leaf"], journal.head)


def test_feeds_own_columns_are_kept(tmp_path: Path) -> None:
    """Sources that share a group have each their own; a column is null where a row's feed has none."""
    none = naive.rejections([])
    with Journal(tmp_path / "j", write=True) as journal:
        journal.admit([(naive.observations([b"a"], a_own=pa.array([1])), none), (naive.observations([b"b"]), none)])
        for _ in range(2):
            assert journal.columns("observation")[-1] == "a_own"
            assert journal.table("observation", ["a_own"])["a_own"].to_pylist() == [1, None]
            journal.roll()


def test_columns_that_do_not_fit_together_are_rolled_each_into_a_frame(tmp_path: Path) -> None:
    none = naive.rejections([])
    with Journal(tmp_path / "j", write=True) as journal:
        for kind in (pa.int64(), pa.string()):
            journal.admit([(naive.observations([f"{kind}".encode()], own=pa.array([None, 1])[1:].cast(kind)), none)])
        assert journal.roll() == 2
        assert (journal.rows("observation"), journal.verify()) == (2, [])


def test_whoever_writes_a_frame_rolls_first(tmp_path: Path) -> None:
    """So the order of rows is the order in which they were acknowledged, whichever way they came in."""
    with three_groups(tmp_path / "j") as journal:
        journal.ingest(naive.observations([b"file"]))
        assert raws(journal)[-2:] == [b"6", b"file"]
        journal.admit([(naive.observations([b"post"]), naive.rejections([]))])
        journal.append("notice", pa.table({"clause": ["7"], "party": ["a"], "text": ["pause"]}))
        assert raws(journal)[-1] == b"post"
        assert path(tmp_path / "j").stat().st_size == 0


def test_a_record_that_waits_can_be_redacted(tmp_path: Path) -> None:
    with three_groups(tmp_path / "j") as journal:
        gone = journal.table("observation")["observation_id"][3].as_py()
        journal.redact(gone, "names a person", "olena", naive.AT)
        assert journal.record(gone)["raw"] is None
        assert b"3" not in raws(journal)
        assert journal.verify() == []


def test_a_rejection_that_was_redacted_does_not_come_back_by_the_tail(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", write=True) as journal:
        journal.ingest(None, naive.rejections([b"a name"]))
        journal.redact(journal.table("rejection")["leaf"][0].as_py(), "names a person", "olena", naive.AT)
        journal.admit([(naive.observations([]), naive.rejections([b"a name"]))])
        assert journal.table("rejection")["raw"].to_pylist() == [None, None]


@pytest.mark.parametrize("kind", ["observation", "redaction", "nonsense"])
def test_only_rows_of_no_source_come_in_beside_batches(kind: str, tmp_path: Path) -> None:
    with Journal(tmp_path / "j", write=True) as journal, pytest.raises(StoreError):
        journal.admit([], [(kind, naive.observations([b"a"]))])


# Killed, cut short, damaged


def test_killed_at_any_call_nothing_acknowledged_is_lost_and_nothing_is_twice(tmp_path: Path) -> None:
    """Every write, sync and truncation in turn is the last that a process does, half way: into the tail, into frames,
    between the two. Kinds without ids are counted too, and the last group may be there although nobody was told."""
    code = f"import naive_tail, pathlib; naive_tail.killed_at_every_call(pathlib.Path({str(tmp_path)!r}))"
    here = {"cwd": Path(__file__).parent, "check": True, "capture_output": True, "text": True}
    calls = int(subprocess.run([sys.executable, "-c", code], **here, timeout=120).stdout)
    assert calls > 30
    for call in range(1, calls + 1):
        told = (tmp_path / str(call) / "told").read_text().split()
        with Journal(tmp_path / str(call) / "journal", write=True) as journal:
            actions = [int.from_bytes(each, "big") for each in journal.table("action")["action_id"].to_pylist()]
            assert actions == list(range(len(actions)))
            assert len(told) <= len(actions) <= len(told) + 1
            rows = 2 * len(actions) + 1 if actions else 0
            assert raws(journal) == [b"%d" % each for each in range(rows)]
            assert journal.rows("rejection") == len(actions)
            assert journal.rows("duplicate") == max(0, len(actions) - 1)
            assert journal.verify() == []


def test_the_next_writer_rolls_what_was_left_and_says_so(tmp_path: Path) -> None:
    """So `truceline run` after a crash reads and settles all that the service had acknowledged."""
    three_groups(tmp_path / "j").close()
    with Journal(tmp_path / "j", write=True) as journal:
        assert journal.notes == ["tail.wal: 15 rows that waited in it are in frames now"]
        assert journal.rows("observation") == 7


@settings(deadline=None, max_examples=40)
@given(cut=st.integers(1, 2000))
def test_a_torn_entry_is_cut_off_and_kept_beside(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """It was never acknowledged: the write had not returned."""
    folder = tmp_path_factory.mktemp("torn") / "j"
    journal = three_groups(folder)
    whole = path(folder).stat().st_size
    journal.admit([naive_tail.batch(3)])
    journal.close()
    size = path(folder).stat().st_size
    os.truncate(path(folder), max(whole + 1, size - cut))
    reader = Journal(folder)
    assert len(raws(reader)) == 7
    assert "is cut short" in str(reader.verify()) or "was cut short" in str(reader.verify())
    with Journal(folder, write=True) as journal:
        assert f"tail.{whole}.torn" in journal.notes[0]
        assert len(raws(journal)) == 7
        assert journal.verify() == []


def test_damage_before_whole_entries_is_told_and_nothing_is_thrown_away(tmp_path: Path) -> None:
    """An entry that others follow was acknowledged: it is not cut off."""
    three_groups(tmp_path / "j").close()
    content = bytearray(path(tmp_path / "j").read_bytes())
    content[200] ^= 1
    path(tmp_path / "j").write_bytes(content)
    for write in (False, True):
        with pytest.raises(StoreError, match="the entry at byte 0 is damaged, and whole ones follow it"):
            Journal(tmp_path / "j", write=write).rows("observation")
    assert "is damaged" in str(Journal(tmp_path / "j").verify())
    assert path(tmp_path / "j").read_bytes() == content


def test_a_tail_whose_frames_are_gone_is_told(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", write=True) as journal:
        journal.ingest(naive.observations([b"framed"]))
        journal.admit([naive_tail.batch(0)])
    (tmp_path / "j" / "000001.journal").write_bytes(b"")
    with pytest.raises(StoreError, match="goes on from frame 1, the journal has 0: some are missing"):
        Journal(tmp_path / "j").rows("observation")


def test_a_reader_that_looks_while_the_tail_is_emptied_and_grows_again_misses_nothing(tmp_path: Path) -> None:
    """Also where the new entries are longer than the old ones, and end beyond where it had read to."""
    reader = Journal(tmp_path / "j")
    with Journal(tmp_path / "j", write=True) as journal:
        for number in range(12):
            journal.admit([(naive.observations(naive.lines(number + 1, f"group {number}")), naive.rejections([]))])
            assert reader.rows("observation") == journal.rows("observation")
            if number % 3 == 2:
                journal.roll()
                assert len(raws(reader)) == len(raws(journal))


def test_what_is_rolled_between_the_two_looks_of_a_reader_is_found_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = three_groups(tmp_path / "j")
    reader = Journal(tmp_path / "j")
    look = TailReader.look

    def then_roll(self: TailReader) -> None:
        look(self)
        monkeypatch.setattr(TailReader, "look", look)
        journal.roll()
        journal.admit([naive_tail.batch(7)])

    monkeypatch.setattr(TailReader, "look", then_roll)
    assert raws(reader) == [b"0", b"1", b"2", b"3", b"4", b"5", b"6"]
    assert len(raws(reader)) == 10


# A disk that refuses


@pytest.mark.parametrize("call", ["pwrite", "sync"])
def test_a_group_that_cannot_be_written_is_refused_whole_and_may_come_again(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is known: when there is room again the same records are new, not duplicates."""
    journal = three_groups(tmp_path / "j")
    size = path(tmp_path / "j").stat().st_size
    refusing = [True]

    def full(handle: int, *rest: object) -> int:
        if refusing:
            refusing.clear()
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, *rest)

    real = os.pwrite if call == "pwrite" else tail.sync
    monkeypatch.setattr(os if call == "pwrite" else tail, call, full)
    with pytest.raises(StoreError, match="No space left on device; nothing of this was taken"):
        journal.admit([naive_tail.batch(3)])
    assert path(tmp_path / "j").stat().st_size == size
    assert journal.admit([naive_tail.batch(3)])[0].tolist() == [False, True, True]
    assert len(raws(journal)) == 9
    journal.close()
    with Journal(tmp_path / "j", write=True) as again:
        assert again.verify() == []


def test_when_frames_cannot_be_written_the_tail_keeps_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = three_groups(tmp_path / "j")
    real = os.write

    def full(handle: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreError, match="No space left"):
        journal.roll()
    with pytest.raises(StoreError, match="No space left"):  # whoever takes the lock has to roll first
        journal.admit([naive_tail.batch(3)])
    assert Journal(tmp_path / "j").rows("observation") == 7
    monkeypatch.setattr(os, "write", real)
    journal.admit([naive_tail.batch(3)])
    assert len(raws(journal)) == 9
    assert journal.verify() == []
    journal.close()


def test_an_entry_that_can_neither_be_written_nor_taken_back_is_looked_at_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on disk is not known then: the lock is given up, and the file read again by whoever writes next."""
    journal = three_groups(tmp_path / "j")

    def broken(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(tail, "sync", broken)
        with pytest.raises(StoreError, match="Input/output error"):
            journal.admit([naive_tail.batch(3)])
    journal.admit([naive_tail.batch(4)])
    assert journal.verify() == []
    assert raws(journal)[:7] == [b"%d" % each for each in range(7)]
    journal.close()
