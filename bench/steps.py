"""Seconds of processor that each step of ours takes on a mission: python -m bench.steps [MISSION]; default the example.

Numba's compiled functions are loaded before, by a first pass; each step is timed once.
"""

import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from truceline import daily, intake, pipeline

EXAMPLE = Path(__file__).parents[1] / "examples" / "two-days"
NOW = datetime(2032, 6, 1, tzinfo=UTC)


def steps(mission: Path, folder: Path) -> dict[str, float]:
    """By step, in order; `settle` holds those that are indented under it, the journal's reading, digest and cases."""
    shutil.copytree(mission, folder)
    took: dict[str, float] = {}
    inner = {
        "  line, agreement, places": (pipeline, "ground"),
        "  background of fires": (pipeline, "fire_model"),
        "  fuse": (pipeline, "fuse"),
        "  judge": (pipeline.rules, "judge"),
        "  zones of the map": (pipeline.rules, "zones_table"),
        "  cases, lineage": (pipeline, "_conclude"),
        "  digest": (pipeline.picture, "digest"),
        "  book": (pipeline.Book, "put"),
        "  picture.gpkg": (pipeline, "publish"),
    }
    plain = {name: getattr(of, attribute) for name, (of, attribute) in inner.items()}

    def timed(name):
        def call(*args, **named):
            began = time.process_time()
            out = plain[name](*args, **named)
            took[name] = took.get(name, 0.0) + time.process_time() - began
            return out

        return call

    for name, (of, attribute) in inner.items():
        setattr(of, attribute, timed(name))
    try:
        for name, work in (
            ("ingest", lambda: intake.ingest(folder, NOW)),
            ("settle", lambda: pipeline.settle(folder, NOW, engine=pipeline.fuse)),
            ("report", lambda: daily.report(folder, NOW)),
        ):
            began = time.process_time()
            work()
            took[name] = time.process_time() - began
    finally:
        for name, (of, attribute) in inner.items():
            setattr(of, attribute, plain[name])
    order = ["ingest", "settle", *inner, "report"]
    return {name: took[name] for name in order if name in took}


def main() -> int:
    mission = Path(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLE
    with tempfile.TemporaryDirectory() as folder:
        steps(EXAMPLE, Path(folder) / "first")
        for name, seconds in steps(mission, Path(folder) / "mission").items():
            print(f"{name:28} {seconds:7.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
