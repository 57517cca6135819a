"""Which fires are the conflict's: where the model can speak, what it must not know, and where it says so."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a_fire import DAY_S, MERIDIAN, a_background, a_line, at_a_place, day, detections, km_from, together
from truceline.agreement import Assumption
from truceline.frame import Frame
from truceline.fuse import fuse
from truceline.fuse.background import grid_over
from truceline.fuse.causes import FACTORS, MODEL, NO_BACKGROUND, judge, lines
from truceline.fuse.conflict import FireModel
from truceline.fuse.signs import Reports
from truceline.observation import CORE

#: A place on the line, and one 70 km from it.
FRONT, REAR = (MERIDIAN, 48.0), (36.1, 48.4)
JULY = np.arange(day("2023-07-01"), day("2023-08-10"))


@pytest.fixture(scope="module")
def background():
    return a_background(np.random.default_rng(1))


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def judged(background, fires, line=None, **how):
    lon, lat, days = fires
    return judge(background, lon, lat, days * DAY_S, lines=line, **how)


def year(rng):
    """A peaceful year, and 40 days of fires every day round one place on the line: (fires, which are of that place)."""
    peace = detections(rng, 2023)
    shelled = at_a_place(*FRONT, JULY, rng)
    return together(peace, shelled), np.arange(len(peace[0]) + len(shelled[0])) >= len(peace[0])


# ---- what it says --------------------------------------------------------------------------------------------------


def test_fires_that_come_back_day_by_day_on_the_line_are_the_conflicts(background, rng):
    fires, shelled = year(rng)
    found = judged(background, fires, a_line(background.grid))
    assert found.settled[shelled].mean() > 0.8
    assert (found.settled[~shelled] >= 0.5).mean() < 0.03
    assert found.background.all()


def test_a_peaceful_year_is_not_painted_by_the_line_laid_over_it(background, rng):
    lon, lat, days = detections(rng, 2023)
    found = judged(background, (lon, lat, days), a_line(background.grid))
    near = km_from(MERIDIAN)(0, lon, lat) < 10.0
    assert near.sum() > 100
    assert (found.settled[near] >= 0.5).mean() <= 0.05
    # online, with so few fires, it takes months to learn that all is quiet
    assert (found.online[near & (days >= day("2023-05-01"))] >= 0.5).mean() <= 0.1
    assert (found.settled[~near] >= 0.5).mean() <= 0.02


def test_the_same_fires_far_from_the_line_are_believed_less(background, rng):
    peace = detections(rng, 2023)
    line = a_line(background.grid)
    p = []
    for place in (FRONT, REAR):
        fires = together(peace, at_a_place(*place, JULY, np.random.default_rng(3)))
        p.append(judged(background, fires, line).settled[len(peace[0]) :].mean())
    assert p[0] > p[1] + 0.3


def test_factors_add_up_to_the_settled_log_odds_and_without_the_last_to_the_online_ones(background, rng):
    fires, _ = year(rng)
    found = judged(background, fires, a_line(background.grid))
    assert tuple(found.factors) == FACTORS
    parts = np.stack([found.factors[name] for name in FACTORS])
    assert 1.0 / (1.0 + np.exp(-parts.sum(axis=0))) == pytest.approx(found.settled)
    assert 1.0 / (1.0 + np.exp(-parts[:-1].sum(axis=0))) == pytest.approx(found.online)


def test_nothing_is_certain(background, rng):
    fires, _ = year(rng)
    found = judged(background, fires, a_line(background.grid))
    for p in (found.settled, found.online):
        assert p.min() >= 0.001
        assert p.max() <= 0.99


# ---- two numbers kept apart ----------------------------------------------------------------------------------------


def test_online_nothing_of_what_came_later_is_known(background, rng):
    """Cut the year anywhere: what was said online of the detections before the cut stays what it was."""
    (lon, lat, days), _ = year(rng)
    line = a_line(background.grid)
    at_s = days * DAY_S + rng.integers(0, 8, len(days)) * DAY_S / 8
    whole = judge(background, lon, lat, at_s, lines=line)
    for cut in (at_s[days == JULY[3]].max(), at_s[days == JULY[20]].min()):
        use = at_s <= cut
        then = judge(background, lon[use], lat[use], at_s[use], lines=line)
        assert then.online == pytest.approx(whole.online[use], abs=1e-9)


def test_the_first_fire_of_a_shelling_is_believed_more_once_the_rest_is_known(background, rng):
    fires, shelled = year(rng)
    found = judged(background, fires, a_line(background.grid))
    first = np.flatnonzero(shelled)[0]
    assert found.settled[first] > found.online[first] + 0.3


def test_a_line_is_not_known_before_its_day(background, rng):
    """Months before the first line, fires on what will be the line are as anywhere else."""
    fires, shelled = year(rng)
    later = a_line(background.grid, since="2023-12-01")
    without = judged(background, fires, None)
    assert judged(background, fires, later).online[shelled] == pytest.approx(without.online[shelled])


# ---- the front moves -----------------------------------------------------------------------------------------------


def moving(grid):
    """On the meridian until July is over, then 90 km to the west."""
    here, gone = km_from(MERIDIAN), km_from(MERIDIAN - 1.2)
    days = [day("2023-01-01"), int(JULY[20])]
    return lines(grid, days, lambda version, lon, lat: (here, gone)[version](version, lon, lat))


def test_when_the_front_has_moved_new_fires_are_held_against_where_it_is(background, rng):
    """Shelling that begins where the line lay until a week ago is believed less than if it lay there still."""
    peace = detections(rng, 2023)
    fires = together(peace, at_a_place(*FRONT, JULY[27::3], rng))
    stays, moved = (
        judged(background, fires, line).settled[len(peace[0]) :]
        for line in (a_line(background.grid), moving(background.grid))
    )
    assert stays.mean() > 0.6
    assert moved.mean() < stays.mean() - 0.1


def test_fires_that_go_on_as_before_stay_the_conflicts_when_the_front_leaves_them(background, rng):
    """Forty days at one place, the line there for the first twenty: nothing else began there on that day."""
    fires, shelled = year(rng)
    found = judged(background, fires, moving(background.grid))
    after = shelled & (fires[2] >= JULY[25])
    assert found.settled[after].mean() > 0.6
    assert found.factors["line"][after].mean() < found.factors["line"][shelled & ~after].mean() - 2.0


# ---- borders, gaps, satellites -------------------------------------------------------------------------------------


def test_a_cell_at_the_border_of_the_region_is_judged_like_one_inside(rng):
    """What lies beyond was not watched: it neither burns nor stays dark."""
    import shapely

    from a_fire import years_of
    from truceline.fuse.background import Background

    learned = Background.learn(*years_of(rng, range(2012, 2019)), region=shapely.box(35.95, 46.95, 38.05, 49.05))
    peace = detections(rng, 2023)
    p = []
    for lon in (36.0, 37.0):
        shelled = at_a_place(lon, 48.0, JULY, np.random.default_rng(3), 0.5)
        found = judged(learned, together(peace, shelled), a_line(learned.grid, lon))
        p.append(found.settled[len(peace[0]) :].mean())
    assert p[0] == pytest.approx(p[1], abs=0.1)


def test_where_the_background_does_not_reach_only_the_line_speaks(background):
    """Two degrees outside of all that was watched: the odds by distance, widened; and the answer says so."""
    fires = np.array([MERIDIAN, MERIDIAN]), np.array([51.5, 48.0]), np.array([JULY[0], JULY[0]])
    found = judged(background, fires, a_line(background.grid))
    assert found.background.tolist() == [False, True]
    assert np.isnan(found.settled[0])  # off the grid there is no distance either


def test_months_without_satellites_are_not_months_of_peace(background, rng):
    """A gap of a month in the middle of a shelling: what burned before and after it is the conflict's all the same."""
    (lon, lat, days), shelled = year(rng)
    gap = (days >= JULY[10]) & (days < JULY[30])
    found = judged(background, (lon[~gap], lat[~gap], days[~gap]), a_line(background.grid))
    assert found.settled[shelled[~gap]].mean() > 0.7


