"""How well tracks follow the truth, by numbers that can be worked out by hand."""

import json
import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import naive_metrics as naive
from a_picture import shuffled
from truceline import cli
from truceline.errors import MissionError, SourceError
from truceline.kernels.metrics import brackets, following
from truceline.score import compare, plot, saying, score, summed
from truceline.score.files import read
from truceline.score.matching import assigned

START = datetime(2031, 3, 1, tzinfo=UTC)
#: Metres a degree of longitude and of latitude at the equator.
EAST_M, NORTH_M = 111_319.49, 110_574.28
TIME = pa.timestamp("us", tz="UTC")


def a_table(key, rows, **columns):
    """Rows of (name, second, east_m, north_m) near longitude 30 on the equator."""
    name, second, east, north = zip(*rows, strict=True) if rows else ((), (), (), ())
    return pa.table(
        {
            key: pa.array(name, pa.string()),
            "at": pa.array([START + timedelta(seconds=s) for s in second], TIME),
            "lon": pa.array([30 + e / EAST_M for e in east], pa.float64()),
            "lat": pa.array([n / NORTH_M for n in north], pa.float64()),
        }
        | columns
    )


def truth(*rows, **columns):
    return a_table("object", rows, **columns)


def tracks(*rows, **columns):
    return a_table("track_id", rows, **columns)


def straight(name, seconds, north_m=0.0, speed_mps=10.0):
    """One that goes east at an even speed."""
    return [(name, s, speed_mps * s, north_m) for s in seconds]


TEN = range(0, 100, 10)


# ---- GOSPA and OSPA ------------------------------------------------------------------------------------------------


def test_tracks_that_are_the_truth_have_no_error():
    found = score(tracks(*straight("t", TEN)), truth(*straight("a", TEN)))
    assert found.gospa_m.most == pytest.approx(0, abs=1e-6)
    assert (found.completeness, found.ambiguity, found.spuriousness, found.switches) == (1, 1, 0, 0)
    assert found.position_rmse_m == pytest.approx(0, abs=1e-6)
    assert (found.instants, found.step_s) == (10, 10)


def test_gospa_is_the_errors_and_half_a_cutoff_squared_for_each_miss_and_each_false_track():
    """One object followed at 30 m, one missed, one false track: sqrt(30^2 + 1000^2 / 2 + 1000^2 / 2)."""
    found = score(
        tracks(*straight("t", TEN, north_m=30), *straight("far", TEN, north_m=50_000)),
        truth(*straight("a", TEN), *straight("b", TEN, north_m=9_000)),
    )
    assert found.gospa_m.mean == pytest.approx(math.sqrt(30**2 + 1000**2), rel=1e-4)
    assert found.missed_share == pytest.approx(0.5, abs=1e-3)
    assert found.false_share == pytest.approx(0.5, abs=1e-3)
    assert (found.missed, found.false, found.redundant) == (10, 10, 0)
    assert found.position_rmse_m == pytest.approx(30, rel=1e-4)


def test_ospa_is_an_error_per_object_of_the_larger_set():
    """Of two objects one is followed at 30 m: sqrt((30^2 + 1000^2) / 2)."""
    found = score(tracks(*straight("t", TEN, north_m=30)), truth(*straight("a", TEN), *straight("b", TEN, 9_000)))
    assert found.ospa_m.median == pytest.approx(math.sqrt((30**2 + 1000**2) / 2), rel=1e-4)


def test_without_any_track_all_is_missed():
    found = score(tracks(), truth(*straight("a", TEN)))
    assert found.gospa_m.mean == pytest.approx(1000 / math.sqrt(2))
    assert (found.completeness, found.never_tracked) == (0, 1)
    assert found.position_rmse_m is None
    assert found.spuriousness is None


