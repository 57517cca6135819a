"""Intake: every record accounted for, whatever happens in between."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from truceline import intake
from truceline.errors import MissionError, NotFoundError
from truceline.store import Journal

NOW = datetime(2031, 3, 16, tzinfo=UTC)
HEADER = "latitude,longitude,acq_date,acq_time,satellite,confidence,scan,track,frp\n"

MISSION = """\
name = "intake"
centre = {lon = 37.5, lat = 48.3}
agreement = "agreement.toml"
[[source]]
id = "fires"
feed = "firms"
paths = ["*.csv"]
"""
AGREEMENT = """\
id = "a"
title = "An agreement"
[[party]]
id = "x"
name = "X"
[[clause]]
id = "1"
type = "cessation"
title = "No firing"
parties = ["x"]
"""


@pytest.fixture
def mission(tmp_path) -> Path:
    (tmp_path / "mission.toml").write_text(MISSION)
    (tmp_path / "agreement.toml").write_text(AGREEMENT)
    return tmp_path


def rows(first: int, count: int) -> str:
    """Fires that differ in their places; every hundredth beyond the pole."""
    lines = []
    for n in range(first, first + count):
        lat = 99 if n % 100 == 7 else 48 + n % 1000 / 1000
        lines.append(f"{lat:.5f},{37 + n // 1000 / 1000:.5f},2031-03-14,1106,N,n,0.5,0.4,1.5\n")
    return "".join(lines)


def journalled(folder: Path) -> list[int]:
    with Journal(folder / "journal") as journal:
        return [journal.rows(kind) for kind in ("observation", "duplicate", "rejection")]


def test_read_is_accepted_and_duplicate_and_rejected(mission):
    (mission / "a.csv").write_text(HEADER + rows(0, 500) + rows(0, 20))
    (row,) = intake.ingest(mission, NOW).files
    assert (row.read, row.accepted, row.duplicates, row.rejected) == (520, 495, 19, 6)
    assert journalled(mission) == [495, 19, 6]


def test_an_unchanged_file_is_not_read_again_a_grown_one_adds_what_is_new(mission):
    (mission / "a.csv").write_text(HEADER + rows(0, 50))
    intake.ingest(mission, NOW)
    (again,) = intake.ingest(mission, NOW + timedelta(hours=1)).files
    assert again.unchanged
    assert again.read == 0
    (mission / "a.csv").write_text(HEADER + rows(0, 60))
    (grown,) = intake.ingest(mission, NOW + timedelta(hours=2)).files
    assert (grown.read, grown.accepted) == (60, 10)


def test_a_renamed_file_adds_nothing(mission):
    (mission / "a.csv").write_text(HEADER + rows(0, 50))
    intake.ingest(mission, NOW)
    (mission / "a.csv").rename(mission / "b.csv")
    (row,) = intake.ingest(mission, NOW).files
    assert row.unchanged


def test_another_way_of_reading_reads_again(mission):
    """Whoever mends a column map or an option gets the records that it had refused."""
    (mission / "a.csv").write_text(HEADER + rows(0, 50))
    (mission / "mission.toml").write_text(MISSION + "options = {bounds = [0, 0, 1, 1]}\n")
    (first,) = intake.ingest(mission, NOW).files
    assert first.accepted == 0
    (mission / "mission.toml").write_text(MISSION)
    (second,) = intake.ingest(mission, NOW).files
    assert second.accepted == 49


class TestKilled:
    """A reading that was cut short goes on after the last record it acknowledged."""

    COUNT = 200_000  # more than one batch

    @pytest.fixture
    def big(self, mission) -> Path:
        (mission / "a.csv").write_text(HEADER + rows(0, self.COUNT))
        return mission

    def test_it_goes_on_and_counts_nothing_as_its_own_duplicate(self, big):
        """Killed between two batches, for good; the next run finishes the file."""
        code = (
            "import os, signal, sys\n"
            "from pathlib import Path\nfrom datetime import UTC, datetime\n"
            "from truceline import intake\nfrom truceline.store import Journal\n"
            "taken, whole = [], Journal.ingest\n"
            "def ingest(self, *a, **k):\n"
            "    if len(taken) == 2:\n        os.kill(os.getpid(), signal.SIGKILL)\n"
            "    taken.append(whole(self, *a, **k))\n    return taken[-1]\n"
            "Journal.ingest = ingest\n"
            "intake.ingest(Path(sys.argv[1]), datetime(2031, 3, 16, tzinfo=UTC))\n"
        )
        done = subprocess.run([sys.executable, "-c", code, str(big)], check=False, env=os.environ)
        assert done.returncode == -signal.SIGKILL
        before = journalled(big)
        assert 0 < sum(before) < self.COUNT
        (row,) = intake.ingest(big, NOW + timedelta(hours=1)).files
        assert (row.read, row.duplicates) == (self.COUNT, 0)
        assert row.read == row.accepted + row.rejected
        assert journalled(big)[:2] == [row.accepted, 0]
        with Journal(big / "journal") as journal:
            assert journal.verify() == []

    def test_twice(self, big, monkeypatch):
        """Rows of each cut-short reading are known by when it began."""
        whole = Journal.ingest
        for attempt, batches in enumerate((1, 2)):
            taken: list[int] = []

            def ingest(self, *tables, taken=taken, batches=batches, **more):
                if len(taken) == batches:
                    raise KeyboardInterrupt
                taken.append(1)
                return whole(self, *tables, **more)

            monkeypatch.setattr(Journal, "ingest", ingest)
            with pytest.raises(KeyboardInterrupt):
                intake.ingest(big, NOW + timedelta(hours=attempt))
        monkeypatch.setattr(Journal, "ingest", whole)
        (row,) = intake.ingest(big, NOW + timedelta(hours=9)).files
        assert (row.read, row.duplicates) == (self.COUNT, 0)


def test_mistakes_are_named_before_anything_is_read(mission):
    with pytest.raises(NotFoundError, match="it has fires"):
        intake.ingest(mission, NOW, sources=["smoke"])
    (mission / "mission.toml").write_text(MISSION.replace('"firms"', '"frims"'))
    with pytest.raises(MissionError, match="firms"):
        intake.ingest(mission, NOW)
    assert not (mission / "journal").exists()


def test_what_cannot_be_read_is_told_and_the_rest_is_read(mission):
    (mission / "a.csv").write_text(HEADER + rows(0, 5))
    (mission / "b.csv").write_text("")
    (mission / "c.csv").write_bytes(bytes(range(256)) * 40)
    done = intake.ingest(mission, NOW)
    assert done.files[0].accepted == 5
    assert len(done.problems) == 2
    assert all(name in " ".join(done.problems) for name in ("b.csv", "c.csv", "fires"))
