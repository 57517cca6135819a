"""What each rule concludes, as verdict tables; what every rule keeps to; what a finding says."""

import json
from datetime import UTC, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a_picture import (
    FRAME,
    HOUR,
    UNTIL,
    ALine,
    a_clause,
    a_picture,
    an_agreement,
    an_event,
    judged,
    normal_below,
    shuffled,
    t,
)
from naive_rules import naive_judge
from truceline.agreement import Agreement, Assumption, Clause, Exemption, Notice, Reading, Site, Zone
from truceline.errors import MissionError
from truceline.finding import CASES, FINDINGS, VERDICT
from truceline.fuse.assumptions import CONFIDENCE
from truceline.picture import ASSOCIATIONS, EVENTS, INCIDENTS, digest
from truceline.rules import FLOOR, REGISTRY, judge, zones_table
from truceline.rules.cases import cases
from truceline.rules.sentences import noun, spoken, when
from truceline.rules.subjects import UNSTATED, identity
from truceline.rules.zones_at import Near, joined, within_reach
from truceline.weapons import Weapon, read
from truceline.zones import ZoneIndex

PLANT = Zone(id="plant", kind="circles", name="the plant", sites=[Site(name="Plant", lon=37.5, lat=48.3)], radius_km=2)
BAND = Zone(id="band", kind="band", name="the 15 km band", to_km=15)
FIRE = {"p_conflict": 0.3, "p_conflict_model": "prior"}


def p_of(clause: Clause, *rows: dict[str, Any], line: Any = None, **told: Any) -> list[float | None]:
    """p_breach of the findings, in Party A's reading."""
    found = judged(an_agreement(clause, **told), *rows, line=line)
    return [None if row["p_breach"] is None else round(row["p_breach"], 3) for row in found if row["reading"] == "a"]


# ---- one verdict table a rule ----


@pytest.mark.parametrize(
    ("event", "p"),
    [
        pytest.param(an_event("explosion"), [1.0], id="an explosion is firing"),
        pytest.param(an_event("explosion.impact"), [1.0], id="so is any more special explosion"),
        pytest.param(an_event("burst"), [1.0], id="so is a burst"),
        pytest.param(an_event("shot"), [1.0], id="so is a shot"),
        pytest.param(an_event("flare"), [1.0], id="so is an illumination flare, as monitors count them"),
        pytest.param(an_event("explosion", confidence=0.6), [0.6], id="as likely as it was an explosion"),
        pytest.param(
            an_event("explosion", confidence=0.5, alternatives={"shot": 0.3, "air_alert": 0.2}),
            [0.8],
            id="likelihoods of all its kinds are summed",
        ),
        pytest.param(an_event("explosion", confidence=None), [0.9], id="nobody is certain who states no probability"),
        pytest.param(
            an_event("explosion", confidence=None, alternatives={"air_alert": 0.3}),
            [0.7],
            id="or what the alternatives leave",
        ),
        pytest.param(an_event("fire", **FIRE), [0.3], id="a fire counts as far as the conflict caused it"),
        pytest.param(an_event("fire"), [None], id="a fire of which nobody says who caused it: nothing can be said"),
        pytest.param(
            an_event("explosion", confidence=0.7, alternatives={"fire": 0.3}),
            [0.7],
            id="nor of the part of an account that may have been a fire",
        ),
        pytest.param(an_event("air_alert"), [], id="a warning is not firing"),
        pytest.param(an_event("weapon.artillery"), [], id="nor is a gun at rest"),
        pytest.param(an_event("explosion", confidence=0.04), [], id="below the floor there is no finding"),
    ],
)
def test_cessation(event: dict[str, Any], p: list[float | None]) -> None:
    assert p_of(a_clause("cessation"), event) == p


@pytest.mark.parametrize(
    ("event", "p"),
    [
        pytest.param(an_event("explosion"), [1.0], id="an impact within the circle"),
        pytest.param(an_event("explosion.outgoing"), [1.0], id="firing from within it"),
        pytest.param(an_event("fire", **FIRE), [0.3], id="a fire, as far as the conflict caused it"),
        pytest.param(an_event("uav.reconnaissance"), [1.0], id="a drone over it"),
        pytest.param(an_event("weapon.tank"), [], id="a tank at rest is for another clause"),
        pytest.param(an_event("explosion", east_m=2_500), [], id="five sigma outside"),
        pytest.param(an_event("explosion", east_m=2_000), [0.5], id="on the border: about half"),
        pytest.param(an_event("explosion", major_m=2000.0, minor_m=2000.0), [0.393], id="1 - exp(-1/2): never cut"),
        pytest.param(an_event("explosion", lon=None), [None], id="no position: nothing can be said"),
        pytest.param(an_event("explosion", major_m=None, minor_m=None), [None], id="nor without its error"),
    ],
)
def test_protected_site(event: dict[str, Any], p: list[float | None]) -> None:
    clause = a_clause("protected_site", zone="plant")
    found = p_of(clause, event, zone=[PLANT])
    assert found == (p if None in p else pytest.approx(p, abs=0.05))


@pytest.mark.parametrize(
    ("event", "p"),
    [
        pytest.param(an_event("weapon.artillery", weapon="artillery 152"), [1.0], id="class and calibre as spoken of"),
        pytest.param(an_event("weapon.artillery", weapon="D-30 howitzer"), [1.0], id="a name fixes class and calibre"),
        pytest.param(an_event("weapon", weapon="artillery 122"), [1.0], id="the words decide where the kind does not"),
        pytest.param(an_event("weapon.artillery"), [0.95], id="calibre not stated: as usual as it is"),
        pytest.param(an_event("weapon.artillery", weapon="artillery 85"), [], id="below the calibre"),
        pytest.param(an_event("weapon.tank", weapon="tank 125"), [], id="another class"),
        pytest.param(
            an_event("weapon.artillery", confidence=0.6, alternatives={"weapon.armour": 0.4}),
            [0.57],
            id="as likely as it was a gun",
        ),
        pytest.param(an_event("weapon"), [None], id="a weapon of no stated class: nothing can be said"),
        pytest.param(
            an_event("explosion", weapon="artillery 152", confidence=0.7, alternatives={"weapon.mortar": 0.3}),
            [0.135],
            id="what fired a round is not the weapon that may have been seen",
        ),
        pytest.param(
            an_event("explosion.outgoing", weapon="artillery 152"), [], id="a round says not where the gun is"
        ),
        pytest.param(an_event("weapon.artillery", weapon="artillery 122", east_m=16_000), [], id="behind the line"),
        pytest.param(
            an_event("weapon.artillery", weapon="artillery 122", east_m=15_000), [0.5], id="on the line: half"
        ),
    ],
)
def test_withdrawal(event: dict[str, Any], p: list[float | None]) -> None:
    """Guns and mortars of 100 mm and more, 15 km either side of a line through the middle of the frame."""
    clause = a_clause("withdrawal", zone="band", weapons=["artillery", "mortar"], min_calibre_mm=100)
    assert p_of(clause, event, zone=[BAND], line=ALine({"2023-01-01": 0.0})) == p


