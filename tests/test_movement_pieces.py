"""What tracks tell is the same however points and fixes are cut into pieces."""

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from a_movement import FRAME, HOURS, START, crowded, eastward, silent, tables
from truceline.fuse import movement, movement_pieces
from truceline.fuse.movement import as_events, movements, tied
from truceline.fuse.movement_pieces import Spill
from truceline.observation import id_order
from truceline.pieces import Pieces

ZONES = {
    "box": shapely.box(0, -5_000, 5_000, 5_000),
    "strip": shapely.box(3_000, -50_000, 3_200, 50_000),
    "lane": shapely.box(-10_000, -61_000, 60_000, -59_000),
    "port": shapely.box(91_000, 0, 92_000, 9_000),
    "dry": shapely.box(15_000, -43_000, 17_000, -39_000),
}
OPTIONS = {"kinds": {"lane": "lane", "port": "port"}, "land": ZONES["dry"], "names": {"box": "the box"}}
#: Everything that tracks tell.
OUTCOMES = {
    *("enter", "inside", "exit", "cross", "outside", "gap", "impossible", "twice", "one_point", "on_land"),
    *("circle", "loiter", "stop", "rendezvous"),
}


def in_pieces(table, cuts):
    """The table cut before these rows; some pieces with words coded."""
    cuts = [0, *sorted(cuts), table.num_rows]
    pieces = [table.slice(a, b - a) for a, b in pairwise(cuts)]
    return Pieces(table.schema, table.num_rows, lambda: iter(pieces))


def coded(pieces, names=("sensor", "identity", "what", "kind")):
    """With these columns dictionary-coded, as a tracker's scratch has them."""

    def one(table):
        for name in names:
            at = table.schema.get_field_index(name)
            table = table.set_column(at, name, table[name].dictionary_encode())
        return table

    return Pieces(pieces.schema, pieces.num_rows, lambda: map(one, pieces))


def scene(rng):
    """Tracks, points in order of track, fixes in order of time; some fixes that no track took, some by a second
    station, some without identity."""
    unheard = [("dark", int(s), float(rng.uniform(-2e5, 2e5)), 0.0) for s in rng.integers(0, 14_000, 6)]
    tracks, points, seen = tables(crowded(rng), unheard=[*unheard, ("nobody's", 5_000, 0.0, 0.0)])
    n = seen.num_rows
    sensor = pa.array(np.where(rng.random(n) < 0.3, "other", "station"), pa.string(), mask=rng.random(n) < 0.01)
    seen = seen.set_column(seen.schema.get_field_index("sensor"), "sensor", sensor)
    unnamed = pa.array(seen["identity"].to_pylist(), pa.string(), mask=rng.random(n) < 0.02)
    seen = seen.set_column(seen.schema.get_field_index("identity"), "identity", unnamed)
    order = id_order(points["track_id"])
    return tracks, points.take(pa.array(order)), seen.sort_by([("at", "ascending"), ("observation_id", "ascending")])


