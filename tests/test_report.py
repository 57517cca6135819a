"""The daily report: what it says of a day, and what it says it cannot know."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from an_edition import DAY, NOON, Edition, a_busy_day, a_mission, an_agreement, an_id, everything
from truceline.mission import Source
from truceline.report import FORMATS, Provenance, Report, saying, write
from truceline.report.document import document
from truceline.terminal import explanation

KYIV = ZoneInfo("Europe/Kyiv")


@pytest.fixture(scope="module")
def busy() -> Report:
    return a_busy_day().report()


# ---- what it says --------------------------------------------------------------------------------------------------


def test_the_head_says_period_time_of_information_and_number(busy: Report) -> None:
    text = everything(busy)
    assert "Daily report 277/2023" in text
    assert "19:30 3 October 2023 EEST to 19:30 4 October 2023 EEST" in text
    assert "Based on information received as of" in text


def test_counts_stand_with_their_rule_their_region_and_the_period_before(busy: Report) -> None:
    first = busy.summary[0]
    assert first.startswith("In Donetsk region: ")
    assert "(osce-smm)" in first
    assert first.endswith("in the previous reporting period at least 24, in 12 incidents.")
    assert sum(tally.counted for tally in busy.regions) == busy.totals.counted
    assert busy.counting.sentence in everything(busy)


def test_events_without_a_number_make_a_lower_bound() -> None:
    """News says that a place was shelled, not how often: it counts as one at least, and the report says "at least"."""
    edition = Edition()
    edition.incident("a")
    edition.incident("b", count=3, count_max=5)
    said = edition.report().summary
    assert said[0].startswith("In Donetsk region: at least 4 possible ceasefire violations, 4 explosions among them")
    assert said[1] == "In all regions: 1 event whose number no source gives, counted as one each."


def test_a_range_stays_a_range() -> None:
    edition = Edition()
    edition.incident("b", count=3, count_max=5)
    assert "3 to 5 possible ceasefire violations" in edition.report().summary[0]


def test_what_the_rule_does_not_count_is_told_of_by_incidents() -> None:
    edition = Edition()
    edition.incident("drone", what="uav.reconnaissance")
    edition.incident("b", what="uav", at=NOON - timedelta(days=1))
    said = edition.report().summary[0]
    assert said.startswith("1 incident of kinds that the rule osce-smm does not count")
    assert said.endswith("Donetsk region 1 (1).")


def test_an_event_belongs_to_the_day_that_holds_its_best_time() -> None:
    """A reporting day begins when the one before ends: at 19:30 Kyiv time, 16:30 UTC in summer."""
    edition = Edition()
    for name, minute in [("before", 29), ("first", 30)]:
        edition.incident(name, at=datetime(2023, 10, 3, 16, minute, tzinfo=UTC), count=1)
    edition.incident("last", at=datetime(2023, 10, 4, 16, 29, tzinfo=UTC), count=1)
    edition.incident("after", at=datetime(2023, 10, 4, 16, 30, tzinfo=UTC), count=1)
    report = edition.report()
    assert {row.incident_id for row in report.incidents} == {an_id("incident", n).hex() for n in ("first", "last")}
    assert report.totals.previous == 1


def test_an_incident_over_two_days_counts_in_each_what_happened_there() -> None:
    edition = Edition()
    edition.incident("long", at=datetime(2023, 10, 4, 14, 0, tzinfo=UTC), events=5, count=2, killed=1)
    report, after = edition.report(), edition.report(DAY + timedelta(days=1))
    assert [row.events for row in report.incidents] == [3]
    assert [row.events for row in after.incidents] == [2]
    assert [row.killed for row in report.incidents + after.incidents] == [1, 1]  # repeats are not added up
    assert (report.totals.counted, after.totals.counted, after.totals.previous) == (6, 4, 6)


def _shelling_then_fire() -> Edition:
    """An explosion on the 3rd that a patrol heard; on the 4th what it set alight still burns, seen by a satellite."""
    edition = Edition()
    edition.incident("shelling", p=0.95, source="patrols", means="heard", description="impact", frp_mw=None)
    explosion = edition.rows["event"][0]
    explosion |= {"at": NOON - timedelta(days=1), "at_from": NOON - timedelta(days=1), "at_until": None}
    edition.rows["event"].append(
        explosion
        | {"event_id": an_id("fire"), "what": "fire", "at": NOON, "at_from": NOON, "at_until": NOON}
        | {"means": None, "description": None, "sources": ["viirs"], "frp_mw": 9.5, "lon": 37.8, "p_conflict": 0.28}
    )
    edition.rows["incident"][0]["events"] = 2
    return edition


def test_an_incident_is_called_what_its_events_of_the_day_were() -> None:
    """Yesterday's explosion is in yesterday's table; what burns of it today is a fire."""
    edition = _shelling_then_fire()
    report, before = edition.report(), edition.report(DAY - timedelta(days=1))
    assert report.incidents == []
    (fire,) = report.fires.rows
    assert (fire.what, fire.means, fire.description, fire.sources) == ("fire", None, None, ["viirs"])
    assert (fire.lon, fire.p_conflict, fire.follows) == (37.8, 0.28, "explosion of 3 October")
    assert "after the explosion of 3 October" in everything(report)
    assert [row.what for row in before.incidents] == ["explosion.impact"]
    assert before.fires.rows == []


def test_a_finding_about_another_day_s_event_is_not_counted_as_today_s() -> None:
    edition = _shelling_then_fire()
    findings = edition.tables()["findings"]
    report = edition.report(picture={"findings": findings.slice(0, 0), "findings_before": findings})
    assert report.fires.rows[0].held == []
    assert [(tally.incidents, tally.previous) for tally in report.clauses] == [(0, 1)]


def test_an_empty_day_says_that_nothing_recorded_is_not_nothing_done() -> None:
    """Law 4: silence is compliance only where there was coverage."""
    edition = Edition()
    edition.incident("long ago", at=NOON - timedelta(days=9))
    text = everything(edition.report())
    assert "No violations were recorded in this period. This does not mean that none occurred" in text
    assert "Coverage is not assessed" in text


def test_an_edition_with_nothing_in_it_still_gives_a_report(tmp_path: Path) -> None:
    edition = Edition()
    edition.lines, edition.zones = [], []
    report = edition.report()
    assert "There is no line of contact for this day" in everything(report)
    assert len(write(report, tmp_path, tuple(FORMATS))) == len(FORMATS)


@pytest.mark.parametrize(("day", "hours"), [(date(2023, 3, 26), 23), (date(2023, 10, 29), 25), (DAY, 24)])
def test_a_day_when_clocks_change_says_how_long_it_was(day: date, hours: int) -> None:
    edition = Edition()
    edition.incident("x", at=datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=9))
    report = edition.report(day)
    assert report.ends - report.begins == timedelta(hours=hours)
    assert (f"({hours} hours: clocks changed)" in everything(report)) == (hours != 24)


def test_a_silent_source_is_told_of_with_its_last_record() -> None:
    edition = Edition()
    edition.incident("press speaks")
    edition.observations += [("viirs", NOON - timedelta(days=d)) for d in (3, 4, 5)]
    text = everything(edition.report())
    assert (
        "Source viirs was silent in this period (median day: 1); its last record is of 12:00 1 October 2023 EEST"
        in text
    )


def test_a_source_that_never_spoke_is_told_of() -> None:
    mission = a_mission(source=[Source("press", "table", ["*"]), Source("drone", "table", ["*"])])
    edition = Edition()
    edition.incident("x")
    assert "Source drone has given no record up to the end of this period." in everything(
        edition.report(mission=mission)
    )


def test_a_source_far_below_its_usual_is_told_of() -> None:
    edition = Edition()
    edition.incident("x")
    edition.observations += [("viirs", NOON - timedelta(days=d, minutes=k)) for d in range(1, 10) for k in range(100)]
    edition.observations += [("viirs", NOON)]
    assert "Source viirs gave 1 record (median day: 100)." in everything(edition.report())


def test_later_records_of_an_archive_do_not_make_a_source_speak() -> None:
    edition = Edition()
    edition.incident("x")
    edition.observations += [("viirs", NOON + timedelta(days=d)) for d in (1, 2)]
    assert next(s for s in edition.report().sources if s.source == "viirs").never


def test_casualties_are_reported_until_a_person_has_signed() -> None:
    edition = Edition()
    edition.incident("a", killed=2, injured=1)
    signed = edition.incident("b", injured=4)
    edition.case(signed, "2", "verified")
    text = everything(edition.report())
    assert "Reported by sources, not confirmed: 2 people killed and 1 injured, in 1 incident." in text
    assert "Confirmed: 4 people injured, in 1 incident." in text


def test_where_sources_differ_on_casualties_the_table_says_who_states_what() -> None:
    """A stated zero is a statement; saying nothing is none. The larger number stays "reported", never a fact."""
    edition = Edition()
    edition.incident("road", killed=1, injured=1)
    event = an_id("event", "road", 0)
    rows = [("liaison", 1, 1), ("civil", 0, 1), ("patrols", None, 1), ("press", 0, None)]
    statements = pa.table(
        {
            "event_id": pa.array([event] * len(rows), pa.binary(16)),
            **{name: [row[i] for row in rows] for i, name in enumerate(("source", "killed", "injured"))},
        }
    )
    report = edition.report(picture={"statements": statements})
    table = next(t for s in document(report).sections for t in s.tables if t.id == "casualties")
    assert table.rows[0][1:5] == [
        "1\nliaison 1, civil none, press none",
        "1",
        "civil, liaison, patrols, press",
        "reported",
    ]
    assert (
        "Reported by sources, not confirmed: up to 1 person killed and 1 injured, in 1 incident; "
        "sources differ on 1 of them." in report.summary
    )


def test_what_was_notified_stands_in_a_table_of_its_own() -> None:
    """A flight that a party notified: told of with its notice, at its own time, not at that of the shelling before."""
    edition = Edition()
    subject = edition.incident("evacuation", p=None, events=2)
    flight = edition.rows["event"][1]
    flight["what"] = "aircraft.rotary"
    for reading in "ab":
        breach = {"first_breach_from": flight["at_from"], "first_breach_until": flight["at_until"]}
        edition.finding(subject, "7", reading, 0.002, exemption="notice of Party B (one helicopter)", **breach)
    edition.incident("not covered", p=0.9)
    doubtful = edition.incident("hardly covered", p=None)
    edition.finding(doubtful, "2", "a", 0.8, exemption="notice of Party A")
    report = edition.report()
    table = next(t for s in document(report).sections for t in s.tables if t.id == "exempt")
    assert [[cell.replace("\u00a0", " ") for cell in row] for row in table.rows] == [
        [
            "7 Repair window",
            f"a helicopter\n{subject.hex()[:10]}",
            "in Avdiivka (Donetsk region)",
            "4 Oct, 12:30–13:30",
            "notice of Party B (one helicopter)",
            "in both readings",
            "<0.01",
        ]
    ]
    assert "may be exempt" in everything(report)


def test_fires_stand_apart_and_are_counted_by_no_rule(busy: Report) -> None:
    """A fire says nothing of why it burns: each has the same stated prior, and only their sum is expected."""
    assert busy.fires.events == 200
    assert busy.fires.expected_conflict == pytest.approx(56)
    assert not any(row.what == "fire" for row in busy.incidents)
    assert "56 of 200 groups of fires are expected" in everything(busy)


def test_warnings_are_neither_fires_nor_violations() -> None:
    edition = Edition()
    edition.incident("siren", what="air_alert", p=None)
    report = edition.report()
    assert report.incidents == []
    assert "1 warning or account of nothing physical" in everything(report)


def test_refused_access_and_interference_have_a_section_of_their_own() -> None:
    """As in the OSCE's reports: where, what, when, as sources tell of it; no rule counts it."""
    edition = Edition()
    edition.incident("gate", what="access", p=None, source="patrols", description="denied", means="saw")
    edition.incident("gps", what="jamming", p=None, source="patrols", at=NOON + timedelta(hours=1))
    edition.incident("yesterday", what="access.denied", p=None, at=NOON - timedelta(days=1))
    edition.incident("siren", what="air_alert", p=None)
    report = edition.report()
    section = next(s for s in document(report).sections if s.id == "movement")
    told = [[cell.replace("\u00a0", " ") for cell in row] for row in section.tables[0].rows]
    place = "in Avdiivka (Donetsk region)"
    assert [row[:5] for row in told] == [
        [place, "access denied", "saw", "4 Oct, 11:30–12:30", "patrols"],
        [place, "interference with signals", "not stated", "4 Oct, 12:30–13:30", "patrols"],
    ]
    assert report.notices == 1
    assert any("access denied in Avdiivka (patrols)" in bullet for bullet in report.summary)


