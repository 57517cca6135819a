"""A smooth map of the plane, such as a projection, by polynomials over square patches.

What is dear to compute once a point is computed at 36 places of a patch (Chebyshev's nodes of the fifth degree, each
way), and everywhere in it from these: of a projection of the ellipsoid, over patches of a degree, within a nanometre.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Nodes along each side of a patch.
NODES = 6


def nodes() -> Floats:
    """Where the nodes lie along a side, -1 to 1."""
    return np.cos(np.pi * (np.arange(NODES) + 0.5) / NODES)


def coefficients(values: Floats) -> Floats:
    """Of values at the nodes, (..., NODES, NODES), the coefficients of the polynomials, of the same shape."""
    k = np.arange(NODES)
    basis = np.cos(np.outer(k, np.pi * (k + 0.5) / NODES)) * 2 / NODES
    basis[0] /= 2
    return np.ascontiguousarray(np.einsum("ik,jl,...kl->...ij", basis, basis, values))


@njit(cache=True)
def patch_of(x: Floats, y: Floats, x0: float, y0: float, size: float, columns: int, rows: int) -> Ints:
    """The patch of each point, row * columns + column; -1 outside, and for NaN."""
    out = np.empty(len(x), np.int64)
    for i in range(len(x)):
        u, v = (x[i] - x0) / size, (y[i] - y0) / size
        if u >= 0.0 and v >= 0.0 and u < columns and v < rows:
            out[i] = int(v) * columns + int(u)
        else:
            out[i] = -1
    return out


@njit(cache=True)
def evaluate(
    x: Floats, y: Floats, x0: float, y0: float, size: float, columns: int, patch: Ints, slot: Ints, by: Floats
) -> tuple[Floats, Floats]:
    """Both values of the map at points.

    Parameters
    ----------
    patch
        (n,) of `patch_of`.
    slot
        (patches,) which of `by` is a patch's.
    by
        (slots, 2, NODES, NODES) coefficients, over x, then y.

    Returns
    -------
    Two arrays (n,); NaN where there is no patch.
    """
    a, b = np.empty(len(x)), np.empty(len(x))
    p, q = np.empty(NODES), np.empty(NODES)
    for i in range(len(x)):
        if patch[i] < 0:
            a[i] = b[i] = np.nan
            continue
        row = patch[i] // columns
        column = patch[i] - row * columns
        u, v = 2.0 * ((x[i] - x0) / size - column) - 1.0, 2.0 * ((y[i] - y0) / size - row) - 1.0
        p[0], p[1], q[0], q[1] = 1.0, u, 1.0, v
        for k in range(2, NODES):
            p[k], q[k] = 2.0 * u * p[k - 1] - p[k - 2], 2.0 * v * q[k - 1] - q[k - 2]
        c = by[slot[patch[i]]]
        first, second = 0.0, 0.0
        for j in range(NODES):
            one, two = 0.0, 0.0
            for k in range(NODES):
                one += c[0, j, k] * q[k]
                two += c[1, j, k] * q[k]
            first += one * p[j]
            second += two * p[j]
        a[i], b[i] = first, second
    return a, b
