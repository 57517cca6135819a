"""How fast the journal takes observations in, what a row costs on disk, what ten million cost in memory.

    python -m bench.journal                 speed beside SQLite, in one run
    python -m bench.journal --rows 10000000 memory too: of a writer that opens, and of what fusion reads

Batches are of 10,000 and each is synced. Half of them are satellite fires (raw records of about 85 bytes), half
news reports (about 290 bytes, Ukrainian). SQLite gets the same values as ready-made tuples, in WAL with
synchronous = FULL, an id as primary key and INSERT OR IGNORE, one transaction a batch: it need not build them
from Arrow, and makes no roots and no chain.
"""

import argparse
import hashlib
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from truceline import observation
from truceline.kernels.idset import IdSet
from truceline.observation import TIME
from truceline.store import Journal, merkle
from truceline.store.frames import decode, encode
from truceline.store.kinds import conform
from truceline.store.reading import leaf_bytes

BATCH = 10_000
#: What `truceline.fuse` reads of an observation.
FUSED = (
    *("observation_id", "source", "sensor", "kind", "what", "confidence", "alternatives", "means", "description"),
    *("weapon", "at", "at_sigma_s", "until", "lon", "lat", "major_m", "minor_m", "tilt_deg", "count", "count_max"),
    *("killed", "injured", "text", "release", "firms_frp"),
)
CODED = ("source", "sensor", "kind", "what", "means", "description", "weapon", "release")
_WORDS = np.array(
    (
        *("російські", "війська", "обстріляли", "село", "артилерія", "міномет", "влучання", "будинок", "пожежа", "в"),
        *("громада", "область", "Авдіївка", "Бахмут", "Куп'янськ", "Вугледар", "Мар'їнка", "Оріхів", "Торське", "на"),
    )
)
_AT = 1_680_000_000


def fires(rng: np.random.Generator, first: int, n: int = BATCH) -> pa.Table:
    """Satellite fires: a CSV line of 13 fields each."""
    lat, lon = rng.uniform(44, 52, n).round(5), rng.uniform(22, 40, n).round(5)
    kelvin, frp = rng.uniform(300, 367, n).round(2), rng.gamma(2, 5, n).round(2)
    at = _AT + rng.integers(0, 86400 * 30, n)
    raws = [
        b"%.5f,%.5f,%.2f,0.52,0.5,2023-04-%02d,%d,N,VIIRS,n,2.0NRT,%.2f,%.2f,D"
        % (lat[i], lon[i], kelvin[i], at[i] // 86400 % 28 + 1, at[i] // 60 % 1440, kelvin[i] - 60, frp[i])
        for i in range(n)
    ]
    columns = {
        "sensor": "Suomi NPP",
        "kind": "hotspot",
        "what": "fire",
        "confidence": pa.array(rng.choice([0.5, 0.8, 0.95], n).astype(np.float32)),
        "at_sigma_s": 60.0,
        "major_m": pa.array(rng.uniform(190, 400, n).astype(np.float32)),
        "minor_m": pa.array(rng.uniform(190, 400, n).astype(np.float32)),
        "tilt_deg": pa.array(rng.uniform(0, 180, n).astype(np.float32)),
        "firms_frp": pa.array(frp.astype(np.float32)),
        "firms_brightness_k": pa.array(kelvin.astype(np.float32)),
        "licence": "NASA FIRMS",
        "file": "firms/fire_nrt_SV-C2.csv",
    }
    return _rows("viirs-snpp", raws, at, lon, lat, first, columns)


def reports(rng: np.random.Generator, first: int, n: int = BATCH) -> pa.Table:
    """News reports: a CSV line with a headline of about 20 words each, a day, and the place's ellipse."""
    place = rng.integers(0, 2000, n)
    lon, lat = 22 + place * 18 / 2000, 44 + place * 7919 % 2000 * 8 / 2000
    at = _AT + rng.integers(0, 30, n) * 86400
    texts = [" ".join(row) for row in _WORDS[rng.integers(0, len(_WORDS), (n, 20))]]
    raws = [
        f'"2023-04-{at[i] // 86400 % 28 + 1:02d} 00:00:00","{lon[i]:.5f}","{lat[i]:.5f}","{text}"'.encode()
        for i, text in enumerate(texts)
    ]
    columns = {
        "kind": "sighting",
        "what": "explosion.impact",
        "confidence": 0.5,
        "alternatives": pa.array([[("fire", 0.2), ("burst", 0.1)]] * n, observation.LIKELIHOODS),
        "until": pa.array((at + 86400) * 1_000_000, TIME),
        "major_m": pa.array(rng.choice([1500.0, 3000.0], n).astype(np.float32)),
        "minor_m": 1500.0,
        "tilt_deg": 0.0,
        "text": pa.array(texts),
        "licence": "VIINA, ODbL",
        "file": "incidents/viina_202304.csv.gz",
    }
    return _rows("viina", raws, at, lon, lat, first, columns)


def _rows(source: str, raws: list[bytes], at: object, lon: object, lat: object, first: int, more: object) -> pa.Table:
    n = len(raws)
    leaves = b"".join(observation.leaves(source, raws))
    beginnings = np.frombuffer(leaves, np.uint8).reshape(n, 32)[:, :16].tobytes()
    columns = {
        "observation_id": pa.Array.from_buffers(observation.ID, n, [None, pa.py_buffer(beginnings)]),
        "leaf": pa.Array.from_buffers(pa.binary(32), n, [None, pa.py_buffer(leaves)]),
        "source": source,
        "record": np.arange(first, first + n),
        "at": pa.array(np.asarray(at) * 1_000_000, TIME),
        "received_at": pa.array(np.full(n, (_AT + 86400 * 40) * 1_000_000), TIME),
        "lon": np.asarray(lon),
        "lat": np.asarray(lat),
        "release": "mission",
        "raw": pa.array(raws, pa.large_binary()),
    }
    return observation.table({**columns, **more}, n)  # type: ignore[dict-item]


def batches(count: int) -> list[pa.Table]:
    """Fires and reports by turns."""
    rng = np.random.default_rng(20230401)
    return [(fires if k % 2 == 0 else reports)(rng, k * BATCH) for k in range(count)]


def size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.iterdir())