def test_without_either_the_section_says_so_and_the_summary_is_spared() -> None:
    edition = Edition()
    edition.incident("a")
    report = edition.report()
    assert "No source told of access refused or of interference with signals." in everything(report)
    assert not any("interference" in bullet for bullet in report.summary)


def test_two_readings_give_two_probabilities_and_one_not_in_force_none() -> None:
    edition = Edition()
    for name, in_force in (("a", True), ("b", False)):
        subject = edition.incident(name, p=None)
        edition.finding(subject, "2", "a", 0.6)
        edition.finding(subject, "2", "b", 0.2, in_force=in_force)
        edition.finding(subject, "npp", "a", 0.9, in_force=False)
    rows = {row.incident_id: saying.by_clause(row.held) for row in edition.report().incidents}
    assert rows[an_id("incident", "a").hex()] == [("2", "0.20–0.60"), ("npp", "not in force")]
    assert rows[an_id("incident", "b").hex()] == [("2", "0.60"), ("npp", "not in force")]


def test_in_an_illustrative_report_probabilities_are_told_all_the_same() -> None:
    """The clause was not in force because the agreement as a whole was not: what would have been held against it."""
    edition = Edition()
    subject = edition.incident("a", p=None)
    edition.finding(subject, "2", "a", 0.6, in_force=False, illustrative=True)
    report = edition.report()
    assert saying.by_clause(report.incidents[0].held) == [("2", "0.60")]
    assert report.incidents[0].p_breach == 0.6
    assert report.illustrative