def test_one_satellite_only_is_not_taken_for_a_quieter_year(background, rng):
    """A year seen half as often: fires everywhere are half as many, the region says so, and the front stands out."""
    (lon, lat, days), shelled = year(rng)
    seen = rng.random(len(lon)) < 0.5
    found = judged(background, (lon[seen], lat[seen], days[seen]), a_line(background.grid))
    assert found.settled[shelled[seen]].mean() > 0.7
    assert (found.settled[~shelled[seen]] >= 0.5).mean() < 0.03


def test_satellites_added_since_the_baseline_are_not_taken_for_war(background, rng):
    """Half as many fires again, everywhere: that is a satellite more, near the line as elsewhere."""
    lon, lat, days = detections(rng, 2023, per_day=4.5)
    found = judged(background, (lon, lat, days), a_line(background.grid))
    near = km_from(MERIDIAN)(0, lon, lat) < 10.0
    assert (found.settled[near] >= 0.5).mean() <= 0.05


def test_a_baseline_of_one_year_is_trusted_less(background, rng):
    fires, shelled = year(rng)
    short = a_background(np.random.default_rng(1), (2018,))
    long, brief = (judged(b, fires, a_line(b.grid)).settled for b in (background, short))
    assert 0.5 < brief[shelled].mean() <= long[shelled].mean() + 0.01
    assert (brief[~shelled] >= 0.5).mean() < 0.05


