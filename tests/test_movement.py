"""What tracks tell: each outcome by a scene that shows it and one beside it that does not."""

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import naive_movement as naive
from a_movement import FRAME, HOURS, LATER, START, eastward, gathered, meeting, silent, tables, waiting
from a_picture import PARTIES, named, shuffled
from a_zone import star
from truceline.agreement import Agreement, Clause, Zone
from truceline.frame import Frame
from truceline.fuse import movement_assumptions as assumed
from truceline.fuse.movement import as_events, movements, tied
from truceline.fuse.movement_positions import dry_land
from truceline.fuse.movement_rows import Fixes
from truceline.fuse.movement_zones import Ways, draws
from truceline.kernels import movement as kernel
from truceline.kernels import path
from truceline.kernels.idset import index_in
from truceline.observation import CORE, TAXONOMY
from truceline.picture import EVENTS, INCIDENTS, MOVEMENTS, TRACK_POINTS, TRACKS, digest
from truceline.rules import judge
from truceline.zones import ZoneIndex

BOX = shapely.box(0, 0, 5_000, 5_000)
seeds = st.integers(0, 2**32 - 1)


# ---- scenes --------------------------------------------------------------------------------------------------------


def found(paths, zones=None, *, only=None, table_options=None, **options):
    """The movements of a scene as dicts, factors too; `only` a term or a beginning of one."""
    made = movements(*tables(paths, **(table_options or {})), FRAME, zones or {}, **options)
    assert made.schema == MOVEMENTS
    rows = made.to_pylist()
    for row in rows:
        row["factors"] = dict(row["factors"] or [])
        row["from_s"], row["until_s"] = ((row[k] - START).total_seconds() for k in ("at_from", "at_until"))
    return [row for row in rows if only is None or row["what"].startswith(only)]


def whats(rows):
    return [row["what"].removeprefix("movement.") for row in rows]


# ---- zones on the path between fixes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fixes", "outcomes"),
    [
        pytest.param(
            [-3_000, -1_000, 1_000, 3_000, 7_000, 9_000], ["enter", "inside", "exit"], id="through, with fixes"
        ),
        pytest.param([1_000, 3_000, 7_000, 9_000], ["inside", "exit"], id="there when first seen"),
        pytest.param([-3_000, -1_000, 1_000, 3_000], ["enter", "inside"], id="there when last seen"),
        pytest.param([1_000, 2_000, 3_000], ["inside"], id="never elsewhere"),
        pytest.param([-3_000, -1_000, 7_000, 9_000], ["cross"], id="through, between two fixes"),
        pytest.param([-9_000, -7_000, -6_000], [], id="far off"),
        pytest.param([1_000, 7_000, 3_000], ["inside", "exit", "enter", "inside"], id="out and in again"),
    ],
)
def test_what_a_vessel_does_to_a_zone(fixes, outcomes):
    """A zone of 5 km; fixes every 10 minutes along a line through its middle."""
    rows = [(600 * k, float(east), 2_500.0) for k, east in enumerate(fixes)]
    assert sorted(whats(found({"mmsi:1": rows}, {"zone": BOX}, only="movement"))) == sorted(outcomes)


def test_an_outcome_lies_between_the_fixes_that_bound_it():
    """Outside at 600 s, inside at 1,200 and 1,800 s, outside at 2,400 s."""
    rows = [(600 * k, e, 2_500.0) for k, e in enumerate([-5_000.0, -1_000.0, 1_000.0, 4_000.0, 8_000.0])]
    told = {row["what"]: (row["from_s"], row["until_s"]) for row in found({"mmsi:1": rows}, {"zone": BOX})}
    assert told["movement.enter"] == (600, 1_200)
    assert told["movement.inside"] == (1_200, 1_800)
    assert told["movement.exit"] == (1_800, 2_400)


def test_the_probability_of_a_visit_is_that_of_its_likeliest_fix():
    """One fix on the border, known to 20 m: a half. Its ways touch the zone as likely: the same doubt, not more."""
    rows = [(0, -2_000.0, 2_500.0), (60, 0.0, 2_500.0), (120, -2_000.0, 2_500.0)]
    inside = found({"mmsi:1": rows}, {"zone": BOX}, only="movement.inside")
    assert [row["confidence"] for row in inside] == pytest.approx([0.5], abs=0.04)


def test_one_that_passes_near_and_stays_outside_is_told_as_such():
    """100 m off a border, known to 20 m: it was not inside, and how surely is said."""
    rows = found({"mmsi:1": eastward(range(0, 1_800, 60), -100.0)}, {"zone": BOX})
    assert whats(rows) == ["outside"]
    assert rows[0]["confidence"] > 0.99
    assert "stayed outside" in rows[0]["text"]