def test_a_duty_done_is_not_told_of() -> None:
    edition = Edition()
    edition.finding(an_id("done"), "4", "a", 0.0, subject_kind="duty", sentence="Done in time.")
    assert edition.report().duties == []


def _a_missed_duty(edition: Edition, *p: float) -> None:
    """A duty of Party A due at noon Kyiv time, so likely missed as Party A and Party B read it."""
    for reading, share in zip("ab", p, strict=False):
        factors = [{"name": "not done in time", "value": 1.0}, {"name": "would have been known", "value": share}]
        edition.finding(
            an_id("duty"), "4", reading, share, subject_kind="duty", factors=factors, attribution={"a": 1.0}
        )


def test_a_duty_says_whose_it_is_by_when_and_why() -> None:
    edition = Edition()
    _a_missed_duty(edition, 0.9)
    table = next(t for s in document(edition.report()).sections for t in s.tables if t.id == "duties")
    assert [[cell.replace("\u00a0", " ") for cell in row[:3]] for row in table.rows] == [
        [
            "4 Disciplinary action notified, Party A, due 4 Oct, 12:00\n"
            "not done in time >0.99; would have been known 0.90",
            "as Party A reads it",
            "0.90",
        ]
    ]


def test_readings_of_a_duty_that_agree_make_one_row() -> None:
    same, apart = Edition(), Edition()
    _a_missed_duty(same, 0.9, 0.9)
    _a_missed_duty(apart, 0.9, 0.4)
    assert [duty.reading for duty in same.report().duties] == ["in both readings"]
    assert [duty.reading for duty in apart.report().duties] == ["as Party A reads it", "as Party B reads it"]


