"""Where the blocks of ASTERIX, their records and items begin and end.

    block    category, length (2 bytes, big endian, its own 3 bytes included), records
    record   FSPEC (7 item bits and one "more" bit a byte), then the items it names, in order

What an item looks like is not written here: it comes as the table of a category (`Standard`). All kernels take
the file's bytes as a uint8 array, offsets are int64 into it; nothing is checked but what a fault is named for.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

#: What can be wrong with a block or a record; 0 is one in order, 1 to 3 are a packet's (`kernels.packets`).
(
    NO_BLOCK,
    PAST_END,
    OTHER_CATEGORY,
    NO_FSPEC,
    LONG_FSPEC,
    UNDEFINED_ITEM,
    ITEM_PAST_END,
    ENDLESS_ITEM,
    EMPTY_ITEM,
    NO_ITEM,
) = range(4, 14)

#: Forms of an item: columns `form`, `a`, `b`, `c` of `Standard.nodes`; the last column is the slot, or -1.
SPARE = 0
FIXED = 1  # a bytes
EXTENDED = 2  # parts a .. a + b of `parts`, bytes each; c: the last of them too ends with a "more" bit
REPEATED = 3  # a bytes each, as many as b bytes before them say
CHAINED = 4  # a bytes each, as long as the last bit says more
EXPLICIT = 5  # the first byte is the length of all
COMPOUND = 6  # an FSPEC of at most c bytes over nodes a .. a + b
RANDOM = 7  # a count, then so many pairs of a field's number and its item


class Standard(NamedTuple):
    """The tables of the categories that are read; built by `feeds.asterix_layout`."""

    categories: Ints  # (256, 3): first node, nodes, longest FSPEC; first node -1: the category is not read
    nodes: Ints  # (m, 5): form, a, b, c, slot
    parts: Ints  # (p,): bytes of the parts of extended items
    slots: int  # as many as the category that has most


@njit(cache=True)
def _pair(data: Bytes, at: int) -> int:
    return (int(data[at]) << 8) | int(data[at + 1])


@njit(cache=True)
def split_blocks(
    data: Bytes,
    starts: Ints,
    ends: Ints,
    faults: Ints,
    known: npt.NDArray[np.bool_],
    standard: Standard,
    final: bool,
    piece: int,
) -> tuple[Ints, Ints, Ints, Ints, int]:
    """The blocks of datagrams, or of one stream of blocks.

    Where no block can begin (a category that is not `known`, a length under 4 or past the end), the bytes up to
    the next place where one can are one block with the fault NO_BLOCK, or PAST_END where they begin like a block;
    at most `piece` bytes at a time. Such a place is believed when the block ends with its datagram, or before
    another, or when its records can be followed to its end: so headers that recorders write between blocks are
    skipped.

    Parameters
    ----------
    starts, ends, faults
        (s,) of the datagrams; those with a fault are given on as they are.
    known
        (256,) the categories that there are.
    final
        Whether the last datagram is whole; if not, what is not whole at its end is left.

    Returns
    -------
    starts, ends, datagrams, faults
        (n,) of each block, its datagram, and 0 or the fault.
    consumed
        Where the last datagram, if it is not whole, goes on.
    """
    room = 64
    out = np.empty((4, room), np.int64)
    n, consumed = 0, 0
    for s in range(len(starts)):
        at, end = starts[s], ends[s]
        whole = final or s + 1 < len(starts)
        while at < end or (faults[s] != 0 and at == starts[s]):
            fault = faults[s]
            behind = end
            if fault == 0:
                behind = _block_end(data, at, end, known)
                if behind > end:
                    if not whole:
                        break
                    fault = PAST_END
                elif behind < 0:
                    fault = NO_BLOCK
                    if not whole and end - at < 3:
                        break
                if fault:
                    behind = _next_block(data, at, end, known, standard, whole, piece)
                    if behind < 0:
                        break
            if n == room:
                room *= 2
                larger = np.empty((4, room), np.int64)
                larger[:, :n] = out
                out = larger
            out[0, n], out[1, n], out[2, n], out[3, n] = at, behind, s, fault
            n, at = n + 1, behind
            if faults[s] != 0:
                break
        consumed = at
    return out[0, :n].copy(), out[1, :n].copy(), out[2, :n].copy(), out[3, :n].copy(), consumed


@njit(cache=True)
def _block_end(data: Bytes, at: int, end: int, known: npt.NDArray[np.bool_]) -> int:
    """Where the block at `at` ends by its own header; -1 when that is no header of a block."""
    if at + 3 > end or not known[data[at]]:
        return -1
    length = _pair(data, at + 1)
    return at + length if length > 3 else -1


@njit(cache=True)
def _next_block(
    data: Bytes, at: int, end: int, known: npt.NDArray[np.bool_], standard: Standard, whole: bool, piece: int
) -> int:
    """Where, behind `at`, a block begins that can be believed; -1: not known yet."""
    for q in range(at + 1, min(end, at + piece)):
        behind = _block_end(data, q, end, known)
        if behind < 0:
            if not whole and q + 3 > end:
                return -1
            continue
        if behind > end:
            if not whole:
                return -1
            continue
        if (whole and behind == end) or _can_be_followed(data, q, behind, standard):
            return q
        if behind + 3 > end and not whole:
            return -1
        if _block_end(data, behind, end, known) >= 0:
            return q
    if end >= at + piece:
        return at + piece
    return end if whole else -1


@njit(cache=True)
def _can_be_followed(data: Bytes, begin: int, end: int, standard: Standard) -> bool:
    """Whether the block is of a category that is read, and its records end where it ends."""
    category = int(data[begin])
    if standard.categories[category, 0] < 0:
        return False
    starts, ends = np.empty(standard.slots, np.int64), np.empty(standard.slots, np.int64)
    at = begin + 3
    while at < end:
        at, fault, _ = _record(data, at, end, category, standard, starts, ends)
        if fault:
            return False
    return True


@njit(cache=True)
def split_records(
    data: Bytes, starts: Ints, ends: Ints, faults: Ints, standard: Standard, capacity: int
) -> tuple[Ints, Ints, Ints, Ints, Ints, Ints, Ints, int]:
    """The records of blocks, and where the wanted items lie in them.

    A record that cannot be followed takes the rest of its block with it, because nothing else says where the
    next one begins.

    Parameters
    ----------
    starts, ends, faults
        (b,) of blocks; those with a fault, and of categories that are not read, are one record each.
    capacity
        Stop before a block whose records might not fit; a block has at most 32,767.

    Returns
    -------
    starts, ends
        (n,) of the records, without the block's header where they are in order.
    blocks
        (n,) the block of each.
    faults, nodes
        (n,) 0 or what is wrong, and the node of the item where.
    item_starts, item_ends
        (n, slots) of the wanted items; -1 for none.
    done
        How many blocks were read.
    """
    rows = 0
    for b in range(len(starts)):
        rows += 1 if faults[b] else (ends[b] - starts[b]) // 2 + 1
    rows = min(rows, capacity)
    first, last = np.empty(rows, np.int64), np.empty(rows, np.int64)
    block, fault, where = np.empty(rows, np.int64), np.empty(rows, np.int64), np.empty(rows, np.int64)
    item_starts = np.full((rows, standard.slots), -1, np.int64)
    item_ends = np.full((rows, standard.slots), -1, np.int64)
    n, done = 0, 0
    for b in range(len(starts)):
        if n + (ends[b] - starts[b]) // 2 + 1 > rows and faults[b] == 0 and n > 0:
            break
        done += 1
        category = int(data[starts[b]]) if starts[b] < ends[b] else 0
        wrong = faults[b]
        if wrong == 0 and standard.categories[category, 0] < 0:
            wrong = OTHER_CATEGORY
        at = starts[b] if wrong else starts[b] + 3
        while at < ends[b] or wrong:
            behind, node = ends[b], -1
            if wrong == 0:
                behind, wrong, node = _record(data, at, ends[b], category, standard, item_starts[n], item_ends[n])
            first[n], last[n], block[n], fault[n], where[n] = at, behind, b, wrong, node
            n, at = n + 1, behind
            if wrong:
                break
        if n == rows:
            break
    return first[:n], last[:n], block[:n], fault[:n], where[:n], item_starts[:n], item_ends[:n], done


@njit(cache=True)
def _record(
    data: Bytes, at: int, end: int, category: int, standard: Standard, item_starts: Ints, item_ends: Ints
) -> tuple[int, int, int]:
    """Where the record at `at` ends, what is wrong with it, and in which node; fills its slots."""
    first, count, longest = standard.categories[category]
    behind, fault, node, named = _items(data, at, end, first, count, longest, standard, item_starts, item_ends)
    if fault == 0 and named == 0:
        fault = NO_ITEM
    if fault:
        item_starts[:] = -1
        item_ends[:] = -1
        return end, fault, node
    return behind, 0, -1


@njit(cache=True)
def _fspec_end(data: Bytes, at: int, end: int, longest: int) -> tuple[int, int]:
    behind = at
    while True:
        if behind >= end:
            return end, NO_FSPEC
        if behind - at >= longest:
            return end, LONG_FSPEC
        behind += 1
        if data[behind - 1] & 1 == 0:
            return behind, 0


@njit(cache=True)
def _items(
    data: Bytes,
    begin: int,
    end: int,
    first: int,
    count: int,
    longest: int,
    standard: Standard,
    item_starts: Ints,
    item_ends: Ints,
) -> tuple[int, int, int, int]:
    """The items that the FSPEC at `begin` names: where they end, a fault, its node, how many there are."""
    at, fault = _fspec_end(data, begin, end, longest)
    if fault:
        return end, fault, -1, 0
    fspec, named, place = at - begin, 0, -1
    for byte in range(fspec):
        for bit in range(7, 0, -1):
            place += 1
            if (data[begin + byte] >> bit) & 1 == 0:
                continue
            named += 1
            node = first + place
            if place >= count or standard.nodes[node, 0] == SPARE:
                return end, UNDEFINED_ITEM, node if place < count else -1, named
            start = at
            if standard.nodes[node, 0] == COMPOUND:
                at, fault, inner = _compound(data, at, end, node, standard, item_starts, item_ends)
                if fault:
                    return end, fault, inner if inner >= 0 else node, named
            elif standard.nodes[node, 0] == RANDOM:
                at, fault = _random(data, at, end, first, count, standard)
            else:
                at, fault = _item(data, at, end, standard.nodes[node], standard.parts)
            if fault:
                return end, fault, node, named
            slot = standard.nodes[node, 4]
            if slot >= 0:
                item_starts[slot], item_ends[slot] = start, at
    return at, 0, -1, named


@njit(cache=True)
def _compound(
    data: Bytes, begin: int, end: int, node: int, standard: Standard, item_starts: Ints, item_ends: Ints
) -> tuple[int, int, int]:
    first, count, longest = standard.nodes[node, 1], standard.nodes[node, 2], standard.nodes[node, 3]
    at, fault = _fspec_end(data, begin, end, longest)
    if fault:
        return end, fault, -1
    place = -1
    for byte in range(at - begin):
        for bit in range(7, 0, -1):
            place += 1
            if (data[begin + byte] >> bit) & 1 == 0:
                continue
            inner = first + place
            if place >= count or standard.nodes[inner, 0] == SPARE:
                return end, UNDEFINED_ITEM, -1
            start = at
            at, fault = _item(data, at, end, standard.nodes[inner], standard.parts)
            if fault:
                return end, fault, inner
            slot = standard.nodes[inner, 4]
            if slot >= 0:
                item_starts[slot], item_ends[slot] = start, at
    return at, 0, -1


@njit(cache=True)
def _random(data: Bytes, at: int, end: int, first: int, count: int, standard: Standard) -> tuple[int, int]:
    """Fields in any order; those that are compound or in any order themselves are not followed."""
    if at >= end:
        return end, ITEM_PAST_END
    fields, at = int(data[at]), at + 1
    for _ in range(fields):
        if at >= end:
            return end, ITEM_PAST_END
        place, at = int(data[at]) - 1, at + 1
        if place < 0 or place >= count or standard.nodes[first + place, 0] in (SPARE, COMPOUND, RANDOM):
            return end, UNDEFINED_ITEM
        at, fault = _item(data, at, end, standard.nodes[first + place], standard.parts)
        if fault:
            return end, fault
    return at, 0


@njit(cache=True)
def _item(data: Bytes, at: int, end: int, node: Ints, parts: Ints) -> tuple[int, int]:
    """Where an item that is not compound ends, and a fault."""
    form, a, b, c = node[0], node[1], node[2], node[3]
    if form == FIXED:
        at += a
    elif form == EXTENDED:
        for part in range(b):
            at += parts[a + part]
            last = part + 1 == b
            if at > end or (last and c == 0) or data[at - 1] & 1 == 0:
                break
            if last:
                return end, ENDLESS_ITEM
    elif form == REPEATED:
        if at + b > end:
            return end, ITEM_PAST_END
        times = 0
        for _ in range(b):
            times, at = times * 256 + int(data[at]), at + 1
        at += times * a
    elif form == CHAINED:
        while True:
            at += a
            if at > end or data[at - 1] & 1 == 0:
                break
    elif form == EXPLICIT:
        if at < end and data[at] == 0:
            return end, EMPTY_ITEM
        at += int(data[at]) if at < end else 1
    if at > end:
        return end, ITEM_PAST_END
    return at, 0
