"""Many small payloads of JSON lines, as devices post them, read together: many cost little more than one."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from truceline import observation
from truceline.feeds.batch import Batch, Intake
from truceline.feeds.lines import NONE, faults_of
from truceline.feeds.observations import json_records, read_columns
from truceline.feeds.records import LONGEST_RECORD, MOST_RECORDS
from truceline.kernels import split
from truceline.mission import Source

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Sent(Protocol):
    """A payload: whose it is, its bytes, what the evidence calls it, when it came."""

    @property
    def source(self) -> Source: ...
    @property
    def body(self) -> bytes: ...
    @property
    def name(self) -> str: ...
    @property
    def received_at(self) -> datetime: ...


class Posted(NamedTuple):
    """What became of some payloads: the rows, and of each the payload it came in."""

    batch: Batch
    of_observation: npt.NDArray[np.int64]
    of_rejection: npt.NDArray[np.int64]


def posted(payloads: Sequence[Sent]) -> Iterator[Posted]:
    """The records of payloads of any sources that have the same options; each has its own numbers.

    What is given for one payload does not depend on the others.
    """
    source = payloads[0].source
    intake = Intake(source, "", payloads[0].received_at, source.licence)
    bodies = [one.body.removeprefix(b"\xef\xbb\xbf") for one in payloads]
    begins = np.cumsum([0, *(len(body) + 1 for body in bodies)])[:-1]
    joined = b"\n".join(bodies)
    data = np.frombuffer(joined, np.uint8)
    before = np.zeros(len(payloads), np.int64)  # records of each payload in earlier batches
    at = 0
    while at < len(data):
        starts, ends, _, wrong, at, _ = split.split_records(
            data, at, True, NONE, NONE, 0, LONGEST_RECORD, 0, MOST_RECORDS
        )
        if not len(starts):
            break
        raws = [joined[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
        owner = np.searchsorted(begins, starts, side="right") - 1
        first = np.searchsorted(owner, np.arange(len(payloads)))
        records = replace(
            json_records(1, raws, faults_of(data, starts, ends, wrong, LONGEST_RECORD)),
            leaves=_leaves(payloads, owner, raws),
        )
        tables, owners = [], []
        for rows in intake.batch(records, partial(read_columns, records.columns, source)):
            place = rows["record"].to_numpy() - 1
            mine = owner[place]
            owners.append(mine)
            tables.append(_owned(rows, payloads, mine, place - first[mine] + before[mine] + 1))
        yield Posted(Batch(*tables), *owners)
        before += np.bincount(owner, minlength=len(payloads))


def _leaves(payloads: Sequence[Sent], owner: npt.NDArray[np.int64], raws: list[bytes]) -> list[bytes]:
    """The records' hashes; what stands together is hashed together."""
    cuts = [0, *(np.flatnonzero(np.diff(owner)) + 1).tolist(), len(raws)]
    sources = [payloads[one].source.id for one in owner[cuts[:-1]].tolist()]
    runs = zip(sources, pairwise(cuts), strict=True)
    return [leaf for source, (begin, end) in runs for leaf in observation.leaves(source, raws[begin:end])]


def _owned(
    rows: pa.Table, payloads: Sequence[Sent], of: npt.NDArray[np.int64], numbers: npt.NDArray[np.int64]
) -> pa.Table:
    """Rows with what their own payloads say of them; `of` is the payload of each."""
    if not rows.num_rows:
        return rows
    said: dict[str, list[Any]] = {
        "file": [one.name for one in payloads],
        "received_at": [(one.received_at - _EPOCH) // timedelta(microseconds=1) for one in payloads],
        "source": [one.source.id for one in payloads],
        "release": [one.source.release for one in payloads],
        "licence": [one.source.licence for one in payloads],
    }
    place = pa.array(of)
    own = {name: pa.array(each, rows.schema.field(name).type).take(place) for name, each in said.items()}
    own["record"] = pa.array(numbers)
    columns = [own.get(field.name, column) for field, column in zip(rows.schema, rows.columns, strict=True)]
    return pa.Table.from_arrays(columns, schema=rows.schema)
