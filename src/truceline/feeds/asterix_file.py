"""Files of ASTERIX to records: streams of data blocks, and captures (pcap, pcapng) with blocks in UDP datagrams.

A record that cannot be followed takes the rest of its block with it. Where no block can begin, the bytes up to
the next place where one can are one broken record. A packet without a whole UDP datagram is one too.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from truceline.errors import SourceError
from truceline.feeds.asterix_layout import Layout, layout
from truceline.feeds.batch import Fault, Records
from truceline.feeds.records import MOST_RECORDS
from truceline.feeds.stream import Window, window
from truceline.kernels import asterix as cut
from truceline.kernels import bits, packets

#: The most bytes of what is no block that one rejection keeps.
PIECE_BYTES = 1 << 20
#: What has to be in memory at a time to tell what is a block: a piece, and two blocks behind it.
_WINDOW_BYTES = PIECE_BYTES + (1 << 18)

_MAGIC = {  # of classic pcap: byte order, and whether fractions are nanoseconds
    b"\xd4\xc3\xb2\xa1": ("little", False),
    b"\xa1\xb2\xc3\xd4": ("big", False),
    b"\x4d\x3c\xb2\xa1": ("little", True),
    b"\xa1\xb2\x3c\x4d": ("big", True),
}
#: In place of a link type: the capture has interfaces of its own, each with one.
_MANY_LINKS = -1
_PCAPNG = b"\x0a\x0d\x0d\x0a"
_LINKS = (0, 1, 12, 14, 101, 108, 113, 228, 229, 276)

#: The fault of all that lies behind a damaged packet header; the kernels' own are positive.
_LOST = -1
_REASONS = {
    _LOST: "the packet header at byte {at} is damaged; what follows is lost",
    packets.NO_UDP: "the packet at byte {at} holds no UDP datagram",
    packets.FRAGMENT: "the packet at byte {at} is a fragment of a datagram; fragments are not put together",
    packets.CUT_PACKET: "the packet at byte {at} is cut off",
    cut.NO_BLOCK: "no data block begins at byte {at}",
    cut.PAST_END: "the data block of category {category} at byte {at} runs past the end",
    cut.OTHER_CATEGORY: "category {category} is not read (block at byte {at})",
    cut.NO_FSPEC: "category {category}: the FSPEC of the record at byte {at} does not end",
    cut.LONG_FSPEC: "category {category}: the FSPEC of the record at byte {at} is longer than the category has",
    cut.UNDEFINED_ITEM: "category {category}: the record at byte {at} names an item that is not defined{item}",
    cut.ITEM_PAST_END: "category {category}: item {item} of the record at byte {at} runs past the end of its block",
    cut.ENDLESS_ITEM: "category {category}: item {item} of the record at byte {at} goes on behind its last part",
    cut.EMPTY_ITEM: "category {category}: item {item} of the record at byte {at} says that it is 0 bytes long",
    cut.NO_ITEM: "category {category}: the record at byte {at} has no item",
}


class Piece(NamedTuple):
    """Consecutive records of a file, and where to read the fields of those that are not broken."""

    records: Records
    data: cut.Bytes
    categories: cut.Ints  # (n,) of the records in order
    item_starts: cut.Ints  # (n, slots)
    item_ends: cut.Ints
    packet_us: cut.Ints  # (n,) when the packet was captured; ABSENT in a stream


def pieces(path: str, name: str, chunk_bytes: int) -> Iterator[Piece]:
    """The records of a file, in order; they do not depend on `chunk_bytes`.

    Raises
    ------
    SourceError
        When the file cannot be opened, is empty, or begins neither like a block nor like a capture.
    """
    with window(path, name, chunk_bytes, max(_WINDOW_BYTES, chunk_bytes)) as text:
        capture = _capture(text)
        cutter = _Cutter(layout(), capture)
        if capture is None:
            _check_first_block(text, cutter.known)
        yield from cutter.pieces(text)


class _Capture(NamedTuple):
    big: bool
    nano: bool
    link: int


def _capture(text: Window) -> _Capture | None:
    """The header of a capture, moved behind; None for a stream of blocks."""
    while text.left < 24 and not text.final:
        text.more()
    head = text.data[text.begin : text.begin + 24]
    if head[:4] == _PCAPNG:
        return _Capture(False, False, _MANY_LINKS)
    if head[:4] not in _MAGIC:
        return None
    order, nano = _MAGIC[head[:4]]
    if len(head) < 24:
        raise SourceError(f"{text.name}: is a capture whose header is cut off")
    link = int.from_bytes(head[20:24], "big" if order == "big" else "little") & 0xFFFF
    if link not in _LINKS:
        raise SourceError(f"{text.name}: is a capture of link type {link}; read are Ethernet, Linux, IP and loopback")
    text.begin += 24
    return _Capture(order == "big", nano, link)


def _check_first_block(text: Window, known: npt.NDArray[np.bool_]) -> None:
    head = text.data[text.begin : text.begin + 3]
    if len(head) < 3 or not known[head[0]] or int.from_bytes(head[1:], "big") < 4:
        raise SourceError(
            f"{text.name}: is neither ASTERIX data blocks nor a pcap capture: it begins with {head.hex()}"
        )


class _Cutter:
    """Cuts one file."""

    def __init__(self, standard: Layout, capture: _Capture | None) -> None:
        self.layout, self.capture = standard, capture
        self.known = standard.known
        self.first = 1
        self.big = False  # of a pcapng section, with its interfaces
        self.interfaces = np.empty((0, 3), np.int64)
        self.lost = False  # behind a damaged packet header
        self.dropped = 0  # bytes of the file before the window

    def pieces(self, text: Window) -> Iterator[Piece]:
        while True:
            before = text.begin
            data = np.frombuffer(text.data, np.uint8)
            # At a break the last block is not known to be whole: it is left over.
            whole = text.final and text.stream.problem is None
            starts, ends, faults, times, text.begin = self._blocks(data, text, whole)
            yield from self._records(text.data, data, starts, ends, faults, times)
            if text.begin == before:
                if text.final:
                    break
                self.dropped += text.more()
        if text.stream.problem is not None:
            rest, why = text.data[text.begin :], Fault(text.stream.problem)
            none, slots = np.empty(0, np.int64), np.empty((0, self.layout.standard.slots), np.int64)
            yield Piece(Records(self.first, [rest], {0: why}, {}, text.stream.break_at), data, none, slots, slots, none)

    def _blocks(self, data: cut.Bytes, text: Window, whole: bool) -> tuple[cut.Ints, cut.Ints, cut.Ints, cut.Ints, int]:
        """Begin, end, fault and packet time of each block, and where to go on."""
        if self.capture is not None and not self.lost:
            starts, ends, times, faults, begin = self._packets(data, text.begin, whole)
            starts, ends, datagrams, faults, _ = cut.split_blocks(
                data, starts, ends, faults, self.known, self.layout.standard, True, PIECE_BYTES
            )
            return starts, ends, faults, times[datagrams], begin
        one = np.array([text.begin], np.int64), np.array([len(data)], np.int64), np.zeros(1, np.int64)
        known = np.zeros(256, np.bool_) if self.lost else self.known
        starts, ends, _, faults, begin = cut.split_blocks(data, *one, known, self.layout.standard, whole, PIECE_BYTES)
        if self.lost:
            faults[:] = _LOST
        return starts, ends, faults, np.full(len(starts), bits.ABSENT), begin

    def _packets(self, data: cut.Bytes, begin: int, whole: bool) -> tuple[cut.Ints, cut.Ints, cut.Ints, cut.Ints, int]:
        """Begin, end, time and fault of each datagram, and where to go on; notes where nothing can be followed."""
        assert self.capture is not None
        big, nano, link = self.capture
        if link == _MANY_LINKS:
            starts, ends, times, faults, self.big, self.interfaces, begin = packets.split_pcapng(
                data, begin, whole, self.big, self.interfaces, MOST_RECORDS
            )
            length = int.from_bytes(data[begin + 4 : begin + 8].tobytes(), "big" if self.big else "little")
            self.lost = len(data) - begin >= 12 and (length < 12 or length % 4 > 0 or length > packets.LONGEST_BLOCK)
        else:
            starts, ends, times, faults, begin = packets.split_packets(
                data, begin, whole, big, nano, link, MOST_RECORDS
            )
            kept = int.from_bytes(data[begin + 8 : begin + 12].tobytes(), "big" if big else "little")
            self.lost = len(data) - begin >= 16 and kept > packets.LONGEST_PACKET
        return starts, ends, times, faults, begin

    def _records(
        self, text: bytes, data: cut.Bytes, starts: cut.Ints, ends: cut.Ints, faults: cut.Ints, times: cut.Ints
    ) -> Iterator[Piece]:
        while len(starts):
            first, last, block, fault, node, item_starts, item_ends, done = cut.split_records(
                data, starts, ends, faults, self.layout.standard, MOST_RECORDS
            )
            raws = [text[a:b] for a, b in zip(first.tolist(), last.tolist(), strict=True)]
            categories = data[starts[block]].astype(np.int64) if len(data) else block
            broken = {
                place: self._fault(int(fault[place]), int(categories[place]), int(first[place]), int(node[place]))
                for place in np.flatnonzero(fault).tolist()
            }
            good = fault == 0
            yield Piece(
                Records(self.first, raws, broken, {}),
                data,
                categories[good],
                item_starts[good],
                item_ends[good],
                times[block][good],
            )
            self.first += len(raws)
            starts, ends, faults, times = starts[done:], ends[done:], faults[done:], times[done:]

    def _fault(self, fault: int, category: int, at: int, node: int) -> Fault:
        item = self.layout.items.get(node, "")
        return Fault(_REASONS[fault].format(category=f"{category:03}", at=self.dropped + at, item=item), item or None)