@pytest.mark.parametrize(
    ("event", "p"),
    [
        pytest.param(an_event("uav"), [1.0], id="an unmanned aircraft"),
        pytest.param(an_event("uav.fpv"), [1.0], id="of any kind"),
        pytest.param(an_event("aircraft.rotary"), [1.0], id="a helicopter"),
        pytest.param(an_event("uav", confidence=0.7), [0.7], id="as likely as it was one"),
        pytest.param(an_event("air_alert"), [], id="a warning is no flight"),
        pytest.param(an_event("explosion.airburst"), [], id="nor is an interception"),
        pytest.param(an_event("uav", east_m=3_000), [], id="outside the zone"),
    ],
)
def test_no_fly(event: dict[str, Any], p: list[float | None]) -> None:
    assert p_of(a_clause("no_fly", zone="plant"), event, zone=[PLANT]) == p


@pytest.mark.parametrize(
    ("event", "p"),
    [
        pytest.param(an_event("ground.assault"), [1.0], id="an assault"),
        pytest.param(an_event("ground.mine"), [1.0], id="mines"),
        pytest.param(an_event("ground.exercise", confidence=0.9), [0.9], id="an exercise, as likely as it was one"),
        pytest.param(an_event("ground"), [1.0], id="forces"),
        pytest.param(an_event("ground.control"), [], id="a claim of control says nothing of how it came about"),
        pytest.param(an_event("weapon.tank"), [], id="a weapon, where the clause names none"),
        pytest.param(an_event("explosion"), [], id="an explosion is for another clause"),
        pytest.param(an_event("ground.assault", north_m=-3_000), [], id="outside the zone"),
    ],
)
def test_presence(event: dict[str, Any], p: list[float | None]) -> None:
    assert p_of(a_clause("presence", zone="plant"), event, zone=[PLANT]) == p


def test_presence_of_weapons_where_the_clause_names_them() -> None:
    clause = a_clause("presence", what=["ground", "weapon"], weapons=["tank"])
    assert p_of(clause, an_event("weapon.tank")) == [1.0]
    assert p_of(clause, an_event("weapon.mortar")) == []
    assert p_of(clause, an_event("ground.assault")) == [1.0]


DUE = {"": t("2023-10-05T12:00")}
KEPT = an_event("duty.orders", confidence=0.8, at=t("2023-10-05T09:00"))


@pytest.mark.parametrize(
    ("clause", "notices", "events", "p", "said"),
    [
        pytest.param({}, [], [KEPT], None, "sets no time", id="no time set: nothing to hold it to"),
        pytest.param({"due": {"": UNTIL + HOUR}}, [], [KEPT], None, "after the picture ends", id="not yet due"),
        pytest.param({"due": DUE}, [], [an_event()], None, "nothing in the picture", id="no data conclude nothing"),
        pytest.param({"due": DUE}, [("a", "2023-10-05T11:59")], [], 0.0, "breach 0.00", id="notified in time"),
        pytest.param({"due": DUE}, [("a", "2023-10-05T12:01")], [], 1.0, "breach 1.00", id="notified too late"),
        pytest.param({"due": DUE}, [("b", "2023-10-05T11:59")], [], 0.9, "0.90", id="only the other party notified"),
        pytest.param({"due": DUE}, [], [KEPT], 0.2, "0.20", id="a report of it in time, that names no party"),
        pytest.param(
            {"due": DUE}, [], [KEPT | {"description": "denied"}], 0.9, "0.90", id="a report that it was denied"
        ),
        pytest.param(
            {"due_within_h": 24, "effective": {"": t("2023-10-01T00:00")}},
            [("a", "2023-10-01T23:00")],
            [],
            0.0,
            "due at 00:00 UTC on 2 October 2023",
            id="within hours of taking effect",
        ),
    ],
)
def test_duty(
    clause: dict[str, Any], notices: list[tuple[str, str]], events: list[Any], p: float | None, said: str
) -> None:
    """A duty makes one finding for each party bound and each reading, whatever is known of it."""
    given = [Notice(clause="2", party=party, text="done", starts=t(time)) for party, time in notices]
    found = judged(an_agreement(a_clause("duty", title="orders issued", **clause), notice=given), *events)
    assert len(found) == 4
    row = next(r for r in found if r["reading"] == "a" and r["attribution"] == {"a": 1.0})
    assert row["p_breach"] == (None if p is None else pytest.approx(p))
    assert said in row["sentence"]
    assert "the duty of Party A" in row["sentence"]


# ---- what every rule keeps to ----

EVERYTHING = [
    an_event("explosion"),
    an_event("fire", **FIRE),
    an_event("fire"),
    an_event("uav", lon=None),
    an_event("weapon.artillery", weapon="artillery 152", begin=None, at=None),
    an_event("ground.assault", killed=2),
    an_event("duty", begin=t("2023-10-05T00:00"), end=t("2023-10-06T00:00")),
    an_event("access.denied", release=None),
    an_event("burst", confidence=None, place=None),
]


EXEMPTIONS = [
    Exemption(text="impacts", what=["explosion.impact"]),
    Exemption(text="notified", what=["explosion", "uav"], notice=True),
]


def _clause_of(rule: str) -> Clause:
    more = {"due": DUE} if rule == "duty" else {"zone": "plant"}
    return a_clause(rule, **more)


@pytest.mark.parametrize("rule", sorted(REGISTRY))
def test_every_rule_keeps_to_the_table_of_findings(rule: str) -> None:
    """Schema, ranges, and the law that a probability is the product of the factors shown."""
    events, incidents = a_picture(*EVERYTHING)
    agreement = an_agreement(_clause_of(rule), zone=[PLANT])
    found = judge(events, incidents, agreement, None, FRAME, None, Path(), UNTIL)
    assert found.schema == FINDINGS
    assert found.num_rows
    found.validate(full=True)
    for row in found.to_pylist():
        values = [factor["value"] for factor in row["factors"]]
        assert all(v is None or 0 <= v <= 1 for v in values)
        assert all(factor["source"] and factor["confidence"] in ("low", "medium", "high") for factor in row["factors"])
        if row["p_breach"] is None:
            assert None in values
            assert "no probability of breach can be given" in row["sentence"]
        else:
            assert row["p_breach"] == pytest.approx(np.prod([1.0 if v is None else v for v in values]), abs=1e-6)
        assert sum(dict(row["attribution"]).values()) == pytest.approx(1)
        assert row["calibrated"] is False
        assert row["coverage"] == "not assessed"
        assert row["severity"] in ("minor", "serious", "grave")
        assert row["release"] in ("public", "parties", "sending_states", "mission")
        assert row["finding_id"] == identity("finding", row["clause"], row["reading"], row["subject_id"])
        assert row["sentence"].startswith("Clause 2 (no firing), as Party ")
        assert row["sentence"].endswith(".")
        assert "  " not in row["sentence"]


