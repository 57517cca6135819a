"""The page of a year's fires: its sums, its figure, its words."""

import json
import re
import shutil
import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from a_baseline import write_mission
from truceline import intake, pipeline, yearly
from truceline.cli import DONE, WRONG, main
from truceline.errors import MissionError, TrucelineError
from truceline.store import Book

NOW = datetime(2024, 1, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def mission(tmp_path_factory) -> Path:
    folder = write_mission(tmp_path_factory.mktemp("year") / "mission")
    intake.ingest(folder, NOW)
    pipeline.settle(folder, NOW)
    return folder


@pytest.fixture(scope="module")
def page(mission) -> tuple[str, dict]:
    """HTML and JSON of 2023."""
    html, data = (Path(path).read_text() for path in yearly.report(mission, 2023).paths)
    return html, json.loads(data)


def test_expected_numbers_are_sums_of_the_events_probabilities(mission, page):
    """By day, by month, by region and in all: the same fires, each once."""
    _, told = page
    events = Book(mission / pipeline.BOOK).table("events")
    p, online = (events[name].to_numpy().sum() for name in ("p_conflict", "p_conflict_online"))
    assert told["whole"]["fires"] == events.num_rows
    assert told["whole"]["conflict"] == pytest.approx(p, abs=0.01)
    assert told["whole"]["online"] == pytest.approx(online, abs=0.01)
    for parts in (told["days"], told["months"], told["regions"]):
        assert sum(part["fires"] for part in parts) == events.num_rows
        assert sum(part["conflict"] for part in parts) == pytest.approx(p, abs=0.2)
    assert len(told["days"]) == 365


def test_other_fires_by_the_season_are_as_many_as_there_were(page):
    """The peaceful years say how they spread over the months: these burnt from July to September."""
    _, told = page
    other = told["whole"]["fires"] - told["whole"]["conflict"]
    season = {part["name"]: part["season"] for part in told["months"]}
    assert sum(season.values()) == pytest.approx(other, rel=0.01)
    assert season["January"] == 0.0
    assert min(season[month] for month in ("July", "August", "September")) > 0.2 * other


def test_the_page_says_what_it_is(page):
    html, told = page
    assert "EXERCISE" in html
    assert "Uncalibrated: not compared with truth." in html
    assert told["learned"] == "background of 1,500 detections, 2019, 2020, 2021"
    assert "Who caused a fire is not said" in html
    assert told["models"] == ["fires 1, uncalibrated"]


def test_it_asks_nothing_of_any_network_and_runs_nothing(page):
    html, _ = page
    assert "<script" not in html
    assert "default-src 'none'" in html
    assert not re.search(r"(?:src|href)=\"(?!#)", html)


def test_the_figure_is_drawn_whole(page):
    """Well-formed; dots of both colours, a bar for every day that has either, inside the drawing."""
    html, told = page
    figure = ElementTree.fromstring(re.search(r"<svg.*</svg>", html, re.S)[0])
    width, height = (float(v) for v in figure.attrib["viewBox"].split()[2:])
    space = "{http://www.w3.org/2000/svg}"
    paths = [path.attrib for path in figure.iter(f"{space}path")]
    bars = [p["d"] for p in paths if re.fullmatch(r"(M[\d.]+ [\d.]+v-?[\d.]+)+", p["d"])]
    assert len(bars) == 2
    burning = [day for day in told["days"] if day["conflict"] > 0.02]
    assert bars[0].count("M") == len(burning)
    dots = [p["d"] for p in paths if re.fullmatch(r"(M[\d.]+ [\d.]+h0)+", p["d"])]
    places = np.array([float(v) for d in dots for v in re.findall(r"[\d.]+(?= |h)", d)]).reshape(-1, 2)
    assert len(places) > 20
    assert (places >= 0).all()
    assert (places[:, 0] <= width + 60).all()
    assert (places[:, 1] <= height).all()


def test_the_same_edition_gives_the_same_bytes(mission, page):
    html, _ = page
    assert Path(yearly.report(mission, 2023).paths[0]).read_text() == html


def test_without_a_baseline_it_says_so(tmp_path):
    folder = write_mission(tmp_path / "mission", baseline="")
    intake.ingest(folder, NOW)
    pipeline.settle(folder, NOW)
    written = yearly.report(folder, 2023)
    told = json.loads(Path(written.paths[1]).read_text())
    assert any("There is no baseline" in bullet for bullet in written.bullets)
    assert {part["season"] for part in told["months"]} == {None}


def test_a_year_without_fires_is_told_of(mission):
    with pytest.raises(TrucelineError, match="edition 1 has no fires of 2022"):
        yearly.report(mission, 2022)


def test_a_mission_changed_since_must_be_settled_first(mission, tmp_path):
    folder = shutil.copytree(mission, tmp_path / "mission")
    (folder / "past" / "2019.csv").write_text("latitude,longitude,acq_date\n48.0,36.0,2019-07-01\n")
    with pytest.raises(MissionError, match="have changed since edition 1 was made"):
        yearly.report(folder, 2023)


def test_on_the_command_line(mission, capsys):
    """`truceline report DIR --year 2023`; not together with a day."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main(["report", str(mission), *arguments])
        streams = capsys.readouterr()
        return stopped.value.code, streams.out, streams.err

    code, out, _ = run("--year", "2023")
    assert code == DONE
    assert "reports/years/2023-edition-1/fires.html" in out
    code, out, _ = run("--year", "2023", "--json")
    assert json.loads(out)["edition"] == 1
    code, _, err = run("--year", "2023", "--day", "2023-07-01")
    assert code == WRONG
    assert "without --day and --pdf" in err


def test_a_rebuilt_book_leaves_the_pages_alone(mission):
    assert pipeline.rebuild(mission)["differ"] == 0
    assert (mission / "reports" / "years" / "2023-edition-1" / "fires.html").is_file()