def timed(work: Callable[[pa.Table], object], given: list[pa.Table]) -> tuple[float, float, float]:
    """Rows a second over all, rows a second of processor, and the median batch in milliseconds."""
    each = []
    began, began_cpu = time.perf_counter(), time.process_time()
    for batch in given:
        start = time.perf_counter()
        work(batch)
        each.append(time.perf_counter() - start)
    rows = sum(batch.num_rows for batch in given)
    wall, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    return rows / wall, rows / cpu, statistics.median(each) * 1e3


def sqlite_rows(batch: pa.Table) -> list[tuple[object, ...]]:
    """The values of a batch as SQLite takes them; a map as text."""
    columns = []
    for field in batch.schema:
        values = batch[field.name]
        if pa.types.is_timestamp(field.type):
            values = values.cast(pa.int64())
        columns.append([str(v) if isinstance(v, list) else v for v in values.to_pylist()])
    return list(zip(*columns, strict=True))


def speed(folder: Path, count: int) -> None:
    """The journal and SQLite on the same batches, by turns so that a busy machine is busy for both."""
    given = batches(count)
    rows = BATCH * count
    raw = sum(batch["raw"].nbytes for batch in given) / rows
    print(f"{count} batches of {BATCH:,} observations, {raw:.0f} raw bytes and {given[0].num_columns} columns each")
    with Journal(folder / "journal") as journal:
        journal.ingest(fires(np.random.default_rng(0), 0))  # loads what is compiled
        base = size(folder / "journal")
        wall, cpu, median = timed(journal.ingest, given)
        journal_bytes = (size(folder / "journal") - base) / rows
        assert journal.rows("observation") == rows + BATCH
    book = sqlite3.connect(folder / "rows.sqlite", isolation_level=None)
    book.execute("PRAGMA journal_mode = WAL")
    book.execute("PRAGMA synchronous = FULL")
    narrow = [batch.select(observation.CORE.names) for batch in given]
    prepared = {id(batch): sqlite_rows(batch) for batch in narrow}
    names = [f'"{name}"' for name in observation.CORE.names]
    book.execute(f"CREATE TABLE observation ({', '.join(names)}, PRIMARY KEY (observation_id))")
    insert = f"INSERT OR IGNORE INTO observation VALUES ({', '.join('?' * len(names))})"

    def put(batch: pa.Table) -> None:
        book.execute("BEGIN")
        book.executemany(insert, prepared[id(batch)])
        book.execute("COMMIT")

    sqlite_wall, sqlite_cpu, sqlite_median = timed(put, narrow)
    book.close()
    sqlite_bytes = (folder / "rows.sqlite").stat().st_size / rows
    print(f"{'':24}{'rows/s':>12}{'rows/cpu-s':>12}{'ms a batch':>12}{'bytes a row':>12}")
    print(f"{'journal':24}{wall:12,.0f}{cpu:12,.0f}{median:12.1f}{journal_bytes:12.0f}")
    print(f"{'SQLite WAL FULL':24}{sqlite_wall:12,.0f}{sqlite_cpu:12,.0f}{sqlite_median:12.1f}{sqlite_bytes:12.0f}")
    print(f"ratio: {wall / sqlite_wall:.1f} x the speed, {journal_bytes / sqlite_bytes:.2f} x the bytes")
    parts(given)