@pytest.mark.parametrize("rule", sorted(REGISTRY))
def test_every_rule_gives_the_same_for_any_order_of_rows(rule: str) -> None:
    events, incidents = a_picture(*EVERYTHING, *(row | {"incident": 0} for row in EVERYTHING[:3]))
    agreement = an_agreement(_clause_of(rule), zone=[PLANT])
    rng = np.random.default_rng(1)
    one, two = (
        judge(e, i, agreement, None, FRAME, None, Path(), UNTIL)
        for e, i in ((events, incidents), (shuffled(events, rng), shuffled(incidents, rng)))
    )
    assert one.equals(two)


@pytest.mark.parametrize("rule", sorted(REGISTRY))
def test_every_rule_finds_nothing_but_duties_in_an_empty_picture(rule: str) -> None:
    events, incidents = a_picture()
    found = judge(events, incidents, an_agreement(_clause_of(rule), zone=[PLANT]), None, FRAME, None, Path(), UNTIL)
    assert found.schema == FINDINGS
    assert found.num_rows == (4 if rule == "duty" else 0)


def nothing_known(table: pa.Table, rows: list[bool]) -> pa.Table:
    """The table, with nulls in every column that may have them where `rows` is true."""
    mask = pa.array(rows, pa.bool_())
    columns = []
    for field, column in zip(table.schema, table.columns, strict=True):
        values = column.to_pylist()
        kept = [None if field.nullable and gone else v for v, gone in zip(values, mask.to_pylist(), strict=True)]
        columns.append(pa.array(kept, field.type))
    return pa.table(columns, table.schema)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_nothing_fails_where_there_is_nothing_or_nothing_is_known(data: st.DataObject) -> None:
    """No events, no incidents, either without the other, every null at once: findings, cases and the map's zones."""
    rows = data.draw(st.lists(st.sampled_from(EVERYTHING), max_size=4))
    events, incidents = a_picture(*rows)
    gone = st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))
    events, incidents = nothing_known(events, data.draw(gone)), nothing_known(incidents, data.draw(gone))
    if data.draw(st.booleans()):
        events = data.draw(st.sampled_from([events.slice(0, 0), EVENTS.empty_table(), events.combine_chunks()]))
    if data.draw(st.booleans()):
        incidents = data.draw(st.sampled_from([incidents.slice(0, 0), INCIDENTS.empty_table()]))
    rule = data.draw(st.sampled_from(sorted(REGISTRY)))
    zone = data.draw(st.sampled_from(["everywhere", "plant", "band", "towns"]))
    clause = a_clause(
        rule,
        zone=zone,
        exemption=data.draw(st.lists(st.sampled_from([*EXEMPTIONS, Exemption(text="", zone=zone)]), max_size=2)),
        weapons=data.draw(st.sampled_from([[], ["mortar"]])),
        due=data.draw(st.sampled_from([{}, DUE])) if rule == "duty" else {},
    )
    notices = [Notice(clause="2", party="b", text="", starts=t("2023-10-05T00:00"), zone=zone)]
    towns = Zone(id="towns", kind="settlements", radius_km=2)
    agreement = an_agreement(
        clause,
        zone=[PLANT, BAND, towns],
        notice=notices if data.draw(st.booleans()) else [],
        in_force_from=data.draw(st.sampled_from([None, t("2023-10-05T00:00"), UNTIL])),
    )
    line = data.draw(st.sampled_from([None, ALine({}), ALine({"2023-10-01": 0.0})]))
    found = judge(events, incidents, agreement, line, FRAME, None, Path(), UNTIL)
    assert found.schema == FINDINGS
    found.validate(full=True)
    known = {*incidents["incident_id"].to_pylist()}
    assert all(row["subject_id"] in known or row["subject_kind"] == "duty" for row in found.to_pylist())
    assert all("None" not in row["sentence"] and "nan" not in row["sentence"] for row in found.to_pylist())
    opened = cases(found, incidents, events, ASSOCIATIONS.empty_table(), VERDICT.empty_table())
    assert opened.schema == CASES
    opened.validate(full=True)
    layer = zones_table(agreement, line, FRAME, None, Path(), t("2023-10-05T00:00").date())
    assert "towns" not in layer["id"].to_pylist()


@pytest.mark.parametrize("rule", sorted(REGISTRY))
def test_every_rule_has_its_verdict_table_in_its_docstring(rule: str) -> None:
    module = REGISTRY[rule]
    assert isinstance(module, ModuleType)
    assert "| concluded" in (module.__doc__ or "")


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_judging_by_columns_is_judging_one_by_one(data: st.DataObject) -> None:
    """Against a twin that goes event by event, for pictures and clauses drawn at random."""
    kinds = ["explosion", "explosion.impact", "fire", "uav", "weapon.mortar", "ground.control", "air_alert"]
    place = st.floats(-4_000, 4_000)
    begin = st.sampled_from([t("2023-10-05T00:00"), t("2023-10-05T06:00"), t("2023-10-06T00:00"), None])
    event = st.builds(
        lambda what, other, east, north, start, length, p, c, incident, sigma: an_event(
            what,
            east_m=east,
            north_m=north,
            begin=start,
            end=None if start is None else start + length,
            p_conflict=p,
            confidence=c,
            alternatives={other: 0.2 if c is None else (1 - c) / 2} if other != what else None,
            incident=incident,
            major_m=sigma,
            minor_m=sigma,
        ),
        st.sampled_from(kinds),
        st.sampled_from(kinds),
        place,
        place,
        begin,
        st.sampled_from([timedelta(0), HOUR, timedelta(days=1)]),
        st.sampled_from([None, 0.2, 0.9]),
        st.sampled_from([None, 0.2, 0.7, 1.0]),
        st.integers(0, 3),
        st.sampled_from([50.0, 800.0]),
    )
    times = st.sampled_from([None, t("2023-10-05T03:00"), t("2023-10-05T06:00"), t("2023-10-05T12:00")])
    rows = data.draw(st.lists(event, max_size=8))
    clause = a_clause(
        data.draw(st.sampled_from(["cessation", "protected_site", "no_fly", "presence", "withdrawal"])),
        parties=data.draw(st.sampled_from([["a", "b"], ["b"]])),
        zone=data.draw(st.sampled_from(["everywhere", "plant"])),
        reading=[Reading(party="b", effective=data.draw(times), denies=data.draw(st.booleans()))],
        weapons=data.draw(st.sampled_from([[], ["mortar"]])),
        exemption=data.draw(st.lists(st.sampled_from(EXEMPTIONS), max_size=2)),
    )
    begins = st.sampled_from([t("2023-10-05T00:00"), t("2023-10-05T06:00")])
    notice = st.builds(
        lambda party, starts: Notice(clause="2", party=party, text="", starts=starts, ends=t("2023-10-05T12:00")),
        st.sampled_from(["a", "b"]),
        begins,
    )
    notices = data.draw(st.lists(notice, max_size=3))
    agreement = an_agreement(clause, zone=[PLANT], in_force_from=data.draw(times), notice=notices)
    events, incidents = a_picture(*rows)
    found = judge(events, incidents, agreement, None, FRAME, None, Path(), UNTIL)
    fast = {
        (r["reading"], r["subject_id"]): (r["p_breach"], r["in_force"], r["illustrative"]) for r in found.to_pylist()
    }
    slow = naive_judge(rows, agreement, clause)
    assert fast.keys() == slow.keys()
    for key, (p, in_force, illustrative) in slow.items():
        assert fast[key][0] == (None if p is None else pytest.approx(p, abs=1e-5))
        assert fast[key][1:] == (in_force, illustrative)


