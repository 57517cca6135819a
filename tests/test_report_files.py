"""What a daily report is written as: every format says the same, asks nothing of a network, and cues nobody."""

import csv
import io
import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pyogrio
import pypdf
import pytest

from an_edition import NOON, Edition, a_busy_day, a_mission, an_id, everything, said
from truceline import daily, examples, intake, pipeline
from truceline.errors import TrucelineError
from truceline.report import FORMATS, Report, model, read, write
from truceline.report.document import document
from truceline.report.labels import Labels


@pytest.fixture(scope="module")
def busy() -> Report:
    return a_busy_day().report()


@pytest.fixture(scope="module")
def files(busy: Report, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The busy day in every format, by the format's name."""
    paths = write(busy, tmp_path_factory.mktemp("report"), tuple(FORMATS))
    return {name: path.read_bytes() for name, path in zip(FORMATS, paths, strict=True)}


class Words(HTMLParser):
    """A page's text, tags, and what it would fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self.tags: list[str] = []
        self.asks: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.asks += [
            value or ""
            for name, value in attrs
            if name in ("src", "href", "data", "action") and value and value[0] != "#"
        ]
        self.asks += [value or "" for name, value in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def words_of(pdf: bytes) -> str:
    """A PDF's text without white space: lines break where they will."""
    pages = pypdf.PdfReader(io.BytesIO(pdf)).pages
    return re.sub(r"[\s\u00ad]", "", "".join(page.extract_text() for page in pages))


# ---- every format says the same ------------------------------------------------------------------------------------


def test_every_word_and_number_is_in_the_html_and_in_the_pdf(busy: Report, files: dict[str, bytes]) -> None:
    page = re.sub(r"\s", "", "".join(Words(files["html"].decode()).text))
    pdf = words_of(files["pdf"])
    hyphenless = pdf.replace("-", "").replace("\u2010", "")
    for word in said(document(busy)):
        bare = re.sub(r"\s", "", word)
        assert bare in page, f"not in the HTML: {word}"
        # Typst may break a long id or word at a line's end, with or without a hyphen.
        assert bare in pdf or bare.replace("-", "") in hyphenless, f"not in the PDF: {word}"


def test_every_incident_is_in_the_csv_and_those_with_a_place_in_the_geojson(
    busy: Report, files: dict[str, bytes]
) -> None:
    rows = list(csv.DictReader(io.StringIO(files["csv"].decode())))
    assert [row["incident_id"] for row in rows] == [row.incident_id for row in busy.incidents]
    features = json.loads(files["geojson"])["features"]
    assert {f["id"] for f in features} == {row.incident_id for row in [*busy.incidents, *busy.fires.rows]}


def test_the_geojson_opens_with_gdal(busy: Report, tmp_path: Path) -> None:
    path = write(busy, tmp_path, ["geojson"])[0]
    about = pyogrio.read_info(path)
    assert about["features"] == len(busy.incidents) + len(busy.fires.rows)
    assert about["geometry_type"] == "Point"


def test_the_table_shows_every_incident_when_there_are_few(busy: Report, files: dict[str, bytes]) -> None:
    text = "".join(Words(files["html"].decode()).text)
    assert all(row.incident_id[:10] in text for row in busy.incidents)


def test_a_long_table_is_cut_and_says_how_much_is_left_out() -> None:
    """The least likely breaches are left out; the CSV has them all."""
    edition = Edition()
    for i in range(75):
        edition.incident(f"i{i}", p=i / 100, at=NOON + timedelta(minutes=i))
    report = edition.report()
    table = next(t for s in document(report).sections for t in s.tables if t.id == "violations")
    assert len(table.rows) == 60
    assert table.note.startswith("15 of 75 incidents are left out here")
    assert min(row[9] for row in table.rows) == "2: 0.15"


def test_the_same_edition_gives_the_same_bytes(tmp_path: Path, files: dict[str, bytes]) -> None:
    again = write(a_busy_day().report(), tmp_path, tuple(FORMATS))
    assert {name: path.read_bytes() for name, path in zip(FORMATS, again, strict=True)} == files


def test_the_order_of_rows_does_not_matter(files: dict[str, bytes], tmp_path: Path) -> None:
    edition = a_busy_day()
    rng = np.random.default_rng(5)
    tables = {name: table.take(rng.permutation(table.num_rows)) for name, table in edition.tables().items()}
    path = write(edition.report(picture=tables), tmp_path, ["html"])[0]
    assert path.read_bytes() == files["html"]


def test_the_model_comes_back_from_its_json(busy: Report, tmp_path: Path) -> None:
    path = write(busy, tmp_path, ["json"])[0]
    assert read(path) == msgspec.structs.replace(busy, map=msgspec.structs.replace(busy.map, svg=""))


@pytest.mark.parametrize("text", [b"", b"{}", b"\x00\x01"])
def test_what_is_no_report_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "report.json").write_bytes(text)
    with pytest.raises(TrucelineError, match=r"report\.json: not a report's JSON"):
        read(tmp_path / "report.json")