def test_the_best_matching_is_of_all_together_not_of_the_nearest_pair():
    """Track t is 40 m from a, 10 m from b; u is 30 m from b, 80 m from a. Taking (t, b) first leaves (u, a)."""
    found = score(
        tracks(*straight("t", TEN, 40), *straight("u", TEN, 80)), truth(*straight("a", TEN), *straight("b", TEN, 50))
    )
    assert found.gospa_m.mean == pytest.approx(math.sqrt(40**2 + 30**2), rel=1e-4)


# ---- where things are between their points ------------------------------------------------------------------------


def test_between_points_a_track_goes_straight():
    found = score(tracks(*straight("t", (0, 90))), truth(*straight("a", TEN)))
    assert found.completeness == 1
    assert found.position_rmse_m == pytest.approx(0, abs=1e-3)


def test_before_its_first_point_and_after_its_last_a_track_is_not_there():
    found = score(tracks(*straight("t", (30, 60))), truth(*straight("a", TEN)))
    assert found.series.matched == [0, 0, 0, 1, 1, 1, 1, 0, 0, 0]


def test_in_a_gap_of_truth_an_object_is_not_missed_nor_a_track_near_it_false():
    told = straight("a", [*range(0, 50, 10), *range(500, 550, 10)])
    far = straight("t", range(0, 550, 10))
    found = score(tracks(*far), truth(*told), truth_gap_s=60)
    assert (found.completeness, found.spuriousness, found.missed, found.false) == (1, 0, 0, 0)
    assert sum(found.series.objects) == 10
    assert score(tracks(), truth(*told), truth_gap_s=60).missed == 10


def test_a_track_whose_points_are_too_far_apart_says_nothing_between_them():
    found = score(tracks(*straight("t", (0, 90))), truth(*straight("a", TEN)), gap_s=30)
    assert found.series.matched == [1, *[0] * 8, 1]
    assert found.breaks == 1


def test_the_date_line_and_the_pole_are_places_like_any_other():
    def over(lons, lats, key, name):
        return pa.table(
            {key: [name] * 2, "at": pa.array([START, START + timedelta(seconds=20)], TIME), "lon": lons, "lat": lats}
        )

    for lons, lats in (([179.999, -179.999], [50.0, 50.0]), ([0.0, 180.0], [89.999, 89.999])):
        found = score(over(lons, lats, "track_id", "t"), over(lons, lats, "object", "a"), step_s=5)
        assert found.gospa_m.most == pytest.approx(0, abs=1e-6)
        assert found.completeness == 1
        # half-way the object is between its points, not round the globe
        assert score(over(lons[:1] * 2, lats, "track_id", "t"), over(lons, lats, "object", "a")).completeness == 1


# ---- one object, one track -----------------------------------------------------------------------------------------


def test_a_second_track_on_one_object_is_ambiguity_not_spurious():
    found = score(tracks(*straight("t", TEN), *straight("u", TEN, 20)), truth(*straight("a", TEN)))
    assert (found.ambiguity, found.spuriousness, found.redundant, found.false) == (2, 0, 10, 0)
    assert found.completeness == 1


def test_a_switch_is_another_track_than_the_last_also_after_a_break():
    """Track t to 30 s, nothing at 40 and 50 s, u from 60 s: one switch, one break, two tracks on the object."""
    found = score(
        tracks(*straight("t", range(0, 40, 10)), *straight("u", range(60, 100, 10))), truth(*straight("a", TEN))
    )
    assert (found.switches, found.breaks, found.tracks_per_object) == (1, 1, 2)
    assert found.longest_share == pytest.approx(0.4)
    assert found.switches_per_object_hour == pytest.approx(3600 / 80)
    assert found.purity == 1


def test_two_tracks_that_change_objects_are_two_switches_and_half_pure():
    """Two objects cross; the tracks follow each the wrong one afterwards."""
    half = range(0, 50, 10), range(50, 100, 10)
    found = score(
        tracks(
            *straight("t", half[0]),
            *straight("t", half[1], 3_000),
            *straight("u", half[0], 3_000),
            *straight("u", half[1]),
        ),
        truth(*straight("a", TEN), *straight("b", TEN, 3_000)),
    )
    assert (found.switches, found.breaks, found.purity) == (2, 0, 0.5)


