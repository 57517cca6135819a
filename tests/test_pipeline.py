"""Same inputs, same picture: whatever the order, the batches, the editions in between."""

import itertools
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truceline import daily, desk, intake, picture, pipeline
from truceline.baseline import fire_model
from truceline.errors import MissionError, NotFoundError
from truceline.examples import SHIPPED
from truceline.store import Book, Journal

NOW = datetime(2031, 3, 16, tzinfo=UTC)


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Path:
    """The example mission, ingested."""
    folder = tmp_path_factory.mktemp("pipeline") / "two-days"
    shutil.copytree(SHIPPED / "two-days", folder, ignore=shutil.ignore_patterns("*.py"))
    intake.ingest(folder, NOW)
    return folder


@pytest.fixture
def mission(example, tmp_path) -> Path:
    return shutil.copytree(example, tmp_path / "mission")


@pytest.fixture(scope="module")
def drawn(example):
    """What to draw the picture from, and the digest of it in the journal's order."""
    ground = pipeline.ground(example)
    with Journal(example / "journal") as journal:
        observations = journal.table("observation")
    tables = pipeline.draw(ground, example, observations, NOW)
    return example, ground, observations, picture.digest(tables)


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(0, 400), max_size=5))
def test_neither_order_nor_batches_matter(drawn, seed, cuts):
    """Any permutation of the observations, in any batches: the same digest of the same tables."""
    folder, ground, observations, digest = drawn
    shuffled = observations.take(pa.array(np.random.default_rng(seed).permutation(observations.num_rows)))
    edges = [0, *sorted(cuts), observations.num_rows]
    batches = [shuffled.slice(a, b - a) for a, b in itertools.pairwise(edges)]
    assert picture.digest(pipeline.draw(ground, folder, pa.concat_tables(batches), NOW)) == digest


def test_leaving_one_observation_out_is_another_picture(drawn):
    folder, ground, observations, digest = drawn
    fewer = observations.filter(pc.not_equal(observations["record"], observations["record"][0]))
    assert picture.digest(pipeline.draw(ground, folder, fewer, NOW)) != digest


def test_nothing_new_no_new_edition(mission):
    first = pipeline.settle(mission, NOW)
    assert pipeline.settle(mission, NOW + timedelta(hours=1)) == first


def test_a_changed_mission_file_is_another_input(mission):
    first = pipeline.settle(mission, NOW)
    text = (mission / "agreement.toml").read_text()
    (mission / "agreement.toml").write_text(text + "\n# a comment changes the file's hash, not the picture\n")
    second = pipeline.settle(mission, NOW + timedelta(hours=1))
    assert second.number == 2
    assert second.digest == first.digest


def test_a_report_is_drawn_on_the_ground_its_edition_was_made_on(mission):
    """Whoever changes the agreement settles first; a report never mixes an old picture with new rules."""
    pipeline.settle(mission, NOW)
    text = (mission / "agreement.toml").read_text()
    (mission / "agreement.toml").write_text(text + "\n# changed\n")
    with pytest.raises(MissionError, match="truceline settle"):
        daily.report(mission, NOW)
    pipeline.settle(mission, NOW + timedelta(hours=1))
    assert daily.report(mission, NOW).edition == 2


def test_a_cut_off_leaves_out_what_came_later(mission):
    noon = datetime(2031, 3, 14, 12, tzinfo=UTC)
    edition = pipeline.settle(mission, NOW, until=noon)
    events = Book(mission / "book.sqlite").table("events")
    assert edition.cutoff == noon
    assert events.num_rows > 0
    assert pc.max(events["at_from"]).as_py() < noon


def test_lineage_tells_what_became_of_every_old_event(mission):
    pipeline.settle(mission, NOW, until=datetime(2031, 3, 15, tzinfo=UTC))
    book = Book(mission / "book.sqlite")
    old = set(book.table("events")["event_id"].to_pylist())
    pipeline.settle(mission, NOW + timedelta(hours=1))
    told = book.table("lineage")
    events = told.filter(pc.equal(told["kind"], "event"))
    assert set(events["from_id"].drop_null().to_pylist()) == old
    assert set(events["to_id"].drop_null().to_pylist()) == set(book.table("events")["event_id"].to_pylist())


