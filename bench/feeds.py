"""Records per second of the feeds, hashing included, on the shared real data: python bench/feeds.py [FOLDER].

Processor time, best of six passes, because the machine may be busy with other things. Samples of some hundred
records are written out again and again to make a file that takes a second; their records repeat.
"""

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from truceline import feeds
from truceline.mission import Source, files

RECEIVED_AT = datetime(2031, 3, 16, tzinfo=UTC)
SOURCES = (
    Source(id="firms", feed="firms", paths=["firms/*.csv"]),
    Source(id="firms-short", feed="firms", paths=["firms_baseline/*.csv.gz"]),
    Source(id="viina", feed="table", preset="viina", paths=["incidents/*.csv.gz"]),
    Source(id="ais-table", feed="ais", paths=["ais/movingpandas/boat-positions.csv"]),
    Source(id="adsb-json", feed="adsb", paths=["adsb/traffic/collections/quickstart.json.gz"]),
)
RADARS = {f"25/{sic}": {"lon": 16.0, "lat": 46.0} for sic in range(256)}
#: Samples that are too small: how often they are repeated, and how many bytes of header they have only once.
REPEATED = (
    (
        Source(id="asterix-048", feed="asterix", paths=["asterix/*/cat_034_048.pcap"], options={"sites": RADARS}),
        2000,
        24,
    ),
    (
        Source(id="asterix-062", feed="asterix", paths=["asterix/*/cat062cat065.raw"], options={"day": "2014-02-25"}),
        99_999,
        0,
    ),
    (Source(id="cot", feed="cot", paths=["cot/xml/*.xml"]), 400, 0),
    (Source(id="ais", feed="ais", paths=["ais/aisdb/*.nm4"]), 300, 0),
    (Source(id="adsb", feed="adsb", paths=["adsb/sample_data_adsb.csv"]), 100, 0),
    (Source(id="adsb-comm-b", feed="adsb", paths=["adsb/sample_data_commb_df2*.csv"]), 2, 0),
)


def main(folder: Path) -> None:
    for source in SOURCES:
        measure(source, folder, files(folder, source.paths))
    with TemporaryDirectory() as made:
        for source, times, head in REPEATED:
            content = b"\n".join(Path(path).read_bytes() for path in files(folder, source.paths))
            path = Path(made) / source.id
            path.write_bytes(content[:head] + content[head:] * times)
            measure(source, Path(made), [str(path)])
    by_libasterix(folder / "asterix" / "sample_data" / "cat062cat065.raw")
    by_pyais(folder / "ais" / "aisdb" / "test_data_20211101.nm4")
    by_rs1090(folder / "adsb" / "sample_data_adsb.csv")


def by_libasterix(path: Path) -> None:
    """Beside ours: what the library alone takes to cut the same records of category 062, without any column."""
    from asterix import base, generated

    content = path.read_bytes()[3:183]
    profile = generated.manifest["CATS"][62][-1].cv_uap
    begun, records = time.process_time(), 0
    for _ in range(500):
        records += len(profile.parse(base.Bits.from_bytes(content)))
    seconds = time.process_time() - begun
    print(f"libasterix   {records:8,} records  {seconds:6.3f} s  {records / seconds:10,.0f} a second")


def by_pyais(path: Path) -> None:
    """Beside ours: what pyais alone takes to decode the sentences of one part, without any column."""
    import pyais

    whole = [line[line.index(b"!") :] for line in path.read_bytes().splitlines() if b"VDM,1,1," in line] * 20
    begun = time.process_time()
    for line in whole:
        pyais.decode(line)
    seconds = time.process_time() - begun
    print(f"pyais        {len(whole):8,} records  {seconds:6.3f} s  {len(whole) / seconds:10,.0f} a second")


def by_rs1090(path: Path) -> None:
    """Beside ours: what rs1090 alone takes to decode the same frames, positions included, without any column."""
    import rs1090

    rows = [line.split(",") for line in path.read_text("utf-8-sig").splitlines()] * 20
    frames, times = [row[1].strip('"') for row in rows], [float(row[0]) for row in rows]
    begun = time.process_time()
    rs1090.decode(frames, times)
    seconds = time.process_time() - begun
    print(f"rs1090       {len(rows):8,} records  {seconds:6.3f} s  {len(rows) / seconds:10,.0f} a second")


def measure(source: Source, folder: Path, paths: list[str]) -> None:
    """Print the best of six passes over the files."""
    seconds, records = [], 0
    for _ in range(6):
        begun, records = time.process_time(), 0
        for path in paths:
            for batch in feeds.read(source, folder, path, RECEIVED_AT):
                records += batch.observations.num_rows + batch.rejections.num_rows
        seconds.append(time.process_time() - begun)
    print(f"{source.id:12} {records:8,} records  {min(seconds):6.3f} s  {records / min(seconds):10,.0f} a second")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("TRUCELINE_DATA", "../shared/data")))
