"""`track_in_parts`: more fixes than memory holds make the tracks that `track` makes of them, bit for bit."""

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import settings as tries
from hypothesis import strategies as st

from truceline import observation
from truceline.frame import Frame
from truceline.fuse import in_order, stated, tracking
from truceline.fuse.tracking import COLUMNS, track, track_in_parts

FRAME = Frame(31.0, 46.0, 400_000)
START_S = 1_700_000_000
WHATS = ["vessel", "vessel.cargo", "aircraft", "uav"]


def a_scene(seed, objects=12, rows=400, seconds=1800):
    """Fixes of objects that move straight, some without a name, in no order; one in thirty without time or place."""
    rng = np.random.default_rng(seed)
    of = rng.integers(0, objects, rows)
    at_s = np.sort(rng.uniform(0, seconds, rows)).round(rng.integers(0, 3))
    east, north = rng.uniform(-2e4, 2e4, (2, objects))[:, of] + rng.uniform(-15, 15, (2, objects))[:, of] * at_s
    elsewhere = np.where(rng.random(rows) < 0.02, 2e5, 0.0)  # a name where its object cannot have got
    noise = rng.normal(0, 20, (2, rows))
    lon, lat = FRAME.to_degrees(east + noise[0] + elsewhere, north + noise[1])
    named = rng.random(objects) < 0.6

    def known(values, share):
        return pa.array(values, mask=rng.random(rows) > share)

    micros = np.round((START_S + at_s) * 1e6).astype(np.int64)
    columns = {
        "observation_id": pa.array(
            [hashlib.sha256(b"%d %d" % (seed, k)).digest()[:16] for k in range(rows)], observation.ID
        ),
        "leaf": pa.array([b"0" * 32] * rows),
        "record": np.arange(rows),
        "kind": pa.array(np.where(rng.random(rows) < 0.97, "fix", "status")),
        "source": pa.array(np.array(["ais", "radar", "tables"])[rng.integers(0, 3, rows)]),
        "sensor": known(np.array(["one", "two"])[rng.integers(0, 2, rows)], 0.8),
        "what": pa.array(np.array(WHATS)[(of + (rng.random(rows) < 0.05)) % len(WHATS)]),
        "confidence": known(rng.random(rows).astype(np.float32), 0.5),
        "at": known(micros, 0.98).cast(observation.TIME),
        "until": known(micros + 2_000_000, 0.05).cast(observation.TIME),
        "at_sigma_s": known(np.ones(rows, np.float32), 0.3),
        "lon": known(lon, 0.98),
        "lat": pa.array(np.where(rng.random(rows) < 0.01, -60.0, lat)),
        "speed_mps": known(rng.uniform(0, 15, rows).astype(np.float32), 0.5),
        "course_deg": known(rng.uniform(0, 360, rows).astype(np.float32), 0.8),
        "identity": pa.array([f"mmsi:{o}" for o in of], mask=~named[of] | (rng.random(rows) < 0.2)),
        "release": known(np.array([*observation.RELEASES, "odd"])[rng.integers(0, 5, rows)], 0.9),
    }
    return observation.table(columns, rows).take(pa.array(rng.permutation(rows)))


def the_same(parts, tracked):
    """Joined, the pieces are the tables; they are cut between tracks."""
    assert parts.tracks.equals(tracked.tracks)
    assert parts.points.table().equals(tracked.points)
    assert parts.associations.table().equals(tracked.associations)
    assert dict(parts.left_out) == dict(tracked.left_out)
    assert parts.anomalies.equals(tracked.anomalies)
    for cut in (parts.points, parts.associations):
        seen = [set(piece["track_id"].to_pylist()) for piece in cut]
        assert sum(map(len, seen)) == len(set().union(*seen))


@given(
    seed=st.integers(0, 10_000),
    batch=st.sampled_from([17, 100, 1000]),
    part_rows=st.sampled_from([40, 300, 10_000]),
    run_rows=st.sampled_from([50, 128, 10_000]),
    piece_rows=st.sampled_from([7, 16, 50]),
    chunk=st.sampled_from([60, 10_000]),
    sorted_=st.booleans(),
)
@tries(max_examples=12, deadline=None)
def test_parts_are_the_tracks_in_memory(tmp_path_factory, seed, batch, part_rows, run_rows, piece_rows, chunk, sorted_):
    """Whatever the order, the batches, and the sizes of runs, pieces and parts."""
    rows = a_scene(seed)
    if sorted_:
        rows = rows.sort_by("at")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracking, "_CHUNK", chunk)
        whole = track(rows, FRAME)
        patch.setattr(in_order, "RUN_ROWS", run_rows)
        patch.setattr(in_order, "BLOCK_ROWS", piece_rows)
        patch.setattr(in_order, "PIECE_ROWS", piece_rows + 5)
        batches = (rows.slice(low, batch) for low in range(0, rows.num_rows, batch))
        parts = track_in_parts(batches, FRAME, tmp_path_factory.mktemp("parts"), part_rows=part_rows)
        the_same(parts, whole)
        assert max(piece.num_rows for piece in parts.fixes) <= piece_rows + 5


def test_fixes_come_in_order_of_time_then_id(tmp_path, monkeypatch):
    """Every fix once, as it was; those without time last."""
    monkeypatch.setattr(in_order, "RUN_ROWS", 100)
    monkeypatch.setattr(in_order, "PIECE_ROWS", 30)
    monkeypatch.setattr(in_order, "BLOCK_ROWS", 8)
    rows = a_scene(1)
    given_ = rows.filter(pc.equal(rows["kind"], "fix")).select(COLUMNS)
    fixes = track_in_parts([rows], FRAME, tmp_path).fixes
    out = fixes.table()
    assert out.schema == in_order.SCHEMA
    assert out.sort_by("observation_id").equals(given_.sort_by("observation_id").cast(in_order.SCHEMA))
    at_s, first, second = in_order.keys(out)
    assert list(zip(at_s, first, second, strict=True)) == sorted(zip(at_s, first, second, strict=True))
    assert fixes.table().equals(out)  # as often as wanted


def test_nothing_makes_nothing(tmp_path):
    """No tables, or none with a fix."""
    for tables in ([], [a_scene(1)[:0]]):
        parts = track_in_parts(tables, FRAME, tmp_path)
        assert (parts.tracks.num_rows, parts.points.num_rows, parts.associations.num_rows, parts.fixes.num_rows) == (
            0,
        ) * 4
        assert not parts.left_out


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), max_size=40))
def test_order_by_is_the_order_of_tuples(rows):
    """Of equals the first row first."""
    keys = np.array(rows, np.uint64).reshape(-1, 3).T
    assert in_order.order_by(*keys).tolist() == sorted(range(len(rows)), key=lambda k: rows[k])


def test_statements_are_what_rows_say_however_many_words_there_are(monkeypatch):
    """Nulls, unknown confidence and words that come up later keep their places; words are sorted when read."""
    monkeypatch.setattr(stated, "_MOST", 100)
    rows = [a_scene(seed, rows=50) for seed in (1, 2)]
    statements = stated.Statements()
    tags = [statements.tags(part) for part in rows]
    for part, tag in zip(rows, tags, strict=True):
        said = statements.said(tag)
        assert np.array_equal(said.confidence, part["confidence"].to_numpy(), equal_nan=True)
        for name in stated.COLUMNS:
            codes, words = said.column(name)
            assert words == sorted(words)
            assert [words[code] if code >= 0 else None for code in codes] == part[name].to_pylist()