def test_between_fixes_a_crossing_is_as_likely_as_the_ways_it_can_have_taken():
    """An hour between fixes 2 km off either side of a corner: it may have cut it or gone round; a minute says no."""
    ways = [(0, -2_000.0, -2_000.0), (3_600, 6_000.0, -1_500.0)]
    slow = found({"mmsi:1": ways}, {"zone": BOX}, only="movement.cross")
    assert 0.05 < slow[0]["confidence"] < 0.6
    assert "may have passed through" in slow[0]["text"]
    quick = [(0, -2_000.0, -2_000.0), (320, 6_000.0, -1_500.0)]  # at its greatest speed there is no way but one
    assert found({"mmsi:1": quick}, {"zone": BOX}, only="movement.cross") == []


def test_a_zone_thinner_than_the_way_between_fixes_is_crossed_surely():
    """Tile38's `cross`: 8 km between fixes, a lane 200 m wide across the way."""
    lane = shapely.box(3_000, -50_000, 3_200, 50_000)
    crossed = found({"mmsi:1": eastward((0, 1_600))}, {"lane": lane}, only="movement.cross")
    assert crossed[0]["confidence"] > 0.99
    assert "passed through" in crossed[0]["text"]


@settings(deadline=None, max_examples=25)
@given(seeds)
def test_random_walks_through_random_zones_do_what_a_loop_over_fixes_says(seed):
    """Good fixes, and steps at more than the greatest speed, so that no way but one is left: outcomes are membership
    and crossing."""
    rng = np.random.default_rng(seed)
    area = star(rng, 8, 20_000)
    rows = [(20 * k, float(e), float(n)) for k, (e, n) in enumerate(np.cumsum(rng.normal(0, 1_200, (60, 2)), axis=0))]
    tables_ = tables({"mmsi:1": rows}, sigma_m=0.5)
    ways = Ways(Fixes.of(tables_[0], tables_[1], FRAME))
    points = shapely.points([r[1:] for r in rows])
    lines = []
    for i in range(len(rows) - 1):
        a, b, c, d = ways.leaves_m[i]
        lines.append(
            shapely.LineString([naive.curve(rows[i][1:], rows[i + 1][1:], (a, b), (c, d), k / 48) for k in range(49)])
        )
    clear = 5 * float(ways.bow_m.max()) + 10
    border = shapely.boundary(area)
    near = shapely.distance(border, np.array([*points, *lines], object))
    meets = shapely.intersects(border, np.array(lines, object))
    inside = shapely.contains(area, points)
    # a way that only just touches, or a fix on the border, is a matter of chance: another test's
    assume((near[: len(points)] > clear).all() and (meets | (near[len(points) :] > clear)).all())
    touching = meets | inside[:-1] | inside[1:]
    told = naive.visits(inside.tolist(), touching.tolist())
    made = movements(*tables_, FRAME, {"zone": area}).to_pylist()
    got = [
        (r["what"], *(round((r[k] - START).total_seconds() / 20) for k in ("at_from", "at_until")))
        for r in made
        if r["what"] in ("movement.enter", "movement.inside", "movement.exit", "movement.cross")
        and r["confidence"] > 0.5
    ]
    assert sorted(got) == sorted(told)


# ---- the kernel of paths -------------------------------------------------------------------------------------------


def touched(area, begin, end, leave=None, arrive=None, errors=((0, 0, 0), (0, 0, 0)), bow_m=0.0):
    """The kernel's answer for one way."""
    chord = np.subtract(end, begin)
    ends = np.array([[*begin, *end]], float)
    leaves = np.array([[*(chord if leave is None else leave), *(chord if arrive is None else arrive)]], float)
    one = np.zeros(1, np.int64)
    roots = np.array([[*errors[0], *errors[1]]], float)
    return path.touching(ZoneIndex([area]).indexed, one, one, ends, leaves, roots, np.array([bow_m]), draws())[0]


@settings(deadline=None, max_examples=60)
@given(seeds)
def test_a_straight_way_without_errors_touches_or_it_does_not(seed):
    rng = np.random.default_rng(seed)
    area, (begin, end) = star(rng, 8, 100), rng.uniform(-150, 150, (2, 2))
    line = shapely.LineString([begin, end])
    assume(abs(shapely.distance(shapely.boundary(area), line)) > 1e-6 or shapely.crosses(area, line))
    assert touched(area, begin, end) == float(shapely.intersects(area, line))


