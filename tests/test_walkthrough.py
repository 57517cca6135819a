"""What people do, from end to end, on the example mission: read this first.

Every step goes through the command line, as a duty officer's does.
"""

import csv
import gzip
import io
import json
import shutil
from pathlib import Path

import pytest

from truceline.cli import DONE, FOUND, PARTLY, WRONG, main
from truceline.examples import SHIPPED

Run = "Callable[..., tuple[int, str, str]]"


@pytest.fixture
def truceline(capsys):
    """Run a command line; its exit code, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main([str(a) for a in arguments])
        streams = capsys.readouterr()
        return stopped.value.code, streams.out, streams.err

    return run


@pytest.fixture(scope="module")
def ran(tmp_path_factory) -> Path:
    """The example mission after `truceline run`."""
    folder = tmp_path_factory.mktemp("mission") / "two-days"
    shutil.copytree(SHIPPED / "two-days", folder, ignore=shutil.ignore_patterns("*.py"))
    with pytest.raises(SystemExit) as stopped:
        main(["run", str(folder)])
    assert stopped.value.code == DONE
    return folder


@pytest.fixture
def mission(ran, tmp_path) -> Path:
    """A copy of it, to change at will."""
    return shutil.copytree(ran, tmp_path / "mission")


def the(rows: list[dict], **wanted: str) -> list[dict]:
    """The rows that have the wanted values."""
    return [row for row in rows if all(row[k] == v for k, v in wanted.items())]


@pytest.fixture
def table(truceline):
    """A table of the mission, as `export --format csv` gives it."""

    def read(folder: Path, name: str) -> list[dict]:
        code, out, _ = truceline("export", folder, "--table", name, "--format", "csv", "-o", "-")
        assert code == DONE
        return list(csv.DictReader(io.StringIO(out)))

    return read


class TestDutyOfficer:
    """The night shift: what came in, what it means, what is behind it, what I sign."""

    def test_run_accounts_for_every_record(self, truceline, mission, table):
        """Read = accepted + duplicates + rejected, and all of them can be exported."""
        expected = json.loads((mission / "expected.json").read_text())
        accepted, doubles, rejected = (table(mission, t) for t in ("observations", "duplicates", "rejections"))
        for source, told in expected["sources"].items():
            counts = [len(the(rows, source=source)) for rows in (accepted, doubles, rejected)]
            assert counts == [told["accepted"], told["duplicates"], told["rejected"]], source
            assert sum(counts) == told["records"], source

    def test_a_second_run_adds_nothing(self, truceline, mission):
        """The same files again: nothing read, the same edition."""
        code, out, _ = truceline("run", mission, "--json")
        told = json.loads(out)
        assert code == DONE
        assert all(row["unchanged"] for row in told["ingested"]["files"])
        assert told["edition"]["number"] == 1

    def test_the_report_lies_where_it_says(self, truceline, mission):
        """HTML for people, CSV and GeoJSON for tools; the banner says that this is an exercise."""
        code, out, _ = truceline("report", mission, "--json")
        assert code == DONE
        paths = [Path(path) for path in json.loads(out)["paths"]]
        assert {path.suffix for path in paths} >= {".html", ".csv", ".geojson", ".json"}
        html = next(path for path in paths if path.suffix == ".html").read_text()
        assert "exercise" in html.lower()
        assert 'http-equiv="Content-Security-Policy"' in html

    def test_evidence_goes_down_to_the_raw_record(self, truceline, mission, table):
        """From a finding to the bytes of a file, with their hash; the bytes really are in that file."""
        finding = max(the(table(mission, "findings"), subject_kind="incident"), key=lambda f: float(f["p_breach"] or 0))
        code, out, _ = truceline("explain", mission, finding["finding_id"][:12], "--json")
        assert code == DONE
        told = json.loads(out)
        observation = told["events"][0]["observations_behind"][0]
        content = (mission / observation["file"]).read_bytes()
        assert observation["raw"].encode() in (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content)
        assert told["clause"]["title"]
        assert told["finding"]["factors"]
        code, text, _ = truceline("explain", mission, finding["finding_id"][:12])
        assert code == DONE
        assert observation["raw_sha256"][:20] in text

    def test_everything_that_has_an_id_explains_itself(self, truceline, mission, table):
        """Findings of every clause, duties too, cases, incidents and events of every kind, with a place or without."""
        asked = {}
        for name, column in (("findings", "clause"), ("cases", "clause"), ("incidents", "what"), ("events", "what")):
            asked |= {(name, row[column]): row[next(iter(row))] for row in table(mission, name)}
        asked |= {("placeless", n): row["event_id"] for n, row in enumerate(the(table(mission, "events"), lon=""))}
        asked["observations", ""] = table(mission, "observations")[0]["observation_id"]
        for what, identifier in asked.items():
            code, out, err = truceline("explain", mission, identifier)
            assert code == DONE, (what, err)
            assert identifier[:10] in out

    def test_a_fire_says_why_it_may_be_the_conflicts(self, truceline, mission, table):
        """The likeliest fire seen from space: both numbers, and the steps from even odds; its model stands by name."""
        fires = [row for row in the(table(mission, "events"), what="fire") if row["frp_mw"]]
        likely = max(fires, key=lambda row: float(row["p_conflict"]))
        code, out, _ = truceline("explain", mission, likely["event_id"])
        said = " ".join(out.split())
        assert code == DONE
        assert "caused by the conflict?" in said
        assert "(settled)" in said
        assert "(online)" in said
        assert "from even odds" in said
        assert likely["p_conflict_model"] in said

    def test_a_signed_verdict_stays_with_the_case(self, truceline, mission, table):
        """The verdict is on the case at once, signed, and survives a rebuild of the book."""
        finding = max(the(table(mission, "findings"), subject_kind="incident"), key=lambda f: float(f["p_breach"] or 0))
        said = ["--by", "A. Officer", "--reason", "two posts heard it"]
        code, out, err = truceline("verdict", mission, finding["finding_id"], "verified", *said)
        assert code == DONE, err
        (case,) = the(table(mission, "cases"), state="verified")
        assert case["verdict_reason"] == "two posts heard it"
        code, _, _ = truceline("rebuild", mission)
        assert code == DONE
        (again,) = the(table(mission, "cases"), state="verified")
        assert again["case_id"] == case["case_id"]
        code, out, _ = truceline("verify", mission)
        assert code == DONE, out

    def test_late_data_make_a_new_edition_and_an_erratum(self, truceline, mission):
        """What was published stays; the new report says what it replaces."""
        first = json.loads(truceline("report", mission, "--json")[1])
        frozen = {path: Path(path).read_bytes() for path in first["paths"]}
        source = next(iter((mission / "incidents").glob("*.csv")))
        lines = source.read_text("utf-8-sig").splitlines()
        shelled = next(line for line in lines[1:] if first["day"] in line and "artillery" in line)
        elsewhere = shelled.replace(".", ".0", 1)  # its longitude begins with another digit behind the point
        (mission / "incidents" / "late.csv").write_text(f"{lines[0]}\n{elsewhere}\n")
        code, out, err = truceline("run", mission, "--day", first["day"], "--json")
        assert code == DONE, err
        told = json.loads(out)
        assert told["edition"]["number"] == 2
        assert {path: Path(path).read_bytes() for path in first["paths"]} == frozen
        assert not set(told["report"]["paths"]) & set(first["paths"])
        assert told["report"]["erratum"]


class TestAnalyst:
    """Years of open data, judged and traceable, in QGIS and notebooks."""

    def test_the_same_files_in_any_order_give_the_same_digest(self, truceline, tmp_path):
        """Sources renamed and split into other files: the same picture."""
        digests = set()
        for way in ("as they are", "split in two and renamed"):
            folder = shutil.copytree(SHIPPED / "two-days", tmp_path / way)
            if way != "as they are":
                for path in (folder / "firms").glob("*.csv"):
                    head, *rows = path.read_text().splitlines(keepends=True)
                    (path.with_name(f"z-{path.name}")).write_text(head + "".join(rows[: len(rows) // 2]))
                    (path.with_name(f"a-{path.name}")).write_text(head + "".join(rows[len(rows) // 2 :]))
                    path.unlink()
            code, out, err = truceline("run", folder, "--json")
            assert code == DONE, err
            digests.add(json.loads(out)["edition"]["digest"])
        assert len(digests) == 1

    def test_the_model_of_fires_is_checked_on_the_missions_own_past(self, truceline, mission):
        """Three peaceful years, each judged by the others, before anybody relies on a number."""
        code, out, err = truceline("fires", mission)
        assert code in (DONE, FOUND), err
        assert all(year in out for year in ("2028", "2029", "2030"))

    def test_the_fires_of_the_year_are_a_page(self, truceline, mission):
        code, out, err = truceline("report", mission, "--year", "2031", "--json")
        assert code == DONE, err
        page = Path(json.loads(out)["paths"][0]).read_text()
        assert "EXERCISE" in page
        assert "<svg" in page

    def test_the_picture_opens_in_gis(self, mission):
        """GDAL reads the layers that QGIS shows."""
        import pyogrio

        layers = {name for name, _ in pyogrio.list_layers(mission / "picture.gpkg")}
        assert {"incidents", "events", "findings", "line", "zones"} <= layers
        assert pyogrio.read_info(mission / "picture.gpkg", layer="incidents")["features"] > 0

    @pytest.mark.parametrize("format", ["csv", "parquet", "geojson", "arrow"])
    def test_every_table_in_every_format(self, truceline, mission, tmp_path, format):
        """GeoJSON where a table has places; a sentence where it has not."""
        for name in ("observations", "associations", "events", "incidents", "findings", "cases", "line", "zones"):
            path = tmp_path / f"{name}.{format}"
            code, _, err = truceline("export", mission, "--table", name, "--format", format, "-o", path)
            if code == WRONG:
                assert (name, format) == ("associations", "geojson")
                assert "position" in err
            else:
                assert path.stat().st_size


class TestMistakes:
    """A user's mistake is a sentence and an exit code, never a traceback."""

    def test_no_mission_there(self, truceline, tmp_path):
        code, _, err = truceline("run", tmp_path)
        assert code == WRONG
        assert "truceline init" in err

    def test_an_id_that_names_nothing(self, truceline, mission):
        code, _, err = truceline("explain", mission, "ffffffffffff")
        assert code == WRONG
        assert "ffffffffffff" in err

    def test_unknown_key_in_the_mission_file(self, truceline, mission):
        (mission / "mission.toml").write_text((mission / "mission.toml").read_text() + "\nradius_m = 3\n")
        code, _, err = truceline("run", mission)
        assert code == WRONG
        assert "radius_m" in err

    def test_one_broken_file_does_not_stop_the_others(self, truceline, mission):
        """The rest is done; the exit code and the message say what is missing."""
        (mission / "firms" / "broken.csv").write_text("a,b\n1,2\n")
        code, out, _ = truceline("run", mission, "--json")
        assert code == PARTLY
        assert "latitude" in " ".join(json.loads(out)["ingested"]["problems"])

    def test_check_is_for_scripts(self, truceline, mission):
        code, _, _ = truceline("run", mission, "--check")
        assert code == FOUND


def test_init_makes_a_mission_that_loads(truceline, tmp_path):
    """A newcomer's own mission: `init`, and `run` says what is missing."""
    code, out, err = truceline("init", tmp_path / "mine")
    assert code == DONE, err
    code, out, err = truceline("ingest", tmp_path / "mine")
    assert code == PARTLY
    assert "no file matches" in out


def test_the_same_from_python(tmp_path):
    """A notebook does what the command line does; the time is given, never read."""
    from datetime import UTC, datetime

    import truceline

    folder = shutil.copytree(SHIPPED / "two-days", tmp_path / "mission")
    ran = truceline.run(folder, datetime(2031, 3, 16, tzinfo=UTC), formats=["json"])
    assert truceline.table(folder, "incidents").num_rows > 10
    assert ran.edition.made_at == datetime(2031, 3, 16, tzinfo=UTC)
    assert truceline.verify(folder)["problems"] == []
    for name in truceline.__all__:
        assert getattr(truceline, name).__doc__, name
