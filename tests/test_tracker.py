"""The tracker as one uses it: detections pushed in, tracks out, the same whatever the way they came."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truceline.frame import Frame
from truceline.fuse import tracker as module
from truceline.fuse.detections import Detections, detections
from truceline.fuse.motion import Looks
from truceline.fuse.tracker import Tracker
from truceline.kernels import gate
from truceline.kernels import tracks as t

FRAME = Frame(37.5, 48.3)
RADAR, OTHER = 11, 12


def plots(at_s, east_m, north_m, sensor=RADAR, identity=0, sigma_m=50.0, **more):
    """Detections of given places; their ids are their times and places."""
    at_s, east_m, north_m = (np.asarray(v, np.float64) for v in (at_s, east_m, north_m))
    ids = np.column_stack([(at_s * 1000).astype(np.int64) * 64 + sensor, (east_m * 8 + north_m * 3e6).astype(np.int64)])
    ellipse = (sigma_m**2, 0.0, sigma_m**2)
    return detections(at_s, east_m, north_m, ellipse, ids, sensor, identity, scheme=int(np.any(identity)), **more)


def together(*parts):
    """Detections one after the other."""
    return Detections(np.concatenate([p.values for p in parts]), np.concatenate([p.keys for p in parts]))


def straight(seconds, east_m=0.0, north_m=0.0, ve=80.0, vn=0.0, every=10.0, rng=None, **more):
    """An object on its way, seen every so often."""
    at = np.arange(0.0, seconds, every)
    noise = rng.normal(0, 50, (2, len(at))) if rng is not None else np.zeros((2, len(at)))
    return plots(at, east_m + ve * at + noise[0], north_m + vn * at + noise[1], **more)


def a_scene(seed, seconds=200.0):
    """Six objects, two sensors, one of which knows three names, and clutter."""
    rng = np.random.default_rng(seed)
    parts = []
    for k in range(6):
        place = {"east_m": rng.uniform(-2e4, 2e4), "north_m": rng.uniform(-2e4, 2e4)}
        place |= {"ve": rng.uniform(-100, 100), "vn": rng.uniform(-100, 100), "rng": rng}
        parts.append(straight(seconds, **place))
        if k < 3:
            parts.append(straight(seconds, every=7.0, sensor=OTHER, identity=1000 + k, **place))
    n = 60
    parts.append(plots(rng.uniform(0, seconds, n), rng.uniform(-2e4, 2e4, n), rng.uniform(-2e4, 2e4, n)))
    return together(*parts)


def in_time(rows):
    """By time, as a receiver gives them."""
    return rows.rows(np.argsort(rows.values[:, 0], kind="stable"))


def tracked(batches, **settings_):
    """Everything settled, sorted by track, time and observation."""
    tracker = Tracker(FRAME, **settings_)
    out = []
    for batch in batches:
        tracker.step(batch)
        out.append(tracker.settled())
    tracker.finish()
    out.append(tracker.settled())
    return whole(out), tracker


def whole(parts):
    """Parts settled one after the other, rows in the order of their ids."""
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    out = type(parts[0])(*columns)
    order = np.lexsort((out.observation[:, 1], out.observation[:, 0]))
    return out._replace(
        track=out.track[order], observation=out.observation[order], at_s=out.at_s[order], points=out.points[order],
        tag=out.tag[order], merged=np.sort(out.merged, axis=0), parents=np.sort(out.parents, axis=0),
        anomalies=np.sort(out.anomalies, axis=0), unconfirmed=np.sort(out.unconfirmed, axis=0),
    )  # fmt: skip


def same(a, b):
    """Equal to the last bit."""
    return all(np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in zip(a, b, strict=True))


def count(settled):
    """How many tracks."""
    return len(np.unique(settled.track, axis=0))


# -- one object, several


def test_an_object_is_one_track_and_every_detection_is_behind_one_point():
    """Track ids are those of the first detection; points carry the detections' ids."""
    rows = straight(300.0, rng=np.random.default_rng(1))
    settled, _ = tracked([rows])
    assert count(settled) == 1
    assert settled.track[0].tolist() == rows.keys[0, :2].tolist()
    assert np.array_equal(np.sort(settled.observation, axis=0), np.sort(rows.keys[:, :2], axis=0))