@pytest.mark.parametrize("seed", range(6))
def test_the_share_of_drawn_paths_is_that_of_random_ones(seed):
    """256 paths, evenly spread, beside 4,000 at random: within four standard errors of the latter, and 0.03."""
    rng = np.random.default_rng(seed)
    area = star(rng, 7, 1_000)
    begin, end = (-1_500.0, float(rng.uniform(-900, 900))), (1_500.0, float(rng.uniform(500, 2_500)))
    leave, arrive = tuple(rng.normal(2_000, 1_500, 2)), tuple(rng.normal(2_000, 1_500, 2))
    errors = ((80.0, 20.0, 60.0), (120.0, -30.0, 90.0))
    triangles = [((a, 0.0), (b, c)) for a, b, c in errors]
    told = naive.share_touching(area, begin, end, leave, arrive, triangles, 400.0, rng)
    assert touched(area, begin, end, leave, arrive, errors, 400.0) == pytest.approx(told, abs=0.06)


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_a_way_and_its_zone_moved_together_touch_as_before(seed):
    rng = np.random.default_rng(seed)
    area, (begin, end), shift = star(rng, 8, 100), rng.uniform(-150, 150, (2, 2)), rng.integers(-5, 5, 2) * 64.0
    there = touched(area, begin, end, bow_m=30.0)
    moved = shapely.transform(area, lambda xy: xy + shift)
    assert touched(moved, begin + shift, end + shift, bow_m=30.0) == pytest.approx(there, abs=2 / assumed.DRAWN_PATHS)


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_no_zone_that_a_box_meets_is_left_out(seed):
    rng = np.random.default_rng(seed)
    areas = [shapely.transform(star(rng, 6, 30), lambda xy: xy + rng.uniform(-200, 200, 2)) for _ in range(12)]
    corner = rng.uniform(-300, 300, (40, 2))
    boxes = np.hstack([corner, corner + rng.exponential(40, (40, 2))])
    pairs = {(int(b), int(z)) for b, z in zip(*path.reached(ZoneIndex(areas).indexed, boxes), strict=True)}
    meet = {(b, z) for b, box in enumerate(boxes) for z, a in enumerate(areas) if shapely.box(*box).intersects(a)}
    assert meet <= pairs
    nothing = path.reached(ZoneIndex(areas).indexed, np.full((1, 4), np.nan))
    assert [len(part) for part in nothing] == [0, 0]


def test_a_way_with_a_number_missing_has_no_probability():
    assert math.isnan(touched(BOX, (0.0, math.nan), (1.0, 1.0)))


def test_a_ship_at_its_greatest_speed_cannot_stray():
    """50 knots all the way leaves no time for a bow; at a tenth of it the bow is that of its class."""
    fast, slow = ([(0, 0.0, 0.0), (600, v * 600.0, 0.0)] for v in (25.7, 2.57))
    bow = [float(Ways(Fixes.of(*tables({"mmsi:1": rows})[:2], FRAME)).bow_m[0]) for rows in (fast, slow)]
    assert bow[0] == pytest.approx(0, abs=1)
    assert bow[1] == pytest.approx(math.sqrt(0.01 * 600**3 / 192))


# ---- silence -------------------------------------------------------------------------------------------------------


def test_one_that_is_not_heard_while_its_neighbours_are_may_have_stopped_sending():
    """Heard every half minute, then not for an hour; two others 3 km off are, by the same station."""
    scene = {f"mmsi:{k}": eastward(HOURS, 3_000.0 * k) for k in range(3)}
    scene["mmsi:0"] = silent(scene["mmsi:0"], 3_600, 7_200)
    (row,) = found(scene, only="movement.")
    assert row["what"] == "movement.dark"
    assert (row["from_s"], row["until_s"]) == (3_570, 7_200)
    assert "while others within 15 km were" in row["text"]
    assert "or its set failed" in row["text"]
    # the same by the formula: C from the slots, losses from nobody else's silences in some 11 hours
    covered = 1 - math.exp(-row["factors"]["others nearby heard"] - row["factors"]["coverage of the place"])
    hours = sum((b[0] - a[0]) / 3600 for rows in scene.values() for a, b in pairwise(rows))
    p = naive.dark(covered, 1 / 500, 1 / 10, naive.losses(3_630, 30, 0, hours))
    assert row["confidence"] == pytest.approx(p, abs=1e-4)
    assert sum(row["factors"].values()) == pytest.approx(naive.log_odds(row["confidence"]), abs=1e-3)


def test_when_all_fall_silent_it_was_the_receiver():
    scene = {f"mmsi:{k}": silent(eastward(HOURS, 3_000.0 * k), 3_600, 7_200) for k in range(3)}
    rows = found(scene, only="movement.")
    assert whats(rows) == ["outage"] * 3
    assert "The receiver was silent, not the vessel" in rows[0]["text"]


def test_a_gap_where_nobody_else_was_heard_says_nothing():
    """The only other is 300 km off: nothing shows that the station heard anything there."""
    scene = {"mmsi:0": silent(eastward(HOURS), 3_600, 7_200), "mmsi:1": eastward(HOURS, 300_000.0)}
    (row,) = found(scene, only="movement.")
    assert row["what"] == "movement.gap"
    assert "nothing says that it stopped sending" in row["text"]


def test_where_silences_as_long_are_usual_one_more_is_ordinary():
    """Each of eight neighbours was silent for an hour at some time of the four."""
    scene = {f"mmsi:{k}": silent(eastward(HOURS, 1_000.0 * k), 900 * (k + 1), 900 * (k + 1) + 3_600) for k in range(8)}
    rows = found(scene, only="movement.")
    assert set(whats(rows)) == {"gap"}
    assert "silences as long are usual" in rows[0]["text"]


def test_one_that_is_never_heard_again_is_told_too():
    scene = {"mmsi:0": silent(eastward(HOURS), 3_600, 14_400), "mmsi:1": eastward(HOURS, 3_000.0)}
    (row,) = found(scene, only="movement.")
    assert row["what"] == "movement.dark"
    assert "and not again" in row["text"]