# ---- law: nobody is named by where something fell ----


@pytest.mark.parametrize("rule", sorted(set(REGISTRY) - {"duty"}))
def test_where_something_fell_never_names_who_fired(rule: str) -> None:
    """Deep inside either party's area, and whatever party a source stated, who did it stays undetermined."""
    where = Zone(id="plant", kind="polygon", name="all", coordinates=[[(36, 47), (39, 47), (39, 49), (36, 49)]])
    line = ALine({"2023-01-01": 0.0})
    deep = [row | {"lon": lon, "party": "a"} for row in EVERYTHING for lon in (36.5, 38.5)]
    found = judged(an_agreement(_clause_of(rule), zone=[where]), *deep, line=line)
    assert found
    assert all(row["attribution"] == {"undetermined": 1.0} for row in found)
    assert all("is undetermined." in row["sentence"] for row in found)


@pytest.mark.parametrize("rule", sorted(set(REGISTRY) - {"duty"}))
def test_a_clause_that_binds_one_party_is_as_likely_breached_as_the_act_was_of_that_party(rule: str) -> None:
    """Whose it was is undetermined: of two parties, half; the factor says that it is an assumption, the sentence says
    it too. A clause that binds everybody has no such factor: whoever it was, it is a breach."""
    binds = {"a", "b"}, {"b"}
    both, one = (
        judged(an_agreement(msgspec.structs.replace(_clause_of(rule), parties=sorted(who)), zone=[PLANT]), *EVERYTHING)
        for who in binds
    )
    assert {row["subject_id"] for row in one} == {row["subject_id"] for row in both}
    assert all("by Party B" not in row["by_name"] for row in both)
    whole = {(row["reading"], row["subject_id"]): row["p_breach"] for row in both}
    for row in one:
        p = whole[row["reading"], row["subject_id"]]
        assert row["p_breach"] == (None if p is None else pytest.approx(p / 2))
        (factor,) = [factor for factor in row["factors"] if factor["name"] == "by Party B"]
        assert (factor["value"], factor["confidence"]) == (0.5, "low")
        assert factor["source"].startswith("assumption: each party of the agreement as likely")
        assert row["p_breach"] is None or ", by Party B 0.50, " in row["sentence"]
        assert row["attribution"] == {"undetermined": 1.0}


def test_an_agreement_may_state_how_likely_such_an_act_is_the_bound_partys() -> None:
    """With where that comes from; it is about the breach, and attributes nothing."""
    said = Assumption(value=0.9, source="who flies there is mostly at home there", confidence="medium")
    clause = a_clause("no_fly", parties=["b"], whose=said)
    row = judged(an_agreement(clause), an_event("aircraft"))[0]
    assert row["p_breach"] == pytest.approx(0.9)
    factor = next(factor for factor in row["factors"] if factor["name"] == "by Party B")
    assert (factor["source"], factor["confidence"]) == (f"assumption: {said.source}", "medium")
    assert row["attribution"] == {"undetermined": 1.0}
    assert row["sentence"].endswith("Whose it was is undetermined.")


def test_a_duty_is_its_bearers_whoever_else_may_have_acted() -> None:
    (row, _) = judged(an_agreement(a_clause("duty", parties=["b"], due=DUE)), KEPT)
    assert row["attribution"] == {"b": 1.0}
    assert not [name for name in row["by_name"] if name.startswith("by ")]


# ---- readings, times, illustration ----


def test_a_clause_in_force_for_one_party_only_is_shown_in_both_readings() -> None:
    """Party B dates it a week later: its row says so, with probability 0, beside Party A's."""
    clause = a_clause(effective={"a": t("2023-10-01T00:00"), "b": t("2023-10-08T00:00")})
    a, b = judged(an_agreement(clause), an_event())
    assert (a["reading"], a["p_breach"], a["in_force"]) == ("a", 1.0, True)
    assert (b["reading"], b["p_breach"], b["in_force"]) == ("b", 0.0, False)
    assert "Not in force then, as Party B reads it." in b["sentence"]
    assert a["finding_id"] != b["finding_id"]


def test_a_clause_in_force_in_nobody_s_reading_makes_no_finding_while_the_agreement_is() -> None:
    assert judged(an_agreement(a_clause(effective={"": t("2023-10-08T00:00")})), an_event()) == []


def test_a_party_that_denies_the_clause_is_said_to() -> None:
    clause = a_clause(reading=[Reading(party="b", denies=True)])
    a, b = judged(an_agreement(clause), an_event())
    assert (a["p_breach"], b["p_breach"], b["in_force"]) == (1.0, 0.0, False)
    assert "Party B holds that the clause binds nobody." in b["sentence"]


def test_data_of_another_time_than_the_agreement_s_are_illustrative() -> None:
    """2023 held against measures of 2020 that ended in 2022: findings are made, and say what they are."""
    ended = an_agreement(a_clause(), in_force_from=t("2020-07-27T00:00"), in_force_until=t("2022-02-24T00:00"))
    a, _ = judged(ended, an_event())
    assert (a["p_breach"], a["in_force"], a["illustrative"]) == (1.0, False, True)
    assert a["sentence"].endswith("Illustrative: the agreement was not in force. Who fired is undetermined.")


def test_an_illustrative_agreement_still_parts_the_readings_by_their_dates() -> None:
    """Where one reading's own dates hold and the other's do not; where neither's do, it is held as if both did."""
    clause = a_clause(effective={"a": t("2023-10-01T00:00"), "b": t("2023-10-08T00:00")})
    a, b, *_ = judged(an_agreement(clause, illustrative=True), an_event())
    assert [(r["p_breach"], r["in_force"], r["illustrative"]) for r in (a, b)] == [
        (1.0, False, True),
        (0.0, False, True),
    ]
    early = judged(an_agreement(clause, illustrative=True), an_event(begin=t("2023-09-01T00:00")))
    assert [(r["p_breach"], r["in_force"]) for r in early] == [(1.0, False), (1.0, False)]


