"""The query layer: editions old and new, pages, and what is kept so that nothing is made twice."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from a_service import NOW, OFFICER, PARTY_A, STATE, a_service, an_example
from a_shown import a_finding, a_mission, an_id, an_incident, shown, tables
from truceline.errors import NotFoundError
from truceline.finding import ACTION
from truceline.observation import ID
from truceline.pipeline import settle
from truceline.serve.filters import Question, box, interval
from truceline.serve.query import Query, query_of
from truceline.store import Journal


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Query:
    """The example in two editions: the first speaks up to midnight."""
    folder = an_example(tmp_path_factory.mktemp("query") / "mission")
    settle(folder, NOW + timedelta(hours=1), until=datetime(2031, 3, 15, tzinfo=UTC))
    return query_of(a_service(folder))


def test_an_edition_is_what_it_was(settled: Query) -> None:
    now, then = (settled.rows("events", OFFICER, edition=number).matched for number in (1, 2))
    assert now == 115
    assert 0 < then < now
    assert not pa.compute.any(settled.rows("events", OFFICER, edition=1).table["provisional"]).as_py()


def test_as_of_is_the_newest_edition_that_there_was(settled: Query) -> None:
    number = {
        minutes: settled.edition(OFFICER, as_of=NOW + timedelta(minutes=minutes)).number  # type: ignore[union-attr]
        for minutes in (0, 59, 61)
    }
    assert number == {0: 1, 59: 1, 61: 2}
    with pytest.raises(NotFoundError, match="there is no edition of 2031-03-15T17:59:00Z or before"):
        settled.edition(OFFICER, as_of=NOW - timedelta(minutes=1))


@pytest.mark.parametrize("who", [STATE, PARTY_A], ids=lambda who: who.label)
def test_editions_are_the_missions(settled: Query, who: object) -> None:
    """How many there are and when they were made tells when something came in that is not released."""
    assert len(settled.editions(OFFICER)) == 2
    assert settled.editions(who) == []  # type: ignore[arg-type]
    for number in (1, 77):
        with pytest.raises(NotFoundError, match=f"there is no edition {number}"):
            settled.rows("incidents", who, edition=number)  # type: ignore[arg-type]


def test_findings_stand_where_their_incidents_are(settled: Query) -> None:
    rows = settled.rows("findings", OFFICER).table.to_pylist()
    incidents = {row["incident_id"]: row for row in settled.rows("incidents", OFFICER).table.to_pylist()}
    for row in rows:
        incident = incidents.get(row["subject_id"])
        assert (row["lon"], row["lat"]) == ((incident["lon"], incident["lat"]) if incident else (None, None))


def test_pages_together_are_the_whole(settled: Query) -> None:
    whole = settled.rows("incidents", STATE)
    pages = [settled.rows("incidents", STATE, offset=at, limit=10).table for at in range(0, whole.matched, 10)]
    assert pa.concat_tables(pages).equals(whole.table)


def test_a_release_by_two_persons_in_the_journal_lets_a_finding_out(tmp_path: Path) -> None:
    """Asked for by one, approved by another; withdrawn, it is gone again."""
    folder = a_mission(tmp_path / "mission")
    case = {"case_id": an_id("case"), "clause": "1", "state": "verified", "findings": [a_finding()["finding_id"]]}
    service = shown(folder, tables([an_incident()], findings=[a_finding()], cases=[case]))
    service.kept.clear()
    query = query_of(service)

    def journalled(what: str, by: str, **told: object) -> None:
        row = {"action_id": an_id(what), "case_id": case["case_id"], "what": what, "by": by, "role": "duty officer"}
        row |= {"received_at": NOW} | told
        schema = pa.schema([field for field in ACTION if field.name != "leaf"])
        with Journal(folder / "journal", write=True) as journal:
            journal.append("action", pa.Table.from_pylist([row], schema))

    journalled("request_release", "olena", label="parties", text="An explosion near Chmyrivka on the 14th.")
    assert query.rows("findings", PARTY_A).matched == 0
    journalled("approve_release", "ove", about=an_id("request_release"))
    (row,) = query.rows("findings", PARTY_A).table.to_pylist()
    assert row["sentence"] == "An explosion near Chmyrivka on the 14th."
    journalled("withdraw_release", "olena", about=an_id("request_release"), text="it was a quarry")
    assert query.rows("findings", PARTY_A).matched == 0


def test_fifty_thousand_rows_are_filtered_in_a_few_milliseconds(tmp_path: Path) -> None:
    """Columns at a time: no row becomes an object before its page is cut."""
    few = tables([an_incident(i, lon=38.0 + 0.001 * i) for i in range(500)])
    many = dict(few)
    ids = pa.array([an_id(i) for i in range(50_000)], ID)
    many["incidents"] = pa.concat_tables([few["incidents"]] * 100).combine_chunks().set_column(0, "incident_id", ids)
    query = query_of(shown(a_mission(tmp_path / "mission"), many))
    question = Question(box("38.1,49,38.2,50"), interval("2031-03-14T00:00:00Z/.."), [("p_conflict_min", "0.5")])
    begun = time.process_time()
    page = query.rows("incidents", OFFICER, question, limit=100)
    took_s = time.process_time() - begun
    assert (page.matched, page.table.num_rows) == (10_100, 100)
    assert took_s < 0.2, "it takes 4 ms; a loop over rows takes a second"
