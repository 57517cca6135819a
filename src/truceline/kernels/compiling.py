"""Telling of compilation: kernels are compiled on their first use on a machine, which takes half a minute.

Later runs load them from Numba's cache, beside this file or where NUMBA_CACHE_DIR says.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from numba.core import event


class _Listener(event.Listener):  # type: ignore[misc]  # numba has no types
    def __init__(self, tell: Callable[[int], None]) -> None:
        self.tell, self.count = tell, 0

    def on_start(self, event: event.Event) -> None:
        self.count += 1
        self.tell(self.count)

    def on_end(self, event: event.Event) -> None:
        """Nothing is told when one is done: the next begins, or the work."""


@contextmanager
def told(tell: Callable[[int], None]) -> Iterator[None]:
    """Within it `tell` is called with 1, 2, … as each function begins to be compiled; not for those loaded."""
    listener = _Listener(tell)
    event.register("numba:compile", listener)
    try:
        yield
    finally:
        event.unregister("numba:compile", listener)
