"""A mission's baseline: learned once, kept, never of the mission's own time, and the same from the cache or anew."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from a_baseline import BASELINE, HEAD, write_mission
from truceline import baseline, desk, explain, feeds, intake, picture, pipeline
from truceline.cli import DONE, FOUND, WRONG, main
from truceline.errors import MissionError
from truceline.fuse.causes import FACTORS, MODEL, NO_BACKGROUND
from truceline.mission import Mission, hashes
from truceline.store import Book, Journal

NOW = datetime(2024, 1, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def settled(tmp_path_factory) -> Path:
    """The mission, ingested and settled."""
    folder = write_mission(tmp_path_factory.mktemp("baseline") / "mission")
    intake.ingest(folder, NOW)
    pipeline.settle(folder, NOW)
    return folder


@pytest.fixture
def mission(settled, tmp_path) -> Path:
    """A copy of it, to change at will."""
    return shutil.copytree(settled, tmp_path / "mission")


def rewrite(folder: Path, old: str, new: str) -> None:
    text = (folder / "mission.toml").read_text()
    assert old in text
    (folder / "mission.toml").write_text(text.replace(old, new))


def learn(folder: Path):
    mission = Mission.load(folder)
    assert mission.baseline is not None
    return baseline.learn(folder, mission.baseline, mission.frame())


def fires(folder: Path) -> pa.Table:
    events = Book(folder / pipeline.BOOK).table("events")
    return events.filter(pc.equal(events["what"], "fire"))


class TestTheModelSpeaks:
    def test_of_fires_by_the_line_and_of_farming_apart(self, settled):
        """Two months of fires on one stretch of the line, and stubble everywhere: the model tells them apart."""
        rows = fires(settled)
        p, lon, lat = (rows[name].to_numpy() for name in ("p_conflict", "lon", "lat"))
        war = (np.abs(lon - 36.0) < 0.06) & (lat > 47.8) & (lat < 48.0)
        assert p[war].mean() > 0.6
        assert p[np.abs(lon - 36.0) > 0.4].mean() < 0.1
        assert set(rows["p_conflict_model"].to_pylist()) == {MODEL}

    def test_of_each_fire_as_it_is_known_now_and_as_it_was_known_then(self, settled):
        rows = fires(settled)
        now, then = (rows[name].to_numpy() for name in ("p_conflict", "p_conflict_online"))
        assert np.isfinite(now).all()
        assert np.isfinite(then).all()
        assert (np.abs(now - then) > 0.01).any()

    def test_in_factors_that_make_the_probability(self, settled):
        """Log odds add up, and `explain` says them in words."""
        rows = fires(settled).to_pylist()
        for row in rows[::50]:
            odds = sum(dict(row["p_conflict_factors"]).values())
            assert 1 / (1 + np.exp(-odds)) == pytest.approx(row["p_conflict"], abs=1e-5)
        likely = max(rows, key=lambda row: row["p_conflict"])
        (event,) = explain.explain(settled, likely["event_id"].hex())["events"]
        said = " | ".join(event["conflict"])
        assert f"{likely['p_conflict']:.2f} with all that is known now" in said
        assert f"{likely['p_conflict_online']:.2f} with what was known when it was seen" in said
        assert "from even odds: odds" in said
        assert len(event["conflict"]) == 1 + len(FACTORS)
        assert tuple(explain.FACTORS) == FACTORS

    def test_in_incidents_and_findings_as_in_events(self, settled):
        with Book(settled / pipeline.BOOK) as book:
            incidents, findings = book.table("incidents"), book.table("findings")
        assert set(incidents["p_conflict_model"].to_pylist()) == {MODEL}
        factors = [f for row in findings["factors"].to_pylist() for f in row if "conflict" in f["name"]]
        assert factors
        assert {factor["source"] for factor in factors} == {MODEL}

    def test_and_the_edition_says_what_it_learned_from(self, settled):
        with Book(settled / pipeline.BOOK) as book:
            assert "fires: background of 1,500 detections, 2019, 2020, 2021" in book.latest().note

    def test_not_where_there_is_no_baseline(self, tmp_path):
        """Then the mission's own prior stands for every fire alike."""
        folder = write_mission(tmp_path / "mission", baseline="")
        intake.ingest(folder, NOW)
        pipeline.settle(folder, NOW)
        rows = fires(folder)
        assert rows["p_conflict"].to_pylist() == pytest.approx([0.28] * rows.num_rows)
        assert set(rows["p_conflict_model"].to_pylist()) == {"prior, uncalibrated"}
        assert rows["p_conflict_factors"].null_count == rows.num_rows