def test_points_are_nearer_the_truth_than_detections_once_the_track_has_settled():
    """It is a filter, after all: from the tenth detection on."""
    rng = np.random.default_rng(2)
    settled, _ = tracked([straight(3000.0, ve=8.0, rng=rng, kind=1)])
    late = settled.at_s > 300.0
    errors = np.hypot(settled.points[late, 0] - 8.0 * settled.at_s[late], settled.points[late, 1])
    assert np.sqrt(np.mean(errors**2)) < 0.7 * 50 * np.sqrt(2)


def test_two_objects_that_cross_keep_their_tracks():
    """They pass 0 m from each other at 200 s, where a detection may go astray; their velocities tell them apart."""
    rng = np.random.default_rng(3)
    a = straight(400.0, east_m=-16_000, ve=80.0, rng=rng)
    b = straight(400.0, east_m=-16_000, north_m=-12_000, ve=80.0, vn=60.0, rng=rng)
    settled, _ = tracked([together(a, b)])
    assert count(settled) == 2
    own = {bytes(row) for row in a.keys[:, :2].copy()}
    of_a = np.array([bytes(row) in own for row in settled.observation.copy()])
    of_a &= np.abs(settled.at_s - 200.0) > 30.0
    assert len(np.unique(settled.track[of_a], axis=0)) == 1


def test_one_object_through_two_sensors_is_one_track():
    """A radar without names and a transponder, times apart."""
    rng = np.random.default_rng(4)
    settled, _ = tracked(
        [together(straight(300.0, rng=rng), straight(300.0, every=7.0, sensor=OTHER, identity=77, rng=rng))]
    )
    assert count(settled) == 1
    assert len(settled.at_s) == 30 + 43


def test_two_tracks_of_one_object_merge_and_the_younger_says_into_which():
    """The second sensor was 600 m off at first; with that gone, they are beside each other."""
    at = np.arange(0.0, 600.0, 5.0)
    a = plots(at, 20.0 * at, 0.0 * at, sigma_m=30.0, kind=2)
    later = at[at >= 100.0]
    off = np.where(later < 200, 600.0, 0.0)
    b = plots(later + 2.0, 20.0 * (later + 2.0), off, sensor=OTHER, sigma_m=30.0, identity=7, kind=2)
    settled, _ = tracked([together(a, b)])
    assert count(settled) == 2
    assert settled.merged.tolist() == [[*b.keys[0, :2], *a.keys[0, :2]]]
    last = settled.track[settled.at_s > 500.0]
    assert np.unique(last, axis=0).tolist() == [a.keys[0, :2].tolist()]


def test_what_comes_out_of_an_object_names_it_as_its_parent():
    """A second object leaves the first: its track says what it split from."""
    rng = np.random.default_rng(5)
    a = straight(400.0, ve=30.0, rng=rng)
    at = np.arange(200.0, 400.0, 10.0)
    b = plots(at, 30.0 * at, 15.0 * (at - 190.0))
    settled, _ = tracked([together(a, b)])
    assert count(settled) == 2
    assert settled.parents[:, 2:].tolist() == [a.keys[0, :2].tolist()]


# -- beginning and ending


def test_a_single_detection_makes_no_track_and_is_given_back():
    """Nothing is lost: it is among those that came to nothing, once that is settled."""
    rows = together(straight(400.0), plots([50.0], [90_000.0], [90_000.0]))
    settled, _ = tracked([rows])
    assert count(settled) == 1
    assert settled.unconfirmed.tolist() == [rows.keys[-1, :2].tolist()]


def test_a_track_ends_after_the_looks_that_missed_it_where_looks_are_known():
    """A radar that sees nine in ten every 10 s: shown for two missed looks, kept for one more, then gone."""
    looks = {RADAR: Looks(10.0, 0.9)}
    shown = []
    tracker = Tracker(FRAME, looks=looks)
    for k in range(20):
        there = [straight(200.0, ve=30.0).rows(slice(k, k + 1))] if k < 10 else []
        tracker.step(together(*there, plots([10.0 * k], [50_000.0], [50_000.0 + 40 * k])), whole=True)
        shown.append(len(tracker.snapshot().serial))
    assert shown[3] == 2
    assert shown[9:16] == [2, 2, 2, 1, 1, 1, 1]


def test_a_track_without_known_looks_ends_by_the_silence_of_its_class():
    """120 s for what is not known, an hour for a ship; one that comes back in time goes on."""
    for kind, silence, tracks in ((0, 100.0, 1), (0, 300.0, 2), (1, 300.0, 1)):
        at = np.append(np.arange(0, 100.0, 10.0), 90.0 + silence + np.arange(0, 100.0, 10.0))
        settled, _ = tracked([plots(at, 3.0 * at, 0 * at, kind=kind)])
        assert count(settled) == tracks