def cuts_between_tracks(points, rng):
    """Some rows at which a track begins."""
    ids = points["track_id"].to_pylist()
    begins = [k for k in range(1, len(ids)) if ids[k] != ids[k - 1]]
    return [k for k in begins if rng.random() < 0.4]


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 2**32 - 1))
def test_pieces_tell_what_the_whole_tells(tmp_path_factory, seed):
    """Any cut between tracks, any cut in time, parts on disk, blocks of a few tracks: the same rows to the last bit."""
    rng = np.random.default_rng(seed)
    tracks, points, seen = scene(rng)
    whole = movements(tracks, points, seen, FRAME, ZONES, **OPTIONS)
    assert {word.removeprefix("movement.") for word in whole["what"].to_pylist()} >= OUTCOMES
    in_parts = in_pieces(points, cuts_between_tracks(points, rng))
    in_time = coded(in_pieces(seen, rng.integers(0, seen.num_rows, int(rng.integers(0, 20))).tolist()))
    folder = tmp_path_factory.mktemp("scratch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(movement_pieces, "_PART_ROWS", int(rng.integers(100, 2_000)))
        patch.setattr(movement, "_BLOCK", int(rng.integers(1, 1_000)))
        again = movements(tracks, in_parts, in_time, FRAME, ZONES, **OPTIONS, into=folder)
        assert again.equals(whole)
        assert not any(folder.iterdir())
    events = as_events(whole, tracks)
    assert events.num_rows
    assert tied(events, whole, in_parts).equals(tied(events, whole, points))


def test_one_that_fell_silent_did_so_in_pieces_too(tmp_path):
    """What others are heard meanwhile comes from all pieces, and by which sensor from files laid aside."""
    rows = {f"mmsi:{k}": eastward(HOURS, 3_000.0 * k) for k in range(3)}
    rows["mmsi:1"] = silent(rows["mmsi:1"], 3_600, 7_200)
    tracks, points, seen = tables(rows)
    points, seen = points.take(pa.array(id_order(points["track_id"]))), seen.sort_by("at")
    whole = movements(tracks, points, seen, FRAME, {})
    assert whole["what"].to_pylist() == ["movement.dark"]
    cuts = cuts_between_tracks(points, np.random.default_rng(1))
    told = movements(tracks, in_pieces(points, cuts), in_pieces(seen, range(100, 1_300, 100)), FRAME, {}, into=tmp_path)
    assert told.equals(whole)


def test_a_slot_of_time_that_is_cut_is_still_one_crowd(tmp_path):
    """Six on one point, the piece cut in the middle of the ten minutes: six, not twice as many or none."""
    rows = {f"mmsi:{k}": [(s, 2.0 * k, 0.0) for s in range(0, 600, 60)] for k in range(6)}
    tracks, points, seen = tables(rows)
    points, seen = points.take(pa.array(id_order(points["track_id"]))), seen.sort_by("at")
    for cut in (1, 17, 30, 59):
        told = movements(tracks, in_pieces(points, []), in_pieces(seen, [cut]), FRAME, {}, into=tmp_path)
        assert [w for w in told["what"].to_pylist() if w == "movement.one_point"] == ["movement.one_point"] * 6


def test_two_that_meet_over_the_edge_of_a_range_meet_once(tmp_path, monkeypatch):
    """Two hours together; the ranges of instants are an hour, so that each cuts the meeting."""
    monkeypatch.setattr(movement_pieces, "_PART_ROWS", 20)
    rows = {f"mmsi:{k}": [(s, 100.0 * k, 0.0) for s in range(0, 7_200, 120)] for k in range(2)}
    tracks, points, seen = tables(rows)
    points, seen = points.take(pa.array(id_order(points["track_id"]))), seen.sort_by("at")
    told = movements(tracks, in_pieces(points, []), in_pieces(seen, [7]), FRAME, {}, into=tmp_path).to_pylist()
    assert not any(tmp_path.iterdir())
    (row,) = (r for r in told if r["what"] == "movement.rendezvous")
    assert (row["at_from"], row["at_until"]) == (START, START + timedelta(seconds=6_900))


@pytest.mark.parametrize("folder", [True, False])
def test_rows_that_are_laid_aside_come_back_in_their_order(folder, tmp_path):
    with Spill(tmp_path if folder else None, "rows", 4) as spill:
        for begin in (0, 10):
            values = np.arange(begin, begin + 10)
            spill.add(values % spill.parts, value=values)
        spill.close()
        back = [spill.part(k)["value"].tolist() for k in range(spill.parts)]
        assert back == [[v for v in range(20) if v % spill.parts == k] for k in range(spill.parts)]
        spill.forget(0)
        assert spill.part(0) == {}
    assert not any(tmp_path.iterdir())


def test_files_of_what_is_laid_aside_go_with_an_error_too(tmp_path):
    def spoiled():
        with Spill(tmp_path, "rows", 2) as spill:
            spill.add(np.array([0, 1]), value=np.array([1, 2]))
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        spoiled()
    assert not any(tmp_path.iterdir())
