"""Counting rules: the same events, other numbers; each number with its rule."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truceline import counting, picture
from truceline.errors import MissionError

NOON = datetime(2020, 10, 4, 12, tzinfo=UTC)


def event(minutes: float = 0, count: int | None = None, most: int | None = None, **more: Any) -> dict[str, Any]:
    """An impact at a minute, of incident "a" unless said otherwise."""
    at = NOON + timedelta(minutes=minutes)
    given = {"incident": "a", "what": "explosion.impact", "lasting": 0.0} | more
    ids = {
        "incident_id": given["incident"].encode().ljust(16, b"."),
        "event_id": repr((minutes, more)).encode()[:16].ljust(16),
    }
    spread = timedelta(minutes=given["lasting"] / 2)
    times = {"at": at, "at_from": at - spread, "at_until": at + spread}
    return ids | times | {"what": given["what"], "count": count, "count_max": most}


def events(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=picture.EVENTS)


def counted(rule: str, *rows: dict[str, Any]) -> dict[str, tuple[int | None, int | None]]:
    table = counting.count(rule, events(*rows)).table
    assert table.schema == counting.TABLE
    return {row["incident_id"].decode().rstrip("."): (row["n"], row["n_max"]) for row in table.to_pylist()}


# ---- as the OSCE counted --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "said"),
    [
        pytest.param(event(count=7), (7, 7), id="a number"),
        pytest.param(event(count=15, most=20), (15, 20), id="a range"),
        pytest.param(event(), (1, None), id="no number: one at least, and no bound"),
        pytest.param(event(count=0), (1, 1), id="nought told of something that was: one"),
        pytest.param(event(what="burst", count=3), (3, 3), id="bursts"),
        pytest.param(event(what="flare", count=2), (2, 2), id="flares count too"),
        pytest.param(event(what="explosion.outgoing.mortar", count=2), (2, 2), id="a kind by its prefix"),
        pytest.param(event(what="fire", count=40), (None, None), id="a hotspot has no number of bursts"),
        pytest.param(event(what="uav", count=1), (None, None), id="an aircraft is no burst"),
        pytest.param(event(what="weapon.tank", count=9), (None, None), id="nor is a weapon standing there"),
    ],
)
def test_every_explosion_burst_shot_and_flare_counts(row, said):
    assert counted("osce-smm", row) == {"a": said}


def test_events_of_an_incident_add_up_and_its_fires_do_not_matter():
    rows = [event(count=7), event(10, 2, 4), event(20, what="fire"), event(30, incident="b", what="fire")]
    assert counted("osce-smm", *rows) == {"a": (9, 11), "b": (None, None)}
    whole = counting.count("osce-smm", events(*rows))
    assert (whole.number, whole.most, whole.not_countable, whole.unnumbered) == (9, 11, 2, 0)


def test_one_report_without_a_number_leaves_the_total_without_an_upper_bound():
    whole = counting.count("osce-smm", events(event(count=7), event(5, incident="b")))
    assert (whole.number, whole.most, whole.unnumbered) == (8, None, 1)


def test_a_period_begins_at_its_first_instant_and_ends_before_its_last():
    rows = events(*(event(minutes, count=1) for minutes in (-1, 0, 59, 60)))
    ends = NOON + timedelta(hours=1)
    assert counting.count("osce-smm", rows, NOON, ends).number == 2
    assert counting.count("osce-smm", rows, None, ends).number == 3
    assert counting.count("osce-smm", rows, NOON).number == 3
    assert counting.count("osce-smm", rows, ends + timedelta(days=1)).table.num_rows == 0


# ---- as the Joint Forces are said to have counted -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        pytest.param([event(count=30)], (1, 1), id="thirty are a shelling"),
        pytest.param([event(count=300)], (1, 1), id="so are three hundred"),
        pytest.param([event(count=29)], (0, 1), id="twenty-nine: it is not known"),
        pytest.param([event()], (0, 1), id="no number: nor here"),
        pytest.param([event(0, 10), event(40, 10), event(80, 10)], (1, 2), id="pauses of forty minutes are no gap"),
        pytest.param([event(0, 30), event(60, 30)], (1, 2), id="an hour is not more than an hour"),
        pytest.param([event(0, 30), event(61, 30)], (2, 2), id="more than an hour is"),
        pytest.param([event(0, 30), event(61, 5)], (1, 2), id="a full one, then a few"),
        pytest.param(
            [event(0, 20, lasting=1440), event(60, 20, lasting=1440)], (1, 2), id="days: perhaps one, perhaps two"
        ),
        pytest.param([event(what="fire", count=50)], (None, None), id="a fire is no shelling"),
    ],
)
def test_thirty_discharges_are_one_shelling_until_an_hours_gap(rows, said):
    assert counted("jfo", *rows) == {"a": said}


def test_incidents_far_apart_in_time_are_counted_each_for_itself():
    rows = [event(0, 40), event(5, 40, incident="b"), event(60 * 24 * 365, 40), event(3, 40, incident="b")]
    assert counted("jfo", *rows) == {"a": (2, 2), "b": (1, 1)}


# ---- whatever the rule ----------------------------------------------------------------------------------------------

many = st.lists(
    st.builds(
        event,
        st.integers(0, 600),
        st.none() | st.integers(0, 50),
        incident=st.sampled_from("abc"),
        what=st.sampled_from(["explosion", "burst", "fire"]),
        lasting=st.sampled_from([0.0, 30.0, 1440.0]),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(many, st.sampled_from(sorted(counting.RULES)), st.randoms(use_true_random=False))
def test_neither_order_nor_batches_matter_and_most_is_not_less_than_least(rows, rule, random):
    whole = counting.count(rule, events(*rows))
    random.shuffle(rows)
    half = len(rows) // 2
    parts = pa.concat_tables([events(*rows[:half]), events(*rows[half:])])
    assert counting.count(rule, parts).table.equals(whole.table)
    for row in whole.table.to_pylist():
        assert row["n_max"] is None or row["n"] <= row["n_max"]
    assert whole.number == sum(row["n"] or 0 for row in whole.table.to_pylist())


def test_one_truce_two_numbers():
    """The same hundred and twenty rounds: 120 violations to one side, two shellings to the other."""
    rows = [event(10 * k, 10) for k in range(6)] + [event(600 + 10 * k, 10) for k in range(6)]
    assert counted("osce-smm", *rows) == {"a": (120, 120)}
    assert counted("jfo", *rows)["a"][0] == 2


def test_every_rule_has_a_version_and_a_sentence_to_stand_beside_its_numbers():
    for name, rule in counting.RULES.items():
        assert name == rule.name
        assert f"{name}, version {rule.version}" in counting.sentence(name)


def test_a_rule_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(MissionError, match=r"'smm'.*jfo, osce-smm"):
        counting.count("smm", events())
    with pytest.raises(MissionError, match=r"'smm'"):
        counting.sentence("smm")