def test_velocity_is_as_stated_or_else_the_slope_of_the_path():
    """Truth goes east at 10 m/s; a track that states 10 m/s towards north is wrong by sqrt(200)."""
    n = len(TEN)
    slope = score(tracks(*straight("t", TEN)), truth(*straight("a", TEN)))
    assert slope.velocity_rmse_mps == pytest.approx(0, abs=1e-3)
    stated = tracks(*straight("t", TEN), speed_mps=pa.array([10.0] * n), course_deg=pa.array([0.0] * n))
    found = score(stated, truth(*straight("a", TEN)))
    assert found.velocity_rmse_mps == pytest.approx(math.sqrt(200), rel=1e-3)


def test_altitude_is_compared_where_both_have_one_and_plays_no_part_in_matching():
    n = len(TEN)
    found = score(
        tracks(*straight("t", TEN), alt_m=pa.array([9_000.0] * (n - 1) + [None])),
        truth(*straight("a", TEN), alt_m=pa.array([5_000.0] * n)),
    )
    assert found.altitude_rmse_m == pytest.approx(4_000)
    assert found.completeness == 1


# ---- laws ----------------------------------------------------------------------------------------------------------


def a_scene(seed, objects=4, instants=5, spacing_m=700.0):
    """A few objects and tracks close together, with names; rows (name, second, east, north)."""
    rng = np.random.default_rng(seed)
    place = lambda: rng.uniform(0, spacing_m, 2)  # noqa: E731
    out = []
    for letters in ("abcd"[:objects], "tuvw"[: rng.integers(1, 5)]):
        rows = []
        for letter in letters:
            times = np.flatnonzero(rng.random(instants) < 0.8) * 10
            rows += [(letter, int(t), *place()) for t in times]
        out.append(rows)
    out[0] += [("a", 0, *place())] if not out[0] else []
    return out


seeds = st.integers(0, 2**32 - 1)


@settings(deadline=None, max_examples=40)
@given(seeds, st.sampled_from([1.0, 2.0]), st.sampled_from([100.0, 300.0, 2_000.0]))
def test_gospa_and_ospa_are_the_least_of_every_matching_there_is(seed, order, cutoff_m):
    there, seen = a_scene(seed)
    found = score(tracks(*seen), truth(*there), cutoff_m=cutoff_m, order=order, step_s=10)
    begin = min(row[1] for row in there)

    def paths(rows):
        out = {}
        for name, s, e, n in sorted(rows):
            out.setdefault(name, []).append((s, 30 + e / EAST_M, n / NORTH_M))
        return out

    for k, second in enumerate(found.series.at_s):
        now = [
            {name: at for name, path in paths(rows).items() if (at := naive.where(path, begin + second)) is not None}
            for rows in (there, seen)
        ]
        least, _ = naive.gospa(*now, cutoff_m, order)
        assert found.series.gospa_m[k] == pytest.approx(least, rel=1e-6, abs=1e-3)
        assert found.series.ospa_m[k] == pytest.approx(naive.ospa(*now, cutoff_m, order), rel=1e-6, abs=1e-3)
        parts = found.series.localisation[k] + found.series.missed[k] + found.series.false[k]
        assert parts == pytest.approx(found.series.gospa_m[k] ** order)