def test_the_summary_names_every_clause_more_likely_than_not_broken() -> None:
    """Of whatever type: a second cessation of fire (a repair window) as well, and every duty missed."""
    edition = Edition()
    edition.incident("a", p=0.9)
    edition.incident("b", p=0.6)
    edition.incident("window", p=0.93, clause="7")
    edition.incident("plant", p=0.8, clause="npp")
    edition.incident("doubtful", p=0.3, clause="npp")
    _a_missed_duty(edition, 0.9, 0.9)
    said = [bullet.replace("\u00a0", " ") for bullet in edition.report().summary]
    assert (
        "At protected sites, incidents more likely than not a breach (uncalibrated): "
        "npp No fire at nuclear plants, 1 (0.80)." in said
    )
    assert (
        "By clause, incidents more likely than not a breach (uncalibrated): 2 Ban on firing, 2 (up to 0.90); "
        "7 Repair window, 1 (0.93)." in said
    )
    assert (
        "Duties more likely than not missed (uncalibrated): 4 Disciplinary action notified, Party A, "
        "due 4 Oct, 12:00 (0.90, in both readings)." in said
    )


def test_a_time_known_to_the_day_alone_stays_a_day() -> None:
    def said(first: datetime | None, last: datetime | None) -> str:
        return saying.interval(first, last, KYIV).replace("\u00a0", " ")

    midnight = datetime(2023, 10, 4, tzinfo=KYIV)
    assert said(midnight, midnight + timedelta(days=1)) == "4 Oct, time not stated"
    assert said(NOON, NOON) == "4 Oct, 12:00"
    assert said(NOON, NOON + timedelta(hours=2)) == "4 Oct, 12:00–14:00"
    assert said(NOON, NOON + timedelta(hours=14)) == "4 Oct, 12:00 – 5 Oct, 02:00"
    assert said(None, None) == "not stated"


