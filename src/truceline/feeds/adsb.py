"""Aircraft's own words: Mode S frames (`adsb_frames`), and state vectors made of them (`adsb_states`, `adsb_json`).

What a file is, is known by its beginning: `[` or `{` is JSON, 0x1A and a digit a Beast receiver's, a header that names
an address and a position a table, anything else lines of frames. Parquet is known by the ending of its name.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np

from truceline.errors import MissionError
from truceline.feeds import adsb_states, features, options
from truceline.feeds.adsb_frames import Aircraft, Frames, beast, lines_of
from truceline.feeds.adsb_json import elements
from truceline.feeds.adsb_states import NAMES, States
from truceline.feeds.batch import Batch, Faults, Intake, Records
from truceline.feeds.records import CHUNK_BYTES, delimited
from truceline.feeds.stream import window
from truceline.kernels import modes
from truceline.mission import Source

OCCURRENCE = "adsb_occurrence"
_LOOKED_AT_BYTES = 1 << 16


class Adsb:
    """The feed `adsb`: positions become `fix`, all else that aircraft say `status`."""

    def check(self, source: Source) -> None:
        """Options: `bounds`; `reference` and `start`, for frames."""
        if source.preset is not None or source.columns:
            key = "columns" if source.columns else "preset"
            raise MissionError(f"source {source.id!r}: {key}: belongs to the feed 'table'; 'adsb' knows its columns")
        options.known(source, ("bounds", "reference", "start"))
        options.bounds(source)
        options.moment_us(source, "start")
        options.place(source, "reference")

    def read(
        self, source: Source, path: str, name: str, received_at: datetime, chunk_bytes: int = CHUNK_BYTES
    ) -> Iterator[Batch]:
        """The file's frames or state vectors, in order."""
        intake = Intake(source, name, received_at, source.licence, OCCURRENCE)
        found: Iterator[Records]
        if features.format_of(path) == "parquet":
            states = States(source)
            found = features.parquet(path, name, partial(_choose, name=name), chunk_bytes=chunk_bytes)
        else:
            kind = _kind(path, name)
            if kind in ("frames", "beast"):
                aircraft = Aircraft(options.place(source, "reference"), options.moment_us(source, "start"))
                reader = beast if kind == "beast" else lines_of
                for records, frames in reader(path, name, chunk_bytes):
                    yield intake.batch(records, partial(_frames, source, aircraft, frames))
                return
            if kind == "json":
                yield from _json(source, intake, path, name, chunk_bytes)
                return
            states = States(source)
            found = delimited(path, name, partial(_choose, name=name), chunk_bytes=chunk_bytes)
        for records in found:
            yield intake.batch(records, partial(_states, states, records))


def _choose(header: Sequence[str], name: str) -> dict[str, int]:
    return adsb_states.choose(header, name)


def _states(states: States, records: Records, faults: Faults) -> dict[str, Any]:
    return states.columns(records.columns, faults) | {"means": "transmitted"}


def _frames(source: Source, aircraft: Aircraft, frames: Frames, faults: Faults) -> dict[str, Any]:
    out = aircraft.columns(frames, faults)
    lon, lat = (np.array(out[name].to_numpy(zero_copy_only=False), np.float64) for name in ("lon", "lat"))
    options.within(source, lon, lat, faults)
    return out | {"means": "transmitted"}


def _json(source: Source, intake: Intake, path: str, name: str, chunk_bytes: int) -> Iterator[Batch]:
    """State vectors of one array; of a snapshot, records without a time are counted on from its time in seconds.

    So the same record in two snapshots stays two, and in one snapshot read twice one.
    """
    states = States(source)
    for kind, records in elements(path, name, chunk_bytes):
        if states.snapshot_us == modes.NONE and kind.snapshot_us != modes.NONE:
            states.snapshot_us = kind.snapshot_us
            intake.seen = _From(kind.snapshot_us // 1_000_000)
        if states.metric is None:
            states.metric = kind.metric
        yield intake.batch(records, partial(_states, states, records))


class _From(Counter[bytes]):
    """Counts on from a number."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def __missing__(self, key: bytes) -> int:
        return self._number


def _kind(path: str, name: str) -> str:
    """json, beast, table or frames, by the beginning of the file."""
    with window(path, name, _LOOKED_AT_BYTES, _LOOKED_AT_BYTES) as text:
        while text.left < _LOOKED_AT_BYTES and not text.final:
            text.more()
        head = text.data[text.begin : text.begin + _LOOKED_AT_BYTES].lstrip()
    if head[:1] in (b"[", b"{"):
        return "json"
    if head[:1] == b"\x1a" and head[1:2] in (b"1", b"2", b"3", b"4"):
        return "beast"
    first = re.split(rb"[\r\n]", head, maxsplit=1)[0].decode(errors="replace")
    names = {column.strip().strip('"').lower() for column in first.split(",")}
    if names & set(NAMES["address"]) and names & set(NAMES["lat"]):
        return "table"
    starts = np.array([0, *(m.end() for m in re.finditer(rb"[\r\n]+", head))])
    data = np.frombuffer(head, np.uint8)
    ends = np.append(starts[1:], len(head))
    bare = np.array([len(head[a:b].rstrip(b"\r\n")) for a, b in zip(starts.tolist(), ends.tolist(), strict=True)])
    _, _, _, _, faults = modes.frames(data, starts, starts + bare)
    return "frames" if (faults == 0).any() else "table"
