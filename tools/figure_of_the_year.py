"""Draw docs/images/fires-year.svg: the figure of `report --year`, of a year of which nothing happened.

python tools/figure_of_the_year.py

The ground, the line and three peaceful years are the example's. The year's farming is invented as those years were;
three sectors of the line burn for some weeks each. Seeded: the same drawing each time, as long as the code is the same.
"""

import random
import re
import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from truceline import examples, intake, pipeline, yearly

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "examples" / "two-days"))
import past  # noqa: E402 (of the example's makers)

OUT = ROOT / "docs" / "images" / "fires-year.svg"
YEAR, SEED = 2031, 4
#: Along the line from, to, km; first and last day of the year; fires a day, each of a few pixels.
SECTORS = ((66.0, 80.0, 70, 150, 2.0), (92.0, 108.0, 120, 260, 3.0), (20.0, 30.0, 230, 290, 1.5))
#: Behind the line now and then a strike, km.
REAR_KM, STRIKES = 25.0, 40


def war(rng: random.Random) -> list[str]:
    """Rows of the short form of what the invented conflict burns."""
    found = []
    for begin, end, first, last, rate in SECTORS:
        for day in range(first, last):
            fires = sum(rng.random() < rate / 6 for _ in range(6))
            found += [(day, rng.uniform(begin, end), rng.gauss(0.0, 3.0)) for _ in range(fires)]
    found += [(rng.randrange(365), rng.uniform(0.0, 130.0), rng.gauss(0.0, REAR_KM)) for _ in range(STRIKES)]
    rows = []
    for day, chain, off in found:
        for _ in range(rng.choice((1, 1, 2, 3))):
            at = date(YEAR, 1, 1) + timedelta(day)
            rows.append(past.row(at, chain + rng.gauss(0.0, 0.4), off + rng.gauss(0.0, 0.4)))
    return rows


def main() -> None:
    rng = random.Random(SEED)
    with tempfile.TemporaryDirectory() as folder:
        mission = Path(folder) / "year"
        examples.copy_example(mission)
        text = (mission / "mission.toml").read_text()
        (mission / "mission.toml").write_text(text[: text.index("[[source]]                               # news")])
        for path in (mission / "firms").iterdir():
            path.unlink()
        rows = [*past.year(YEAR, rng), *war(rng)]
        (mission / "firms" / f"{YEAR}.csv").write_text("\n".join([past.HEAD, *rows]) + "\n")
        now = datetime(YEAR + 1, 1, 2, tzinfo=UTC)
        intake.ingest(mission, now)
        pipeline.settle(mission, now)
        written = yearly.report(mission, YEAR)
        drawing = re.search(r"<svg.*</svg>", Path(written.paths[0]).read_text(), re.DOTALL)
    if drawing is None:
        raise SystemExit("the page has no figure")
    OUT.write_text(drawing[0] + "\n")
    print("\n".join(written.bullets))


if __name__ == "__main__":
    main()