def test_without_a_background_the_line_alone_speaks_and_widely(rng):
    """Near the line about as likely as not, never sure; far from it little; and shelling makes no difference."""
    fires, shelled = year(rng)
    line = a_line(grid_over(*fires[:2]))
    found = judged(None, fires, line)
    km = km_from(MERIDIAN)(0, *fires[:2])
    assert not found.background.any()
    assert 0.3 < found.settled[km < 5].mean() < 0.7
    assert found.settled[km > 60].max() < 0.1
    assert found.settled[shelled].max() <= found.settled[km < 8].max()
    assert np.array_equal(found.settled, found.online)


def test_with_neither_background_nor_line_nothing_is_said(rng):
    fires, _ = year(rng)
    found = judged(None, fires, None)
    assert np.isnan(found.settled).all()
    assert np.isnan(found.online).all()


def test_heat_that_the_baseline_knows_is_not_the_conflicts_even_on_the_line(rng):
    from a_fire import years_of
    from truceline.fuse.background import Background

    works = at_a_place(*FRONT, np.arange(day("2012-01-01"), day("2019-01-01"), 6), rng, 0.2)
    learned = Background.learn(*together(years_of(rng, range(2012, 2019)), works))
    peace = detections(rng, 2023)
    found = judged(learned, together(peace, at_a_place(*FRONT, JULY[::6], rng, 0.2)), a_line(learned.grid))
    assert found.settled[len(peace[0]) :].max() < 0.5


def test_heat_that_stays_on_one_spot_and_nowhere_round_it_is_a_tip_not_a_front(background, rng):
    """New since the baseline, every few days for months, always the same kilometre: steady heat, by its shape."""
    peace = detections(rng, 2023)
    tip = at_a_place(*FRONT, np.arange(day("2023-02-01"), day("2023-11-01"), 3), rng, 0.15)
    found = judged(background, together(peace, tip), a_line(background.grid))
    months_in = np.arange(len(peace[0]), len(peace[0]) + len(tip[0]))[20:-20]
    assert found.settled[months_in].mean() < 0.5
    assert found.factors["steady heat"][months_in].mean() < -0.5


def test_a_town_that_is_shelled_for_months_is_not_taken_for_a_tip(background, rng):
    """Every day within a kilometre and a half of one place: it burns beside the spot as well."""
    peace = detections(rng, 2023)
    town = at_a_place(*FRONT, np.arange(day("2023-04-01"), day("2023-10-01")), rng, 1.5)
    found = judged(background, together(peace, town), a_line(background.grid))
    of_it = np.arange(len(peace[0]), len(peace[0]) + len(town[0]))
    assert found.settled[of_it].mean() > 0.7
    assert np.median(found.factors["steady heat"][of_it]) > -0.5


def test_places_and_times_that_are_missing_get_no_answer_and_change_no_other(background, rng):
    (lon, lat, days), _ = year(rng)
    line = a_line(background.grid)
    whole = judged(background, (lon, lat, days), line)
    more = (
        np.append(lon, [np.nan, 37.0]),
        np.append(lat, [48.0, 48.0]),
        np.append(days.astype(float), [day("2023-07-01"), np.nan]),
    )
    found = judged(background, more, line)
    assert np.isnan(found.settled[-2:]).all()
    assert np.array_equal(found.settled[:-2], whole.settled)