@pytest.mark.parametrize(
    ("minutes", "words"),
    [
        ([(0, 2)], "4 Oct, 12:00"),
        ([(0, 10)], "4 Oct, about 12:00"),
        ([(0, 45)], "4 Oct, 11:15–12:45"),
        ([(0, 2), (14, 2)], "4 Oct, 12:00–12:14"),
        ([(0, 10), (14, 2)], "4 Oct, about 12:00–12:14"),
        ([(0, 2), (60, 45)], "4 Oct, 12:00–13:45"),
        ([(0, 2), (60, 720)], "4 Oct, 12:00"),
        ([(0, 720)], "4 Oct, time not stated"),
    ],
)
def test_a_time_that_is_known_well_is_its_best_estimate(minutes: list[tuple[int, int]], words: str) -> None:
    """A patrol that wrote 12:00 meant 12:00, give or take: its table says so, not where its error begins.

    An account known to the day alone does not widen what others know to the minute. `minutes`: of each event, its
    best time after noon and how far it may be off.
    """
    edition = Edition()
    edition.incident("a", events=len(minutes))
    for event, (at, off) in zip(edition.rows["event"], minutes, strict=True):
        when, error = NOON + timedelta(minutes=at), timedelta(minutes=off)
        event |= {"at": when, "at_from": when - error, "at_until": when + error}
    row = edition.report().incidents[0]
    assert saying.time_of(row, KYIV).replace("\u00a0", " ") == words


def test_an_incident_s_time_is_that_of_the_events_that_name_it() -> None:
    """A shelling from 12:00 to 13:00 and the barn that burns till evening: the table says when it was shelled."""
    edition = Edition()
    edition.incident("a", events=5, at_from=None, at_until=None)
    for event in edition.rows["event"][2:]:
        event["what"] = "fire"
    row = edition.report().incidents[0]
    assert saying.time_of(row, KYIV).replace("\u00a0", " ") == "4 Oct, 12:00–13:00"


@pytest.mark.parametrize(
    ("least", "most", "words"),
    [(None, None, "not stated"), (4, 4, "4"), (15, 20, "15–20"), (None, 3, "3"), (1200, None, "1,200")],
)
def test_numbers_of_rounds_are_said_as_the_table_says_them(least: int | None, most: int | None, words: str) -> None:
    assert saying.stated(least, most) == words


