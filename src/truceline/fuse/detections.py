"""Fixes as the tracker takes them: two blocks of numbers, in local metres."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from truceline.frame import Frame
from truceline.fuse.motion import ALT_SIGMA_M, FIX_SIGMA_M, LEAST_SIGMA_M, SPEED_SIGMA_MPS, class_code
from truceline.kernels import gate as g
from truceline.observation import ids, to_numpy

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Detections(NamedTuple):
    """Positions seen, any mix of sensors, in any order; columns as in `kernels.gate`."""

    values: Floats  # (n, 12)
    keys: Ints  # (n, 7)

    def rows(self, which: Ints | npt.NDArray[np.bool_] | slice) -> "Detections":
        """Some of them."""
        return Detections(self.values[which], self.keys[which])


def detections(
    at_s: Floats,
    east_m: Floats,
    north_m: Floats,
    variance_m2: tuple[Floats | float, Floats | float, Floats | float],
    ids: Ints,
    sensor: Ints | int = 0,
    identity: Ints | int = 0,
    scheme: Ints | int = 0,
    kind: Ints | int = 0,
    at_sigma_s: Floats | float = 0.0,
    altitude_m: tuple[Floats | float, Floats | float] = (np.nan, np.nan),
    velocity_mps: tuple[Floats | float, Floats | float, Floats | float] = (np.nan, np.nan, np.nan),
    tag: Ints | int = 0,
) -> Detections:
    """Detections from columns in local metres.

    Parameters
    ----------
    at_s
        (n,) seconds since 1970.
    east_m, north_m
        (n,) metres of the frame.
    variance_m2
        Variance east, covariance, variance north, metres squared; positive definite.
    ids
        (n, 2) int64: the observation ids, each once.
    sensor, identity, scheme
        Codes (`codes` makes them of words); 0: not known.
    kind
        Indices of `motion.CLASSES`.
    altitude_m
        Altitude and its variance; NaN: not known.
    velocity_mps
        Speed east, north and its variance per axis; NaN: not known.
    tag
        Whatever the caller wants to find again beside the points; used for nothing.
    """
    n = len(at_s)
    always = (_column(at_s, n, np.float64), _column(east_m, n, np.float64), _column(north_m, n, np.float64))
    ids = np.ascontiguousarray(ids, np.int64)
    if ids.shape != (n, 2):
        msg = f"ids of shape {ids.shape} beside {n} times"
        raise ValueError(msg)
    values, keys = np.empty((n, g.VALUES)), np.empty((n, g.KEYS), np.int64)
    numbers = (*variance_m2, at_sigma_s, *altitude_m, *velocity_mps)
    single, columns = _told_apart(numbers, values[:, g.VAR_E :])
    single_names, columns_of_names = _told_apart((sensor, identity, scheme, kind, tag), keys[:, g.SENSOR :])
    for low in range(0, n, _TILE):
        tile = slice(low, low + _TILE)
        _woven(*(column[tile] for column in always), ids[tile], single, single_names, values[tile], keys[tile])
        for out, column in (*columns, *columns_of_names):
            out[tile] = column[tile]
    return Detections(values, keys)


#: Rows written at a time: they are in the processor's caches yet when the next column comes.
_TILE = 2048


def _column(column: Any, n: int, kind: type[np.generic]) -> npt.NDArray[Any]:
    """As the kernel takes it: of that type, of n rows, side by side in memory, writable."""
    array = np.asarray(column)
    if array.shape != (n,):
        if array.size != 1:
            msg = f"a column of {len(array)} beside {n} times"
            raise ValueError(msg)
        return np.full(n, array.item(), kind)
    return np.require(array, kind, ["C", "W"])


def _told_apart(given: tuple[Any, ...], out: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], list[Any]]:
    """Single values as a row; and of columns each with its place in `out`."""
    single, columns = np.zeros(len(given), out.dtype), []
    for k, column in enumerate(given):
        if type(column) in (float, int):
            single[k] = column
        else:
            columns.append((out[:, k], _column(column, len(out), out.dtype.type)))
    return single, columns


@njit(cache=True, error_model="numpy", _nrt=False)
def _woven(at, east, north, ids, single, single_names, values, keys):  # type: ignore[no-untyped-def]
    """Write what each row has of its own, and the single values to all: in the order of memory."""
    for k in range(len(at)):
        values[k, g.AT], values[k, g.EAST], values[k, g.NORTH] = at[k], east[k], north[k]
        for x in range(g.VALUES - g.VAR_E):
            values[k, g.VAR_E + x] = single[x]
        keys[k, g.ID_0], keys[k, g.ID_1] = ids[k, 0], ids[k, 1]
        for x in range(g.KEYS - g.SENSOR):
            keys[k, g.SENSOR + x] = single_names[x]


@njit(cache=True)
def _hash_words(offsets, letters, until, out):  # type: ignore[no-untyped-def]
    """FNV-1a of each word, of its part before the byte `until` (negative: all of it); empty words give 0."""
    for k in range(len(out)):
        h = np.uint64(14695981039346656037)
        for at in range(offsets[k], offsets[k + 1]):
            if letters[at] == until:
                break
            h = (h ^ np.uint64(letters[at])) * np.uint64(1099511628211)
        # the low bits of FNV depend on the low bits of the letters only
        h ^= h >> np.uint64(32)
        out[k] = np.int64(h | np.uint64(1)) if offsets[k + 1] > offsets[k] else 0


def codes(column: pa.ChunkedArray | pa.Array, until: str = "") -> Ints:
    """64-bit codes of words that depend on the words alone, 0 for null; with `until`, of the part before it."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    array = array.cast(pa.large_string()).fill_null("")
    offsets = np.frombuffer(array.buffers()[1], np.int64, len(array) + 1, array.offset * 8)
    letters = array.buffers()[2]
    out = np.empty(len(array), np.int64)
    data = np.frombuffer(letters, np.uint8).copy() if letters is not None and letters.size else np.zeros(1, np.uint8)
    _hash_words(offsets.copy(), data, ord(until) if until else -1, out)
    return out


