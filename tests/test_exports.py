"""Files that people take away, reports as they were published, health and figures."""

import io
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pyogrio
import pytest

from a_service import ADMINISTRATOR, OFFICER, PARTY_A, PATROL, STATE, a_service, an_example
from a_shown import PUBLIC, Asking, a_mission, an_incident, shown, tables
from truceline.serve import outputs
from truceline.serve.meters import Acknowledged
from truceline.store import Book
from truceline.store.export import pieces


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return an_example(tmp_path_factory.mktemp("exports") / "mission")


@pytest.fixture(scope="module")
def ask(example: Path) -> Asking:
    return Asking(a_service(example))


# ---- exports -------------------------------------------------------------------------------------------------------


def test_one_table_in_four_formats(ask: Asking) -> None:
    csv = pyarrow.csv.read_csv(io.BytesIO(ask(OFFICER, "/api/export/incidents").content))
    parquet = pyarrow.parquet.read_table(io.BytesIO(ask(OFFICER, "/api/export/incidents?f=parquet").content))
    arrow = pa.ipc.open_stream(ask(OFFICER, "/api/export/incidents?f=arrow").content).read_all()
    geojson = ask.json(OFFICER, "/api/export/incidents?f=geojson")
    assert csv.num_rows == parquet.num_rows == arrow.num_rows == len(geojson["features"]) == 69
    assert csv["incident_id"].to_pylist() == parquet["incident_id"].to_pylist()
    assert csv["incident_id"][0].as_py() == arrow["incident_id"][0].as_py().hex() == geojson["features"][0]["id"]


def test_parquet_is_geoparquet_that_gdal_reads(ask: Asking, tmp_path: Path) -> None:
    path = tmp_path / "incidents.parquet"
    path.write_bytes(ask(OFFICER, "/api/export/incidents?f=parquet").content)
    if "Parquet" not in pyogrio.list_drivers():
        geo = pyarrow.parquet.read_schema(path).metadata[b"geo"]
        assert b'"geometry_types": ["Point"]' in geo
        return
    assert pyogrio.read_info(path)["geometry_type"] == "Point"


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow", "geojson"])
def test_a_large_table_comes_in_pieces(form: str) -> None:
    """So that neither memory nor whoever waits for the first byte depends on its length."""
    many = pa.concat_tables([tables([an_incident(i) for i in range(100)])["incidents"]] * 450)
    parts = [part for part in pieces(many, form) if part]
    assert len(parts) > 1
    if form == "csv":
        assert b"".join(parts).count(b"\n") == 45_001
    elif form == "arrow":
        assert pa.ipc.open_stream(b"".join(parts)).read_all().equals(many)
    elif form == "parquet":
        assert pyarrow.parquet.read_table(io.BytesIO(b"".join(parts))).num_rows == 45_000


@pytest.mark.parametrize("form", ["csv", "parquet", "arrow", "geojson"])
def test_a_table_without_rows_is_a_file_too(ask: Asking, form: str) -> None:
    answer = ask(OFFICER, f"/api/export/tracks?f={form}")
    assert answer.status_code == 200
    assert answer.content
    assert answer.headers["content-disposition"].startswith('attachment; filename="tracks.')


def test_exports_take_the_filters_of_items(ask: Asking) -> None:
    asked = "bbox=38.5,49,39,49.5&datetime=2031-03-14T00:00:00Z/..&what=explosion.impact"
    matched = ask.json(OFFICER, f"/ogc/collections/incidents/items?{asked}")["numberMatched"]
    assert 0 < matched < 68
    assert ask(OFFICER, f"/api/export/incidents?{asked}").text.count("\n") == matched + 1


def test_a_cell_is_no_formula(tmp_path: Path) -> None:
    service = shown(a_mission(tmp_path / "mission"), tables([an_incident(place='=HYPERLINK("http://x")')]))
    assert "'=HYPERLINK" in Asking(service)(OFFICER, "/api/export/incidents").text


@pytest.mark.parametrize(
    "table", ["observations", "duplicates", "rejections", "associations", "movements", "cases", "lineage"]
)
@pytest.mark.parametrize("who", [OFFICER, PATROL, STATE, PARTY_A, PUBLIC], ids=lambda who: who.name)
def test_what_only_the_mission_can_take_away(ask: Asking, who: Any, table: str) -> None:
    """Evidence takes its privilege as well: a patrol's device has not got it."""
    allowed = who is OFFICER or (who is PATROL and table in ("cases", "lineage"))
    answer = ask(who, f"/api/export/{table}")
    assert answer.status_code == (200 if allowed else 404)
    if not allowed:
        assert answer.json() == {"detail": f"there is no collection '{table}'"}


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("incidents?f=xlsx", "f = 'xlsx': there are csv, geojson, parquet, arrow"),
        ("lineage?f=geojson", "GeoJSON needs positions"),
        ("observations?edition=1", "observations are the journal's and of no edition"),
        ("incidents?colour=red", "there is no parameter 'colour'"),
    ],
)
def test_what_is_asked_wrongly_is_told_before_a_file_begins(ask: Asking, asked: str, sentence: str) -> None:
    answer = ask(OFFICER, f"/api/export/{asked}")
    assert answer.status_code == 400
    assert sentence in answer.json()["detail"]


def test_every_export_is_noted_in_the_journal(tmp_path: Path) -> None:
    service = shown(a_mission(tmp_path / "mission"), tables([an_incident()]))
    Asking(service)(PARTY_A, "/api/export/incidents?f=csv&what=explosion")
    gate: Any = service.gate
    ((kind, rows),) = gate.kept
    (row,) = rows.to_pylist()
    assert kind == "access"
    assert (row["what"], row["by"], row["subject"]) == ("export", "party-a", "incidents")
    assert row["text"] == "1 rows as csv; f=csv&what=explosion"