def test_a_track_that_went_over_into_another_did_not_fall_silent():
    scene = {"mmsi:0": silent(eastward(HOURS), 3_600, 14_400), "mmsi:1": eastward(HOURS, 3_000.0)}
    assert found(scene, only="movement.", table_options={"merged_into": named("x")}) == []


def test_one_that_comes_back_as_another_track_was_silent_between_the_two():
    """The tracker closed the first track; the identity says that the second goes on for it."""
    whole = eastward(HOURS)
    scene = {"one": silent(whole, 3_600, 14_400), "two": silent(whole, 0, 7_200), "mmsi:9": eastward(HOURS, 3_000.0)}
    tracks, points, seen = tables(scene)
    same = pa.array(["mmsi:1", "mmsi:1", "mmsi:9"])
    tracks = tracks.set_column(tracks.schema.get_field_index("identity"), "identity", same)
    rows = [r for r in movements(tracks, points, seen, FRAME, {}).to_pylist() if r["what"] == "movement.dark"]
    assert [(r["track_id"], (r["at_until"] - START).total_seconds()) for r in rows] == [(named("one"), 7_200)]
    assert "not again" not in rows[0]["text"]


def test_coverage_that_is_given_takes_the_place_of_what_was_heard():
    scene = {"mmsi:0": silent(eastward(HOURS), 3_600, 7_200), "mmsi:1": eastward(HOURS, 300_000.0)}
    (covered,) = found(scene, only="movement.", coverage=lambda e, n, t: np.full(len(e), 0.99))
    (blind,) = found(scene, only="movement.", coverage=lambda e, n, t: np.zeros(len(e)))
    assert (covered["what"], blind["what"]) == ("movement.dark", "movement.gap")


def test_an_aircraft_that_lands_is_not_silent():
    """It is heard again where it was last heard: it stood on the ground. One that flew on 500 km was silent."""
    others = {f"icao:{k}": eastward(HOURS, 3_000.0 * k, speed_mps=25.0) for k in range(1, 3)}
    flight = eastward(range(0, 3_600, 30), speed_mps=100.0)
    again = [(s + 7_200, e + 360_000 - flight[0][1], n) for s, e, n in flight]
    on = [(s + 7_200, e + 900_000, n) for s, e, n in flight]
    options = {"what": "aircraft"}
    assert found({"icao:0": flight + again, **others}, only="movement.", table_options=options) == []
    assert len(found({"icao:0": flight + on, **others}, only="movement.", table_options=options)) == 1


@settings(deadline=None, max_examples=40)
@given(seeds)
def test_reports_round_a_place_are_counted_as_a_loop_counts_them(seed):
    rng = np.random.default_rng(seed)
    shape = (4, 3, 5)
    reports = [(int(rng.integers(2)), *(int(rng.integers(s)) for s in shape)) for _ in range(60)]
    code = [((s * shape[0] + c) * shape[1] + r) * shape[2] + t for s, c, r, t in reports]
    keys, counts = np.unique(np.array(code), return_counts=True)
    asked = rng.integers(-1, 6, (50, 4))
    asked[:, 0] = rng.integers(-1, 2, 50)
    got = kernel.heard_round(keys, counts.astype(np.int64), *(np.ascontiguousarray(v) for v in asked.T), *shape)
    inside = [tuple(map(int, row)) for row in asked]
    assert got.tolist() == [naive.heard(reports, *row) if row[0] >= 0 else 0 for row in inside]


# ---- positions that cannot be -------------------------------------------------------------------------------------


def test_a_position_that_cannot_be_reached_is_told_with_the_speed_it_would_have_taken():
    rows = eastward(LATER)
    rows[50] = (rows[50][0], rows[50][1] + 90_000, 0.0)
    (row,) = found({"mmsi:1": rows}, only="movement.impossible")
    assert "90 km from the one before it, 60 s later" in row["text"]
    assert row["confidence"] > 0.99
    assert (row["from_s"], row["until_s"]) == (49 * 60, 51 * 60)


def test_a_position_that_no_track_took_is_told_all_the_same():
    """The tracker leaves it out of the track; what was sent still counts."""
    stray = [("mmsi:1", 3_030, 90_000.0, 0.0)]
    rows = found({"mmsi:1": eastward(LATER)}, only="movement.impossible", table_options={"unheard": stray})
    assert [row["track_id"] for row in rows] == [named("mmsi:1")]


def test_a_speed_that_is_possible_with_the_errors_is_not_impossible():
    """40 knots; and 60 knots on a time written to the minute."""
    assert found({"mmsi:1": eastward(LATER, speed_mps=20.5)}, only="movement.impossible") == []
    tables_ = tables({"mmsi:1": eastward(range(0, 600, 60), speed_mps=31.0)})
    minute = tables_[2].set_column(
        tables_[2].schema.get_field_index("at_sigma_s"), "at_sigma_s", pa.array([30.0] * 10, pa.float32())
    )
    told = movements(tables_[0], tables_[1], minute, FRAME, {})
    assert pc.sum(pc.starts_with(told["what"], "movement.impossible")).as_py() in (0, None)