def test_clutter_makes_few_tracks_where_it_is_dense():
    """300 false detections a scan and no object: chance is weighed by the density seen."""
    rng = np.random.default_rng(6)
    scans = [plots(np.full(300, 10.0 * k), rng.uniform(0, 1.2e5, 300), rng.uniform(0, 6e4, 300)) for k in range(15)]
    settled, _ = tracked(scans, looks={RADAR: Looks(10.0, 0.9)})
    assert count(settled) < 15


# -- the same whatever the way


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_any_split_into_batches_settles_the_same(seed):
    """One batch, or as many as there are rows: equal to the last bit."""
    rng = np.random.default_rng(seed)
    rows = in_time(a_scene(seed))
    cuts = np.sort(rng.integers(0, len(rows.values), rng.integers(0, 40)))
    parts = [rows.rows(part) for part in np.split(np.arange(len(rows.values)), cuts)]
    assert same(tracked(parts)[0], tracked([rows])[0])


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_any_arrival_order_within_the_lateness_settles_the_same(seed):
    """Each row comes up to 60 s late, in batches; the picture meanwhile differs, what settles does not."""
    rng = np.random.default_rng(seed)
    rows = a_scene(seed)
    arrival = rows.values[:, 0] + rng.uniform(0, 60.0, len(rows.values))
    order = np.argsort(arrival)
    late = [rows.rows(part) for part in np.array_split(order, 25)]
    got, tracker = tracked(late, lateness_s=90.0)
    assert same(got, tracked([in_time(rows)], lateness_s=90.0)[0])
    assert not tracker.left_out


def test_groups_so_large_that_they_are_worked_by_place_settle_the_same_whichever_way_they_came():
    """More rows a look than `gate.LARGE`: all at once, late and shuffled, with a restart; one object is one track."""
    rng, looks = np.random.default_rng(4), 5
    east, north = (v.ravel() * 2_000.0 for v in np.meshgrid(np.arange(75.0), np.arange(70.0)))
    objects = np.argsort(rng.random(len(east)))  # neighbours are not beside each other in the rows
    assert len(objects) > gate.LARGE
    scans = [
        plots(np.full(len(east), 10.0 * k), east[objects] + 100.0 * k, north[objects] + rng.normal(0, 20, len(east)))
        for k in range(looks)
    ]
    rows = together(*scans)
    rows.keys[:, gate.ID_0], rows.keys[:, gate.ID_1] = np.repeat(np.arange(looks), len(east)), np.tile(objects, looks)
    once, _ = tracked([in_time(rows)], lateness_s=60.0)
    assert count(once) == len(objects)
    assert (once.track[:, 1] == once.observation[:, 1]).all()  # each has its own object's detections
    parts = [rows.rows(part) for part in np.array_split(rng.permutation(len(rows.values)), 4)]
    assert same(tracked(parts, lateness_s=60.0)[0], once)
    tracker, out = Tracker(FRAME, lateness_s=60.0), []
    for part in parts:
        tracker = Tracker.restore(tracker.state())
        tracker.step(part)
        out.append(tracker.settled())
    tracker.finish()
    assert same(whole([*out, tracker.settled()]), once)


@pytest.mark.parametrize("at", [3, 11, 20])
def test_a_restart_goes_on_to_the_last_bit(at):
    """Also when late rows reach back behind it."""
    rows = a_scene(9)
    order = np.argsort(rows.values[:, 0] + np.random.default_rng(9).uniform(0, 60.0, len(rows.values)))
    parts = [rows.rows(part) for part in np.array_split(order, 25)]
    tracker = Tracker(FRAME, looks={OTHER: Looks(7.0, 0.9)}, lateness_s=90.0)
    out = []
    for k, part in enumerate(parts):
        if k == at:
            tracker = Tracker.restore(tracker.state())
        tracker.step(part)
        out.append(tracker.settled())
    tracker.finish()
    out.append(tracker.settled())
    assert same(whole(out), tracked(parts, looks={OTHER: Looks(7.0, 0.9)}, lateness_s=90.0)[0])