def test_rebuilding_makes_every_edition_again(mission):
    """The book is thrown away and comes back with the same digests, reports still entered."""
    pipeline.settle(mission, NOW, until=datetime(2031, 3, 15, tzinfo=UTC))
    pipeline.settle(mission, NOW + timedelta(hours=1))
    written = daily.report(mission, NOW + timedelta(hours=1))
    book = Book(mission / "book.sqlite")
    before, published = book.editions(), [row.path for row in book.published()]
    (mission / "book.sqlite").write_bytes(b"rubbish")
    rebuilt = pipeline.rebuild(mission)
    assert rebuilt["differ"] == 0
    assert [row["again"] for row in rebuilt["editions"]] == [edition.digest for edition in before]
    assert [row.path for row in book.published()] == published
    assert len(written.paths) == len(published)


def test_rebuilding_says_what_cannot_be_made_again(mission):
    pipeline.settle(mission, NOW)
    text = (mission / "agreement.toml").read_text()
    (mission / "agreement.toml").write_text(text + "\n# changed\n")
    rebuilt = pipeline.rebuild(mission)
    assert rebuilt["editions"][0]["again"] is None
    assert "changed" in rebuilt["sentences"][0]


def test_an_empty_journal_is_told_of(tmp_path):
    folder = shutil.copytree(SHIPPED / "two-days", tmp_path / "empty", ignore=shutil.ignore_patterns("*.py"))
    with pytest.raises(NotFoundError, match=r"nothing was accepted from firms/\*\.csv"):
        pipeline.settle(folder, NOW)


def test_a_verdict_fuses_nothing_anew(mission, monkeypatch):
    """Only the cases are made again; events and findings are taken over from the edition before."""
    pipeline.settle(mission, NOW)
    (case, *_) = Book(mission / "book.sqlite").table("cases").to_pylist()

    def never(*_arguments: object, **_more: object) -> None:
        raise AssertionError("fused anew")

    monkeypatch.setattr(pipeline, "draw", never)
    said = desk.verdict(mission, case["case_id"].hex(), "insufficient", reason="one source", by="B", at=NOW)
    assert said["edition"] == 2
    rows = Book(mission / "book.sqlite").table("cases").to_pylist()
    assert [row["state"] for row in rows if row["case_id"] == case["case_id"]] == ["insufficient"]


def test_a_forged_verdict_is_found(mission):
    """Whoever edits the journal is found by its hashes; `verify` names what does not hold."""
    pipeline.settle(mission, NOW)
    (case, *_) = Book(mission / "book.sqlite").table("cases").to_pylist()
    desk.verdict(mission, case["case_id"].hex(), "verified", reason="seen", by="B", at=NOW)
    assert desk.verify(mission)["problems"] == []
    segment = mission / "journal" / "000001.journal"
    whole = segment.read_bytes()
    for place in (len(whole) // 3, len(whole) // 2, len(whole) - 40):
        content = bytearray(whole)
        content[place] ^= 1
        segment.write_bytes(bytes(content))
        assert desk.verify(mission)["problems"], place


def test_an_edition_made_through_scratch_files_is_the_picture_made_in_memory(mission, monkeypatch):
    """The journal is read in blocks and what moves is worked on in pieces; nothing of that shows."""
    monkeypatch.setattr("truceline.store.reading.BLOCK_ROWS", 100)
    edition = pipeline.settle(mission, NOW)
    on = pipeline.ground(mission)
    with Journal(mission / "journal") as journal:
        observations = journal.table("observation")
    model, _ = fire_model(mission, on.mission, on.frame, on.line, observations)
    last = max(moment for c in ("at", "until") if (moment := pc.max(observations[c]).as_py()) is not None)
    tables = pipeline.draw(on, mission, observations, last + timedelta(microseconds=1), conflict=model)
    book = Book(mission / "book.sqlite")
    for name, rows in tables.items():
        assert picture.digest({name: book.pieces(name, edition.number)}) == picture.digest({name: rows}), name
        assert book.table(name) == rows.combine_chunks(), name


def test_scratch_files_go_with_whoever_made_them(mission):
    """Also those of a process that was killed; those of one that lives are left alone."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for process in (ended.pid, os.getppid()):
        (mission / "scratch" / f"{process}-left").mkdir(parents=True)
    pipeline.settle(mission, NOW)
    assert [path.name for path in (mission / "scratch").iterdir()] == [f"{os.getppid()}-left"]