def test_one_identity_in_turn_at_two_places_is_two_senders_or_a_false_place():
    rows = [(s, 5.0 * s + (80_000 if k % 2 and 30 < k < 60 else 0), 0.0) for k, s in enumerate(LATER)]
    (row,) = found({"mmsi:1": rows}, only="movement.")
    assert row["what"] == "movement.twice"
    assert "at two places 80 km apart" in row["text"]
    assert "nothing says which" in row["text"]


def test_many_identities_on_one_point_are_a_disturbance_before_anything_else():
    rows = found(gathered(7))
    points = [row for row in rows if row["what"] == "movement.one_point"]
    assert {row["track_id"] for row in points} == {named(f"mmsi:{k}") for k in range(7)}
    disturbed = [row for row in rows if row["what"] == "jamming.position"]
    assert disturbed[0]["confidence"] > 0.9
    assert "7 objects" in disturbed[0]["text"]
    assert all("6 other objects nearby" in row["text"] for row in points)


def test_one_object_alone_is_no_disturbance_nor_are_two():
    for count in (1, 2):
        rows = found(gathered(count))
        assert "jamming.position" not in {row["what"] for row in rows}
        assert "movement.impossible" in {row["what"] for row in rows}


def test_a_raft_of_boats_in_a_harbour_is_no_anomaly():
    """Six moored side by side, none of which jumped there; a zone of kind port says what it is."""
    rows = {f"mmsi:{k}": [(s, 2.0 * k, 0.0) for s in range(0, 3_600, 300)] for k in range(6)}
    port = {"quay": shapely.box(-500, -500, 500, 500)}
    assert found(rows, port, kinds={"quay": "port"}, only="movement.one_point") == []
    assert max(row["confidence"] for row in found(rows, only="movement.one_point")) < 0.5


def test_aircraft_that_land_one_after_another_over_one_threshold_are_no_anomaly():
    """Twelve in two hours, each seconds over the same 50 m: none of them stays there."""
    rows = {f"icao:{k}": [(600 * k + s, 70.0 * s - 5_000, 0.0) for s in range(0, 150, 2)] for k in range(12)}
    assert found(rows, table_options={"what": "aircraft"}, only="movement.one_point") == []


def test_a_vessel_on_land_by_the_map():
    dry = shapely.box(5_000, -9_000, 15_000, 9_000)
    (row,) = found({"mmsi:1": eastward(LATER)}, land=dry, only="movement.on_land")
    assert row["confidence"] > 0.9
    assert 1_000 <= row["from_s"] <= 1_060
    assert found({"mmsi:1": eastward(LATER)}, land=dry, only="movement.on_land", table_options={"what": "ground"}) == []


def test_dry_land_leaves_out_the_sea_rivers_and_a_strip_along_the_coast():
    """The steppe north of Odesa is land; the sea, the port and the Dnipro at Kherson are not."""
    frame = Frame(31.0, 46.5, 300_000.0)
    index = ZoneIndex([dry_land(frame)])
    east, north = frame.to_local([31.0, 31.0, 30.75, 32.6], [47.3, 45.8, 46.49, 46.62])
    assert index.members(east, north)[0].tolist() == [0]


def test_a_ship_that_goes_round_and_round_one_circle_is_a_false_position():
    circle = [(s, 3_000 * math.sin(s / 500), 3_000 * math.cos(s / 500)) for s in range(0, 9_000, 60)]
    (row,) = found({"mmsi:1": circle}, only="movement.circle")
    assert row["confidence"] > 0.9
    assert "circle of 3.0 km" in row["text"]


def test_a_ship_that_turns_about_as_ships_do_is_none():
    """A figure of eight, and a square searched twice."""
    eight = [(s, 3_000 * math.sin(s / 500), 1_500 * math.sin(s / 250)) for s in range(0, 9_000, 60)]
    corners = [(0, 0), (4_000, 0), (4_000, 4_000), (0, 4_000), (0, 0)] * 3
    square, s = [], 0
    for (a, b), (c, d) in pairwise(corners):
        for k in range(10):
            square.append((s, a + (c - a) * k / 10, b + (d - b) * k / 10))
            s += 60
    assert found({"mmsi:1": eight, "mmsi:2": square}, only="movement.circle") == []


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_a_fitted_circle_is_the_one_that_points_were_drawn_from(seed):
    rng = np.random.default_rng(seed)
    (e, n), radius = rng.uniform(-1e5, 1e5, 2), float(rng.uniform(100, 1e4))
    turn = np.sort(rng.uniform(0, 2 * math.pi, 20))
    assume(np.diff(turn, append=turn[0] + 2 * math.pi).max() < math.pi)
    x, y, r, off = kernel.circle(e + radius * np.cos(turn), n + radius * np.sin(turn))
    assert (x, y, r) == pytest.approx((e, n, radius), rel=1e-6, abs=1e-3)
    assert off < 1e-3
    assert math.isnan(kernel.circle(np.zeros(2), np.ones(2))[2])
    assert math.isnan(kernel.circle(np.arange(5.0), np.arange(5.0))[2])


