"""Who waits for a compiler is told so, and only then."""

from numba import njit

from truceline.kernels import compiling


def test_a_compilation_is_told_once_and_a_compiled_function_not_at_all():
    @njit
    def twice(x):
        return 2 * x

    told: list[int] = []
    with compiling.told(told.append):
        assert twice(2.0) == 4.0
        assert twice(3.0) == 6.0
    assert told == [1]


def test_nothing_is_told_after_it():
    """The listener goes with its block, even when an error ends that."""

    @njit
    def thrice(x):
        return 3 * x

    told: list[int] = []
    try:
        with compiling.told(told.append):
            raise ValueError
    except ValueError:
        pass
    thrice(2.0)
    assert told == []