@pytest.mark.parametrize(
    ("begin", "end", "p", "in_force"),
    [
        pytest.param("2023-10-05T10:00", "2023-10-05T11:00", None, None, id="before it took effect: no finding"),
        pytest.param("2023-10-05T11:00", "2023-10-05T13:00", 0.5, None, id="half of the hour counts"),
        pytest.param("2023-10-05T12:00", "2023-10-05T13:00", 1.0, True, id="from the first minute"),
        pytest.param("2023-10-05T12:00", "2023-10-05T12:00", 1.0, True, id="the very instant is in force"),
        pytest.param("2023-10-06T12:00", "2023-10-06T12:00", None, None, id="the instant it ends is not"),
    ],
)
def test_an_interval_counts_by_its_share_within_the_clause_s_time(
    begin: str, end: str, p: float | None, in_force: bool | None
) -> None:
    clause = a_clause(effective={"": t("2023-10-05T12:00")}, until={"": t("2023-10-06T12:00")})
    found = judged(an_agreement(clause), an_event(begin=t(begin), end=t(end)))
    assert [(r["p_breach"], r["in_force"]) for r in found[:1]] == ([] if p is None else [(p, in_force)])


def test_the_first_breach_is_no_later_than_the_first_event_s_end_and_not_before_the_clause() -> None:
    """Two events: one between 10 and 14 h, one between 13 and 13.30 h; the clause begins at noon."""
    clause = a_clause(effective={"": t("2023-10-05T12:00")})
    found = judged(
        an_agreement(clause),
        an_event(begin=t("2023-10-05T10:00"), end=t("2023-10-05T14:00"), incident="x"),
        an_event(begin=t("2023-10-05T13:00"), end=t("2023-10-05T13:30"), incident="x"),
        an_event("air_alert", begin=t("2023-10-05T01:00"), incident="x"),
    )
    assert found[0]["first_breach_from"] == t("2023-10-05T10:00")
    assert found[0]["first_breach_until"] == t("2023-10-05T13:30")
    assert found[0]["p_breach"] == 1.0  # of the strongest event, wholly in force


def test_an_incident_is_as_likely_a_breach_as_its_strongest_event() -> None:
    a, _ = judged(
        an_agreement(a_clause("protected_site", zone="plant"), zone=[PLANT]),
        an_event("fire", incident="x", **FIRE),
        an_event("explosion", incident="x", confidence=0.9),
        an_event("explosion", incident="x", east_m=20_000),
    )
    assert a["by_name"] == pytest.approx(
        {"kind": 0.9, "caused by the conflict": 1.0, "within its time": 1.0, "inside the plant": 1.0}, abs=1e-6
    )
    assert "an explosion 3 km NE of Avdiivka" in a["sentence"]


def test_an_incident_that_began_before_the_truce_is_judged_by_what_was_done_under_it() -> None:
    """Surely an explosion before midnight, perhaps one after: the finding is about the latter, and not illustrative."""
    agreement = an_agreement(a_clause(), in_force_from=t("2023-10-06T00:00"))
    a, _ = judged(
        agreement,
        an_event(begin=t("2023-10-05T23:50"), incident="x"),
        an_event(begin=t("2023-10-06T00:10"), incident="x", confidence=0.4),
    )
    assert (a["p_breach"], a["in_force"], a["illustrative"]) == (pytest.approx(0.4), True, False)
    assert a["first_breach_from"] == t("2023-10-06T00:10")


# ---- zones ----

LINE = ALine({"2014-09-19": 0.0, "2023-10-01": 30_000.0, "2023-10-08": 40_000.0})
MORTAR = {"what": "weapon.mortar", "weapon": "mortar 120"}


@pytest.mark.parametrize(
    ("zone", "east_m", "inside"),
    [
        pytest.param({"to_km": 15}, 20_000, 1.0, id="10 km west of the line in force that day"),
        pytest.param({"to_km": 15}, 44_999, 0.5, id="15 km east of it: half"),
        pytest.param({"to_km": 15}, 10_000, None, id="20 km west of it"),
        pytest.param({"to_km": 15, "line": "2014-09-19"}, 10_000, 1.0, id="but within 15 km of the line of 2014"),
        pytest.param({"to_km": 50, "measured": "total_width"}, 50_000, 1.0, id="a strip of 50 km in all: 25 each side"),
        pytest.param({"to_km": 50, "measured": "total_width"}, 60_000, None, id="and no more"),
        pytest.param({"to_km": 15, "side": "inside"}, 32_000, 1.0, id="the side that the areas are of"),
        pytest.param({"to_km": 15, "side": "inside"}, 28_000, None, id="not the other"),
        pytest.param({"to_km": 15, "side": "outside"}, 28_000, 1.0, id="the other side"),
        pytest.param({"from_km": 5, "to_km": 15}, 32_000, None, id="nearer than the band begins"),
    ],
)
def test_bands_along_the_line(zone: dict[str, Any], east_m: float, inside: float | None) -> None:
    band = Zone(id="band", kind="band", name="the band", **zone)
    row = an_event(east_m=east_m, **MORTAR)
    found = p_of(a_clause("withdrawal", zone="band"), row, zone=[band], line=LINE)
    assert found == ([] if inside is None else pytest.approx([inside], abs=0.01))


def test_a_band_follows_the_line_of_the_event_s_day() -> None:
    band = Zone(id="band", kind="band", to_km=15)
    rows = [an_event(east_m=52_000, at=t(day), **MORTAR) for day in ("2023-10-07T12:00", "2023-10-08T12:00")]
    found = judged(an_agreement(a_clause("withdrawal", zone="band"), zone=[band]), *rows, line=LINE)
    assert [(r["reading"], r["first_breach_from"].day) for r in found] == [("a", 8), ("b", 8)]


def test_the_line_s_tolerance_blurs_the_band() -> None:
    """100 m of the gun and 500 m of the line, 300 m within the border: as a normal variable has it."""
    band = Zone(id="band", kind="band", to_km=15)
    found = p_of(
        a_clause("withdrawal", zone="band"),
        an_event(east_m=14_700, **MORTAR),
        zone=[band],
        line=ALine({"2023-01-01": 0.0}, tolerance_m=500.0),
    )
    assert found == pytest.approx([normal_below(300, 0, np.hypot(100, 500))], abs=1e-3)


@pytest.mark.parametrize(
    ("line", "zone", "said"),
    [
        pytest.param(None, {}, "no line for that date", id="no line at all"),
        pytest.param(ALine({"2024-01-01": 0.0}), {}, "no line for that date", id="only later ones"),
        pytest.param(
            ALine({"2023-01-01": 0.0}), {"line": "2014-09-19"}, "no line of 2014-09-19", id="not the one named"
        ),
    ],
)
def test_without_a_line_nothing_is_guessed(line: ALine | None, zone: dict[str, Any], said: str) -> None:
    band = Zone(id="band", kind="band", to_km=15, **zone)
    (row, _) = judged(an_agreement(a_clause("withdrawal", zone="band"), zone=[band]), an_event(**MORTAR), line=line)
    assert row["p_breach"] is None
    assert said in row["sentence"]


