"""The nearest place on a polyline, for many points."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naive_geometry import nearest
from truceline.kernels import polyline

seeds = st.integers(0, 2**32 - 1)


def segments_of(parts):
    return np.ascontiguousarray(np.vstack([np.hstack([p[:-1], p[1:]]) for p in parts]))


@settings(deadline=None, max_examples=40)
@given(seeds)
def test_the_nearest_place_on_a_line_is_the_nearest_of_all_segments(seed):
    rng = np.random.default_rng(seed)
    parts = [np.cumsum(rng.normal(0, 10, (rng.integers(2, 40), 2)), axis=0) for _ in range(rng.integers(1, 4))]
    segments = segments_of(parts)
    east, north = rng.normal(0, 100, (2, 30))
    segment, distance, along = polyline.nearest(polyline.index_segments(segments), east, north)
    begins = np.concatenate([[0], np.cumsum(np.hypot(*(segments[:, 2:] - segments[:, :2]).T))])
    for i in range(30):
        expected, chainage = nearest(parts, east[i], north[i])
        assert distance[i] == pytest.approx(expected, abs=1e-9)
        assert begins[segment[i]] + along[i] == pytest.approx(chainage, abs=1e-6)


def test_of_equally_near_segments_the_first_is_taken():
    """At a bend both segments end there; the answer does not depend on how the tree was cut."""
    path = np.array([(0.0, 0.0), (10.0, 0.0), (10.0, 10.0)])
    segment, distance, along = polyline.nearest(
        polyline.index_segments(segments_of([path])), np.array([20.0]), np.array([-10.0])
    )
    assert (segment[0], along[0]) == (0, 10.0)
    assert distance[0] == pytest.approx(math.hypot(10, 10))


def test_without_a_line_or_a_place_there_is_no_nearest():
    none = polyline.nearest(polyline.index_segments(np.empty((0, 4))), np.array([1.0]), np.array([1.0]))
    line = polyline.index_segments(segments_of([np.array([(0.0, 0.0), (1.0, 0.0)])]))
    nowhere = polyline.nearest(line, np.array([np.nan]), np.array([1.0]))
    for segment, distance, along in (none, nowhere):
        assert segment[0] == -1
        assert np.isnan([distance[0], along[0]]).all()
