"""The digest: the same picture gives the same 64 digits, another picture gives others."""

import numpy as np
import pyarrow as pa
import pytest

from truceline import picture
from truceline.observation import ID, LIKELIHOODS, TIME

SCHEMA = pa.schema(
    [
        pa.field("event_id", ID, nullable=False),
        ("lon", pa.float64()),
        ("major_m", pa.float32()),
        ("at", TIME),
        ("what", pa.string()),
        ("sources", pa.list_(pa.string())),
        ("alternatives", LIKELIHOODS),
        ("file", pa.string()),
        ("factors", pa.list_(pa.struct([("name", pa.string()), ("value", pa.float32())]))),
    ]
)


def row(n: int, **changes: object) -> dict:
    return {
        "event_id": bytes([n]) * 16,
        "lon": 37.5 + n,
        "major_m": 200.0,
        "at": n,
        "what": "fire",
        "sources": ["a", "b"],
        "alternatives": [("fire", 0.9)],
        "file": "x.csv",
        "factors": [{"name": "kind", "value": 0.5}],
        **changes,
    }


def of(*rows: dict) -> str:
    return picture.digest({"events": pa.Table.from_pylist(list(rows), schema=SCHEMA)})


def test_batches_do_not_matter():
    rows = [row(n) for n in range(5)] + [row(5, what=None, sources=None, event_id=bytes(16)), row(6, lon=None)]
    assert of(*rows) != of(*reversed(rows))
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    chunks = pa.concat_tables([table.slice(0, 3), table.slice(3, 0), table.slice(3)])
    assert picture.digest({"events": chunks}) == of(*rows)


def test_pieces_without_words_do_not_matter():
    """A first piece whose lists are empty brings up the parts of a column in another order."""
    bare = row(1, what=None, sources=[], alternatives=[], factors=[])
    tables = [pa.Table.from_pylist([r], schema=SCHEMA) for r in (bare, row(2))]
    pieces = pa.concat_tables(tables)
    assert picture.digest({"events": pieces}) == picture.digest({"events": pieces.combine_chunks()})


def test_where_a_record_stood_does_not_matter():
    assert of(row(1, file="y.csv")) == of(row(1))


def test_float_noise_does_not_matter():
    assert of(row(1, lon=np.nextafter(38.5, 39))) == of(row(1))


@pytest.mark.parametrize(
    "change",
    [
        {"lon": 38.5001},
        {"lon": None},
        {"lon": float("nan")},
        {"major_m": 201.0},
        {"at": 2},
        {"at": None},
        {"what": "shot"},
        {"what": None},
        {"sources": ["ab"]},
        {"sources": None},
        {"alternatives": [("fire", 0.8)]},
        {"factors": []},
        {"factors": [{"name": "kind", "value": 0.6}]},
    ],
    ids=str,
)
def test_what_matters_changes_it(change):
    assert of(row(1, **change)) != of(row(1))


def test_null_is_not_nan_and_lists_do_not_run_together():
    assert of(row(1, lon=None)) != of(row(1, lon=float("nan")))
    one = of(row(1, sources=["a"]), row(2, sources=["b", "c"]))
    other = of(row(1, sources=["a", "b"]), row(2, sources=["c"]))
    assert one != other