class TestSameInputsSamePicture:
    def test_from_the_cache_or_learned_anew(self, mission):
        """A rebuild without the cache makes the digest that was made with it."""
        assert list((mission / "cache").glob("background-*.npz"))
        shutil.rmtree(mission / "cache")
        assert pipeline.rebuild(mission)["differ"] == 0
        assert pipeline.rebuild(mission)["differ"] == 0  # from the cache, now

    def test_in_any_order_of_the_observations(self, mission):
        on = pipeline.ground(mission)
        with Journal(mission / "journal") as journal:
            rows = journal.table("observation")
        digests = set()
        for seed in range(3):
            shuffled = rows.take(pa.array(np.random.default_rng(seed).permutation(rows.num_rows)))
            model, _ = baseline.fire_model(mission, on.mission, on.frame, on.line, shuffled)
            digests.add(picture.digest(pipeline.draw(on, mission, shuffled, NOW, conflict=model)))
        assert len(digests) == 1

    def test_however_the_baseline_lies_in_files(self, mission):
        """One file or three, whatever their names, whatever the order of rows, a row twice: the same background."""
        before, _ = learn(mission)
        rows = [row for path in (mission / "past").iterdir() for row in path.read_text().splitlines()[1:]]
        order = np.random.default_rng(1).permutation(len(rows))
        shutil.rmtree(mission / "past")
        (mission / "past").mkdir()
        (mission / "past" / "all.csv").write_text(HEAD + "".join(f"{rows[i]}\n" for i in [*order, order[0]]))
        after, learned = learn(mission)
        assert after.key == before.key
        assert np.array_equal(after.rate, before.rate)
        assert learned.detections == {2019: 500, 2020: 500, 2021: 500}

    def test_files_of_one_name_in_two_folders_are_both_inputs(self, mission):
        """A change in either is another edition's input."""
        for folder in ("2019", "2020"):
            (mission / "past" / folder).mkdir()
            (mission / "past" / f"{folder}.csv").rename(mission / "past" / folder / "fires.csv")
        rewrite(mission, "past/*.csv", "past/**/*.csv")
        before = hashes(mission, Mission.load(mission))
        with (mission / "past" / "2020" / "fires.csv").open("a") as file:
            file.write("48.00000,36.00000,2020-05-01\n")
        after = hashes(mission, Mission.load(mission))
        assert sum(before[name] != after[name] for name in before) == 1
        assert sum(name.startswith("baseline:") for name in before) == 3

    def test_up_to_a_cut_off_nothing_of_later_is_known(self, mission, tmp_path):
        """Settled up to August, with what followed in the journal or without it: the same picture."""
        until = datetime(2023, 8, 1, tzinfo=UTC)
        with_more = pipeline.settle(mission, NOW, until=until)
        alone = write_mission(tmp_path / "alone")
        head, *rows = (alone / "firms" / "2023.csv").read_text().splitlines(keepends=True)
        (alone / "firms" / "2023.csv").write_text(head + "".join(r for r in rows if r.split(",")[2] < "2023-08-01"))
        intake.ingest(alone, NOW)
        assert pipeline.settle(alone, NOW, until=until).digest == with_more.digest