def parts(given: list[pa.Table]) -> None:
    """Where the time of a batch goes: processor milliseconds of each step, mean over the batches."""
    fit = [conform("observation", batch) for batch in given]
    bodies = [encode(batch).to_pybytes() for batch in fit]
    known = IdSet()
    steps: dict[str, Callable[[int], object]] = {
        "fit the schema": lambda k: conform("observation", given[k]),
        "known ids": lambda k: known.add(observation.ids(fit[k]["observation_id"])),
        "Merkle root": lambda k: merkle.root(leaf_bytes(fit[k]["leaf"])),
        "Arrow and zstd": lambda k: encode(fit[k]),
        "SHA-256 of the body": lambda k: hashlib.sha256(bodies[k]).digest(),
        "(unpack it again)": lambda k: decode(bodies[k]),
    }
    for name, step in steps.items():
        start = time.process_time()
        for k in range(len(given)):
            step(k)
        print(f"  {name:22}{(time.process_time() - start) / len(given) * 1e3:8.2f} ms")


def fill(folder: Path, rows: int) -> None:
    """A journal of so many rows: the same forty batches over and over under ids of their own."""
    rng = np.random.default_rng(1)
    given = batches(40)
    with Journal(folder) as journal:
        began = time.perf_counter()
        for k in range(rows // BATCH):
            leaves = rng.bytes(32 * BATCH)
            ids = np.frombuffer(leaves, np.uint8).reshape(BATCH, 32)[:, :16].tobytes()
            batch = given[k % len(given)]
            for name, kind, content in (("observation_id", observation.ID, ids), ("leaf", pa.binary(32), leaves)):
                column = pa.Array.from_buffers(kind, BATCH, [None, pa.py_buffer(content)])
                batch = batch.set_column(batch.column_names.index(name), name, column)
            journal.ingest(batch)
        print(
            f"{rows:,} rows written at {rows / (time.perf_counter() - began):,.0f} rows/s, {size(folder) / 1e9:.2f} GB"
        )


def peak_mb() -> float:
    """Greatest resident memory of this process, megabytes (`getrusage` would count its parent's before it began)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def verified(folder: Path) -> None:
    """Verify, and find nothing wrong."""
    problems = Journal(folder).verify()
    assert problems == [], problems[:3]


MEASURES: dict[str, Callable[[Path], object]] = {
    "nothing, everything imported": lambda folder: Journal(folder).rows("observation"),
    "open a writer, know all ids": lambda folder: Journal(folder, write=True)._known_ids(),
    "read what fusion needs": lambda folder: Journal(folder).table("observation", FUSED),
    "the same without the texts": lambda folder: Journal(folder).table(
        "observation", [n for n in FUSED if n != "text"]
    ),
    "the same, words coded": lambda folder: Journal(folder).table(
        "observation", [n for n in FUSED if n != "text"], coded=CODED
    ),
    "find one record": lambda folder: Journal(folder).record(
        Journal(folder).table("observation", ["observation_id"])["observation_id"][12345].as_py()
    ),
    "verify": lambda folder: verified(folder),
}


def memory(folder: Path, rows: int) -> None:
    """Peak memory and time of each measure, each in a process of its own."""
    fill(folder, rows)
    print(f"{'':32}{'peak MB':>10}{'seconds':>10}{'result MB':>11}")
    for name in MEASURES:
        subprocess.run([sys.executable, "-m", "bench.journal", "--measure", name, "--folder", str(folder)], check=True)


def measure(name: str, folder: Path) -> None:
    """One measure, in this process."""
    start = time.perf_counter()
    made = MEASURES[name](folder)
    seconds = time.perf_counter() - start
    nbytes = getattr(made, "nbytes", 0) / 1e6
    print(f"{name:32}{peak_mb():10,.0f}{seconds:10.1f}{nbytes:11,.0f}", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=30)
    parser.add_argument("--rows", type=int, default=0, help="measure memory with so many")
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary folder)")
    parser.add_argument("--measure", choices=MEASURES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given.measure, given.folder)
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        speed(Path(folder), given.batches)
        if given.rows:
            memory(Path(folder) / "many", given.rows)


if __name__ == "__main__":
    main()