def test_an_unknown_format_is_refused(busy: Report, tmp_path: Path) -> None:
    with pytest.raises(TrucelineError, match="'docx' is no format of reports"):
        write(busy, tmp_path, ["docx"])


def test_without_the_extra_a_pdf_is_refused_with_the_way_to_get_it(busy: Report, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "typst", None)
    with pytest.raises(TrucelineError, match=r"pip install 'truceline\[pdf\]'"):
        write(busy, tmp_path, ["pdf"])
    assert not list(tmp_path.glob("*.pdf*"))


# ---- the page ------------------------------------------------------------------------------------------------------


def test_the_page_asks_nothing_of_any_network_and_runs_nothing(files: dict[str, bytes]) -> None:
    page = files["html"].decode()
    seen = Words(page)
    assert seen.asks == []
    assert not {"script", "link", "iframe", "img", "object", "form"} & set(seen.tags)
    assert not re.search(r"url\((?!#)", page)
    assert "default-src 'none'" in page


def test_words_of_a_source_stay_words(tmp_path: Path) -> None:
    hostile = '<script>alert("x")</script><img src=x onerror=alert(1)>'
    edition = Edition()
    edition.incident("h", weapon=hostile, description=f"{hostile} #panic[]", means="=HYPERLINK(1)")
    report = edition.report(mission=a_mission(name=hostile))
    paths = write(report, tmp_path, ("html", "pdf", "csv", "geojson"))
    seen = Words(paths[0].read_text())
    assert "script" not in seen.tags
    assert "img" not in seen.tags
    assert hostile in "".join(seen.text)
    assert re.sub(r"\s", "", f"{hostile}#panic[]") in words_of(paths[1].read_bytes())
    assert next(csv.DictReader(io.StringIO(paths[2].read_text())))["means"] == "'=HYPERLINK(1)"


def test_the_page_has_one_title_a_language_and_heads_to_its_tables(files: dict[str, bytes]) -> None:
    page = files["html"].decode()
    tags = Words(page).tags
    assert '<html lang="en">' in page
    assert tags.count("h1") == 1
    assert tags.count("caption") == tags.count("table") == tags.count("thead")
    assert 'role="img"' in page


def test_the_drawing_is_well_formed_and_of_a_bearable_size(busy: Report) -> None:
    from xml.etree import ElementTree

    ElementTree.fromstring(busy.map.svg)
    assert len(busy.map.svg) < 400_000


# ---- law 6 ---------------------------------------------------------------------------------------------------------

#: Words of cueing and of blame; none may be a field's name or stand in a report's text of ours.
FORBIDDEN = re.compile(
    r"firing position|launch (site|point)|point of origin|origin of fire|grid ref|target|hostile|enemy|aggressor|"
    r"fired by|shelled by|attacked by|perpetrat|responsible for",
    re.IGNORECASE,
)


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("explosion.outgoing", {}),
        ("muzzle_flash", {}),
        ("weapon.mlrs", {}),
        ("ground.build_up", {}),
        ("ground.exercise", {}),
        ("explosion", {"description": "Outgoing fire"}),
    ],
)
def test_where_fire_came_from_is_given_no_finer_than_a_kilometre(what: str, changes: dict, tmp_path: Path) -> None:
    """Law 6: nothing that cues weapons. The exact place is in no file of the report, whoever reads it."""
    edition = Edition()
    lon, lat = 37.731234, 48.163456
    edition.incident("gun", what=what, place=(lon, lat), **changes)
    edition.rows["incident"][0]["place"] = "2 km NW of Avdiivka"
    report = edition.report()
    row = report.incidents[0]
    assert row.coarse
    assert row.place == "near Avdiivka"
    assert (row.lon, row.lat) == (37.725, 48.16)
    assert row.major_m is row.minor_m is row.tilt_deg is None
    assert row.line_distance_m == 2000
    for path in write(report, tmp_path, ("html", "json", "csv", "geojson")):
        text = path.read_text()
        assert "37.731" not in text
        assert "48.163" not in text
        assert "2 km NW" not in text