@settings(deadline=None, max_examples=40)
@given(seeds)
def test_neither_the_order_of_rows_nor_their_batches_matter(seed):
    there, seen = a_scene(seed)
    rng = np.random.default_rng(seed)
    one, two = tracks(*seen), truth(*there)
    mixed = shuffled(one, rng)
    again = score(pa.concat_tables([mixed.slice(0, 3), mixed.slice(3)]), shuffled(two, rng))
    assert again == score(one, two)


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_truth_and_tracks_change_places_and_the_distance_stays(seed):
    """GOSPA and OSPA are metrics: symmetric, and nothing from a thing to itself."""
    there, seen = a_scene(seed)
    seen = seen or [("t", 0, 0.0, 0.0)]
    at = np.array([START.timestamp() + s for s in range(0, 50, 10)])
    forth = score(tracks(*seen), truth(*there), instants_s=at)
    back = score(tracks(*there), truth(*seen), instants_s=at)
    assert forth.series.gospa_m == pytest.approx(back.series.gospa_m)
    assert forth.series.ospa_m == pytest.approx(back.series.ospa_m)
    assert forth.series.missed == pytest.approx(back.series.false)
    assert score(tracks(*there), truth(*there)).gospa_m.most == pytest.approx(0, abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([-1, -1, 0, 1, 2]), max_size=12))
def test_switches_and_breaks_are_those_of_the_definition(partner):
    counted = following(np.array([0, len(partner)]), np.array(partner, np.int64))
    told = naive.followed([None if p < 0 else p for p in partner])
    assert tuple(counted[0]) == told


@settings(deadline=None, max_examples=60)
@given(seeds, st.sampled_from([15.0, math.inf]))
def test_an_object_is_between_its_points_from_first_to_last(seed, gap_s):
    rng = np.random.default_rng(seed)
    paths = [np.sort(rng.integers(0, 60, rng.integers(0, 5))).astype(float) for _ in range(3)]
    first = np.cumsum([0, *map(len, paths)]).astype(np.int64)
    instants = np.arange(0, 60, 7.0)
    rows = brackets(first, np.concatenate(paths), instants, gap_s)
    told = {(int(k), int(i)): known for k, i, known in zip(rows[0], rows[1], rows[4], strict=True)}
    for k, t in enumerate(instants):
        for i, path in enumerate(paths):
            place = naive.where([(s, 0.0, 0.0) for s in path], t, gap_s)
            assert ((k, i) in told) == (place is not None)
            if place is not None:
                assert told[k, i] == (place != "unknown")


def test_the_assignment_of_many_pairs_at_once_is_the_best_of_each_knot():
    """Three knots in one call: a lone pair, a chain of two, and a square."""
    i, j = np.array([0, 1, 2, 2, 3, 3, 4, 4]), np.array([0, 1, 1, 2, 3, 4, 3, 4])
    gain = np.array([1.0, 2.0, 3.0, 2.5, 5.0, 4.0, 4.5, 1.0])
    left, right = assigned(i, j, gain)
    assert list(zip(left, right, strict=True)) == [(0, 0), (1, 1), (2, 2), (3, 4), (4, 3)]


def test_the_field_s_library_finds_the_same_gospa_and_ospa():
    """Stone Soup's generators, scan by scan. Its OSPA matches by the plain distance, which is right for order 1."""
    pytest.importorskip("stonesoup", reason="needs stonesoup (a bench dependency)")
    from stonesoup.metricgenerator.ospametric import GOSPAMetric, OSPAMetric
    from stonesoup.types.state import State

    for seed in range(25):
        there, seen = a_scene(seed, spacing_m=900.0)
        cutoff = 500.0
        for order in (1.0, 2.0):
            found = score(tracks(*seen), truth(*there), cutoff_m=cutoff, order=order, step_s=10)
            begin = min(row[1] for row in there)
            for k, second in enumerate(found.series.at_s):
                states = []
                for rows in (there, seen):
                    paths = {}
                    for name, s, e, n in sorted(rows):
                        paths.setdefault(name, []).append((s, 30 + e / EAST_M, n / NORTH_M))
                    places = [naive.where(path, begin + second) for path in paths.values()]
                    states.append([State(np.array(p).reshape(3, 1), timestamp=START) for p in places if p is not None])
                if not any(states):
                    continue
                theirs, _ = GOSPAMetric(c=cutoff, p=order).compute_gospa_metric(states[1], states[0])
                assert found.series.gospa_m[k] == pytest.approx(theirs.value["distance"], rel=1e-6, abs=1e-3)
                if order == 1.0:
                    ospa = OSPAMetric(c=cutoff, p=order).compute_OSPA_distance(states[1], states[0]).value
                    assert found.series.ospa_m[k] == pytest.approx(ospa, rel=1e-6, abs=1e-3)