def test_what_is_settled_comes_while_rows_still_come_and_is_not_held_for_good():
    """After ten minutes of a feed no more is held than the window of lateness and the beginnings of tracks."""
    tracker = Tracker(FRAME, lateness_s=60.0)
    rows = straight(3000.0, ve=5.0)
    settled = 0
    for k in range(300):
        tracker.step(rows.rows(slice(k, k + 1)))
        settled += len(tracker.settled().at_s)
    assert settled > 280
    assert len(tracker.state()) < 200_000


# -- what lies, what jumps, what repeats


def test_an_identity_at_two_places_is_two_tracks_and_told():
    """A ship does not jump 50 km in 10 s: whoever says so is another one, under the same name."""
    at = np.arange(0.0, 300.0, 10.0)
    true = plots(at, 5.0 * at, 0 * at, identity=42, kind=1)
    lie = plots(at + 5.0, 50_000.0 + 5.0 * at, 0 * at, identity=42, kind=1)
    settled, _ = tracked([together(true, lie)])
    assert count(settled) == 2
    assert set(settled.anomalies[:, 0].tolist()) == {t.ELSEWHERE}
    assert len(settled.anomalies) == len(at)
    assert np.unique(settled.anomalies[:, 1:3], axis=0).tolist() == [true.keys[0, :2].tolist()]


def test_several_identities_on_one_point_are_as_many_tracks():
    """Ten names at one place: each its own, none takes another's detections."""
    at = np.arange(0.0, 200.0, 10.0)
    rows = together(*(plots(at, 0 * at, 0 * at + 1.0 * k, identity=100 + k, kind=1) for k in range(10)))
    settled, _ = tracked([rows])
    assert count(settled) == 10
    assert not len(settled.unconfirmed)


def test_a_name_finds_its_track_again_after_a_silence():
    """A ship out of reception for two hours is the same ship."""
    at = np.append(np.arange(0, 600.0, 60.0), 8000.0 + np.arange(0, 600.0, 60.0))
    settled, _ = tracked([plots(at, 7.0 * at, 0 * at, identity=5, kind=1)])
    assert count(settled) == 1


def test_a_receiver_that_replays_changes_nothing_and_is_told():
    """Within the lateness its rows are repeats, before it they are late; neither is worked again."""
    rows = in_time(a_scene(12))
    tracker = Tracker(FRAME, lateness_s=60.0)
    tracker.step(rows)
    segments = list(tracker._segments)
    fates = tracker.step(rows)
    assert set(fates.tolist()) <= {module.DUPLICATE, module.LATE}
    assert len(segments) == len(tracker._segments)
    assert all(a is b for a, b in zip(segments, tracker._segments, strict=True))
    assert sum(tracker.left_out.values()) == len(rows.values)


def test_a_clock_that_jumps_ahead_does_not_make_all_others_late():
    """Its row waits until time gets there."""
    rows = straight(300.0)
    jump = plots([86_400.0], [0.0], [5_000.0], sensor=OTHER)
    tracker = Tracker(FRAME)
    tracker.step(rows.rows(slice(0, 10)))
    fates = tracker.step(together(rows.rows(slice(10, 20)), jump))
    assert fates.tolist() == [module.TAKEN] * 10 + [module.AHEAD]
    assert set(tracker.step(rows.rows(slice(20, 30))).tolist()) == {module.TAKEN}
    tracker.finish()
    settled = tracker.settled()
    assert len(settled.at_s) == 30


def test_a_night_without_rows_is_no_jump():
    """When all rows have moved on, time has."""
    tracker = Tracker(FRAME)
    assert set(tracker.step(straight(100.0)).tolist()) == {module.TAKEN}
    later = straight(100.0)
    later.values[:, 0] += 40_000.0
    assert set(tracker.step(later).tolist()) == {module.TAKEN}


def test_rows_without_time_or_place_are_told_and_the_rest_goes_on():
    """Not a number anywhere in time, place or ellipse."""
    rows = straight(100.0)
    rows.values[3, 0], rows.values[5, 1] = np.nan, np.inf
    fates = Tracker(FRAME).step(rows)
    assert np.flatnonzero(fates == module.UNUSABLE).tolist() == [3, 5]


def test_the_sensors_names_have_the_codes_of_the_looks():
    """What `looks` is keyed by, made of words."""
    names = module.sensor_codes(["radar-1", "radar-2"])
    assert len(set(names.tolist())) == 2
    assert names.tolist() == module.sensor_codes(pa.array(["radar-1", "radar-2"]).to_pylist()).tolist()