class TestLearnedOnce:
    def test_it_is_read_from_the_cache(self, mission, monkeypatch):
        def never(*_):
            raise AssertionError("the baseline was read again")

        monkeypatch.setattr(feeds, "read", never)
        made, learned = learn(mission)
        assert made is not None
        assert sum(learned.detections.values()) == 1_500

    def test_other_years_places_or_theatres_are_other_backgrounds(self, mission):
        keys = {learn(mission)[0].key}
        rewrite(mission, "[2019, 2020, 2021]", "[2019, 2020]")
        keys.add(learn(mission)[0].key)
        (mission / "war.geojson").write_text(
            '{"type": "Polygon", "coordinates": [[[35, 47], [35.5, 47], [35.5, 49], [35, 49], [35, 47]]]}'
        )
        rewrite(mission, "[2019, 2020]\n", '[2019, 2020]\nexclude = "war.geojson"\n')
        keys.add(learn(mission)[0].key)
        rewrite(mission, "radius_km = 150", "radius_km = 50")
        keys.add(learn(mission)[0].key)
        assert len(keys) == 4
        assert len(list((mission / "cache").glob("background-*.npz"))) == 4

    def test_a_build_that_was_killed_leaves_nothing_broken(self, mission, monkeypatch):
        """Killed while it writes: the next one finds no background and learns it; so it is with a torn file."""
        before, _ = learn(mission)
        shutil.rmtree(mission / "cache")

        def torn(file, **_):
            file.write(b"half a background")
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(np, "savez", torn)
            with pytest.raises(KeyboardInterrupt):
                learn(mission)
        assert not list((mission / "cache").glob("background-*.npz"))
        after, _ = learn(mission)
        assert np.array_equal(after.rate, before.rate)
        (kept,) = (mission / "cache").glob("background-*.npz")
        kept.write_bytes(kept.read_bytes()[:1000])
        again, _ = learn(mission)
        assert np.array_equal(again.rate, before.rate)

    def test_a_cache_that_cannot_be_written_costs_time_alone(self, mission):
        before, _ = learn(mission)
        shutil.rmtree(mission / "cache")
        (mission / "cache").write_text("in the way")
        after, _ = learn(mission)
        assert np.array_equal(after.rate, before.rate)

    def test_its_progress_is_shown(self, mission):
        shutil.rmtree(mission / "cache")
        told: list[str] = []
        read = Mission.load(mission)
        baseline.learn(mission, read.baseline, read.frame(), lambda stage, *_: told.append(stage))
        assert list(dict.fromkeys(told)) == ["reading the baseline of fires", "learning the background of fires"]


class TestMistakesAreNamed:
    def test_never_the_missions_own_time(self, mission):
        (mission / "past" / "2023.csv").write_text(HEAD + "48.00000,36.00000,2023-05-01\n")
        rewrite(mission, "2021]", "2021, 2023]")
        with pytest.raises(MissionError, match=r"mission\.toml: baseline: 2023: the mission has fires of then itself"):
            pipeline.settle(mission, NOW)

    def test_years_that_are_not_there(self, mission):
        rewrite(mission, "2021]", "2021, 2012]")
        with pytest.raises(MissionError, match=r"years: no detections of 2012; the files have 2019, 2020, 2021"):
            pipeline.settle(mission, NOW)

    def test_files_that_are_not_there(self, mission):
        rewrite(mission, "past/*.csv", "passed/*.csv")
        with pytest.raises(MissionError, match=r"baseline: paths: no file matches passed/\*\.csv"):
            pipeline.settle(mission, NOW)

    def test_an_address(self, mission):
        rewrite(mission, "past/*.csv", "https://example.org/past.csv")
        with pytest.raises(MissionError, match="download it first"):
            learn(mission)

    def test_a_feed_that_there_is_not(self, mission):
        rewrite(mission, 'feed = "firms"\npaths = ["past', 'feed = "firm"\npaths = ["past')
        with pytest.raises(MissionError, match="there is no feed 'firm'"):
            learn(mission)

    def test_places_at_war_that_are_no_areas(self, mission):
        (mission / "war.geojson").write_text('{"type": "Point", "coordinates": [35, 47]}')
        rewrite(mission, "2021]\n", '2021]\nexclude = "war.geojson"\n')
        with pytest.raises(MissionError, match="exclude: no area in it"):
            learn(mission)

    def test_records_that_cannot_be_read_are_counted(self, mission):
        with (mission / "past" / "2019.csv").open("a") as file:
            file.write("48.0,36.0,2019-02-30\n")
        assert learn(mission)[1].sentence().endswith("1 of its records could not be read")


