"""What a process of the command line sets for itself before anything heavy is imported: matters of speed alone."""

import ctypes
import gc
import os
import sys

#: Of glibc's mallopt: how much free memory at the top is kept, how much more is asked for at a time, how many
#: allocations may be mapped by themselves.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_KEPT, _MORE = 1 << 30, 64 << 20
#: A process of less than this is let be.
_MUCH = 512 << 20
#: What others import where it is about.
_UNUSED = ("pandas",)


class _Absent:
    """Finds that some modules are not there."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        if name in _UNUSED:
            raise ModuleNotFoundError(f"{name} is not used here", name=name)


def prepare() -> None:
    """Keep freed memory, collect garbage seldom, and leave libraries alone that nobody needs.

    Arrow imports pandas where it is about, 0.3 s, to recognise its objects; there are none here.
    """
    sys.meta_path.insert(0, _Absent())
    gc.set_threshold(100_000)
    keep_memory()


def keep_memory() -> None:
    """Keep freed memory for the next column.

    Tables of tens of megabytes come and go: mapped and unmapped each time, the kernel clears every page of them
    anew, a quarter of a run's time.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        for name, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _KEPT), (_TOP_PAD, _MORE)):
            if mallopt is not None:
                mallopt(name, value)


def give_back() -> None:
    """Give freed memory back to the system, where it is much: between steps that need it for different things."""
    if _resident() < _MUCH:  # the next column would only ask for it again
        return
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None  # musl has none
    if trim is not None:
        trim(0)


def _resident() -> int:
    """Bytes of memory that this process has; 0 where that is not told."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
