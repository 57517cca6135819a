"""Arrays in, arrays out: the numerical parts that have to be fast. The contract every kernel keeps.

What goes in
    numpy arrays, C-contiguous, writeable, of two types only: float64 and int64 (bool for masks), so that each
    kernel is compiled once: numba compiles anew for every other layout, and for read-only arrays too (an Arrow
    column is one: `np.require(column, requirements=["C", "W"])`). Columns come through
    `observation.to_numpy`: missing is NaN. Where several arrays always travel together, a `typing.NamedTuple`
    of arrays, built by one function of the same module.
Units
    Local metres (east, north), seconds, radians. A name ends with its unit. Degrees, dates, strings and
    shapes stay outside. Single letters are for inside a kernel, bound to words in its docstring.
What comes out
    New arrays; arguments are never written to. Pairs (a, b) come sorted by a, then b. The result depends
    on the values given, not on the order or the batching of rows: ties are broken by value or index, and
    no sum depends on how rows are grouped.
Edges
    Kernels do not raise and do not print: a row with NaN gives NaN, no pair, or label -1, as its docstring
    says; empty arrays give empty arrays. Each docstring also says what is *not* checked (lengths, ranges,
    order); whoever calls checks that before.
How
    `@njit(cache=True)`, never `fastmath` (NaN keeps its meaning, and the tests of exactness rely on the order
    of operations as written), never `parallel` (one process, one core; whoever has more cores has more
    processes); with `error_model="numpy"`, or a check, where a divisor may be zero. Memory is allocated once or
    doubled, never per row. numpy and numba (with llvmlite, which numba is made of) only: a contract in pyproject.toml;
    no clock, no randomness.
Tests
    Each kernel has a slow and obvious twin in `tests/naive_<topic>.py` that shares no code with it, a
    property test (hypothesis, deadline=None) for what must hold whatever the input, and an invariance test:
    shift, turn or permute the input, and the answer moves with it.
"""