# ---- mistakes ------------------------------------------------------------------------------------------------------


def test_a_table_without_a_column_says_which_and_what_there_is():
    with pytest.raises(SourceError, match="truth: there is no column 'object' among track_id, at, lon, lat"):
        score(tracks(*straight("t", TEN)), tracks(*straight("t", TEN)))


def test_a_row_without_a_place_is_named():
    rows = truth(*straight("a", TEN))
    rows = rows.set_column(2, "lon", pa.array([30.0, None, *[30.0] * 8]))
    with pytest.raises(SourceError, match=r"truth: row 2: object = a, at = .*, lon = None"):
        score(tracks(), rows)


@pytest.mark.parametrize(("name", "value"), [("cutoff_m", 0.0), ("order", 0.5), ("step_s", -1.0), ("gap_s", 0.0)])
def test_a_number_that_makes_no_sense_is_named(name, value):
    with pytest.raises(MissionError, match=name):
        score(tracks(), truth(*straight("a", TEN)), **{name: value})


# ---- files, table and picture --------------------------------------------------------------------------------------


def written(folder, rows, name):
    """A table as a file of the kind its name says."""
    path = folder / name
    if name.endswith(".csv"):
        pyarrow.csv.write_csv(rows, path)
    elif name.endswith(".parquet"):
        pyarrow.parquet.write_table(rows, path)
    else:
        pyarrow.feather.write_feather(rows, path)
    return path


@pytest.mark.parametrize("name", ["points.csv", "points.parquet", "points.arrow"])
def test_points_are_read_alike_from_csv_parquet_and_arrow(tmp_path, name):
    rows = tracks(*straight("t", TEN), speed_mps=pa.array([10.0] * len(TEN)))
    assert read(written(tmp_path, rows, name), "track_id").equals(rows)


def test_ids_of_the_picture_are_read_as_the_export_writes_them(tmp_path):
    """16 bytes in Arrow, hexadecimal in CSV: the same track."""
    rows = tracks(*straight("t", (0, 10)))
    raw = rows.set_column(0, "track_id", pa.array([b"\x01" * 16] * 2, pa.binary(16)))
    assert read(written(tmp_path, raw, "a.arrow"), "track_id")["track_id"].to_pylist() == ["01" * 16] * 2


def test_times_without_a_zone_are_utc(tmp_path):
    path = tmp_path / "truth.csv"
    path.write_text("object,at,lon,lat\na,2031-03-01T00:00:00,30,0\n")
    assert read(path, "object")["at"][0].as_py() == START


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("track_id,at,lon,lat\n", "it has .track_id.: is it meant as FILE", id="changed places"),
        pytest.param("object,at,lon\na,2031-03-01T00:00Z,30\n", "no column 'lat' among object, at, lon", id="a column"),
        pytest.param("object,at,lon,lat\na,noon,30,0\n", "row 1: at = 'noon' is not a time", id="a time"),
        pytest.param("object,at,lon,lat\na,2031-03-01,x30,0\n", "row 1: lon = 'x30' is not a number", id="a number"),
        pytest.param("object,at,lon,lat\na,2031-03-01,30,\n", "row 1: lat is empty", id="a place"),
        pytest.param("object,at,lon,lat\na,2031-03-01,30,98\n", "row 1: lat = 98.0 is not on the globe", id="a globe"),
    ],
)
def test_a_file_that_cannot_be_meant_says_where_and_what(tmp_path, text, said):
    path = tmp_path / "truth.csv"
    path.write_text(text)
    with pytest.raises(SourceError, match=said):
        read(path, "object")


