"""The peer's journal: every record with its bytes and hash, batch by batch on disk, each batch under a Merkle root.

A batch is what one file gave: its observations, duplicates and rejections are one Parquet file each, synced. A line of
`chain.jsonl` names a file with the root over its records (RFC 6962), its SHA-256 and the head before it; the head is
the root over those lines. A file read before, and a record known before, adds nothing.
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from bench import peer_read

from truceline.mission import Mission, Source, files

KEPT = (
    *("observation_id", "source", "file", "record", "sensor", "kind", "what", "confidence", "alternatives", "means"),
    *("description", "weapon", "at_us", "until_us", "at_sigma_s", "lon", "lat", "major_m", "minor_m", "tilt_deg"),
    *("count", "count_max", "killed", "injured", "party", "place", "text", "release", "licence", "firms_frp", "leaf"),
)
DUPLICATE = ["observation_id", "source", "record", "file", "release", "licence", "leaf"]
LIKELIHOODS = pa.map_(pa.string(), pa.float64())
EMPTY = hashlib.sha256().digest()


def root(leaves: list[bytes]) -> bytes:
    """The Merkle root over hashes: a node is SHA-256 of a one byte and its two children, an odd one out goes up."""
    sha256 = hashlib.sha256
    while len(leaves) > 1:
        pairs = zip(leaves[::2], leaves[1::2], strict=False)
        leaves = [sha256(b"\x01" + a + b).digest() for a, b in pairs] + (leaves[-1:] if len(leaves) % 2 else [])
    return leaves[0] if leaves else EMPTY


def synced(path: Path) -> None:
    """What was written is on disk, and so is its name."""
    for name in (path, path.parent):
        handle = os.open(name, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)


class Journal:
    """What was read so far, and the chain of batches."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.chain_path = folder, folder / "chain.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        lines = self.chain_path.read_text().splitlines() if self.chain_path.exists() else []
        self.chain = [json.loads(line) for line in lines]
        self.digests = [hashlib.sha256(b"\x02" + line.encode()).digest() for line in lines]
        self.known: set[bytes] = set()
        for entry in self.of("observation"):
            self.known.update(pd.read_parquet(folder / entry["path"], columns=["observation_id"])["observation_id"])
        self.done = {(e["source"], e["file_sha256"]) for e in self.of("file")}

    def of(self, kind: str) -> list[dict]:
        return [entry for entry in self.chain if entry["kind"] == kind]

    @property
    def head(self) -> str:
        count = len(self.digests).to_bytes(8, "big")
        return hashlib.sha256(b"\x03" + count + root(self.digests)).hexdigest()

    def append(self, kind: str, rows: pd.DataFrame | None, **about: object) -> None:
        """A batch's rows of one kind, written, synced and chained."""
        entry = {"number": len(self.chain), "kind": kind, **about, "before": self.head}
        if rows is not None:
            path = self.folder / f"{len(self.chain):06d}-{kind}.parquet"
            body = packed(rows)
            path.write_bytes(body)
            synced(path)
            entry |= {"path": path.name, "rows": len(rows), "root": root(rows["leaf"].tolist()).hex()}
            entry["sha256"] = hashlib.sha256(body).hexdigest()
        line = json.dumps(entry, sort_keys=True)
        with self.chain_path.open("a") as chain:
            chain.write(line + "\n")
        synced(self.chain_path)
        self.chain.append(entry)
        self.digests.append(hashlib.sha256(b"\x02" + line.encode()).digest())

    def table(self, kind: str) -> list[pd.DataFrame]:
        """The batches of a kind that are on disk."""
        tables = [pd.read_parquet(self.folder / entry["path"]) for entry in self.of(kind)]
        return [table.drop(columns="raw", errors="ignore") for table in tables]


def packed(rows: pd.DataFrame) -> memoryview:
    """A table as Parquet."""
    rows = rows.dropna(axis=1, how="all")
    table = pa.Table.from_pandas(rows.drop(columns="alternatives", errors="ignore"), preserve_index=False)
    if "alternatives" in rows:
        said = [row if isinstance(row, list) else None for row in rows["alternatives"]]
        table = table.append_column("alternatives", pa.array(said, LIKELIHOODS))
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(table, sink, compression="zstd")
    return memoryview(sink.getvalue())


def ingest(folder: Path, mission: Mission, into: Path) -> tuple[Journal, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Observations, duplicates and rejections of all sources, in the order of the mission file; all are journalled."""
    journal = Journal(into)
    kinds = ("observation", "duplicate", "rejection")
    taken = {kind: journal.table(kind) for kind in kinds}
    for source in mission.source:
        for path in files(folder, source.paths):
            tables = take(journal, source, Path(path))
            for kind, table in zip(kinds, tables, strict=True):
                taken[kind] += [table] if table is not None else []
    whole = [pd.concat(some, ignore_index=True) if some else pd.DataFrame() for some in taken.values()]
    return journal, whole[0].reindex(columns=KEPT), *whole[1:]


def take(journal: Journal, source: Source, path: Path) -> tuple[pd.DataFrame | None, ...]:
    """One file into the journal; nothing where these bytes were read before."""
    data = path.read_bytes()
    about = {"source": source.id, "file": path.name, "file_sha256": hashlib.sha256(data).hexdigest()}
    if (source.id, about["file_sha256"]) in journal.done:
        return None, None, None
    observations, rejections = peer_read.read(source, path, data)
    new = np.array([x not in journal.known for x in observations["observation_id"]], bool)
    new &= ~observations.duplicated("observation_id").to_numpy()
    again = observations.loc[~new, DUPLICATE].reset_index(drop=True)
    observations = observations if new.all() else observations[new].reset_index(drop=True)
    journal.known.update(observations["observation_id"])
    for kind, rows in (("observation", observations), ("duplicate", again), ("rejection", rejections)):
        if len(rows):
            journal.append(kind, rows, **about)
    counts = {"accepted": len(observations), "duplicates": len(again), "rejected": len(rejections)}
    journal.append("file", None, **about, **counts)
    return observations.drop(columns="raw").dropna(axis=1, how="all"), again, rejections


def configuration(folder: Path, mission: Mission, agreement) -> dict[str, str]:
    """SHA-256 of the mission's files, which the picture depends on besides the observations."""
    paths = [folder / "mission.toml", folder / mission.agreement]
    paths += [folder / zone.path for zone in agreement.zone if zone.path is not None]
    paths += [folder / mission.gazetteer] if mission.gazetteer else []
    paths += map(Path, files(folder, mission.line.paths) if mission.line else [])
    out = {}
    for path in paths:
        with path.open("rb") as file:
            out[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return out
