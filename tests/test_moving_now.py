"""What moves now: who falls silent leaves the moving layer and can still be found; warming up counts nothing twice."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truceline.frame import Frame
from truceline.fuse.motion import MOTIONS
from truceline.observation import CORE, table
from truceline.serve.moving_now import COASTING, GONE, RECORD, MovingNow
from truceline.serve.snapshots import with_live

FRAME = Frame(37.5, 48.3)
T = datetime(2031, 3, 14, 12, tzinfo=UTC).timestamp()
SILENCE_S = MOTIONS["aircraft"].silence_s.value


def fixes(*at_s: float, who: str = "icao:f00a03", what: str = "aircraft.light", east_m: float = 0.0) -> pa.Table:
    """Fixes of one object that flies north at 60 m/s."""
    at = np.array(at_s, float)
    lon, lat = FRAME.to_degrees(np.full(len(at), east_m), 60.0 * (at - T))
    rows: dict[str, Any] = {
        "observation_id": [f"{who[-7:]}{s:9.1f}".encode()[-16:].rjust(16) for s in at - T],
        "source": "s", "sensor": who, "kind": "fix", "what": what, "identity": who, "lon": lon, "lat": lat,
        "at": pa.array((at * 1e6).astype(np.int64)).cast(pa.timestamp("us", tz="UTC")),
    }  # fmt: skip
    return table(rows, len(at), pa.schema([field for field in CORE if field.name in rows]))


def every_second(begin_s: float, end_s: float, **how: Any) -> pa.Table:
    return fixes(*np.arange(begin_s, end_s), **how)


def told(moving: MovingNow, now_s: float) -> tuple[np.ndarray, np.ndarray]:
    """The whole, and what changed: asked twice, as the newest second is whole when nothing more comes."""
    first, then = moving.frames(now_s), moving.frames(now_s)
    return np.frombuffer(then.whole, RECORD), np.frombuffer(first.changed + then.changed, RECORD)


@pytest.fixture
def moving() -> MovingNow:
    return MovingNow(FRAME)


def test_who_falls_silent_coasts_then_leaves_the_layer_and_stays_findable(moving):
    """Nothing else comes in: the clock alone says so. The row has the last place and time."""
    moving.take(every_second(T, T + 20))
    (seen,), _ = told(moving, T + 20)
    (coasting,), _ = told(moving, T + 19 + SILENCE_S / 2 + 2)
    assert (coasting["serial"], coasting["flags"]) == (seen["serial"], COASTING)
    whole, (gone,) = told(moving, T + 19 + SILENCE_S + 2)
    assert len(whole) == 0
    assert (gone["serial"], gone["flags"]) == (seen["serial"], GONE)
    whole, changed = told(moving, T + 900)
    assert not len(whole) + len(changed)
    (row,) = moving.table().to_pylist()
    assert row["identity"] == "icao:f00a03"
    assert row["last_at"] == datetime.fromtimestamp(T + 19, UTC)
    assert (row["lon"], row["lat"]) == pytest.approx((float(seen["lon"]), float(seen["lat"])), abs=1e-5)


def test_who_is_heard_again_is_the_same_track_and_one_row(moving):
    moving.take(every_second(T, T + 20))
    (seen,), _ = told(moving, T + 20)
    assert not len(told(moving, T + 100)[0])
    moving.take(every_second(T + 100, T + 110))
    (again,), _ = told(moving, T + 111)
    assert again["serial"] == seen["serial"]
    (row,) = moving.table().to_pylist()
    assert row["last_at"] == datetime.fromtimestamp(T + 109, UTC)


def test_who_falls_silent_among_others_leaves_too(moving):
    """Then the others' rows say what time it is."""
    moving.take(every_second(T, T + 20))
    moving.take(every_second(T, T + 20, who="icao:f00a04", east_m=9e3))
    assert len(told(moving, T + 20)[0]) == 2
    moving.take(every_second(T + 20, T + 20 + SILENCE_S + 5, who="icao:f00a04", east_m=9e3))
    (left,), _ = told(moving, T + 20 + SILENCE_S + 6)
    names = {row["identity"]: row["last_at"].timestamp() - T for row in moving.table().to_pylist()}
    assert names == {"icao:f00a03": 19, "icao:f00a04": 24 + SILENCE_S}
    assert not left["flags"] & GONE


def test_a_source_that_is_always_late_is_not_thought_silent(moving):
    """Rows come ten minutes after their time: what they tell of is silent when no more of them come."""
    late_s = 600
    for end in range(20, 80, 10):
        moving.take(every_second(T + end - 10, T + end))
        whole, _ = told(moving, T + end + late_s)
    assert len(whole) == 1
    assert len(told(moving, T + 70 + late_s + SILENCE_S / 2)[0]) == 1
    assert not len(told(moving, T + 70 + late_s + SILENCE_S + 20)[0])


def test_a_source_that_is_asked_every_two_minutes_does_not_flicker(moving):
    """Between its answers nothing is silent; when the next does not come, it is."""
    for k in range(5):
        moving.take(every_second(T + 120 * k, T + 120 * k + 5))
        told(moving, T + 120 * k + 5)
    flown = T + 120 * 4 + 5
    assert len(told(moving, flown + 115)[0]) == 1
    assert not len(told(moving, flown + 125 + SILENCE_S)[0])


def test_after_a_restart_what_was_silent_is_not_shown(moving):
    """The journal's last two hours are taken by `begin`: how late they came is not known, so the clock counts."""
    moving.begin([every_second(T, T + 20)])
    assert not len(told(moving, T + 1800)[0])
    moving.take(every_second(T + 1800, T + 1820))
    assert len(told(moving, T + 1821)[0]) == 1


@settings(deadline=None, max_examples=25)
@given(cut=st.integers(0, 60), again=st.integers(0, 60), flushed=st.booleans())
def test_what_the_journal_had_and_comes_again_counts_once(cut, again, flushed):
    """Rows that are journalled while the tracker begins come by both ways, some or all of them."""
    once, twice = MovingNow(FRAME), MovingNow(FRAME)
    once.take(every_second(T, T + 60))
    twice.begin([every_second(T, T + cut)])
    if flushed:
        twice.frames(T + cut)
    twice.take(every_second(T + min(cut, again), T + 60))
    points = []
    for one in (once, twice):
        one.tracker.finish()
        settled = one.tracker.settled()
        points.append((np.sort(settled.points[:, 1]), len(np.unique(settled.track, axis=0))))
    assert points[0][1] == points[1][1] == 1
    np.testing.assert_allclose(points[0][0], points[1][0], atol=1e-6)


def test_of_what_is_settled_and_live_the_newer_is_told(moving):
    """An edition that has the track as it was last is what is told of it, and then it is not provisional."""
    moving.take(every_second(T, T + 20))
    told(moving, T + 20)
    live = moving.table()
    then = pa.array([datetime.fromtimestamp(T + 5, UTC)], live["last_at"].type)
    earlier = live.set_column(live.column_names.index("last_at"), "last_at", then)
    assert with_live(live, live)["provisional"].to_pylist() == [False]
    assert with_live(earlier, live).select(live.column_names).equals(live)
    assert with_live(earlier, live)["provisional"].to_pylist() == [True]
    assert with_live(live, None)["provisional"].to_pylist() == [False]
