"""Records per second of the feeds, hashing included, on the shared real data: python bench/feeds.py [FOLDER].

Processor time, best of six passes, because the machine may be busy with other things.
"""

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from truceline import feeds
from truceline.mission import Source, files

RECEIVED_AT = datetime(2031, 3, 16, tzinfo=UTC)
SOURCES = (
    Source(id="firms", feed="firms", paths=["firms/*.csv"]),
    Source(id="firms-short", feed="firms", paths=["firms_baseline/*.csv.gz"]),
    Source(id="viina", feed="table", preset="viina", paths=["incidents/*.csv.gz"]),
)


def main(folder: Path) -> None:
    for source in SOURCES:
        paths, seconds, records = files(folder, source.paths), [], 0
        for _ in range(6):
            begun, records = time.process_time(), 0
            for path in paths:
                for batch in feeds.read(source, folder, path, RECEIVED_AT):
                    records += batch.observations.num_rows + batch.rejections.num_rows
            seconds.append(time.process_time() - begun)
        print(f"{source.id:12} {records:8,} records  {min(seconds):6.3f} s  {records / min(seconds):10,.0f} a second")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("TRUCELINE_DATA", "../shared/data")))