def test_two_readings_of_one_zone_are_two_answers() -> None:
    """Party A measures from the actual line, Party B from that of 2014."""
    zones = [Zone(id="actual", kind="band", to_km=15), Zone(id="old", kind="band", to_km=15, line="2014-09-19")]
    clause = a_clause("withdrawal", zone="actual", reading=[Reading(party="b", zone="old")])
    a, b = judged(an_agreement(clause, zone=zones), an_event(east_m=35_000, **MORTAR), line=LINE)
    assert (a["p_breach"], b["p_breach"]) == (1.0, pytest.approx(0.0, abs=1e-6))
    assert "inside actual 1.00" in a["sentence"]
    assert "inside old 0.00" in b["sentence"]


def test_overlapping_circles_count_once() -> None:
    twice = Zone(
        id="plant",
        kind="circles",
        sites=[Site(name="one", lon=37.5, lat=48.3), Site(name="two", lon=37.5, lat=48.3)],
        radius_km=2,
    )
    found = p_of(a_clause("protected_site", zone="plant"), an_event(major_m=2000.0, minor_m=2000.0), zone=[twice])
    assert found == pytest.approx([0.393], abs=0.003)


#: Two triangles that meet in the middle of the frame; each is drawn, although the ring crosses itself.
BOW_TIE = [(37.2, 48.2), (37.8, 48.4), (37.8, 48.2), (37.2, 48.4)]


@pytest.mark.parametrize("written", ["coordinates", "file"])
def test_an_area_whose_border_crosses_itself_keeps_all_its_parts(written: str, tmp_path: Path) -> None:
    """10 km east and west of the crossing is inside, 10 km north is not; left as it is, a half would be lost."""
    drawn: dict[str, Any] = {"coordinates": [BOW_TIE]}
    if written == "file":
        feature = {"type": "Polygon", "coordinates": [[*BOW_TIE, BOW_TIE[0]]]}
        (tmp_path / "area.geojson").write_text(json.dumps(feature))
        drawn = {"path": "area.geojson"}
    area = Zone(id="area", kind="polygon", **drawn)
    agreement = an_agreement(a_clause("presence", zone="area"), zone=[area])
    places = {"east": (10_000, 0), "west": (-10_000, 0), "north": (0, 10_000), "corner": (19_000, -8_000)}
    rows = [an_event("ground", east_m=e, north_m=n, place=name) for name, (e, n) in places.items()]
    found = judged(agreement, *rows, folder=tmp_path)
    inside = {name for name in places for row in found if f" {name} at " in row["sentence"] and row["p_breach"] > 0.99}
    assert inside == {"east", "west", "corner"}


def test_an_area_of_nothing_is_a_mistake_and_no_place_outside_it() -> None:
    area = Zone(id="area", kind="polygon", coordinates=[[(37.2, 48.2), (37.4, 48.2), (37.6, 48.2)]])
    with pytest.raises(MissionError, match="zone 'area': its border encloses nothing"):
        judged(an_agreement(a_clause("presence", zone="area"), zone=[area]), an_event("ground"))


def test_the_nearest_site_is_named() -> None:
    ports = Zone(
        id="ports",
        kind="circles",
        sites=[Site(name="North", lon=37.5, lat=49), Site(name="South", lon=37.5, lat=48.3)],
        radius_km=3,
    )
    (row, _) = judged(an_agreement(a_clause("protected_site", zone="ports"), zone=[ports]), an_event())
    assert "Nearest site: South." in row["sentence"]


def test_the_zones_of_a_day_are_a_layer_of_the_map() -> None:
    zones = [PLANT, BAND, Zone(id="old", kind="band", to_km=5, line="2010-01-01"), Zone(id="all", kind="everywhere")]
    layer = zones_table(an_agreement(a_clause(), zone=zones), LINE, FRAME, None, Path(), t("2023-10-05T00:00").date())
    assert layer.column_names == ["id", "name", "kind", "geometry"]
    assert layer["id"].to_pylist() == ["plant", "band"]
    import shapely

    plant, band = shapely.from_wkb(layer["geometry"].to_pylist())
    assert plant.centroid.coords[0] == pytest.approx((37.5, 48.3), abs=1e-4)
    assert band.contains(shapely.Point(*FRAME.to_degrees(30_000, 0)))


# ---- exemptions and notices ----


def test_an_exempt_kind_is_exempt() -> None:
    clause = a_clause("no_fly", exemption=[Exemption(text="medical flights", what=["aircraft.medical"])])
    by_what = {
        row["exemption"]: row
        for row in judged(an_agreement(clause), *(an_event(w) for w in ("aircraft.medical", "aircraft")))
    }
    assert by_what[None]["p_breach"] == 1.0
    exempt = by_what["medical flights"]
    assert exempt["p_breach"] == 0.0
    assert "probability of breach 0.00" in exempt["sentence"]
    assert "not exempt 0.00. Exempt: medical flights." in exempt["sentence"]


def test_what_is_exempt_is_a_finding_all_the_same() -> None:
    """A duty officer wants to see that it was done, and notified; what would not be a finding anyway stays none."""
    notice = Notice(clause="2", party="a", text="letter of 4 October", starts=t("2023-10-05T12:00"))
    clause = a_clause(parties=["a"], exemption=[Exemption(text="what is notified", notice=True)])
    found = judged(an_agreement(clause, notice=[notice]), an_event(), an_event(confidence=0.04), an_event("air_alert"))
    assert [row["reading"] for row in found] == ["a", "b"]
    assert found[0]["p_breach"] < FLOOR
    assert found[0]["exemption"] == "notice of Party A (letter of 4 October)"
    assert "Exempt: notice of Party A (letter of 4 October). Who fired is undetermined." in found[0]["sentence"]


@pytest.mark.parametrize(
    ("other", "p", "exempt"),
    [
        pytest.param(an_event(confidence=0.3), 0.3, False, id="a breach goes before it"),
        pytest.param(an_event("fire"), None, False, id="so does what may be one"),
        pytest.param(an_event(confidence=0.04), 0.0, True, id="what nobody would look at does not"),
    ],
)
def test_an_incident_is_exempt_when_nothing_else_in_it_is_a_breach(
    other: dict[str, Any], p: float | None, exempt: bool
) -> None:
    """The first breach then is not the exempt act either, although that was earlier."""
    clause = a_clause(exemption=[Exemption(text="demolitions", what=["explosion.demolition"])])
    early = an_event("explosion.demolition", begin=t("2023-10-05T10:00"), incident="x")
    found = judged(an_agreement(clause), early, other | {"incident": "x"})[0]
    assert found["p_breach"] == (None if p is None else pytest.approx(p))
    assert found["exemption"] == ("demolitions" if exempt else None)
    assert found["first_breach_from"] == t("2023-10-05T10:00" if exempt else "2023-10-05T14:00")


