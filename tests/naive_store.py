"""Slow, obvious twins of the store, and rows to put into it."""

import hashlib
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from truceline import observation
from truceline.kernels.idset import IdSet
from truceline.store import Journal

AT = datetime(2023, 4, 1, 3, 12, tzinfo=UTC)


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word: split at the largest power of two smaller than n."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + merkle_root(leaves[:split]) + merkle_root(leaves[split:])).digest()


def merkle_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """RFC 6962, 2.1.1, word for word."""
    if len(leaves) <= 1:
        return []
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if index < split:
        return [*merkle_path(leaves[:split], index), merkle_root(leaves[split:])]
    return [*merkle_path(leaves[split:], index - split), merkle_root(leaves[:split])]


def fates(batches: Iterable[Sequence[bytes]]) -> list[tuple[int, int]]:
    """(accepted, duplicates) of each batch of raw records of one source, with a plain set."""
    known: set[bytes] = set()
    out = []
    for batch in batches:
        before = len(known)
        known.update(batch)
        out.append((len(known) - before, len(batch) - (len(known) - before)))
    return out


def binary(values: Sequence[bytes], width: int) -> pa.Array:
    """Byte strings of one width as an Arrow array."""
    return pa.array(values, pa.binary(width))


def observations(raws: Sequence[bytes], source: str = "posts", first: int = 1, **columns: Any) -> pa.Table:
    """Observations with the given raw bytes; position and time follow from the bytes, not from the order."""
    leaves = observation.leaves(source, raws)
    draws = [np.random.default_rng(list(leaf)) for leaf in leaves]
    made = {
        "observation_id": binary([leaf[:16] for leaf in leaves], 16),
        "leaf": binary(leaves, 32),
        "source": source,
        "record": np.arange(first, first + len(raws)),
        "kind": "sighting",
        "what": "explosion.impact",
        "at": pa.array(
            [int(AT.timestamp() * 1e6) + int(d.integers(86400)) * 1_000_000 for d in draws], observation.TIME
        ),
        "received_at": pa.array([AT] * len(raws), observation.TIME),
        "lon": np.array([d.uniform(36, 39) for d in draws]),
        "lat": np.array([d.uniform(47, 50) for d in draws]),
        "text": pa.array([raw.decode("utf-8", "replace") for raw in raws], pa.string()),
        "release": "mission",
        "file": "posts.csv",
        "raw": pa.array(list(raws), pa.large_binary()),
    }
    return observation.table({**made, **columns}, len(raws))


def rejections(raws: Sequence[bytes], source: str = "posts", first: int = 1) -> pa.Table:
    """Rejections with the given raw bytes."""
    made = {
        "leaf": binary(observation.leaves(source, raws), 32),
        "source": source,
        "record": np.arange(first, first + len(raws)),
        "field": "lat",
        "value": pa.array([raw.decode("utf-8", "replace") for raw in raws], pa.string()),
        "reason": "lat is not a number",
        "received_at": pa.array([AT] * len(raws), observation.TIME),
        "file": "posts.csv",
        "raw": pa.array(list(raws), pa.large_binary()),
    }
    return observation.table(made, len(raws), observation.REJECTION)


def lines(n: int, word: str = "heard") -> list[bytes]:
    """`n` different raw records."""
    return [f"{word} {i}".encode() for i in range(n)]


def nursery() -> None:
    """For each line `folder first` on standard input, a child that ingests batch after batch from number `first`
    on and prints each one's number when it is acknowledged; `dead` when the child is. Whoever reads kills it.

    A fork of a process that has everything loaded is quick; twenty new interpreters are not.
    """

    def say(what: str, number: int) -> None:
        sys.stdout.write(f"{what} {number}\n")
        sys.stdout.flush()

    IdSet().add(np.ones((1, 2), np.uint64))
    for line in sys.stdin:
        folder, first = line.split()
        child = os.fork()
        if child == 0:
            with Journal(Path(folder)) as journal:
                say("pid", os.getpid())
                for k in range(int(first), 1_000_000):
                    journal.ingest(observations(lines(40, f"batch {k}")), rejections([b"bad %d" % k]))
                    say("batch", k)
        os.waitpid(child, 0)
        say("dead", 0)