def test_a_file_that_is_none_says_so(tmp_path):
    for name in ("absent.csv", "points.xlsx"):
        with pytest.raises(SourceError, match=name):
            read(tmp_path / name, "track_id")


@pytest.fixture
def files(tmp_path):
    """Tracks and truth as two files: one object followed, one missed, one false track."""
    there = truth(*straight("a", TEN), *straight("b", TEN, 9_000))
    seen = tracks(*straight("t", TEN, 30), *straight("far", TEN, 50_000))
    return written(tmp_path, seen, "tracks.csv"), written(tmp_path, there, "truth.csv")


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["score", "tracks", *map(str, arguments)])
    return stopped.value.code, *capsys.readouterr()


def test_the_command_prints_a_table_a_person_reads(files, capsys):
    code, shown, _ = run(capsys, files[0], "--truth", files[1])
    assert code == cli.DONE
    assert "2 objects of truth, 2 tracks, at 10 instants (every 10 s)" in shown
    assert "50 % missed, 50 % false" in shown
    assert next(line for line in shown.splitlines() if line.startswith("completeness")).split()[1] == "0.5"


def test_the_command_prints_json_that_machines_read(files, capsys):
    code, shown, _ = run(capsys, files[0], "--truth", files[1], "--json", "--step-s", 30)
    found = json.loads(shown)
    assert code == cli.DONE
    assert (found["objects"], found["step_s"], len(found["series"]["gospa_m"])) == (2, 30, 4)


def test_a_wrong_file_is_a_sentence_and_exit_code_2(files, capsys):
    code, _, said = run(capsys, files[1], "--truth", files[0])
    assert code == cli.WRONG
    assert "is it meant as --truth?" in said


@pytest.mark.parametrize("name", ["plot.svg", "plot.html", "plot.png"])
def test_the_plot_is_written_as_asked(files, tmp_path, capsys, name):
    if name.endswith(".png"):
        pytest.importorskip("typst", reason="needs the extra pdf")
    code, _, _ = run(capsys, files[0], "--truth", files[1], "--plot", tmp_path / name)
    assert code == cli.DONE
    begin = (tmp_path / name).read_bytes()[:15]
    assert begin.startswith({"svg": b"<svg", "html": b"<!doctype html>", "png": b"\x89PNG"}[name[5:]])


def test_a_plot_of_another_kind_is_refused(files, tmp_path, capsys):
    code, _, said = run(capsys, files[0], "--truth", files[1], "--plot", tmp_path / "plot.bmp")
    assert code == cli.WRONG
    assert ".svg, .html or .png" in said


def test_the_plot_marks_every_miss_false_track_and_switch():
    """One object missed at ten instants, one false track at ten, one switch; the same picture each time."""
    found, step = compare(
        tracks(*straight("t", range(0, 50, 10)), *straight("u", range(50, 100, 10)), *straight("far", TEN, 50_000)),
        truth(*straight("a", TEN), *straight("b", TEN, 9_000)),
    )
    score_ = summed(found, 1000.0, 2.0, step)
    drawn = plot.svg(found, score_, "x")
    legend = 1  # each sign once more
    assert drawn.count(f'stroke="{plot.MISSED}" stroke-width="1.1"') == 10 + legend
    assert drawn.count(f'stroke="{plot.FALSE}" stroke-width="1.2"') == 10 + legend
    assert drawn.count(f'fill="{plot.SWITCH}"') == score_.switches + legend
    assert drawn == plot.svg(found, score_, "x")


def test_a_figure_that_nothing_says_is_a_dash():
    shown = saying.told(score(tracks(), truth(*straight("a", TEN))))
    assert next(line for line in shown.splitlines() if line.startswith("position error")).split()[5] == "-"
