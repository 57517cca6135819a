"""The journal: nothing acknowledged is lost, nothing is twice, nothing is changed unseen."""

import hashlib
import os
import resource
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naive_store as naive
from truceline import observation
from truceline.errors import NotFoundError, StoreError
from truceline.kernels.idset import IdSet
from truceline.store import Journal, Proof, check_proof, merkle, writer
from truceline.store.frames import HEADER, Frame, read_header
from truceline.store.kinds import KINDS

NOW = datetime(2023, 4, 2, 6, 0, tzinfo=UTC)


def notice(text: str = "repair of the water line") -> pa.Table:
    return pa.table({"clause": ["7"], "party": ["a"], "text": [text]})


def file_row(path: str = "posts.csv") -> pa.Table:
    return pa.table({"source": ["posts"], "path": [path], "sha256": ["00" * 32]})


def segment(folder: Path, number: int = 1) -> Path:
    return writer.segment_path(folder, number)


# What goes in


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_comes_back_under_its_name(kind: str) -> None:
    """The longest has thirteen letters: a header that cut it would lose the row without a word."""
    frame = Frame(kind, 1, 0, 1, b"r" * 32, b"b" * 32, b"h" * 32, 7, True)
    assert read_header(frame.header(), 0, 0) == frame


def test_a_configuration_is_read_back(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.append("configuration", pa.table({"what": ["files"], "text": ["{}"]}))
    assert Journal(tmp_path / "j").table("configuration")["text"].to_pylist() == ["{}"]


def test_records_read_are_accepted_or_duplicates_or_rejected(tmp_path: Path) -> None:
    """The three add up. A duplicate points at the original; a rejection is kept each time it is read."""
    with Journal(tmp_path / "j") as journal:
        batch = naive.observations([b"one", b"two", b"one", b"three"])
        assert journal.ingest(batch, naive.rejections([b"bad"])) == (5, 3, 1, 1)
        assert journal.ingest(naive.observations([b"two", b"four"], first=9), naive.rejections([b"bad"])) == (
            3,
            1,
            1,
            1,
        )
        assert [journal.rows(k) for k in ("observation", "duplicate", "rejection")] == [4, 2, 2]
        ids = journal.table("observation")["observation_id"].to_pylist()
        duplicates = journal.table("duplicate").to_pylist()
        assert [(d["observation_id"], d["record"]) for d in duplicates] == [(ids[0], 3), (ids[1], 9)]
        assert journal.verify() == []


def test_a_batch_comes_back_as_it_went_in(tmp_path: Path) -> None:
    batch = naive.observations(
        naive.lines(5),
        alternatives=pa.array([[("fire", 0.25)], None, [], None, None], observation.LIKELIHOODS),
        posts_shift=pa.array([1, 2, None, 4, 5]),
    )
    with Journal(tmp_path / "j") as journal:
        journal.ingest(batch)
        assert journal.table("observation").equals(batch)
    assert Journal(tmp_path / "j").table("observation", ["text", "lon"]).equals(batch.select(["text", "lon"]))


def test_one_batch_takes_one_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal(tmp_path / "j", write=True) as journal:
        synced = []
        monkeypatch.setattr(writer, "sync", lambda handle: synced.append(handle))
        journal.ingest(naive.observations([b"a", b"a"]), naive.rejections([b"b"]), {"file": file_row()})
        assert len(synced) == 1
        assert [journal.rows(k) for k in ("observation", "duplicate", "rejection", "file")] == [1, 1, 1, 1]


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_ids_are_there_once_under_any_split_into_batches(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """However records come, in whatever batches and by however many writers, each is accepted once."""
    raws = data.draw(st.lists(st.sampled_from(naive.lines(12)), max_size=40))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raws)), max_size=6)))
    batches = [raws[a:b] for a, b in zip([0, *cuts], [*cuts, len(raws)], strict=True)]
    reopen = data.draw(st.booleans())
    folder = tmp_path_factory.mktemp("split") / "j"
    journal = Journal(folder)
    for batch, (accepted, duplicates) in zip(batches, naive.fates(batches), strict=True):
        assert journal.ingest(naive.observations(batch)) == (len(batch), accepted, duplicates, 0)
        if reopen:
            journal.close()
            journal = Journal(folder, write=True)
    found = journal.table("observation", ["raw"])["raw"].to_pylist()
    journal.close()
    assert sorted(found) == sorted(set(raws))
    assert Journal(folder).verify() == []


