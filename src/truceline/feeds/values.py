"""Columns of text to columns of numbers and times, whole columns at once; what cannot be read is a fault.

A text is missing when it is null, empty, or one of nan, na, n/a, null, none in any case; blanks around it do
not count. What is missing or faulty becomes NaN or null.
"""

import difflib
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.feeds.batch import Faults
from truceline.observation import TIME

T = TypeVar("T")
Array = npt.NDArray[np.float64]

_MISSING = r"(?i)^(nan|na|n/a|null|none)?$"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,9})?", re.ASCII)
_INT32 = 2**31 - 1


def numbers(
    text: pa.Array,
    name: str,
    faults: Faults,
    *,
    low: float = -np.inf,
    high: float = np.inf,
    required: bool = False,
    decimal: str = ".",
) -> Array:
    """Decimal numbers, float64; NaN where missing. Those outside `low`..`high` are faults. `text` may be numbers."""
    if decimal != ".":
        text = pc.replace_substring(text, decimal, ".")
    values = _floats(text)
    finite = np.isfinite(values)
    if not finite.all():
        missing = absent(text)
        if required:
            empty = pc.equal(pc.utf8_trim_whitespace(text), "").fill_null(True).to_numpy(zero_copy_only=False)
            faults.add(empty, name, text, "is missing")
            missing[:] = False
        faults.add(~finite & ~missing, name, text, "is not a number")
    with np.errstate(invalid="ignore"):
        outside = finite & ((values < low) | (values > high))
    if outside.any():
        reason = f"is outside {low:g}..{high:g}" if np.isfinite(high) else f"is less than {low:g}"
        faults.add(outside, name, text, reason)
    values[~finite | outside] = np.nan
    return values


def _floats(text: pa.Array) -> Array:
    """The column cast as a whole where every text is a plain number, else value by value; NaN for no number."""
    if pa.types.is_floating(text.type):
        return np.array(text.to_numpy(zero_copy_only=False), np.float64)
    for blank in (False, True):
        said = pc.if_else(pa.array(absent(text)), None, text) if blank else text
        try:
            return np.array(pc.cast(said, pa.float64()).to_numpy(zero_copy_only=False), np.float64)
        except pa.ArrowInvalid:
            continue
    found, codes = each(text, _float)
    return np.array(found, np.float64)[codes]


def _float(text: str | None) -> float:
    text = (text or "").strip()
    return float(text) if _NUMBER.fullmatch(text) else np.nan


def whole(text: pa.Array, name: str, faults: Faults, *, zero_is_missing: bool = False) -> pa.Array:
    """Counts, int32, not negative; null where missing (and, when it only says "none stated", where 0)."""
    values = numbers(text, name, faults, low=0, high=_INT32)
    broken = np.isfinite(values) & (values != np.floor(values))
    faults.add(broken, name, text, "is not a whole number")
    missing = ~np.isfinite(values) | broken | (zero_is_missing & (values == 0))
    return pa.array(np.where(missing, 0, values).astype(np.int32), mask=missing)


def absent(text: pa.Array) -> npt.NDArray[np.bool_]:
    """Where nothing is said."""
    if pa.types.is_floating(text.type):
        return np.asarray(text.is_null().to_numpy(zero_copy_only=False))
    said = pc.match_substring_regex(pc.utf8_trim_whitespace(text), _MISSING)
    return np.asarray(said.fill_null(True).to_numpy(zero_copy_only=False))


def words(text: pa.Array) -> pa.Array:
    """The text without blanks around it; null where nothing is left."""
    trimmed = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.equal(trimmed, ""), None, trimmed)


def each(text: pa.Array, meaning: Callable[[str | None], T]) -> tuple[list[T], npt.NDArray[np.int64]]:
    """`meaning` of every distinct text, and for each row the place of its own in that list.

    A column of a million rows has few distinct dates or words: this is how Python code reads them.
    """
    coded = text.dictionary_encode(null_encoding="encode")
    return [meaning(value) for value in coded.dictionary.to_pylist()], coded.indices.to_numpy().astype(np.int64)


def times(micros: npt.NDArray[np.int64], missing: npt.NDArray[np.bool_]) -> pa.Array:
    """Microseconds since 1970, UTC, as a time column."""
    return pa.array(np.where(missing, 0, micros), pa.int64(), mask=missing).cast(TIME)


def taken(values: Iterable[Any], kind: pa.DataType, codes: npt.NDArray[np.int64]) -> pa.Array:
    """The column whose row i is `values[codes[i]]`."""
    return pa.array(list(values), kind).take(pa.array(codes))


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for a misspelt word: "; did you mean 'lat'?", or what there is."""
    names = list(known)
    lower = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower(), lower, n=1, cutoff=0.6)
    return f"; did you mean {lower[close[0]]!r}?" if close else f"; there are {', '.join(names)}"
