"""The currency: observation tables, ids, labels, the one way to arrays."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truceline import observation as obs


def test_an_id_commits_to_source_and_bytes():
    """The same bytes from another source are another observation; the source's name cannot bleed into them."""
    (one,) = obs.leaves("a", [b"bc"])
    assert one == hashlib.sha256(b"\x00" + b"\x00\x01" + b"a" + b"bc").digest()
    assert obs.leaves("ab", [b"c"]) != [one]


def test_untimed_repeats_stay_apart():
    first, second = obs.leaves("a", [b"x", b"x"], occurrences=[0, 1])
    assert first != second
    timed_one, timed_two = obs.leaves("a", [b"x", b"x"])
    assert timed_one == timed_two


@settings(deadline=None)
@given(st.lists(st.binary(min_size=16, max_size=16), max_size=20))
def test_id_pairs_sort_as_the_bytes_do(raw):
    column = pa.chunked_array([pa.array(raw[:3], obs.ID), pa.array(raw[3:], obs.ID)])
    pairs = obs.ids(column)
    assert obs.id_column(pairs).to_pylist() == raw
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    assert [raw[i] for i in order] == sorted(raw)


def test_ids_of_a_slice_are_the_slices():
    column = pa.array([bytes([i]) * 16 for i in range(5)], obs.ID).slice(2, 2)
    assert obs.id_column(obs.ids(column)).to_pylist() == column.to_pylist()


def test_missing_becomes_nan_for_kernels_and_times_become_seconds():
    assert np.isnan(obs.to_numpy(pa.array([1.0, None]))).tolist() == [False, True]
    assert np.isnan(obs.to_numpy(pa.array([1, None], pa.int32()))).tolist() == [False, True]
    times = obs.to_numpy(pa.array([1_500_000, None], obs.TIME))
    assert times[0] == 1.5
    assert np.isnan(times[1])


def test_a_table_has_every_column_and_keeps_a_feeds_own():
    table = obs.table({"source": "s", "record": [1, 2], "firms_frp": np.array([1.0, 2.0])}, 2, _loose())
    assert table.column_names[:3] == ["source", "record", "lon"]
    assert table["firms_frp"].to_pylist() == [1.0, 2.0]
    assert table["lon"].null_count == 2


def _loose() -> pa.Schema:
    return pa.schema([("source", pa.string()), ("record", pa.int64()), ("lon", pa.float64())])


@pytest.mark.parametrize(
    ("labels", "narrowest"),
    [
        (["public"], "public"),
        (["public", "parties"], "parties"),
        (["public", None], "mission"),
        (["nonsense"], "mission"),
        ([], "mission"),
    ],
)
def test_derived_rows_take_the_narrowest_label(labels, narrowest):
    """Default deny: no label, or one nobody knows, is for the mission alone."""
    assert obs.narrowest(labels) == narrowest


@pytest.mark.parametrize(
    ("what", "family"),
    [("explosion.impact", "impulse"), ("explosion.unheard_of", "impulse"), ("uav", "air"), ("gossip", "notice")],
)
def test_unknown_terms_are_judged_by_their_prefix(what, family):
    assert obs.term(what).family == family