# ---- staying -------------------------------------------------------------------------------------------------------


def test_one_that_stays_about_a_place_loiters_the_longer_the_likelier():
    short, long = (found({"mmsi:1": waiting(h)}, only="movement.loiter")[0] for h in (4, 40))
    assert short["confidence"] < 0.5 < long["confidence"]
    assert "stayed 40 h within 2.0 km" in long["text"]
    assert found({"mmsi:1": waiting(2)}, only="movement.loiter") == []


def test_where_others_wait_too_and_in_a_port_waiting_is_ordinary():
    alone = found({"mmsi:1": waiting(40)}, only="movement.loiter")[0]["confidence"]
    many = {f"mmsi:{k}": waiting(40, 1_500.0 * k) for k in range(4)}
    among = found(many, only="movement.loiter")[0]
    port = {"port": shapely.box(-3_000, -3_000, 3_000, 3_000)}
    moored = found({"mmsi:1": waiting(40)}, port, kinds={"port": "port"}, only="movement.loiter")[0]
    assert among["confidence"] < alone
    assert moored["confidence"] < alone
    assert "3 others stayed within 10 km" in among["text"]


def test_one_that_stops_in_a_lane_is_told_and_one_that_sails_it_is_not():
    lane = {"lane": shapely.box(-50_000, -1_000, 50_000, 1_000)}
    stop = [
        (s, 0.0 if 3_600 <= s < 9_000 else 5.0 * (s - (3_600 if s < 3_600 else 9_000)), 0.0)
        for s in range(0, 12_000, 60)
    ]
    (row,) = found({"mmsi:1": stop, "mmsi:2": eastward(range(0, 7_200, 60), 500.0)}, lane, kinds={"lane": "lane"},
                   only="movement.stop")  # fmt: skip
    assert row["track_id"] == named("mmsi:1")
    assert row["zone"] == "lane"
    assert row["until_s"] - row["from_s"] == pytest.approx(5_400, abs=130)
    assert found({"mmsi:1": stop}, lane, only="movement.stop") == []  # a zone of no kind is no lane


def test_two_that_lie_together_slowly_meet():
    (row,) = found(meeting(), only="movement.rendezvous")
    assert {row["track_id"], row["other_id"]} == {named("mmsi:1"), named("mmsi:2")}
    assert "200 m apart" in row["text"]
    assert 0.5 < row["confidence"] < 1
    assert found(meeting(2_000.0), only="movement.rendezvous") == []


def test_ships_that_pass_each_other_do_not_meet_nor_do_two_in_a_crowd():
    east, west = eastward(LATER), [(s, 36_000 - 5.0 * s, 100.0) for s in LATER]
    assert found({"mmsi:1": east, "mmsi:2": west}, only="movement.rendezvous") == []
    crowd = meeting() | {f"mmsi:9{k}": waiting(6, 700.0, 600.0 * (k - 2) - 900) for k in range(4)}
    pair = [
        r
        for r in found(crowd, only="movement.rendezvous")
        if {r["track_id"], r["other_id"]} == {named("mmsi:1"), named("mmsi:2")}
    ]
    assert pair[0]["confidence"] < 0.2


@settings(deadline=None, max_examples=50)
@given(seeds)
def test_stays_are_those_of_a_loop(seed):
    rng = np.random.default_rng(seed)
    objects = [
        np.cumsum(np.column_stack([rng.exponential(10, n), rng.normal(0, 4, (n, 2))]), axis=0).tolist()
        for n in rng.integers(0, 40, 3)
    ]
    first = np.cumsum([0, *map(len, objects)]).astype(np.int64)
    flat = np.array([row for rows in objects for row in rows]).reshape(-1, 3)
    begin, end = kernel.stays(
        first, *(np.ascontiguousarray(v) for v in flat.T), np.full(3, 15.0), np.full(3, 60.0), np.full(3, 30.0)
    )
    told = [
        (int(a) + i, int(a) + j)
        for a, rows in zip(first[:-1], objects, strict=True)
        for i, j in naive.stays(rows, 15.0, 60.0, 30.0)
    ]
    assert list(zip(begin.tolist(), end.tolist(), strict=True)) == told


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_ids_are_found_where_they_stand(seed):
    """Also ids that are no hashes: words that are small, equal, or negative as whole numbers."""
    rng = np.random.default_rng(seed)
    ids = np.unique(rng.integers(-4, 5, (40, 2)), axis=0)
    rng.shuffle(ids)
    asked = rng.integers(-4, 5, (60, 2))
    told = [next((k for k, row in enumerate(ids.tolist()) if row == one), -1) for one in asked.tolist()]
    assert index_in(asked.view(np.uint64), np.ascontiguousarray(ids).view(np.uint64)).tolist() == told


# ---- what holds of all ---------------------------------------------------------------------------------------------