@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_detections_does_not_matter(background, seed):
    (lon, lat, days), _ = year(np.random.default_rng(4))
    order = np.random.default_rng(seed).permutation(len(lon))
    line = a_line(background.grid)
    one, other = (
        judged(background, (lon, lat, days), line),
        judged(background, (lon[order], lat[order], days[order]), line),
    )
    assert np.array_equal(one.settled[order], other.settled)
    assert np.array_equal(one.online[order], other.online)


def test_reports_near_by_speak_for_the_conflict_where_they_are_rarer_than_chance(background, rng):
    """One place is reported now and then, always on the day of its fire; another is named in the news every day."""
    fires, shelled = year(rng)
    line = a_line(background.grid)
    row = np.flatnonzero(shelled)[20]
    place = fires[0][row], fires[1][row]
    span = np.arange(day("2023-05-01"), day("2023-10-01"))
    rare = Reports(np.array([place[0]] * 3), np.array([place[1]] * 3), np.array([span[0], fires[2][row], span[-1]]))
    daily = Reports(np.full(len(span), place[0]), np.full(len(span), place[1]), span)
    without, once, ever = (judged(background, fires, line, reports=told) for told in (None, rare, daily))
    assert once.settled[row] > without.settled[row]
    assert ever.settled[row] == pytest.approx(without.settled[row], abs=0.01)


def test_by_night_in_spring_fires_on_the_line_are_the_conflicts_sooner(background, rng):
    """Farmers burn by day: where hardly anything burns by night far away, the hour speaks; elsewhere it does not."""
    fires, shelled = year(rng)
    line = a_line(background.grid)
    far = km_from(MERIDIAN)(0, *fires[:2]) > 60.0
    assert far.sum() > 100
    dark = np.where(shelled, 1.0, 0.0)  # none of the rest by night
    found = judged(background, fires, line, night=dark)
    unknown = judged(background, fires, line, night=np.full(len(dark), np.nan))
    assert (found.factors["hour"][shelled] > 0.0).all()
    assert (unknown.factors["hour"] == 0.0).all()
    alike = judged(background, fires, line, night=(rng.random(len(dark)) < 0.25).astype(float))
    assert np.abs(alike.factors["hour"][shelled]).mean() < found.factors["hour"][shelled].mean() / 2


# ---- in the picture ------------------------------------------------------------------------------------------------

FRAME = Frame(MERIDIAN, 48.0, 300_000)
PRIOR = Assumption(0.28, "said of all alike", "low")


def observations(fires, shelling=()):
    """Hotspots known to the day, and reports of shelling at some places."""
    zero = datetime(1970, 1, 1, tzinfo=UTC)
    rows = [
        {
            "kind": "hotspot",
            "what": "fire",
            "lon": x,
            "lat": y,
            "at": zero + timedelta(days=int(d)),
            "until": zero + timedelta(days=int(d) + 1),
        }
        for x, y, d in zip(*fires, strict=True)
    ] + [
        {
            "kind": "sighting",
            "what": "explosion.impact",
            "lon": x,
            "lat": y,
            "at": zero + timedelta(days=int(d)),
            "until": None,
        }
        for x, y, d in shelling
    ]
    columns = {name: [row.get(name) for row in rows] for name in ("kind", "what", "lon", "lat", "at", "until")}
    n = len(rows)
    columns["observation_id"] = [i.to_bytes(16, "big") for i in range(n)]
    columns |= {"source": ["s"] * n, "record": list(range(n)), "leaf": [bytes(32)] * n}
    return pa.table({f.name: pa.array(columns.get(f.name, [None] * n), f.type) for f in CORE}, schema=CORE)


class _Meridian:
    """A dated line along a meridian, as far as the model asks for one."""

    day = datetime(2010, 1, 1, tzinfo=UTC).date()

    def against(self, east_m, north_m, *_):
        return {"line_distance_m": np.asarray(east_m, float)}


class _Line:
    lines = (_Meridian(),)