def test_one_origin_of_fire_among_many_events_is_enough_to_coarsen_them_all(tmp_path: Path) -> None:
    """Law 6: an incident's place is drawn from all its events, an origin among them; on another day as well."""
    edition = Edition()
    edition.incident("exchange", events=2, place=(37.731234, 48.163456))
    edition.rows["incident"][0]["place"] = "2 km NW of Avdiivka"
    edition.rows["event"][1] |= {"what": "explosion.outgoing", "at": NOON + timedelta(days=1)}
    report = edition.report()
    assert [row.what for row in report.incidents] == ["explosion.impact"]
    for path in write(report, tmp_path, ("html", "json", "csv", "geojson")):
        assert not re.search(r"37\.731|48\.163|2 km NW", path.read_text())


def test_a_finding_s_sentence_about_anything_but_a_duty_is_not_printed(tmp_path: Path) -> None:
    """Sentences are for mission roles: of a track or an incident they hold a place to a kilometre and a direction."""
    edition = Edition()
    subject = edition.incident("gun", what="weapon", p=None)
    words = "a weapon 7 km NNW of Avdiivka"
    edition.finding(subject, "2", "a", 0.9, sentence=words)
    edition.finding(an_id("track"), "2", "a", 0.9, subject_kind="track", sentence=words)
    report = edition.report()
    assert [duty.title for duty in report.duties] == ["Ban on firing"]
    for path in write(report, tmp_path, ("html", "json", "csv", "geojson")):
        assert "7 km NNW" not in path.read_text()


def test_where_something_fell_keeps_its_place() -> None:
    edition = Edition()
    edition.incident("impact", place=(37.731234, 48.163456))
    row = edition.report().incidents[0]
    assert not row.coarse
    assert (row.lon, row.lat) == (37.73123, 48.16346)


def test_no_field_and_no_sentence_of_ours_cues_or_blames(busy: Report) -> None:
    fields = {name for kind in _structs(Report) for name in kind.__struct_fields__}
    assert not {name for name in fields if re.search("party|attribution$|origin|perpetrator|unit", name)}
    for text in said(document(busy)):
        assert not FORBIDDEN.search(text), text
    assert "Attribution. Undetermined throughout." in everything(busy)


def test_no_party_is_named_beside_an_incident(busy: Report) -> None:
    """Parties appear as readers of a clause, never as doers."""
    table = next(t for s in document(busy).sections for t in s.tables if t.id == "violations")
    assert not any("Party" in cell for row in table.rows for cell in row)
    assert "Party" not in busy.map.svg


def test_reports_for_others_than_the_mission_are_not_made_yet() -> None:
    with pytest.raises(TrucelineError, match="release = 'public'"):
        Edition().report(release="public")


def _structs(kind: type) -> set[type]:
    """A struct type and all that it holds."""
    found = {kind}
    for field in msgspec.structs.fields(kind):
        for inner in re.findall(r"model\.(\w+)", str(field.type)):
            part = getattr(model, inner)
            if isinstance(part, type) and issubclass(part, msgspec.Struct):
                found |= _structs(part)
    return found


# ---- the map -------------------------------------------------------------------------------------------------------


def test_labels_never_overlap() -> None:
    rng = np.random.default_rng(7)
    labels = Labels(300, 200)
    for i, (x, y) in enumerate(rng.uniform((0, 0), (300, 200), (120, 2))):
        labels.place(f"Place {i}", float(x), float(y), 10)
    left, top, right, bottom = labels._taken.T
    apart = (right[:, None] <= left) | (right <= left[:, None]) | (bottom[:, None] <= top) | (bottom <= top[:, None])
    assert len(left) > 10
    assert np.all(apart | np.eye(len(left), dtype=bool))
    assert left.min() >= 0
    assert right.max() <= 300