def test_older_rows_have_nulls_in_a_column_that_a_feed_added_later(tmp_path: Path) -> None:
    """A number that one feed gave whole and later in fractions becomes a fraction throughout."""
    with Journal(tmp_path / "j") as journal:
        journal.ingest(naive.observations([b"a"]))
        journal.ingest(naive.observations([b"b"], firms_frp=pa.array([7])))
        journal.ingest(naive.observations([b"c"], firms_frp=pa.array([7.5])))
        assert journal.columns("observation") == [*observation.CORE.names, "firms_frp"]
        assert journal.table("observation", ["firms_frp"])["firms_frp"].to_pylist() == [None, 7.0, 7.5]
        with pytest.raises(NotFoundError, match="observation rows have no column 'firms_scan'"):
            journal.table("observation", ["firms_scan"])


def test_an_empty_journal_has_empty_tables_and_makes_no_folder(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    assert {kind: journal.table(kind).schema for kind in KINDS} == {kind: KINDS[kind].schema for kind in KINDS}
    assert journal.verify() == []
    assert not (tmp_path / "j").exists()


def test_strings_may_be_dictionary_coded(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        for k in range(3):
            journal.ingest(naive.observations([f"{k} {i}".encode() for i in range(4)], source=f"s{k}"))
        plain = journal.table("observation", ["source", "sensor"])
        coded = journal.table("observation", ["source", "sensor"], coded=("source", "sensor"))
        assert pa.types.is_dictionary(coded["source"].type)
        assert pa.types.is_dictionary(coded["sensor"].type)
        assert coded.cast(plain.schema).equals(plain)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lon": pa.array(["east"])}, r"observation rows: lon is string, not double"),
        ({"kind": pa.array([None], pa.string())}, r"observation rows: kind is missing"),
        ({"leaf": naive.binary([bytes(32)], 32)}, r"the id in row 0 is not the beginning of its leaf"),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_name(tmp_path: Path, change: dict[str, pa.Array], message: str) -> None:
    batch = naive.observations([b"a"])
    for name, values in change.items():
        batch = batch.set_column(batch.column_names.index(name), name, values)
    with Journal(tmp_path / "j") as journal, pytest.raises(StoreError, match=message):
        journal.ingest(batch)


def test_other_kinds_refuse_unknown_columns_and_sources_records(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        with pytest.raises(StoreError, match="notice rows have no column 'colour'"):
            journal.append("notice", notice().append_column("colour", pa.array(["red"])))
        with pytest.raises(StoreError, match="a journal has no rows of kind 'rumour'"):
            journal.append("rumour", notice())
        with pytest.raises(StoreError, match="observation rows are not appended: use ingest"):
            journal.append("observation", naive.observations([b"a"]))


def test_a_receipt_names_the_frame_and_the_head(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        assert journal.append("notice", notice()) == ("notice", 1, 0, journal.head)
        assert journal.append("notice", notice().slice(0, 0)) == ("notice", 0, None, journal.head)


# The head


def test_the_same_content_gives_the_same_head_however_it_lies_in_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = []
    for name, limit in (("one", 1 << 30), ("many", 1)):
        monkeypatch.setattr(writer, "SEGMENT_BYTES", limit)
        with Journal(tmp_path / name) as journal:
            for k in range(5):
                journal.ingest(naive.observations(naive.lines(3, f"batch {k}")))
            heads.append(journal.head)
            assert journal.verify() == []
    assert heads[0] == heads[1]
    assert len(list((tmp_path / "many").glob("*.journal"))) == 5
    assert Journal(tmp_path / "many").head == heads[0]


def test_the_head_changes_with_every_frame_and_with_their_order(tmp_path: Path) -> None:
    heads = set()
    for order in ([b"a", b"b"], [b"b", b"a"]):
        with Journal(tmp_path / order[0].decode()) as journal:
            heads.add(journal.head)
            for raw in order:
                journal.ingest(naive.observations([raw]))
                heads.add(journal.head)
    assert len(heads) == 5  # both begin with the same one, of nothing


# Who writes, who reads


def test_one_writes_and_is_named_to_the_other(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", write=True):
        with pytest.raises(StoreError, match=f"process {os.getpid()} on .* is writing to this journal; one at a time"):
            Journal(tmp_path / "j", write=True)
        assert Journal(tmp_path / "j").verify() == []  # reading needs no lock
    Journal(tmp_path / "j", write=True).close()


def test_a_reader_sees_what_is_appended_while_it_is_open(tmp_path: Path) -> None:
    reader = Journal(tmp_path / "j")
    with Journal(tmp_path / "j") as journal:
        for k in range(3):
            journal.ingest(naive.observations(naive.lines(2, f"batch {k}")))
            assert reader.rows("observation") == 2 * (k + 1)
            assert reader.head == journal.head


# Kill and damage


def test_a_kill_loses_no_acknowledged_batch_and_makes_no_double(tmp_path: Path) -> None:
    """A child writes batches and tells on a pipe what was acknowledged; it is killed 24 times, after a random
    number of answers and a random part of the next write. The next child goes on with the first batch that was
    not acknowledged, so one that was written without an answer is offered twice."""
    rng = np.random.default_rng(20230401)
    folder = tmp_path / "j"
    acknowledged = -1
    nursery = subprocess.Popen(
        [sys.executable, "-c", "import naive_store; naive_store.nursery()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    )
    with nursery:
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        for _ in range(24):
            print(folder, acknowledged + 1, file=nursery.stdin, flush=True)
            child = int(nursery.stdout.readline().split()[1])
            for _ in range(int(rng.integers(0, 4))):
                acknowledged = int(nursery.stdout.readline().split()[1])
            for _ in range(int(rng.integers(0, 300_000))):  # a random while, without a clock
                pass
            os.kill(child, signal.SIGKILL)
            while (answer := nursery.stdout.readline().split())[0] != "dead":
                acknowledged = int(answer[1])
            journal = Journal(folder)
            raws = journal.table("observation", ["raw"])["raw"].to_pylist()
            assert len(raws) == len(set(raws))
            assert {raw for k in range(acknowledged + 1) for raw in naive.lines(40, f"batch {k}")} <= set(raws)
            assert len(raws) % 40 == 0, "a batch is there whole or not at all"
            # a batch that was on disk unacknowledged comes again: its rows as duplicates, its rejection as one more
            assert journal.rows("rejection") == (len(raws) + journal.rows("duplicate")) // 40
        nursery.stdin.close()
    with Journal(folder, write=True) as journal:
        assert journal.verify() == []


@pytest.mark.parametrize("group", ["of one frame, cut at every byte", "of three frames, cut at every 61st"])
def test_a_tail_cut_anywhere_is_set_aside_and_the_rest_stays(
    tmp_path: Path, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(journal: Journal) -> None:
        if "one" in group:
            journal.append("notice", notice())
        else:
            journal.ingest(naive.observations([b"x", b"x"]), naive.rejections([b"y"]))

    monkeypatch.setattr(os, "fsync", lambda _: None)  # thousands of times, and no power will be lost
    monkeypatch.setattr(writer, "sync", lambda _: None)
    with Journal(tmp_path / "whole") as journal:
        journal.ingest(naive.observations(naive.lines(3)))
        begins, head = segment(tmp_path / "whole").stat().st_size, journal.head
        write(journal)
    content = segment(tmp_path / "whole").read_bytes()
    for cut in range(begins, len(content), 1 if "one" in group else 61):
        folder = tmp_path / str(cut)
        folder.mkdir()
        segment(folder).write_bytes(content[:cut])
        assert Journal(folder).rows("observation") == 3
        with Journal(folder, write=True) as journal:
            assert journal.head == head
            torn = [path.read_bytes() for path in folder.glob("*.torn")]
            assert torn == ([content[begins:cut]] if cut > begins else [])
            assert len(journal.notes) == len(torn)
            assert all(f"{cut - begins} bytes of a write that was cut short" in note for note in journal.notes)
            write(journal)
        assert segment(folder).read_bytes() == content
    assert Journal(folder).verify() == []


def test_a_tail_of_zeros_is_set_aside(tmp_path: Path) -> None:
    """Some file systems give a file its new length before its new bytes when power is lost."""
    with Journal(tmp_path) as journal:
        journal.ingest(naive.observations([b"a"]))
    with segment(tmp_path).open("ab") as file:
        file.write(bytes(3000))
    with Journal(tmp_path, write=True) as journal:
        assert "3000 bytes" in journal.notes[0]
        assert journal.rows("observation") == 1


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    """In any frame, header or body: `verify` says so, and reading everything is refused."""
    with Journal(tmp_path) as journal:
        for k in range(3):
            journal.ingest(naive.observations(naive.lines(2, f"batch {k}")))
        journal.append("notice", notice())
    path = segment(tmp_path)
    content = path.read_bytes()
    rng = np.random.default_rng(7)
    places = {*range(HEADER), *rng.integers(0, len(content), 300).tolist(), len(content) - 1}
    for place in sorted(places):
        damaged = bytearray(content)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        assert Journal(tmp_path).verify() != [], f"byte {place}"
        with pytest.raises(StoreError):
            read_all(Journal(tmp_path))


def read_all(journal: Journal) -> None:
    for kind in KINDS:
        journal.table(kind)


def test_damage_is_named_by_segment_frame_and_what(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        for k in range(3):
            journal.ingest(naive.observations(naive.lines(2, f"batch {k}")))
    path = segment(tmp_path)
    content = path.read_bytes()
    second = content.index(b"\x93TRUCEL\n", 1)
    damaged = bytearray(content)
    damaged[second + HEADER + 40] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match=r"000001\.journal: frame 1 \(observation\): its body is damaged"):
        Journal(tmp_path).table("observation")
    damaged = bytearray(content)
    damaged[second + 30] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match=rf"000001\.journal: frame 1 at byte {second}: its header is damaged"):
        Journal(tmp_path).table("observation")


def test_verify_goes_on_behind_damage_and_lists_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken header, a changed body and a frame cut out: three sentences, not one."""
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 1)
    with Journal(tmp_path) as journal:
        for k in range(4):
            journal.ingest(naive.observations(naive.lines(2, f"batch {k}")))
            journal.append("notice", notice(f"{k}"))
    for number, place in ((1, 30), (3, HEADER + 50)):
        content = bytearray(segment(tmp_path, number).read_bytes())
        content[place] ^= 1
        segment(tmp_path, number).write_bytes(content)
    content = segment(tmp_path, 6).read_bytes()
    segment(tmp_path, 6).write_bytes(content[:-1])
    problems = Journal(tmp_path).verify()
    assert any("000001.journal: frame 0 at byte 0: its header is damaged" in p for p in problems)
    assert any("000003.journal: frame 2 (observation): its body is damaged or was changed" in p for p in problems)
    assert any("000006.journal: the last" in p and "frames are missing" in p for p in problems)


def test_a_missing_segment_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SEGMENT_BYTES", 1)
    with Journal(tmp_path) as journal:
        for k in range(3):
            journal.append("notice", notice(f"{k}"))
    segment(tmp_path, 2).unlink()
    message = "000002.journal: this segment is missing, 000003.journal is there"
    assert message in Journal(tmp_path).verify()[0]
    with pytest.raises(StoreError, match=message):
        Journal(tmp_path).table("notice")


def test_a_frame_put_elsewhere_does_not_follow(tmp_path: Path) -> None:
    """A frame of another journal, whole in itself and rightly numbered, does not fit the heads."""
    for name in ("a", "b"):
        with Journal(tmp_path / name) as journal:
            for k in range(3):
                journal.append("notice", notice(f"{name} {k}"))
    mine, other = segment(tmp_path / "a"), segment(tmp_path / "b")
    starts = [frame_at(mine.read_bytes(), k) for k in range(3)]
    theirs = [frame_at(other.read_bytes(), k) for k in range(3)]
    cut = mine.read_bytes()[: starts[1]] + other.read_bytes()[theirs[1] : theirs[2]] + mine.read_bytes()[starts[2] :]
    mine.write_bytes(cut)
    assert [p for p in Journal(tmp_path / "a").verify() if "frame 1 (notice): it does not follow" in p]


def frame_at(content: bytes, number: int) -> int:
    at = -1
    for _ in range(number + 1):
        at = content.index(b"\x93TRUCEL\n", at + 1)
    return at


def test_a_full_disk_is_said_and_nothing_half_written_stays(tmp_path: Path) -> None:
    """The batch that did not fit is not known either: it is accepted when there is room again."""
    with Journal(tmp_path) as journal:
        journal.ingest(naive.observations(naive.lines(3)))
        size, head = segment(tmp_path).stat().st_size, journal.head
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + HEADER + 100, hard))
        try:
            with pytest.raises(StoreError, match=r"000001\.journal: cannot be written: File too large"):
                journal.ingest(naive.observations([b"x"]))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert segment(tmp_path).stat().st_size == size
        assert journal.head == head
        assert journal.ingest(naive.observations([b"x"])).accepted == 1
        assert journal.verify() == []


def test_what_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    """A folder where a segment should be; a file where the journal should be."""
    segment(tmp_path).mkdir()
    for touch in (lambda: Journal(tmp_path).head, lambda: Journal(tmp_path, write=True)):
        with pytest.raises(StoreError, match=r"000001\.journal: cannot be read: Is a directory"):
            touch()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="the journal cannot be written: File exists"):
        Journal(tmp_path / "file", write=True)


def test_rows_of_a_later_truceline_are_not_guessed_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "notice", KINDS["notice"]._replace(version=2))
    with Journal(tmp_path) as journal:
        journal.append("notice", notice())
    monkeypatch.undo()
    with pytest.raises(StoreError, match=r"frame 0 holds 'notice' rows of schema 2, which a later Truceline wrote"):
        Journal(tmp_path).table("notice")


# One record: found, proved, redacted


def test_a_record_is_found_with_its_bytes_and_its_place(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        for k in range(4):
            journal.ingest(naive.observations(naive.lines(3, f"batch {k}")))
        sought = observation.leaves("posts", [b"batch 2 1"])[0]
        record = journal.record(sought[:16])
        assert (record["raw"], record["leaf"], record["sensor"]) == (b"batch 2 1", sought, None)
        assert (record["segment"], record["frame"], record["row"]) == ("000001.journal", 2, 1)
        with pytest.raises(NotFoundError, match="the journal has no observation 0000"):
            journal.record(bytes(16))


def test_many_records_are_what_each_is_alone(tmp_path: Path) -> None:
    """Over frames that came after the reader had looked, in any order, twice over, and after a redaction."""
    with Journal(tmp_path) as journal:
        reader = Journal(tmp_path)
        sought: list[bytes] = []
        for k in range(4):
            raws = naive.lines(3, f"batch {k}")
            journal.ingest(naive.observations(raws))
            sought = [leaf[:16] for leaf in observation.leaves("posts", raws)] + sought
            assert reader.records(sought) == [Journal(tmp_path).record(one) for one in sought]
        journal.redact(sought[5], "asked for", "x", NOW)
        again = [sought[5], sought[0], sought[5]]
        assert reader.records(again) == [journal.record(one) for one in again]
        assert reader.records(again)[0]["redacted"]["reason"] == "asked for"
        with pytest.raises(NotFoundError, match="the journal has no observation 0000"):
            reader.records([sought[0], bytes(16)])


@settings(deadline=None, max_examples=60)
@given(count=st.integers(0, 40), seed=st.integers(0, 99))
def test_roots_and_paths_are_those_of_rfc_6962(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    leaves = [rng.bytes(32) for _ in range(count)]
    tree = merkle.Tree()
    for leaf in leaves:
        tree.add(leaf)
    joined = b"".join(leaves)
    assert merkle.root(joined) == tree.root() == naive.merkle_root(leaves)
    for index, leaf in enumerate(leaves):
        path = merkle.path(joined, index)
        assert path == naive.merkle_path(leaves, index)
        assert merkle.climb(leaf, index, count, path) == tree.root()
        assert merkle.climb(leaf, index, count, [*path, leaf]) is None
        assert not path or merkle.climb(leaf, index, count, path[:-1]) is None


def test_a_proof_needs_the_leaf_and_the_head_and_nothing_else(tmp_path: Path) -> None:
    """It goes out as JSON, shows no neighbour, and holds for no other leaf, head or place."""
    with Journal(tmp_path) as journal:
        for k in range(5):
            journal.ingest(naive.observations(naive.lines(7, f"batch {k}")))
        head = journal.head
        for raw in (b"batch 0 0", b"batch 3 6", b"batch 4 2"):
            leaf = observation.leaves("posts", [raw])[0]
            sent = msgspec.json.encode(journal.prove(leaf))
            assert b"batch" not in sent
            proof = msgspec.json.decode(sent, type=Proof)
            assert check_proof(proof, leaf, head)
            assert not check_proof(proof, hashlib.sha256(leaf).digest(), head)
            assert not check_proof(proof, leaf, "0" * 64)
            for change in (
                {"index": proof.index ^ 1},
                {"frame": proof.frame + 1},
                {"frames": proof.frames + 1},
                {"kind": "rejection"},
                {"siblings": proof.siblings[:-1]},
                {"header": proof.header[:-1]},
            ):
                assert not check_proof(msgspec.structs.replace(proof, **change), leaf, head)
        with pytest.raises(NotFoundError, match="no record with the leaf"):
            journal.prove(bytes(32))
        journal.append("notice", notice())
        assert not check_proof(proof, leaf, journal.head), "a proof is against the head of its time"


def test_what_is_not_a_record_can_be_proved_too(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.ingest(naive.observations([b"a"]), naive.rejections([b"bad"]))
        journal.append("notice", notice())
        for kind in ("notice", "rejection"):
            leaf = journal.table(kind)["leaf"][0].as_py()
            assert check_proof(journal.prove(leaf), leaf, journal.head)


def test_a_redaction_takes_the_payload_and_leaves_heads_and_proofs(tmp_path: Path) -> None:
    """The words, the place and the people are gone from the disk; that there was a record stays provable, and the
    record does not come back with the next reading of its file."""
    with Journal(tmp_path) as journal:
        for k in range(3):
            journal.ingest(naive.observations(naive.lines(3, f"batch {k}"), posts_name=pa.array(["a witness"] * 3)))
        leaf = observation.leaves("posts", [b"batch 1 2"])[0]
        proof, head = journal.prove(leaf), journal.head
        before = journal.table("observation")
        journal.redact(leaf[:16], "the witness asked for it", "duty officer", NOW)
        record = journal.record(leaf[:16])
        left = {name for name, value in record.items() if value is not None}
        assert left == {
            *("observation_id", "leaf", "source", "record", "kind", "what", "received_at", "release", "file"),
            *("segment", "frame", "row", "redacted"),
        }
        assert record["what"] == "report"
        assert record["redacted"] == {"reason": "the witness asked for it", "by": "duty officer", "received_at": NOW}
        others = [row for row in range(9) if row != 5]
        assert journal.table("observation").take(others).equals(before.take(others))
        assert check_proof(proof, leaf, head)
        assert check_proof(journal.prove(leaf), leaf, journal.head)
        assert journal.verify() == []
        assert journal.ingest(naive.observations([b"batch 1 2"])).duplicates == 1
        with pytest.raises(StoreError, match="redacted already, by duty officer: the witness asked for it"):
            journal.redact(leaf[:16], "again", "x", NOW)
    assert Journal(tmp_path).record(leaf[:16])["raw"] is None


def test_a_redaction_may_keep_where_and_when_it_was(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.ingest(naive.observations([b"a", b"b"]))
        leaf = observation.leaves("posts", [b"a"])[0]
        before = journal.record(leaf[:16])
        with pytest.raises(StoreError, match="observation rows have no column 'place' to keep"):
            journal.redact(leaf[:16], "r", "x", NOW, keep=("place",))
        journal.redact(leaf[:16], "r", "x", NOW, keep=("at", "lon", "lat", "what"))
        after = journal.record(leaf[:16])
        assert {n for n in ("at", "lon", "lat", "what") if after[n] == before[n]} == {"at", "lon", "lat", "what"}
        assert (after["raw"], after["text"]) == (None, None)
        assert journal.table("redaction")["kept"].to_pylist() == [["at", "lat", "lon", "what"]]


def test_a_rejection_is_redacted_by_the_first_half_of_its_leaf(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.ingest(None, naive.rejections([b"bad", b"worse"]))
        leaf = observation.leaves("posts", [b"bad"])[0]
        journal.redact(leaf[:16], "r", "x", NOW)
        row = journal.table("rejection").to_pylist()[0]
        assert (row["reason"], row["field"], row["value"], row["raw"]) == ("redacted", None, None, None)
        assert journal.verify() == []


def test_many_redactions_in_one_frame_account_for_its_body(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.ingest(naive.observations(naive.lines(5)))
        for raw in naive.lines(5):
            journal.redact(observation.leaves("posts", [raw])[0][:16], "r", "x", NOW)
            assert journal.verify() == []
        assert journal.table("observation")["raw"].null_count == 5


def test_an_edit_that_no_redaction_accounts_for_is_found(tmp_path: Path) -> None:
    """The payload is taken out as a redaction does it, and nothing is said of it."""
    with Journal(tmp_path) as journal:
        journal.ingest(naive.observations([b"a", b"b"]))
        before = segment(tmp_path).read_bytes()
        journal.redact(observation.leaves("posts", [b"a"])[0][:16], "r", "x", NOW)
    after = segment(tmp_path).read_bytes()
    shutil.rmtree(tmp_path / "k", ignore_errors=True)
    (tmp_path / "k").mkdir()
    segment(tmp_path / "k").write_bytes(after)
    assert [p for p in Journal(tmp_path / "k").verify() if "no redaction accounts for it" in p]
    with pytest.raises(StoreError, match="its body is damaged"):
        Journal(tmp_path / "k").table("observation")
    segment(tmp_path).write_bytes(before)
    assert [p for p in Journal(tmp_path).verify() if "a redaction of it is journalled but not done" in p]


@pytest.mark.parametrize("moment", ["before it is journalled", "before the segment is replaced"])
def test_a_redaction_that_was_killed_is_done_or_undone_by_the_next_writer(tmp_path: Path, moment: str) -> None:
    """A child kills itself in the middle of a redaction."""
    with Journal(tmp_path) as journal:
        journal.ingest(naive.observations([b"a", b"b"]))
        journal.append("notice", notice())
    sought = observation.leaves("posts", [b"a"])[0][:16]
    target = "Journal._commit" if moment == "before it is journalled" else "redaction.Prepared.put_in_place"
    script = f"""
import os, signal
from pathlib import Path
from truceline.store import journal, redaction
from truceline.store.journal import Journal
from test_journal import NOW
{target} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
Journal(Path({str(tmp_path)!r})).redact(bytes.fromhex({sought.hex()!r}), "r", "x", NOW)
"""
    child = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parent, check=False)
    assert child.returncode == -signal.SIGKILL
    read_all(Journal(tmp_path))
    with Journal(tmp_path, write=True) as journal:
        assert "interrupted" in journal.notes[0]
        assert journal.verify() == []
        done = moment == "before the segment is replaced"
        assert (journal.record(sought)["raw"] is None) == done
        assert journal.rows("redaction") == int(done)
        assert not list(tmp_path.glob("*.redacted"))


def test_a_reader_that_is_open_during_a_redaction_goes_on(tmp_path: Path) -> None:
    reader = Journal(tmp_path)
    with Journal(tmp_path) as journal:
        journal.ingest(naive.observations(naive.lines(50)))
        journal.append("notice", notice())
        assert reader.table("observation")["raw"].null_count == 0
        journal.redact(observation.leaves("posts", [b"heard 3"])[0][:16], "r", "x", NOW)
        assert reader.table("observation")["raw"].null_count == 1
        assert reader.table("notice").num_rows == 1


# The set of known ids


@settings(deadline=None, max_examples=100)
@given(
    batches=st.lists(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=30), max_size=8),
    shift=st.sampled_from([0, 32, 58]),
    room=st.sampled_from([0, 5000]),
)
def test_the_id_set_is_a_set(batches: list[list[tuple[int, int]]], shift: int, room: int) -> None:
    """Ids that crowd into few slots, ids of zeros, ids twice in a batch: as Python's set has it."""
    ids, twin = IdSet(room), set[tuple[int, int]]()
    for batch in batches:
        pairs = np.array([(a << shift, b) for a, b in batch], np.uint64).reshape(-1, 2)
        expected = []
        for a, b in batch:
            expected.append((a, b) not in twin)
            twin.add((a, b))
        assert ids.add(pairs).tolist() == expected
        assert ids.contains(pairs).all()
        assert len(ids) == len(twin)


def test_the_id_set_grows_and_keeps_what_it_has() -> None:
    rng = np.random.default_rng(3)
    ids, all_pairs = IdSet(), rng.integers(0, 2**64, (20_000, 2), dtype=np.uint64)
    for part in np.array_split(all_pairs, 37):
        assert ids.add(part).all()
    assert ids.contains(all_pairs).all()
    assert not ids.contains(rng.integers(0, 2**64, (5000, 2), dtype=np.uint64)).any()
    assert ids.nbytes < 20_000 * 16 / 0.7 * 1.7