# ---- reports -------------------------------------------------------------------------------------------------------


def test_reports_are_listed_and_given_as_they_were_published(ask: Asking, example: Path) -> None:
    (report,) = ask.json(OFFICER, "/api/reports")
    assert (report["day"], report["edition"]) == ("2031-03-15", 1)
    published = {row.path.rpartition("/")[2]: row for row in Book(example / "book.sqlite").published()}
    for file in report["files"]:
        if file["name"] == "report.pdf":
            continue
        answer = ask(OFFICER, file["href"])
        assert answer.content == (example / published[file["name"]].path).read_bytes()
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_report_is_written_when_somebody_asks_for_it(ask: Asking, example: Path) -> None:
    """By who keeps the watch; the same edition says the same, so nothing that went out changes."""
    before = Book(example / "book.sqlite").published()
    assert ask(PATROL, "/api/reports", "POST").status_code == 403
    answer = ask(OFFICER, "/api/reports?day=2031-03-15", "POST")
    assert (answer.json()["day"], answer.json()["edition"]) == ("2031-03-15", 1)
    assert Book(example / "book.sqlite").published() == before


def test_a_pdf_is_made_when_it_is_asked_for_and_then_stays(ask: Asking) -> None:
    pytest.importorskip("typst", reason="the extra pdf is not installed")
    first = ask(OFFICER, "/api/reports/2031-03-15/1/report.pdf")
    assert first.content.startswith(b"%PDF")
    assert ask(OFFICER, "/api/reports/2031-03-15/1/report.pdf").content == first.content
    (report,) = ask.json(OFFICER, "/api/reports")
    assert all(file["sha256"] for file in report["files"])


@pytest.mark.parametrize("who", [STATE, PARTY_A, PUBLIC], ids=lambda who: who.name)
def test_reports_are_the_missions(ask: Asking, who: Any) -> None:
    assert ask.json(who, "/api/reports") == []
    answers = [ask(who, f"/api/reports/2031-03-15/{n}/report.html").status_code for n in (1, 2)]
    assert answers == [404, 404]


@pytest.mark.parametrize("name", ["mission.toml", "..%2F..%2Fmission.toml", "%2e%2e/book.sqlite", "report.pdf%00"])
def test_nothing_but_what_was_published_is_given(ask: Asking, name: str) -> None:
    assert ask(OFFICER, f"/api/reports/2031-03-15/1/{name}").status_code == 404


def test_a_report_that_was_changed_is_not_given(tmp_path: Path) -> None:
    folder = an_example(tmp_path / "mission")
    path = folder / "reports" / "2031-03-15-edition-1" / "report.html"
    path.write_text(path.read_text().replace("explosion", "silence"))
    answer = Asking(a_service(folder))(OFFICER, "/api/reports/2031-03-15/1/report.html")
    assert answer.status_code == 503
    assert "it is not the file that was published" in answer.json()["detail"]


# ---- health and figures --------------------------------------------------------------------------------------------


def test_it_lives_and_is_ready(ask: Asking) -> None:
    assert ask.json(PUBLIC, "/health/live") == {"status": "live"}
    assert ask.json(PUBLIC, "/health/ready") == {"status": "ready"}


def test_it_is_not_ready_while_records_cannot_be_journalled(tmp_path: Path) -> None:
    """Why is told to the mission alone."""
    service = shown(a_mission(tmp_path / "mission"), tables())
    gate, live = (service.gate, service.live)
    gate.problem, live.behind_s = "no space left on the device", 99.0  # type: ignore[attr-defined]
    asking = Asking(service)
    answer = asking(ADMINISTRATOR, "/health/ready")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == [
        "records cannot be journalled: no space left on the device",
        "the picture is 99 s behind the journal",
    ]
    assert asking(PUBLIC, "/health/ready").json() == {"status": "not ready"}


def test_figures_for_prometheus(tmp_path: Path) -> None:
    service = shown(a_mission(tmp_path / "mission"), tables(), revision=42)
    service.gate.ack_seconds = Acknowledged([0.01, 0.1], [3, 5], 6, 0.7)  # type: ignore[attr-defined]
    text = Asking(service)(OFFICER, "/metrics").text
    for line in (
        'truceline_records_total{outcome="accepted",source="patrols"} 5.0',
        'truceline_source_lag_seconds{source="patrols"} 3.5',
        "truceline_revision 42.0",
        "truceline_edition 1.0",
        "truceline_alerts_open 0.0",
        "truceline_ready 1.0",
        'truceline_acknowledged_seconds_bucket{le="0.1"} 5.0',
        "truceline_acknowledged_seconds_count 6.0",
    ):
        assert line in text.replace('source="patrols",outcome="accepted"', 'outcome="accepted",source="patrols"')


@pytest.mark.parametrize("who", [STATE, PARTY_A, PUBLIC], ids=lambda who: who.name)
def test_figures_are_not_for_others(ask: Asking, who: Any) -> None:
    assert ask(who, "/metrics").status_code == 404


@pytest.mark.parametrize(
    ("host", "headers", "own"),
    [
        ("127.0.0.1", {}, True),
        ("::1", {}, True),
        ("10.0.0.7", {}, False),
        ("127.0.0.1", {"x-forwarded-for": "1.2.3.4"}, False),
    ],
)
def test_the_machine_itself_may_read_them_unless_a_proxy_asks_for_somebody(host: str, headers: Any, own: bool) -> None:
    class Request:
        client = type("Client", (), {"host": host})

    Request.headers = headers  # type: ignore[attr-defined]
    request: Any = Request()
    assert outputs.of_this_machine(request) == own