def test_events_carry_both_numbers_their_model_and_its_factors(background, rng):
    fires, _ = year(rng)
    table = observations(fires, [(36.5, 47.5, JULY[0])])
    model = FireModel(background, _Line(), FRAME, PRIOR)
    events = fuse(table, FRAME, None, None, PRIOR, model).events
    burnt = events.filter(pa.compute.equal(events["what"], "fire"))
    assert set(burnt["p_conflict_model"].to_pylist()) == {MODEL}
    assert burnt["p_conflict"].null_count == burnt["p_conflict_online"].null_count == 0
    assert burnt["p_conflict"].to_pylist() != burnt["p_conflict_online"].to_pylist()
    for p, factors in zip(burnt["p_conflict"].to_pylist(), burnt["p_conflict_factors"].to_pylist(), strict=True):
        assert [name for name, _ in factors] == list(FACTORS)
        assert 1.0 / (1.0 + np.exp(-sum(value for _, value in factors))) == pytest.approx(p, abs=1e-4)
    told = events.filter(pa.compute.not_equal(events["what"], "fire"))
    assert told["p_conflict"].to_pylist() == told["p_conflict_online"].to_pylist() == [pytest.approx(0.95)]
    assert told["p_conflict_factors"].null_count == 1


def test_one_fire_of_many_pixels_has_the_mean_of_their_log_odds(background, rng):
    peace = detections(rng, 2023)
    burning = MERIDIAN + np.arange(3) * 0.004, np.full(3, 48.0), np.full(3, JULY[0])
    fires = together(peace, burning)
    model = FireModel(background, _Line(), FRAME, PRIOR)
    fused = fuse(observations(fires), FRAME, None, None, PRIOR, model)
    alone = judged(background, fires, model.lines(*fires[:2])).settled[-3:]
    ties = dict(
        zip(fused.associations["observation_id"].to_pylist(), fused.associations["event_id"].to_pylist(), strict=True)
    )
    of = {ties[i.to_bytes(16, "big")] for i in range(len(fires[0]) - 3, len(fires[0]))}
    assert len(of) == 1
    p = dict(zip(fused.events["event_id"].to_pylist(), fused.events["p_conflict"].to_pylist(), strict=True))[of.pop()]
    assert np.log(p / (1 - p)) == pytest.approx(np.log(alone / (1 - alone)).mean(), abs=1e-4)


def test_a_mission_without_a_background_says_so_in_the_models_name(rng):
    fires, _ = year(rng)
    model = FireModel(None, _Line(), FRAME, PRIOR)
    events = fuse(observations(fires), FRAME, None, None, PRIOR, model).events
    assert set(events["p_conflict_model"].to_pylist()) == {NO_BACKGROUND}


def test_a_mission_with_neither_keeps_its_stated_prior(rng):
    fires, _ = year(rng)
    events = fuse(observations(fires), FRAME, None, None, PRIOR, FireModel(None, None, FRAME, PRIOR)).events
    assert events["p_conflict"].to_pylist() == [pytest.approx(0.28)] * events.num_rows
    assert set(events["p_conflict_model"].to_pylist()) == {"prior, uncalibrated"}


def test_a_picture_of_no_fires_is_no_trouble(background):
    nothing = observations((np.empty(0), np.empty(0), np.empty(0)))
    events = fuse(nothing, FRAME, None, None, PRIOR, FireModel(background, None, FRAME, PRIOR)).events
    assert events.num_rows == 0


@pytest.mark.parametrize("meridian", [MERIDIAN, 30.0], ids=["on the line", "far from any line"])
def test_one_detection_alone_is_judged_too(background, meridian):
    """A year of one fire, on the line or far from any: no neighbours, no region, an answer all the same."""
    fires = np.array([FRONT[0]]), np.array([FRONT[1]]), np.array([JULY[0]])
    found = judged(background, fires, a_line(background.grid, meridian))
    assert (found.settled[0] > 0.2) == (meridian == MERIDIAN)
    assert np.isfinite([found.settled[0], found.online[0]]).all()


def test_no_detections_give_no_answers(background):
    nothing = np.empty(0), np.empty(0), np.empty(0, np.int64)
    found = judged(background, nothing, a_line(background.grid))
    assert len(found.settled) == len(found.online) == len(found.background) == 0
