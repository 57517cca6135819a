"""From observations to a picture: what is one event, what is one incident, and what is made of what was said."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truceline import observation, picture
from truceline.agreement import Assumption
from truceline.frame import Frame
from truceline.fuse import Conflict, Fused, fuse
from truceline.fuse.fires import fires
from truceline.fuse.occurrences import gather

FRAME = Frame(37.5, 48.3)
PRIOR = Assumption(0.28, "for tests", "low")
DAY = datetime(2023, 7, 6, tzinfo=UTC)
SETTLEMENT = {"kind": "sighting", "source": "press", "what": "explosion.impact", "major_m": 2000.0, "means": "reported"}
PIXEL = {"kind": "hotspot", "source": "viirs", "sensor": "S-NPP", "what": "fire", "confidence": 0.95, "major_m": 133.0}
AVDIIVKA, BAKHMUT = (37.75, 48.14), (38.0, 48.59)


def at(hours: float) -> datetime:
    return DAY + timedelta(hours=hours)


def told(place=AVDIIVKA, hours: Any = 0.0, **more: Any) -> dict[str, Any]:
    """What somebody told: an instant, or an interval given as (from, until), hours of the day."""
    when = {"at": at(hours[0]), "until": at(hours[1])} if isinstance(hours, tuple) else {"at": at(hours)}
    return SETTLEMENT | {"lon": place[0], "lat": place[1]} | when | more


def seen(east_m=0.0, north_m=0.0, hours=0.0, place=AVDIIVKA, **more: Any) -> dict[str, Any]:
    """A pixel so far from a place; VIIRS pixels near nadir are 375 m wide."""
    lon, lat = FRAME.to_degrees(*np.add(FRAME.to_local(*place), (east_m, north_m)))
    when = {"at": at(hours), "at_sigma_s": 120.0}
    return PIXEL | {"lon": float(lon), "lat": float(lat), "firms_frp": 2.0} | when | more


def table(*rows: dict[str, Any]) -> pa.Table:
    """Rows of the observation table; ids from all that a row says and how often it was said before."""
    names = sorted({name for row in rows for name in row} | {"firms_frp"})
    columns = {name: pa.array([row.get(name) for row in rows], _type(name)) for name in names}
    raws = [repr(sorted(row.items())).encode() for row in rows]
    leaves = observation.leaves("test", raws, [raws[:i].count(raw) for i, raw in enumerate(raws)])
    columns |= {"leaf": leaves, "observation_id": [leaf[:16] for leaf in leaves], "record": np.arange(len(rows))}
    columns |= {"release": columns.get("release", pa.array(["public"] * len(rows)))}
    return observation.table(columns, len(rows))


def _type(name: str) -> pa.DataType:
    return observation.CORE.field(name).type if name in observation.CORE.names else pa.float32()


def fused(*rows: dict[str, Any], **more: Any) -> Fused:
    return fuse(table(*rows), FRAME, more.pop("line", None), more.pop("gazetteer", None), PRIOR, **more)


def digest(result: Fused) -> str:
    return picture.digest({n: getattr(result, n) for n in ("associations", "events", "incidents")})


def one(rows: pa.Table) -> dict[str, Any]:
    assert rows.num_rows == 1
    return rows.to_pylist()[0]


# ---- one event, however often it is told ----------------------------------------------------------------------------

SHELLING = [
    told(hours=(0, 24), text="Avdiivka shelled"),
    told(hours=(0, 24), text="Shelling of Avdiivka kills one", killed=1),
    told(hours=(2, 14), text="Two dead in Avdiivka", killed=2, injured=1),
    told(hours=(1, 13), text="Morning fire on Avdiivka", what="explosion"),
    told(hours=9.0, text="Smoke over Avdiivka", source="agency"),
]


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 4, 0, 3, 1]])
def test_five_reports_of_a_shelling_are_one_event_in_any_order(order):
    result = fused(*(SHELLING[i] for i in order))
    event, incident = one(result.events), one(result.incidents)
    assert event["observations"] == incident["observations"] == 5
    assert event["sources"] == ["agency", "press"]
    assert (event["killed"], event["injured"]) == (2, 1)  # the most that one source states, not a sum of repeats
    assert event["what"] == "explosion.impact"
    assert digest(result) == digest(fused(*SHELLING))


def test_a_list_of_twelve_villages_is_twelve_events():
    """One headline names them all: nobody would shell twelve villages with one shell."""
    villages = [(37.6 + 0.03 * k, 48.1) for k in range(12)]
    result = fused(*(told(v, (0, 24), text="Fire on twelve villages") for v in villages))
    assert result.events.num_rows == 12
    assert max(result.incidents["events"].to_pylist()) < 12


def test_the_days_of_a_month_are_thirty_events_and_thirty_incidents():
    """Reports known to the day touch at midnight; that does not make one shelling of them."""
    result = fused(*(told(hours=(24 * d, 24 * d + 24), text=f"day {d}") for d in range(30)))
    assert result.events.num_rows == result.incidents.num_rows == 30


def test_a_day_with_a_blurred_end_still_does_not_chain():
    result = fused(*(told(hours=(24 * d, 24 * d + 24), at_sigma_s=6 * 3600.0, text=f"day {d}") for d in range(30)))
    lasted = pc.subtract(result.incidents["last_at"], result.incidents["first_at"]).cast("int64").to_numpy() / 8.64e10
    assert lasted.max() < 4


def test_a_day_stays_an_interval():
    event = one(fused(told(hours=(0, 24), means="recorded")).events)
    assert (event["at_from"], event["at"], event["at_until"]) == (at(0), at(12), at(24))


def test_distant_times_distant_places_and_other_kinds_are_other_events():
    rows = [told(), told(hours=20), told(BAKHMUT), told(what="ground.assault"), told(what="weapon.tank")]
    assert fused(*rows).events.num_rows == 5


def test_posts_that_hear_one_blast_place_it_better_than_any_of_them():
    posts = [told((37.75 + 0.01 * k, 48.14), 5.0, sensor=f"Post {k}", means="heard", major_m=1500.0) for k in range(3)]
    event = one(fused(*posts).events)
    assert event["major_m"] == pytest.approx(1500 / np.sqrt(3), rel=0.01)
    assert event["lon"] == pytest.approx(37.76, abs=0.001)
    assert event["sensors"] == ["Post 0", "Post 1", "Post 2"]


def test_repeats_from_one_village_make_neither_place_nor_kind_surer():
    once, often = (one(fused(*[told(hours=(0, 24), confidence=0.7)] * n).events) for n in (1, 8))
    assert often["observations"] == 8
    assert often["major_m"] == pytest.approx(once["major_m"])
    assert often["confidence"] == pytest.approx(once["confidence"])


def test_sources_that_agree_make_the_kind_surer():
    event = one(fused(*(told(hours=5, confidence=0.7, source=f"source {k}") for k in range(2))).events)
    assert 0.8 < event["confidence"] < 0.95


def test_a_general_kind_gives_way_to_a_special_one():
    rows = [told(what="explosion", confidence=0.9), told(what="explosion.airburst", confidence=0.9, hours=0.1)]
    assert one(fused(*rows).events)["what"] == "explosion.airburst"


def test_an_event_of_one_observation_is_as_it_was_told():
    """Nothing is added, also not to a kind that the taxonomy does not list."""
    row = told(what="access.denied", confidence=0.6, alternatives=[("jamming", 0.25)], weapon="mortar 120", count=3)
    event = one(fused(row | {"description": "outgoing"}).events)
    assert {name: event[name] for name in ("what", "weapon", "count", "count_max", "description", "means")} == {
        "what": "access.denied",
        "weapon": "mortar 120",
        "count": 3,
        "count_max": 3,
        "description": "outgoing",
        "means": "reported",
    }
    assert event["confidence"] == pytest.approx(0.6)
    assert event["alternatives"] == [("jamming", 0.25)]


def test_counts_are_ranges_over_accounts_and_sums_over_events():
    rows = [told(count=10, source="a"), told(count=12, count_max=15, source="b"), told(hours=0.9, count=4)]
    rows = [row | {"at_sigma_s": 30.0} for row in rows]
    rows[2] |= {"lon": AVDIIVKA[0] + 0.05, "major_m": 300.0}
    result = fused(*rows)
    assert sorted(result.events["count"].to_pylist()) == [4, 10]
    incident = one(result.incidents)
    assert (incident["events"], incident["count"], incident["count_max"]) == (2, 14, 19)


def test_the_narrowest_release_holds():
    result = fused(told(release="public"), told(hours=0.1, release="parties"), told(BAKHMUT, release=None))
    assert sorted(result.events["release"].to_pylist()) == ["mission", "parties"]


# ---- what is left out -----------------------------------------------------------------------------------------------


def test_what_states_no_occurrence_is_counted_and_left_out():
    """A warning is not an attack, a fix makes a track, a status is of a camera."""
    rows = [
        told(what="air_alert"),
        told(what="report"),
        told(kind="status"),
        told(kind="fix"),
        told(what="access.denied"),
    ]
    result = fused(*rows)
    assert result.left_out == {"kind fix": 1, "kind status": 1, "what air_alert": 1, "what report": 1}
    assert result.associations.num_rows == result.events.num_rows == 1


def test_an_occurrence_without_place_or_time_is_an_event_of_its_own():
    rows = [told(), told(), told() | {"lon": None}, told() | {"lon": None}, told() | {"at": None}]
    result = fused(*rows)
    assert sorted(result.events["observations"].to_pylist()) == [1, 1, 1, 2]
    assert result.events["lon"].null_count == 2
    assert result.events["at"].null_count == 1
    assert result.incidents.num_rows == 4


def test_nothing_observed_is_an_empty_picture():
    for rows in ([], [told(what="report")]):
        result = fused(*rows)
        assert (result.associations.schema, result.events.schema) == (picture.ASSOCIATIONS, picture.EVENTS)
        assert result.incidents.schema == picture.INCIDENTS
        assert result.events.num_rows == 0


# ---- satellite fires ------------------------------------------------------------------------------------------------


def test_pixels_that_touch_on_one_overpass_are_one_fire():
    rows = [seen(), seen(375), seen(375, 375), seen(750, 750, hours=0.1), seen(3000)]
    result = fused(*rows)
    assert sorted(result.events["observations"].to_pylist()) == [1, 4]
    big = result.events.filter(pc.equal(result.events["observations"], 4))
    assert one(big)["frp_mw"] == pytest.approx(8.0)
    assert one(big)["major_m"] > 400  # the ellipse covers the fire


@pytest.mark.parametrize(
    ("apart_m", "one_fire"), [(375, True), (530, True), (750, False)], ids=["side by side", "by the corner", "gap"]
)
def test_touching_is_by_side_or_corner(apart_m, one_fire):
    occurred = gather(table(seen(), seen(apart_m)), FRAME)
    assert (len(set(fires(occurred, np.arange(2))[0].tolist())) == 1) is one_fire


def test_the_next_overpass_is_another_event_of_the_same_incident():
    """As is what another satellite sees minutes later."""
    rows = [seen(), seen(100, hours=1.7), seen(0, 100, hours=12), seen(hours=0.5, sensor="NOAA-20")]
    result = fused(*rows)
    assert result.events.num_rows == 4
    assert one(result.incidents)["events"] == 4


def test_a_furnace_that_burns_all_year_is_one_incident():
    rng = np.random.default_rng(5)
    rows = [seen(*rng.normal(0, 100, 2), hours=24 * d + rng.uniform(0, 2)) for d in range(365) if rng.random() < 0.5]
    incident = one(fused(*rows).incidents)
    assert incident["events"] > 150
    assert (incident["last_at"] - incident["first_at"]).days > 350


def test_fires_of_a_harvest_do_not_become_one():
    """Two hundred fires a day in 60 x 60 km: another one nearby the next day is another field."""
    rng = np.random.default_rng(6)
    rows = [seen(*rng.uniform(-30e3, 30e3, 2), hours=24 * d + 10) for d in range(10) for _ in range(200)]
    result = fused(*rows)
    assert max(result.incidents["events"].to_pylist()) < 20
    assert result.incidents.num_rows > 1400


def test_a_fire_after_an_explosion_is_of_its_incident():
    result = fused(told(hours=(4, 10), what="explosion.impact"), seen(1500, -900, hours=11), seen(1500, -800, hours=23))
    incident = one(result.incidents)
    assert incident["what"] == "explosion.impact"
    assert incident["events"] == 3
    assert incident["lon"] == pytest.approx(AVDIIVKA[0])  # where it fell, not what it set alight
    assert incident["last_at"] > at(23)


def test_a_fire_belongs_to_one_of_two_explosions_and_joins_them_not():
    """Ten kilometres apart, the fire between them: the nearer one."""
    near, far = (AVDIIVKA[0], AVDIIVKA[1] - 0.02), (AVDIIVKA[0], AVDIIVKA[1] + 0.07)
    result = fused(told(near, 9.0), told(far, 9.0), seen(hours=11))
    assert sorted(result.incidents["events"].to_pylist()) == [1, 2]
    with_fire = one(result.incidents.filter(pc.equal(result.incidents["events"], 2)))
    assert with_fire["lat"] == pytest.approx(near[1], abs=0.001)


@pytest.mark.parametrize(("hours", "why"), [(3.0, "before"), (60.0, "days later")])
def test_a_fire_at_another_time_is_none_of_it(hours, why):
    assert fused(told(hours=9.0), seen(hours=hours)).incidents.num_rows == 2, why


def test_a_furnace_is_not_what_an_explosion_left():
    """It first shows the night after; it then burns for a month."""
    result = fused(told(hours=9.0), *(seen(hours=11 + 24 * d) for d in range(30)))
    assert sorted(result.incidents["events"].to_pylist()) == [1, 30]


# ---- physics, not politics ------------------------------------------------------------------------------------------


class OneLine:
    """A line that runs through everything."""

    def against(self, east_m, north_m, var_e, cov_en, var_n, at_s):
        n = len(east_m)
        names = ("line_distance_m", "chainage_m", "p_inside")
        return {"line_date": pa.array(["2023-07-03"] * n)} | {name: np.asarray(east_m) * 0 + 0.5 for name in names}


def test_the_line_fills_its_columns_and_has_no_part_in_fusing():
    rows = [*SHELLING, seen(hours=12), told(BAKHMUT, lon=None)]
    without, with_line = fused(*rows), fused(*rows, line=OneLine())
    assert without.events["p_inside"].null_count == without.events.num_rows
    assert set(with_line.events["line_date"].to_pylist()) == {"2023-07-03"}
    assert with_line.events["p_inside"].null_count == 1
    assert with_line.associations.equals(without.associations)
    assert with_line.incidents["incident_id"].equals(without.incidents["incident_id"])


def test_whom_a_source_blames_changes_nothing():
    blamed = [row | {"party": f"party {i % 2}"} for i, row in enumerate(SHELLING)]
    ids = {name: table(*SHELLING)[name] for name in ("observation_id", "leaf")}
    renamed = table(*blamed)
    for name, column in ids.items():
        renamed = renamed.set_column(renamed.schema.get_field_index(name), name, column)
    assert digest(fuse(renamed, FRAME, None, None, PRIOR)) == digest(fused(*SHELLING))


def test_places_are_named_as_the_gazetteer_says():
    class Gazetteer:
        def words(self, lon, lat):
            return [f"at {x:.2f}" for x in lon]

    assert one(fused(told(), gazetteer=Gazetteer()).incidents)["place"] == "at 37.75"


def test_the_conflicts_part_is_a_stated_prior_until_a_model_says_better():
    result = fused(seen(), told(BAKHMUT), told(BAKHMUT, what="access"))
    of = dict(zip(result.events["what"].to_pylist(), result.events["p_conflict"].to_pylist(), strict=True))
    assert of == {"fire": pytest.approx(0.28), "explosion.impact": pytest.approx(0.95), "access": None}
    assert set(result.events["p_conflict_model"].to_pylist()) == {"prior, uncalibrated", None}

    def model(events, associations, observations):
        n = events.num_rows
        factors = pa.array([[("near the line", 0.7)]] * n, observation.LIKELIHOODS)
        assert associations.num_rows == observations.num_rows == 3
        return Conflict(np.full(n, 0.5), pa.array(["a model, 1"] * n), factors)

    judged = fused(seen(), told(BAKHMUT), told(BAKHMUT, what="access"), conflict=model)
    assert judged.events["p_conflict"].to_pylist() == [0.5] * 3
    assert set(judged.incidents["p_conflict_model"].to_pylist()) == {"a model, 1"}


# ---- the same inputs, the same picture ------------------------------------------------------------------------------


def a_week(rng: np.random.Generator, n: int) -> list[dict[str, Any]]:
    """Reports and fires at a few places, many of them of the same thing."""
    rows = []
    for _ in range(n):
        place = (37.5 + 0.02 * rng.integers(0, 9), 48.0 + 0.02 * rng.integers(0, 5))
        hour = float(rng.integers(0, 72))
        if rng.random() < 0.4:
            rows.append(seen(375.0 * rng.integers(0, 4), 375.0 * rng.integers(0, 4), hour, place))
        else:
            when = hour if rng.random() < 0.5 else (hour // 24 * 24, hour // 24 * 24 + 24)
            more = {"text": f"headline {rng.integers(0, n)}", "source": f"source {rng.integers(0, 3)}"}
            more |= {"confidence": float(rng.choice([0.5, 0.9])), "sensor": rng.choice([None, "Post 1"])}
            what = str(rng.choice(["explosion", "explosion.impact", "burst", "ground.assault", "fire"]))
            rows.append(told(place, when, what=what, **more))
    return rows


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1).map(np.random.default_rng), st.integers(1, 60))
def test_neither_order_nor_batches_matter(rng, n):
    observations = table(*a_week(rng, n))
    whole = fuse(observations, FRAME, None, None, PRIOR)
    shuffled = observations.take(pa.array(rng.permutation(n)))
    cuts = np.sort(rng.integers(0, n + 1, 3))
    parts = [shuffled.slice(a, b - a) for a, b in zip([0, *cuts], [*cuts, n], strict=True)]
    batched = fuse(pa.concat_tables([part.combine_chunks() for part in parts]), FRAME, None, None, PRIOR)
    assert digest(batched) == digest(whole)
    assert whole.associations.num_rows == n
    assert pc.sum(whole.events["observations"]).as_py() == n
    assert pc.sum(whole.incidents["observations"]).as_py() == n
    known = whole.events["incident_id"].combine_chunks()
    assert pc.all(pc.is_in(whole.incidents["incident_id"], value_set=known)).as_py()


def test_an_id_is_that_of_the_earliest_observation():
    """So that what is told later of the same event seldom changes it."""
    rows = table(*SHELLING)
    first = min(zip(rows["at"].to_pylist(), rows["observation_id"].to_pylist(), strict=True))[1]
    event = one(fused(*SHELLING).events)
    assert event["event_id"] + event["incident_id"] == hashlib.sha256(b"event" + first).digest()
    later = fused(*SHELLING, told(hours=(3, 15), text="told once more"))
    assert one(later.events)["event_id"] == event["event_id"]


def test_every_tie_but_the_first_says_how_strong_it_is():
    ties = fused(*SHELLING, told(BAKHMUT)).associations
    assert ties["log_ratio"].null_count == 2
    assert pc.min(ties["log_ratio"]).as_py() > 0