@pytest.mark.parametrize(
    ("parties", "at", "p"),
    [
        pytest.param([], "2023-10-05T14:00", 1.0, id="nobody notified: no exemption"),
        pytest.param(["a"], "2023-10-05T14:00", 0.05, id="one of two did: most probably that one acted"),
        pytest.param(["a", "a"], "2023-10-05T14:00", 0.05, id="twice is once"),
        pytest.param(["a", "b"], "2023-10-05T14:00", 0.0, id="both did: exempt whoever acted"),
        pytest.param(["a", "b"], "2023-10-05T18:00", 1.0, id="after the time notified"),
    ],
)
def test_an_exemption_by_notice_covers_the_party_that_gave_it(parties: list[str], at: str, p: float) -> None:
    clause = a_clause(exemption=[Exemption(text="a notified demolition", what=["explosion"], notice=True)])
    notices = [
        Notice(clause="2", party=party, text="", starts=t("2023-10-05T12:00"), ends=t("2023-10-05T16:00"))
        for party in parties
    ]
    found = judged(an_agreement(clause, notice=notices), an_event(at=t(at)))
    row = found[0]
    assert row["p_breach"] == pytest.approx(p)
    assert row["exemption"] == (None if p == 1 else "notice of Party A (a notified demolition)")
    assert row["attribution"] == {"undetermined": 1.0}  # whose notice it is decides on the exemption, on nothing else
    assert ("Exempt: notice of Party A (a notified demolition)." in row["sentence"]) == (p < 1)
    (source,) = [factor["source"] for factor in row["factors"] if factor["name"] == "not exempt"]
    assert ("0.95, assumption: whose notice fits" in source) == (p < 1)


def test_a_notice_on_part_of_an_act_may_exempt_it() -> None:
    """Notified until half past two, heard between two and three."""
    clause = a_clause(exemption=[Exemption(text="a notified demolition", notice=True)])
    notice = Notice(clause="2", party="a", text="", starts=t("2023-10-05T12:00"), ends=t("2023-10-05T14:30"))
    event = an_event(end=t("2023-10-05T15:00"), begin=t("2023-10-05T14:00"))
    (row, _) = judged(an_agreement(clause, notice=[notice]), event)
    assert row["p_breach"] == pytest.approx(1 - 0.95 / 2)
    assert "May be exempt: notice of Party A (a notified demolition)." in row["sentence"]


def test_where_the_clause_binds_one_party_alone_its_notice_needs_no_assumption() -> None:
    """Whoever else did it has breached nothing."""
    clause = a_clause(parties=["a"], exemption=[Exemption(text="a notified demolition", notice=True)])
    notice = Notice(clause="2", party="a", text="", starts=t("2023-10-05T12:00"))
    (row, _) = judged(an_agreement(clause, notice=[notice]), an_event())
    assert row["p_breach"] == 0
    assert [f["source"] for f in row["factors"]][-1] == "kind, place and time of the notice"


def test_an_exemption_in_a_zone_covers_what_lies_in_it() -> None:
    range_ = Zone(id="range", kind="circles", sites=[Site(name="Range", lon=37.5, lat=48.3)], radius_km=1)
    clause = a_clause(exemption=[Exemption(text="the range", zone="range")])
    found = p_of(clause, an_event(east_m=1_000), an_event(east_m=5_000), zone=[range_])
    assert sorted(found) == pytest.approx([0.5, 1.0], abs=0.05)
    (barely, _) = judged(an_agreement(clause, zone=[range_]), an_event(east_m=1_200))
    assert barely["by_name"]["not exempt"] == pytest.approx(1 - normal_below(-200, 0, 100), abs=0.01)
    assert barely["exemption"] is None  # a fortieth of its ellipse is nothing to be named


def test_a_band_reaches_beyond_a_border_unless_the_agreement_exempts_what_lies_there() -> None:
    """The border is due north, 10 km east of the line; the ground beyond it is named as an exemption."""
    abroad = Zone(id="abroad", kind="polygon", coordinates=[[(37.635, 47), (39, 47), (39, 49), (37.635, 49)]])
    rows = [an_event(east_m=5_000, place="here", **MORTAR), an_event(east_m=14_000, place="there", **MORTAR)]
    line = ALine({"2023-01-01": 0.0})
    for exemption, there in (([], 1.0), ([Exemption(text="beyond the border", zone="abroad")], 0.0)):
        clause = a_clause("withdrawal", zone="band", exemption=exemption)
        found = judged(an_agreement(clause, zone=[BAND, abroad]), *rows, line=line)
        p = {
            place: row["p_breach"] for place in ("here", "there") for row in found if f" {place} at " in row["sentence"]
        }
        assert p == pytest.approx({"here": 1.0, "there": there}, abs=1e-6)
        assert [row["exemption"] for row in found].count("beyond the border") == 2 * len(exemption)


# ---- severity ----


@pytest.mark.parametrize(
    ("rule", "event", "severity"),
    [
        pytest.param("cessation", an_event("shot"), "minor", id="the clause's own"),
        pytest.param("cessation", an_event("shot", injured=1), "serious", id="somebody injured"),
        pytest.param("cessation", an_event("shot", killed=1), "grave", id="somebody killed"),
        pytest.param("cessation", an_event(weapon="artillery 152"), "serious", id="a heavy calibre"),
        pytest.param("cessation", an_event(weapon="mortar 82"), "minor", id="a light one"),
        pytest.param("cessation", an_event(weapon="MLRS"), "serious", id="an MLRS of any calibre"),
        pytest.param("protected_site", an_event(), "serious", id="an impact at a protected site"),
        pytest.param("protected_site", an_event("uav"), "minor", id="a drone over it"),
    ],
)
def test_severity(rule: str, event: dict[str, Any], severity: str) -> None:
    (row, _) = judged(an_agreement(a_clause(rule, severity="minor")), event)
    assert row["severity"] == severity


def test_severity_is_never_lowered() -> None:
    (row, _) = judged(an_agreement(a_clause(severity="grave")), an_event("shot"))
    assert row["severity"] == "grave"


# ---- weights, release ----


@pytest.mark.parametrize(
    ("event", "assumed"),
    [
        pytest.param(an_event("ground.control", confidence=0.9), False, id="stated"),
        pytest.param(an_event("ground.control", confidence=None), True, id="not stated"),
        pytest.param(
            an_event("ground.control", confidence=None, alternatives={"air_alert": 0.3}), False, id="left by what is"
        ),
        pytest.param(
            an_event("air_alert", confidence=None, alternatives={"ground": 0.1}), False, id="of what is not counted"
        ),
    ],
)
@pytest.mark.parametrize("weight", [1.0, 0.5])
def test_a_probability_that_no_source_stated_is_said_to_be_assumed(
    event: dict[str, Any], assumed: bool, weight: float
) -> None:
    weights = {"ground.control": Assumption(value=weight, source="a guess of ours")}
    (row, _) = judged(an_agreement(a_clause("presence", weight=weights)), event)
    (kind, _) = row["factors"]
    assert (UNSTATED.source in kind["source"]) == assumed
    assert ("a guess of ours" in kind["source"]) == (weight < 1 and event["what"] == "ground.control")
    assert (kind["confidence"] == "low") == ("assumption" in kind["source"])


