"""Who gets what: as cheap as scipy's dense assignment, on sparse edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naive_tracker import cheapest
from truceline.kernels.assign import assign

MISS = 4.5


def sparse(costs: np.ndarray, allowed: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of edges one after the other."""
    start = np.append(0, np.cumsum(allowed.sum(axis=1))).astype(np.int64)
    return start, np.nonzero(allowed)[1].astype(np.int64), costs[allowed].astype(np.float64)


def total(match: np.ndarray, costs: np.ndarray) -> float:
    """What a pairing costs."""
    return float(sum(MISS if j < 0 else costs[i, j] for i, j in enumerate(match)))


@settings(deadline=None, max_examples=300)
@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([0.1, 0.3, 0.8]), st.integers(0, 2**32 - 1))
def test_a_pairing_costs_what_the_dense_solver_finds(rows, columns, share, seed):
    """Whatever the edges: the same least total, each column once, only along edges."""
    rng = np.random.default_rng(seed)
    costs = rng.choice([rng.uniform(0, 6, (rows, columns)), rng.integers(0, 6, (rows, columns)).astype(float)])
    allowed = rng.random((rows, columns)) < share
    match = assign(*sparse(costs, allowed), MISS, columns)
    taken = match[match >= 0]
    assert len(set(taken)) == len(taken)
    assert all(allowed[i, j] and costs[i, j] < MISS for i, j in enumerate(match) if j >= 0)
    assert total(match, costs) == pytest.approx(cheapest(costs, allowed, MISS))


def test_a_long_chain_of_claims_is_handed_on_to_its_end():
    """Row k likes column k most and k + 1 nearly as much: the last comer shifts everybody."""
    n = 200
    costs = np.full((n + 1, n + 1), 9.0)
    for k in range(n):
        costs[k, k], costs[k, k + 1] = 1.0, 1.01
    costs[n, 0] = 0.5
    match = assign(*sparse(costs, costs < 9.0), MISS, n + 1)
    assert match.tolist() == [*range(1, n + 1), 0]


def test_an_edge_as_dear_as_a_miss_is_not_taken_nor_one_that_is_struck_out():
    """A column below zero is an edge that does not count."""
    start = np.array([0, 1, 3])
    assert assign(start, np.array([0, -1, 0]), np.array([MISS, 0.1, 1.0]), MISS, 1).tolist() == [-1, 0]


def test_nothing_to_pair_gives_nothing():
    """No rows, or rows without edges."""
    none = np.empty(0, np.int64)
    assert assign(np.zeros(1, np.int64), none, np.empty(0), MISS, 3).tolist() == []
    assert assign(np.zeros(3, np.int64), none, np.empty(0), MISS, 0).tolist() == [-1, -1]