def test_a_probability_is_never_said_to_be_certain() -> None:
    """Not even where a product of factors is 1: until it is calibrated, 1.00 would be a claim nobody can make."""
    said = [saying.share(p) for p in (0.0, 0.001, 0.5, 0.994, 0.999, 1.0, None)]
    assert said == ["<0.01", "<0.01", "0.50", "0.99", ">0.99", ">0.99", "—"]


def test_no_page_holds_a_certainty(tmp_path: Path) -> None:
    edition = Edition()
    edition.incident("sure", what="weapon", p=1.0)
    edition.incident("plant", p=1.0, clause="npp")
    edition.finding(an_id("duty"), "4", "a", 1.0, subject_kind="duty")
    report = edition.report()
    assert not re.search(r"\b[01]\.00\b", everything(report) + "".join(report.summary))
    assert "1.00" not in write(report, tmp_path, ["csv"])[0].read_text()


def test_the_terminal_says_probabilities_as_the_report_does(capsys: pytest.CaptureFixture[str]) -> None:
    factors = [{"name": name, "value": value, "source": ""} for name, value in (("kind", 1.0), ("weapon", None))]
    finding = {"sentence": "A weapon.", "factors": factors, "calibrated": False}
    explanation({"kind": "finding", "id": "ab", "edition": 1, "finding": finding})
    said = capsys.readouterr().out
    assert ">0.99  kind" in said
    assert "cannot be said  weapon" in said


# ---- banners -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("events", [0, 1])
def test_outside_the_agreement_s_time_the_report_is_illustrative(events: int) -> None:
    """Also when there is no finding that could say so."""
    ended = an_agreement(
        in_force_from=datetime(2020, 7, 26, tzinfo=UTC), in_force_until=datetime(2022, 2, 22, tzinfo=UTC)
    )
    edition = Edition()
    if events:
        edition.incident("x")
    report = edition.report(agreement=ended)
    assert report.illustrative
    assert "ILLUSTRATIVE. The agreement was not in force in this period" in everything(report)


def test_within_it_there_is_no_banner(busy: Report) -> None:
    assert document(busy).banners == []


def test_late_data_make_an_erratum_that_says_what_changed() -> None:
    edition = Edition()
    edition.incident("a", count=3)
    first = edition.report(number=1)
    edition.incident("late", count=4, killed=1)
    second = edition.report(number=2, earlier=first)
    assert second.erratum is not None
    assert second.erratum.replaces_edition == 1
    assert "possible ceasefire violations: 3, now 7" in second.erratum.changes
    assert "killed: 0, now 1" in second.erratum.changes
    assert "ERRATUM. This report replaces the one drawn from edition 1" in everything(second)


def test_the_same_picture_again_is_no_erratum() -> None:
    edition = Edition()
    edition.incident("a")
    assert edition.report(number=1, earlier=edition.report(number=1)).erratum is None


def test_the_foot_says_where_it_all_comes_from(busy: Report) -> None:
    text = everything(busy)
    for part in (f"{4:064x}", "ab" * 32, "cd" * 32, "0.1.0", "ODbL, VIINA", "Natural Earth", "GeoNames", "68/262"):
        assert part in text + busy.map.caption


def test_information_as_of_is_the_edition_s_own_time() -> None:
    as_of = datetime(2023, 10, 6, 8, 0, tzinfo=UTC)
    report = Edition().report(provenance=Provenance(1, "0" * 64, "1" * 64, "0.1.0", "2" * 64, as_of))
    assert "11:00 6 October 2023 EEST" in everything(report)


def test_places_without_a_gazetteer_s_region_are_still_counted() -> None:
    edition = Edition()
    edition.incident("sea", place=(31.0, 43.5), count=2)
    report = edition.report()
    assert report.totals.counted == 2
    assert any(text.startswith("Where no region is known: 2 possible") for text in report.summary)
    assert report.incidents[0].place == "43.50° N, 31.00° E"
