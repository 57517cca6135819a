"""Ships' own words: AIS as NMEA 0183 sentences, and the tables that archives make of it.

    \\s:station,c:1635731889*hh\\!AIVDM,1,1,,A,15Di=4002i<chWiba2`rPpD:04;`,0*37

    s, c, g      of the tag block: receiver, its time (seconds or milliseconds since 1970), group of sentences
    !AIVDM       any talker; VDM of others, VDO of the own ship
    1,1,,A       parts, number of this one, sequence of the message, radio channel
    payload,0    six-bit characters, fill bits

A file of tables is known by its header (`ais_tables`), a file of sentences by having one.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from truceline.errors import MissionError
from truceline.feeds import ais_messages as ais
from truceline.feeds import ais_tables, options
from truceline.feeds.ais_sentences import messages
from truceline.feeds.batch import UNTIMED, Batch, Faults, Intake
from truceline.feeds.records import CHUNK_BYTES, delimited
from truceline.feeds.stream import window
from truceline.kernels import nmea, seconds
from truceline.mission import Source

OCCURRENCE = "ais_occurrence"
#: A file whose first part of this size holds no sentence is taken for a table.
_LOOKED_AT_BYTES = 1 << 16
_SENTENCE = re.compile(rb"![A-Za-z0-9]{2}VD[MO],")
#: A clock that runs on the seconds in messages misses silences of a minute or more. Assumption, low confidence.
CLOCK_SIGMA_S = 30.0

_CLOCKS = ("base_station",)


class Ais:
    """The feed `ais`: positions become `fix`, all other messages `status`."""

    def check(self, source: Source) -> None:
        """Options: `bounds`; `start` and `clock`, for sentences without a time."""
        if source.preset is not None or source.columns:
            key = "columns" if source.columns else "preset"
            raise MissionError(f"source {source.id!r}: {key}: belongs to the feed 'table'; 'ais' knows its columns")
        options.known(source, ("bounds", "start", "clock"))
        options.bounds(source)
        options.one_of(source, "clock", _CLOCKS)
        options.moment_us(source, "start")

    def read(
        self, source: Source, path: str, name: str, received_at: datetime, chunk_bytes: int = CHUNK_BYTES
    ) -> Iterator[Batch]:
        """The file's messages or rows, in order."""
        intake = Intake(source, name, received_at, source.licence, OCCURRENCE)
        with window(path, name, _LOOKED_AT_BYTES, _LOOKED_AT_BYTES) as text:
            while text.left < _LOOKED_AT_BYTES and not text.final:
                text.more()
            is_table = _SENTENCE.search(text.data[:_LOOKED_AT_BYTES]) is None
        if is_table:
            for records in delimited(path, name, partial(ais_tables.choose, name=name), chunk_bytes=chunk_bytes):
                yield intake.batch(records, partial(_table, records.columns, source))
            return
        clock = _Clock(source)
        for records in messages(path, name, chunk_bytes):
            yield intake.batch(records, partial(_sentences, records.columns, source, clock))


class _Clock:
    """The time of a file's sentences that have none: from the options, kept from batch to batch."""

    def __init__(self, source: Source) -> None:
        start = options.moment_us(source, "start")
        self._now_us = nmea.NONE if start is None else start
        self._by_station = options.one_of(source, "clock", _CLOCKS) is not None

    def times(self, heard_us: ais.Whole, found: ais.Messages) -> ais.Whole:
        """`heard_us`, filled where the clock runs."""
        told = found.station_times() if self._by_station else np.full(len(heard_us), nmea.NONE)
        if self._now_us == nmea.NONE and not self._by_station:
            return heard_us
        filled, self._now_us = seconds.run(heard_us, found["second"], told, self._now_us)
        return np.asarray(filled)


def _table(text: Mapping[str, pa.Array], source: Source, faults: Faults) -> dict[str, Any]:
    out = ais_tables.table_columns(text, source, faults)
    return out | {"means": "transmitted", UNTIMED: np.zeros(faults.rows, np.bool_)}


def _sentences(given: Mapping[str, pa.Array], source: Source, clock: _Clock, faults: Faults) -> dict[str, Any]:
    """The observation's columns of the records of `messages`."""
    found = ais.Messages(given["payload"], given["fill"].to_numpy())
    out = ais.columns(found, faults)
    lon, lat = (np.array(out[name].to_numpy(zero_copy_only=False), np.float64) for name in ("lon", "lat"))
    options.within(source, lon, lat, faults)
    heard_us = given["heard_us"].to_numpy()
    filled = clock.times(heard_us, found)
    at, sigma = ais.times(filled, found.numbers("second"))
    own_time = heard_us != nmea.NONE
    by_clock = pa.array(~own_time & (filled != nmea.NONE))
    channel = given["channel"].dictionary_encode()
    channels = pa.array([chr(code) if code else None for code in channel.dictionary.to_pylist()], pa.string())
    return out | {
        "sensor": given["station"],
        "means": "transmitted",
        "at": ais.moments(at),
        "at_sigma_s": pc.if_else(by_clock, pa.scalar(CLOCK_SIGMA_S, pa.float32()), sigma),
        "ais_heard_at": ais.moments(heard_us),
        "ais_channel": channels.take(channel.indices),
        "ais_own": given["own"],
        "ais_id": pa.nulls(len(heard_us), pa.string()),
        UNTIMED: ~own_time,
    }