def test_what_is_assumed_of_one_account_is_what_fusing_assumes_of_several() -> None:
    assert UNSTATED.value == CONFIDENCE


def test_a_clause_may_weigh_kinds_and_the_factor_says_it_is_assumed() -> None:
    weight = {"ground.control": Assumption(value=0.4, source="a guess of ours")}
    (row, _) = judged(an_agreement(a_clause("presence", weight=weight)), an_event("ground.control"))
    assert row["by_name"]["kind"] == pytest.approx(0.4)
    (kind, _) = row["factors"]
    assert "assumption: " in kind["source"]
    assert "a guess of ours" in kind["source"]
    assert kind["confidence"] == "low"


@pytest.mark.parametrize(
    ("label", "kept"), [("public", "public"), ("mission", "mission"), (None, "mission"), ("x", "mission")]
)
def test_a_finding_is_released_as_its_incident_is(label: str | None, kept: str) -> None:
    (row, _) = judged(an_agreement(a_clause()), an_event(release=label))
    assert row["release"] == kept


# ---- what is said ----


def test_a_sentence_can_be_read_at_three_in_the_morning() -> None:
    row = an_event(
        "explosion.impact",
        confidence=0.9,
        begin=t("2023-10-05T14:00"),
        end=t("2023-10-05T15:00"),
        major_m=900.0,
        minor_m=900.0,
    )
    ended = an_agreement(a_clause(zone="plant"), zone=[PLANT], in_force_until=t("2022-02-24T00:00"))
    (a, _) = judged(ended, row)
    assert a["sentence"] == (
        "Clause 2 (no firing), as Party A reads it: an explosion 3 km NE of Avdiivka between 14:00 and 15:00 UTC on "
        "5 October 2023, probability of breach 0.82 (uncalibrated): kind 0.90, caused by the conflict 1.00, "
        "within its time 1.00, inside the plant 0.92. Illustrative: the agreement was not in force. "
        "Nearest site: Plant. Who fired is undetermined."
    )


@pytest.mark.parametrize(
    ("begin", "end", "zone", "said"),
    [
        ("2023-10-05T14:32", "2023-10-05T14:32", UTC, "at 14:32 UTC on 5 October 2023"),
        ("2023-10-05T00:00", "2023-10-06T00:00", UTC, "on 5 October 2023"),
        ("2023-10-05T21:00", "2023-10-06T21:00", UTC, "between 21:00 on 5 October and 21:00 UTC on 6 October 2023"),
        ("2023-10-05T21:00", "2023-10-06T21:00", "Europe/Kyiv", "on 6 October 2023"),
        ("2023-12-05T14:00", "2023-12-05T15:00", "Europe/Kyiv", "between 16:00 and 17:00 Kyiv time on 5 December 2023"),
        (None, None, UTC, "at an unknown time"),
    ],
)
def test_times_are_said_as_people_say_them(begin: str | None, end: str | None, zone: Any, said: str) -> None:
    seconds = [np.array([np.nan if time is None else t(time).timestamp()]) for time in (begin, end)]
    assert when(*seconds, ZoneInfo(zone) if isinstance(zone, str) else zone).to_pylist() == [said]


def test_what_is_not_certain_is_never_rounded_to_certain() -> None:
    values = np.array([0.0, 0.004, 0.5, 0.996, 1.0, np.nan])
    assert spoken(values).to_pylist() == ["0.00", "<0.01", "0.50", ">0.99", "1.00", "unknown"]


def test_kinds_have_words() -> None:
    assert noun("explosion.impact") == "an explosion"
    assert noun("vessel.cargo") == "a vessel"
    assert noun("jamming.gps") == "a report of interference"


@pytest.mark.parametrize(
    ("words", "weapons"),
    [
        ("mortar 82", [Weapon("mortar", "", 82.0)]),
        ("122-mm artillery", [Weapon("artillery", "", 122.0)]),
        ("MLRS (BM-21 Grad, 122mm)", [Weapon("mlrs", "grad", 122.0), Weapon("mlrs", "", 122.0)]),
        ("mortar 82/120", [Weapon("mortar", "", 82.0), Weapon("mortar", "", 120.0)]),
        ("tanks and HMG", [Weapon("tank", "", None), Weapon("machine_gun", "", None)]),
        ("anti-tank guided missile", [Weapon("anti_tank", "", None)]),
        ("undetermined", []),
    ],
)
def test_weapons_are_read_from_words(words: str, weapons: list[Weapon]) -> None:
    assert read(words) == weapons


def test_the_digest_of_findings_does_not_depend_on_the_order_of_events() -> None:
    events, incidents = a_picture(*EVERYTHING)
    mixed = (shuffled(rows, np.random.default_rng(3)) for rows in (events, incidents))
    found, again = (
        judge(*rows, an_agreement(a_clause()), None, FRAME, None, Path(), UNTIL)
        for rows in ((events, incidents), mixed)
    )
    assert digest({"findings": found}) == digest({"findings": again})


def test_two_clauses_are_two_findings() -> None:
    agreement: Agreement = an_agreement(a_clause(), a_clause(id="3", title="again"))
    found = judged(agreement, an_event())
    assert [row["clause"] for row in found] == ["2", "2", "3", "3"]
    assert len({row["finding_id"] for row in found}) == 4
    assert isinstance(pa.array([row["finding_id"] for row in found]), pa.Array)


def test_settlements_near_some_points_are_all_that_matter_to_them() -> None:
    """Thousands of circles elsewhere are not drawn: the probabilities are those in the whole zone."""
    rng = np.random.default_rng(8)
    east, north, sigma = rng.uniform(-2e5, 2e5, 60), rng.uniform(-2e5, 2e5, 60), rng.uniform(50, 5_000, 60)
    places_e, places_n = rng.uniform(-3e5, 3e5, (2, 3_000))
    some = within_reach(places_e, places_n, Near(east, north, 9 * sigma), 2_000.0)
    assert 0 < some.sum() < 2_500
    whole, part = (
        ZoneIndex([joined(places_e[which], places_n[which], np.full(int(which.sum()), 2_000.0))]).probability_in(
            0, east, north, sigma**2, np.zeros(60), sigma**2
        )
        for which in (np.ones(3_000, np.bool_), some)
    )
    np.testing.assert_allclose(part, whole, atol=1e-9)
    assert not within_reach(places_e, places_n, Near(east, north, np.full(60, np.nan)), 2_000.0).any()