def test_an_empty_baseline_is_no_background_and_says_so(tmp_path):
    """Nothing but the line speaks then, and never surely."""
    folder = write_mission(tmp_path / "mission", baseline=BASELINE.replace("years = [2019, 2020, 2021]\n", ""))
    for path in (folder / "past").iterdir():
        path.write_text(HEAD)
    intake.ingest(folder, NOW)
    edition = pipeline.settle(folder, NOW)
    assert "the baseline is empty, so there is no background" in edition.note
    rows = fires(folder)
    assert set(rows["p_conflict_model"].to_pylist()) == {NO_BACKGROUND}
    by_distance = rows["p_conflict"].to_numpy()[np.argsort(np.abs(rows["line_distance_m"].to_numpy()))]
    assert by_distance[:50].mean() > by_distance[-50:].mean()
    assert by_distance.max() < 0.95


class TestChecks:
    """`truceline fires`: what the model comes to where no truth is needed."""

    def run(self, capsys, *arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main([str(a) for a in arguments])
        streams = capsys.readouterr()
        return stopped.value.code, streams.out, streams.err

    def test_each_peaceful_year_is_judged_by_the_others(self, settled, capsys):
        code, out, err = self.run(capsys, "fires", settled)
        assert code == DONE, out
        assert "Baseline: 1,500 detections in 3 years" in out
        assert all(f"\n{year} " in out for year in (2019, 2020, 2021))
        assert "The limits hold in every year." in out
        assert "judging each year by the others" in err

    def test_for_machines(self, settled, capsys):
        code, out, _ = self.run(capsys, "fires", settled, "--json")
        told = json.loads(out)
        assert code == DONE
        assert {row["year"] for row in told["peace"]} == {2019, 2020, 2021}
        assert sum(row["detections"] for row in told["bands"] if row["season"] == "the year") == 650
        assert told["exceeded"] == []

    def test_a_limit_that_does_not_hold_is_said_and_exits_with_1(self, mission, capsys):
        """A year in which a stretch of the line burnt as in war: the model calls it so, and the check says so."""
        rows = [row.split(",") for row in (mission / "firms" / "2023.csv").read_text().splitlines()[401:]]
        with (mission / "past" / "2020.csv").open("a") as file:
            file.writelines(f"{lat},{lon},{day.replace('2023', '2020')}\n" for lat, lon, day, *_ in rows)
        code, out, _ = self.run(capsys, "fires", mission)
        assert code == FOUND
        assert "Limit exceeded: 2020: " in out

    def test_without_a_baseline_there_is_nothing_to_check(self, tmp_path, capsys):
        folder = write_mission(tmp_path / "mission", baseline="")
        code, _, err = self.run(capsys, "fires", folder)
        assert code == WRONG
        assert "there is no [baseline]" in err

    def test_before_anything_is_ingested_the_peaceful_years_are_checked_alone(self, tmp_path):
        told = desk.fires(write_mission(tmp_path / "mission"))
        assert told["bands"] == []
        assert len({row["year"] for row in told["peace"]}) == 3

    def test_one_year_cannot_be_held_against_others(self, mission):
        rewrite(mission, "[2019, 2020, 2021]", "[2019]")
        told = desk.fires(mission)
        assert not told["held"]
        assert told["exceeded"] == ["a baseline of one year cannot be checked: each year is judged by the others"]