def everything():
    """A scene in which much happens."""
    scene = gathered(4) | {f"x:{k}": v for k, v in meeting().items()}
    scene |= {"mmsi:20": silent(eastward(HOURS, -40_000.0), 3_600, 7_200), "mmsi:21": eastward(HOURS, -42_000.0)}
    return scene, {"zone": BOX, "other": shapely.box(2_000, -3_000, 30_000, 3_000)}


def test_neither_the_order_of_rows_nor_their_batches_change_anything():
    scene, zones = everything()
    given_ = tables(scene)
    once = movements(*given_, FRAME, zones)
    rng = np.random.default_rng(4)
    mixed = [shuffled(t, rng) for t in given_]
    mixed = [pa.concat_tables([t.slice(0, t.num_rows // 3), t.slice(t.num_rows // 3)]) for t in mixed]
    again = movements(*mixed, FRAME, dict(reversed(zones.items())))
    assert once.equals(again)
    assert digest({"movements": once}) == digest({"movements": again})


def test_every_movement_has_a_name_of_its_own_a_term_a_sentence_and_reasons():
    scene, zones = everything()
    rows = found(scene, zones)
    assert len({row["event_id"] for row in rows}) == len(rows)
    for row in rows:
        assert row["what"] in TAXONOMY
        assert 0 <= row["confidence"] <= 1
        assert row["text"].endswith(".")
        assert row["factors"]
        assert row["at_from"] <= row["at_until"]
        assert None not in (row["lon"], row["lat"], row["major_m"])


def test_no_sentence_says_why_or_who():
    scene, zones = everything()
    words = " ".join(row["text"] for row in found(scene, zones)).lower()
    assert not any(word in words for word in ("hostile", "enemy", "smuggl", "guilt", "suspect", "attack", "target"))


def test_where_nothing_moved_there_is_nothing_to_tell():
    empty = tuple(schema.empty_table() for schema in (TRACKS, TRACK_POINTS, CORE))
    assert movements(*empty, FRAME, {"zone": BOX}).equals(MOVEMENTS.empty_table())
    alone = found({"mmsi:1": [(0, 100.0, 100.0)]}, {"zone": BOX})
    assert whats(alone) == ["inside"]


def test_tracks_are_read_where_neither_observations_nor_sensors_nor_identities_are_known():
    """What was heard, by whom and of whom is then unknown; zones and stays are not."""
    tracks, points, seen = tables({"mmsi:1": eastward(HOURS), "mmsi:2": silent(eastward(HOURS, 3_000.0), 3_600, 7_200)})
    nobody = seen.set_column(seen.schema.get_field_index("identity"), "identity", pa.nulls(seen.num_rows, pa.string()))
    nobody = nobody.set_column(seen.schema.get_field_index("sensor"), "sensor", pa.nulls(seen.num_rows, pa.string()))
    for known in (seen.slice(0, 0), nobody):
        told = set(movements(tracks, points, known, FRAME, {"zone": BOX})["what"].to_pylist())
        assert {"movement.inside", "movement.exit"} <= told
        assert "movement.impossible" not in told


def test_a_movement_is_as_narrow_as_the_narrowest_of_its_tracks():
    tracks, points, seen = tables(meeting(), release="public")
    labels = pa.array(["public", "sending_states"])
    tracks = tracks.set_column(tracks.schema.get_field_index("release"), "release", labels)
    told = movements(tracks, points, seen, FRAME, {})
    assert told.filter(pc.equal(told["what"], "movement.rendezvous"))["release"].to_pylist() == ["sending_states"]


# ---- what rules make of it -----------------------------------------------------------------------------------------


def flight(**options):
    """A drone through the box, fixes every ten seconds, and what it told."""
    rows = eastward(range(0, 400, 10), 2_500.0, -5_000.0, 40.0)
    given_ = tables({"icao:1": rows}, what="uav", **options)
    return given_, movements(*given_, FRAME, {"zone": BOX, "inner": shapely.box(2_000, 2_000, 3_000, 3_000)})


def incidents_of(events):
    """One incident for each of the events that share one."""
    rows = {}
    for event in events.to_pylist():
        rows.setdefault(event["incident_id"], event | {"first_at": event["at_from"], "last_at": event["at_until"]})
    return pa.table({f.name: pa.array([r.get(f.name) for r in rows.values()], f.type) for f in INCIDENTS}, INCIDENTS)


def test_an_object_in_a_zone_is_an_event_that_rules_can_judge():
    (tracks, _, _), told = flight()
    events = as_events(told, tracks)
    assert events.schema == EVENTS
    assert events["what"].to_pylist() == ["uav", "uav"]
    assert events["p_conflict"].to_pylist() == pytest.approx([0.95, 0.95])
    assert events["release"].to_pylist() == ["mission", "mission"]
    # one flight through a zone within a zone is one incident
    assert len(set(events["incident_id"].to_pylist())) == 1


def test_a_drone_in_a_zone_without_flights_is_a_likely_breach_and_one_beside_it_none():
    (tracks, _, _), told = flight()
    events = as_events(told, tracks)
    corners = FRAME.to_degrees([0, 5_000, 5_000, 0, 0], [0, 0, 5_000, 5_000, 0])
    zone = Zone(id="zone", kind="polygon", coordinates=[[(float(a), float(b)) for a, b in zip(*corners, strict=True)]])
    clause = Clause(id="1", type="no_fly", title="no flights", parties=["a", "b"], zone="zone")
    agreement = Agreement(id="x", title="x", party=PARTIES, zone=[zone], clause=[clause])
    options = {"gazetteer": None, "folder": Path(), "until": START + timedelta(days=30)}
    findings = judge(events, incidents_of(events), agreement, None, FRAME, **options).to_pylist()
    assert findings
    assert all(row["p_breach"] > 0.9 for row in findings)
    beside = movements(
        *tables({"icao:2": eastward(range(0, 400, 10), -9_000.0, -5_000.0, 40.0)}, what="uav"), FRAME, {"zone": BOX}
    )
    assert as_events(beside, tracks).num_rows == 0


def test_a_ship_in_a_zone_has_no_prior_of_conflict():
    rows = {"mmsi:1": eastward(range(0, 900, 60), 100.0)}
    given_ = tables(rows)
    events = as_events(movements(*given_, FRAME, {"zone": BOX}), given_[0])
    assert events["p_conflict"].to_pylist() == [None]
    assert events["p_conflict_model"].to_pylist() == [None]


def test_behind_an_event_are_the_fixes_within_it():
    (tracks, points, _), told = flight()
    events = as_events(told, tracks)
    ties = tied(events, told, points)
    of = {e["event_id"]: (e["at_from"], e["at_until"]) for e in events.to_pylist()}
    when = dict(zip(points["observation_id"].to_pylist(), points["at"].to_pylist(), strict=True))
    assert ties.num_rows == sum(a <= t <= b for a, b in of.values() for t in when.values())
    for row in ties.to_pylist():
        begin, end = of[row["event_id"]]
        assert begin <= when[row["observation_id"]] <= end
        assert row["track_id"] == named("icao:1")


# ---- real ships ----------------------------------------------------------------------------------------------------


@pytest.mark.realdata
def test_the_ship_that_blocked_the_suez_canal_stood_in_its_lane(realdata):
    """March 2021: aground from 05:40 UTC of the 23rd near 30.017 N 32.58 E; the data ends on the 24th at noon."""
    table = pyarrow.csv.read_csv(realdata / "ais" / "movingpandas" / "boat-positions.csv").to_pydict()
    frame = Frame(32.4, 30.6)
    paths: dict[str, dict[float, tuple[float, float]]] = {}
    names = list(table)
    begin = datetime(2021, 3, 1, tzinfo=UTC)
    for row in zip(*(table[name] for name in names), strict=True):
        when = datetime.strptime(row[1], "%d/%m/%Y %H:%M").replace(tzinfo=UTC)
        paths.setdefault(f"ship:{row[0]}", {})[(when - begin).total_seconds()] = (row[2], row[3])
    tracks, points, seen = [], [], []
    for name, path_ in sorted(paths.items()):
        tracks.append({"track_id": named(name), "what": "vessel", "identity": name, "release": "public"})
        for second, (lon, lat) in sorted(path_.items()):
            row = {
                "observation_id": named(name, second),
                "at": begin + timedelta(seconds=second),
                "lon": lon,
                "lat": lat,
            }
            points.append(row | {"track_id": named(name)})
            more = {"source": "s", "record": 0, "kind": "fix", "what": "vessel", "identity": name, "leaf": b"0" * 32}
            seen.append(row | more | {"at_sigma_s": 30.0})
    given_ = (
        pa.table({f.name: pa.array([row.get(f.name) for row in rows], f.type) for f in schema}, schema)
        for rows, schema in ((tracks, TRACKS), (points, TRACK_POINTS), (seen, CORE))
    )
    canal = np.column_stack(frame.to_local([32.585, 32.58, 32.565, 32.555], [30.17, 30.017, 29.94, 29.925]))
    lane = shapely.LineString(canal).buffer(800)
    told = movements(*given_, frame, {"canal": lane}, kinds={"canal": "lane"})
    stops = told.filter(pc.equal(told["what"], "movement.stop")).to_pylist()
    east, north = frame.to_local([r["lon"] for r in stops], [r["lat"] for r in stops])
    there = np.hypot(east - frame.to_local(32.58, 30.017)[0], north - frame.to_local(32.58, 30.017)[1]) < 2_500
    long = [
        r for r, near in zip(stops, there, strict=True) if near and r["at_until"] - r["at_from"] > timedelta(hours=24)
    ]
    assert any(
        datetime(2021, 3, 23, 5, tzinfo=UTC) <= r["at_from"] <= datetime(2021, 3, 23, 8, tzinfo=UTC) for r in long
    )
    # and it is no anomaly of navigation, nor does anybody there hide: reports come every half hour
    assert not set(told["what"].to_pylist()) & {"jamming.position", "movement.twice", "movement.dark"}