def test_incidents_off_the_map_are_counted_in_its_caption() -> None:
    edition = Edition()
    edition.incident("here")
    edition.incident("Lviv", place=(24.02, 49.84))
    edition.incident("nowhere", place=(None, None))  # type: ignore[arg-type]
    report = edition.report()
    assert report.map.incidents == 1
    assert report.map.caption.startswith("1 incident; 2 more lie outside the map")


def test_circles_round_every_settlement_are_left_out_of_the_map_and_said_to_be() -> None:
    edition = Edition()
    edition.incident("a")
    edition.zones[0]["kind"] = "settlements"
    report = edition.report()
    assert "1 zone round settlements not drawn" in report.map.caption
    assert "zone of the agreement" not in report.map.svg


def test_the_map_names_its_viewpoint(busy: Report) -> None:
    assert "General Assembly resolution 68/262" in busy.map.caption


def test_north_is_turned_by_the_convergence() -> None:
    """Far west of the frame's centre true north leans to the right of the drawing's up."""
    edition = Edition()
    edition.lines = []
    edition.incident("Odesa", place=(30.74, 46.48))
    turn = float(re.search(r"rotate\(([-\d.]+)\)\"><path d=\"M0 -20", edition.report().map.svg)[1])  # type: ignore[index]
    assert turn == pytest.approx(5.0, abs=0.3)


def test_typst_is_loaded_only_for_a_pdf() -> None:
    code = "import truceline.report, sys; print('typst' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# ---- exercises ------------------------------------------------------------------------------------------------------


def test_an_exercise_says_so_on_every_page(tmp_path: Path) -> None:
    report = a_busy_day().report(mission=a_mission(exercise=True))
    paths = write(report, tmp_path, ("html", "pdf", "geojson"))
    assert "EXERCISE. Everything in this report is invented." in paths[0].read_text()
    pages = pypdf.PdfReader(io.BytesIO(paths[1].read_bytes())).pages
    assert all("EXERCISE" in page.extract_text() for page in pages)
    assert json.loads(paths[2].read_text())["exercise"] is True


# ---- of a mission ---------------------------------------------------------------------------------------------------


MADE_AT = datetime(2031, 3, 16, tzinfo=UTC)


@pytest.fixture
def mission(tmp_path: Path) -> Path:
    """The example's mission, settled."""
    folder = tmp_path / "mission"
    examples.copy_example(folder)
    intake.ingest(folder, MADE_AT)
    pipeline.settle(folder, MADE_AT)
    return folder


def test_the_second_day_tells_of_what_burns_but_not_of_the_shelling_that_lit_it(mission: Path) -> None:
    """Chmyrivka was shelled on the 14th and burns on the 15th: a fire then, no breach anew; its sources are named."""
    paths = [Path(path) for path in daily.report(mission, MADE_AT, formats=("json", "html", "csv", "geojson")).paths]
    report = read(paths[0])
    after = [row for row in report.fires.rows if row.follows]
    assert [row.follows for row in after] == ["explosion of 14 March"]
    assert all(row.p_conflict > 0.5 and row.p_breach is None for row in after)
    assert [account.kind for account in report.movement] == ["denied"]
    assert [row.observation for row in report.exempt] == ["a helicopter"]
    assert any("7 Repair window" in bullet for bullet in report.summary)
    assert any(casualty.disputed() for casualty in report.casualties)
    origins = [row for row in report.incidents if row.what.startswith(("weapon", "ground.build_up"))]
    assert origins
    assert all(row.place.startswith("near ") for row in origins)
    for path in paths:
        assert "7 km NNW of Chmyrivka" not in path.read_text()  # as the finding's sentence has it


def test_a_published_report_is_not_written_over_even_when_it_would_say_otherwise(
    mission: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version of the code on the same edition: refused, and the files are those that went out."""
    paths = [Path(path) for path in daily.report(mission, MADE_AT, formats=("json",)).paths]
    out = [path.read_bytes() for path in paths]
    monkeypatch.setattr("truceline.report.summary.bullets", lambda report: ["another word"])
    with pytest.raises(TrucelineError, match=r"is published with SHA-256 .* and stays as it is"):
        daily.report(mission, MADE_AT, formats=("json",))
    assert [path.read_bytes() for path in paths] == out
    assert not list(mission.glob("reports/.making-*"))