#: Why a fix is not tracked, in the order of their codes less one.
UNUSABLE = ("no time", "no position", "outside the frame")


def from_observations(table: pa.Table, frame: Frame) -> tuple[Detections, Ints]:
    """Fixes of `observation.CORE` as detections, and why some cannot be: an index of `UNUSABLE` + 1, 0 where they can.

    An interval becomes its middle with the spread of its length; an ellipse that is not stated the one of
    `motion.FIX_SIGMA_M`; rows that cannot be tracked are in neither order nor number of the detections.
    """
    lon, lat = to_numpy(table["lon"]), to_numpy(table["lat"])
    at, at_sigma = instants(table)
    east, north = frame.to_local(lon, lat)
    reasons = np.where(np.isnan(at), 1, np.where(np.isnan(east) | np.isnan(north), 2, 0))
    reasons[(reasons == 0) & (np.hypot(east, north) > frame.radius_m)] = 3
    good = np.flatnonzero(reasons == 0)
    table, lon, lat = table.take(pa.array(good)), lon[good], lat[good]
    whats, sigma_of, kind_of = _by_what(table["what"])
    stated = {name: to_numpy(table[name]).astype(np.float64) for name in _NUMBERS}
    default = sigma_of[whats]
    major = np.maximum(np.where(np.isnan(stated["major_m"]), default, stated["major_m"]), LEAST_SIGMA_M)
    minor = np.maximum(np.where(np.isnan(stated["minor_m"]), major, stated["minor_m"]), LEAST_SIGMA_M)
    variance = frame.covariance(lon, lat, major, minor, np.nan_to_num(stated["tilt_deg"]))
    course = np.radians(frame.true_to_grid_deg(stated["course_deg"], lon, lat))
    # a ship at rest turns round its anchor: its course says nothing, and needs to
    speed = np.where(stated["speed_mps"] == 0.0, 0.0, stated["speed_mps"])
    course = np.where((speed == 0.0) & np.isnan(course), 0.0, course)
    moving = np.where(np.isnan(speed * course), np.nan, SPEED_SIGMA_MPS.value**2)
    alt = stated["alt_m"]
    identity = table["identity"]
    return (
        detections(
            at[good],
            east[good],
            north[good],
            variance,
            ids(table["observation_id"]).view(np.int64),
            codes(pc.fill_null(table["sensor"], table["source"])),
            codes(identity),
            codes(identity, ":"),
            kind_of[whats],
            at_sigma[good],
            (alt, np.where(np.isnan(alt), np.nan, ALT_SIGMA_M.value**2)),
            (speed * np.sin(course), speed * np.cos(course), moving),
            good,
        ),
        reasons,
    )


def instants(table: pa.Table) -> tuple[Floats, Floats]:
    """When, seconds since 1970, and its error: of an interval the middle and the spread of its length."""
    at, until = to_numpy(table["at"]), to_numpy(table["until"])
    sigma = np.nan_to_num(to_numpy(table["at_sigma_s"]).astype(np.float64))
    interval = until > at  # False for NaN
    return (
        np.where(interval, (at + until) / 2, at),
        np.where(interval, np.hypot(sigma, (until - at) / np.sqrt(12.0)), sigma),
    )


_NUMBERS = ("major_m", "minor_m", "tilt_deg", "speed_mps", "course_deg", "alt_m")


def _by_what(column: pa.ChunkedArray) -> tuple[Ints, Floats, Ints]:
    """Codes of terms, and per code the position error and the class."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    encoded = array.dictionary_encode()
    words = encoded.dictionary.to_pylist()
    sigma = [FIX_SIGMA_M.get(w.split(".", 1)[0], FIX_SIGMA_M[""]).value for w in words]
    kinds = [class_code(w) for w in words]
    rows = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return rows, np.array(sigma, np.float64), np.array(kinds, np.int64)


def both(a: Detections, b: Detections) -> Detections:
    """The rows of both."""
    if not len(a.values):
        return b
    return Detections(np.concatenate([a.values, b.values]), np.concatenate([a.keys, b.keys]))


def among(ids: Ints, known: Ints) -> npt.NDArray[np.bool_]:
    """Of each id whether it is among known ones."""
    known = known[np.isin(known[:, 0], ids[:, 0])]
    whole = np.concatenate([known, ids])
    order = np.lexsort((np.arange(len(whole)) >= len(known), whole[:, 1], whole[:, 0]))
    same = np.append(False, (whole[order[1:]] == whole[order[:-1]]).all(axis=1))
    # the known ones come first among equals; ids themselves are each once, or dropped as repeats later
    out = np.zeros(len(whole), np.bool_)
    out[order] = same
    return out[len(known) :]


def in_order_of_work(rows: Detections, slice_s: float) -> tuple[Ints, Ints]:
    """The order of slice, sensor, time and id, without repeats of an id at one time; and the rows left out."""
    values, keys = rows
    at = values[:, g.AT]
    order = np.lexsort((keys[:, g.ID_1], keys[:, g.ID_0], at, keys[:, g.SENSOR], np.floor(at / slice_s)))
    if len(order) < 2:
        return order, order[:0]
    same = (keys[order[1:], :3] == keys[order[:-1], :3]).all(axis=1) & (at[order[1:]] == at[order[:-1]])
    return order[np.append(True, ~same)], order[np.append(False, same)]
