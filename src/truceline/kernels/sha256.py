"""SHA-256 of many short messages at once (FIPS 180-4).

A call of hashlib for each costs more than the hash. Here sixteen messages go side by side, and the compiler makes
vector instructions of the loops over them.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

_LANES = 16
_K = np.array(
    [
        *(0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1, 0x923F82A4, 0xAB1C5ED5),
        *(0xD807AA98, 0x12835B01, 0x243185BE, 0x550C7DC3, 0x72BE5D74, 0x80DEB1FE, 0x9BDC06A7, 0xC19BF174),
        *(0xE49B69C1, 0xEFBE4786, 0x0FC19DC6, 0x240CA1CC, 0x2DE92C6F, 0x4A7484AA, 0x5CB0A9DC, 0x76F988DA),
        *(0x983E5152, 0xA831C66D, 0xB00327C8, 0xBF597FC7, 0xC6E00BF3, 0xD5A79147, 0x06CA6351, 0x14292967),
        *(0x27B70A85, 0x2E1B2138, 0x4D2C6DFC, 0x53380D13, 0x650A7354, 0x766A0ABB, 0x81C2C92E, 0x92722C85),
        *(0xA2BFE8A1, 0xA81A664B, 0xC24B8B70, 0xC76C51A3, 0xD192E819, 0xD6990624, 0xF40E3585, 0x106AA070),
        *(0x19A4C116, 0x1E376C08, 0x2748774C, 0x34B0BCB5, 0x391C0CB3, 0x4ED8AA4A, 0x5B9CCA4F, 0x682E6FF3),
        *(0x748F82EE, 0x78A5636F, 0x84C87814, 0x8CC70208, 0x90BEFFFA, 0xA4506CEB, 0xBEF9A3F7, 0xC67178F2),
    ],
    np.uint32,
)
_START = np.array(
    [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19], np.uint32
)


@njit(cache=True)
def _turned(x, by):  # type: ignore[no-untyped-def]
    return (x >> np.uint32(by)) | (x << np.uint32(32 - by))


@njit(cache=True)
def _compress(state, w, now):  # type: ignore[no-untyped-def]
    """One block of every lane: what the first 16 rows of `w` (64, lanes) make of `state` (8, lanes), into `now`."""
    for t in range(16, 64):
        for lane in range(_LANES):
            x, y = w[t - 15, lane], w[t - 2, lane]
            low = _turned(x, 7) ^ _turned(x, 18) ^ (x >> np.uint32(3))
            high = _turned(y, 17) ^ _turned(y, 19) ^ (y >> np.uint32(10))
            w[t, lane] = w[t - 16, lane] + low + w[t - 7, lane] + high
    for k in range(8):
        for lane in range(_LANES):
            now[k, lane] = state[k, lane]
    for t in range(64):
        for lane in range(_LANES):
            a, b, c, e, f, g = now[0, lane], now[1, lane], now[2, lane], now[4, lane], now[5, lane], now[6, lane]
            one = now[7, lane] + (_turned(e, 6) ^ _turned(e, 11) ^ _turned(e, 25)) + (g ^ (e & (f ^ g)))
            one += _K[t] + w[t, lane]
            two = (_turned(a, 2) ^ _turned(a, 13) ^ _turned(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))
            now[7, lane], now[6, lane], now[5, lane], now[4, lane] = g, f, e, now[3, lane] + one
            now[3, lane], now[2, lane], now[1, lane], now[0, lane] = c, b, a, one + two


@njit(cache=True)
def _words(w, lane, content, place):  # type: ignore[no-untyped-def]
    """64 bytes as the first 16 rows of a lane."""
    for t in range(16):
        w[t, lane] = (
            (np.uint32(content[place]) << np.uint32(24))
            | (np.uint32(content[place + 1]) << np.uint32(16))
            | (np.uint32(content[place + 2]) << np.uint32(8))
            | np.uint32(content[place + 3])
        )
        place += 4


@njit(cache=True)
def _padded(room, prefix, content, begin, length, at):  # type: ignore[no-untyped-def]
    """Bytes `at` to `at` + 64 of a message of prefix and content, and behind its end 0x80 and zeros."""
    for k in range(64):
        room[k] = 0
    for k in range(at, min(len(prefix), at + 64)):
        room[k - at] = prefix[k]
    shift = begin - len(prefix)
    for k in range(max(at, len(prefix)), min(length, at + 64)):
        room[k - at] = content[shift + k]
    if at <= length < at + 64:
        room[length - at] = 0x80


@njit(cache=True)
def digests(prefix: Bytes, content: Bytes, offsets: Ints) -> Bytes:
    """Of message i, `prefix` and then `content[offsets[i]:offsets[i + 1]]`: (n, 32) bytes, by hashlib's definition."""
    n = len(offsets) - 1
    out = np.empty((n, 32), np.uint8)
    state, now = np.empty((8, _LANES), np.uint32), np.empty((8, _LANES), np.uint32)
    w, room = np.zeros((64, _LANES), np.uint32), np.zeros(64, np.uint8)
    last = np.zeros(_LANES, np.int64)  # of each lane, blocks
    for first in range(0, n, _LANES):
        lanes, most = min(_LANES, n - first), 0
        for lane in range(lanes):
            last[lane] = (len(prefix) + offsets[first + lane + 1] - offsets[first + lane] + 9 + 63) // 64
            most = max(most, last[lane])
            for k in range(8):
                state[k, lane] = _START[k]
        for block in range(most):
            for lane in range(lanes):
                if block >= last[lane]:
                    continue
                begin = offsets[first + lane]
                length = len(prefix) + offsets[first + lane + 1] - begin
                at = 64 * block
                if at >= len(prefix) and at + 64 <= length:
                    _words(w, lane, content, begin + at - len(prefix))
                    continue
                _padded(room, prefix, content, begin, length, at)
                _words(w, lane, room, 0)
                if block == last[lane] - 1:
                    w[14, lane], w[15, lane] = np.uint32(length >> 29), np.uint32((length << 3) & 0xFFFFFFFF)
            _compress(state, w, now)
            for lane in range(lanes):
                if block < last[lane]:
                    for k in range(8):
                        state[k, lane] += now[k, lane]
        for lane in range(lanes):
            for k in range(8):
                value = state[k, lane]
                for byte in range(4):
                    out[first + lane, 4 * k + byte] = (value >> np.uint32(24 - 8 * byte)) & np.uint32(255)
    return out


def of_rows(prefix: bytes, rows: Bytes) -> Bytes:
    """Of each row of bytes, `prefix` before it: (n, 32) bytes."""
    offsets = np.arange(len(rows) + 1) * rows.shape[1]
    return np.asarray(digests(np.frombuffer(bytearray(prefix), np.uint8), np.array(rows).ravel(), offsets))
