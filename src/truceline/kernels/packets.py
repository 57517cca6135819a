"""Where the packets of a pcap capture and the UDP datagrams in them begin and end.

    pcap     24 bytes of header, then packets: 16 bytes of header (seconds, fraction, length kept, length sent), a frame
    pcapng   blocks (type, length, content, length): sections, the interfaces of each, packets with their interface
    frame    headers of link, IP and UDP, then the payload

The bytes are a uint8 array, offsets int64 into it; checksums are not looked at.
"""

import numpy as np
import numpy.typing as npt
from numba import njit

from truceline.kernels.bits import ABSENT

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

#: What can be wrong with a packet; 0 is a whole datagram.
NO_UDP, FRAGMENT, CUT_PACKET = 1, 2, 3

#: Link types of a capture (tcpdump's numbers).
_ETHERNET, _LINUX, _LINUX2, _LOOPBACK, _OPEN_LOOPBACK = 1, 113, 276, 0, 108
#: A frame longer than this is no frame: the header of the packet is damaged. (tcpdump's own limit.)
LONGEST_PACKET = 262_144
#: The same for a block of pcapng, with its header and options.
LONGEST_BLOCK = LONGEST_PACKET + 4096
#: Types of blocks, and options of an interface, in pcapng.
_SECTION, _INTERFACE, _SIMPLE, _PACKET = 0x0A0D0D0A, 1, 3, 6
_RESOLUTION, _OFFSET = 9, 14


@njit(cache=True)
def split_packets(
    data: Bytes, begin: int, final: bool, big: bool, nano: bool, link: int, capacity: int
) -> tuple[Ints, Ints, Ints, Ints, int]:
    """The UDP payloads of the packets of a classic pcap capture, from `begin`, which is a packet's header.

    Parameters
    ----------
    final
        Whether the capture ends with `data`; if not, a packet that is not whole is left.
    big, nano
        Byte order of headers; whether fractions are nanoseconds.
    link
        The capture's link type: 1 Ethernet (with VLAN tags), 101, 12, 14 IP, 113, 276 Linux, 0, 108 loopback.

    Returns
    -------
    starts, ends
        (n,) of the payload; of the whole packet where there is a fault.
    times_us
        (n,) microseconds since 1970.
    faults
        (n,) 0, NO_UDP, FRAGMENT or CUT_PACKET.
    consumed
        Where the next call begins: a header that is not whole, or that says more than `LONGEST_PACKET`.
    """
    starts, ends = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    times, faults = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    n, at, size = 0, begin, len(data)
    while n < capacity and at < size:
        if at + 16 > size:
            if final:
                starts[n], ends[n], times[n], faults[n] = at, size, ABSENT, CUT_PACKET
                n, at = n + 1, size
            break
        seconds, fraction, kept = (
            _number(data, at, 4, big),
            _number(data, at + 4, 4, big),
            _number(data, at + 8, 4, big),
        )
        if kept > LONGEST_PACKET:
            break
        behind = at + 16 + kept
        if behind > size and not final:
            break
        times[n] = seconds * 1_000_000 + (fraction // 1000 if nano else fraction)
        starts[n], ends[n] = at, min(behind, size)
        if behind > size:
            faults[n] = CUT_PACKET
        else:
            first, last, faults[n] = _payload(data, at + 16, behind, link)
            if faults[n] == 0:
                starts[n], ends[n] = first, last
        n, at = n + 1, min(behind, size)
    return starts[:n].copy(), ends[:n].copy(), times[:n].copy(), faults[:n].copy(), at


@njit(cache=True)
def split_pcapng(
    data: Bytes, begin: int, final: bool, big: bool, interfaces: Ints, capacity: int
) -> tuple[Ints, Ints, Ints, Ints, bool, Ints, int]:
    """The UDP payloads of the packets of a pcapng capture, from `begin`, which is a block.

    Parameters
    ----------
    final
        Whether the capture ends with `data`; if not, a block that is not whole is left.
    big, interfaces
        Byte order of the section, and (k, 3) link type, resolution and offset of its interfaces: as the last call
        returned them.

    Returns
    -------
    starts, ends, times_us, faults
        As of `split_packets`; a simple packet has no time (ABSENT).
    big, interfaces
        For the next call.
    consumed
        Where the next call begins: a block that is not whole, or whose length cannot be one.
    """
    starts, ends = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    times, faults = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    n, at, size = 0, begin, len(data)
    while n < capacity and at < size:
        if at + 12 <= size and _number(data, at, 4, True) == _SECTION:
            big = data[at + 8] == 0x1A
            interfaces = np.empty((0, 3), np.int64)
        length = _number(data, at + 4, 4, big) if at + 12 <= size else 12
        if length < 12 or length % 4 or length > LONGEST_BLOCK:
            break
        behind = at + length
        if behind > size:
            if final:
                starts[n], ends[n], times[n], faults[n] = at, size, ABSENT, CUT_PACKET
                n, at = n + 1, size
            break
        kind = _number(data, at, 4, big)
        if kind == _INTERFACE and length >= 20:
            interfaces = np.concatenate((interfaces, _interface(data, at, behind, big)))
        elif kind in (_PACKET, _SIMPLE):
            head = 28 if kind == _PACKET else 12
            kept = _number(data, at + (20 if kind == _PACKET else 8), 4, big) if length >= head + 4 else -1
            which = _number(data, at + 8, 4, big) if kind == _PACKET else 0
            starts[n], ends[n], times[n], faults[n] = at, behind, ABSENT, CUT_PACKET
            if kind == _PACKET and kept >= 0 and which < len(interfaces):
                ticks = (_number(data, at + 12, 4, big) << 32) | _number(data, at + 16, 4, big)
                times[n] = _micros(ticks, interfaces[which, 1], interfaces[which, 2])
            if kind == _SIMPLE:  # says only how much was sent
                kept = min(kept, length - head - 4)
            if 0 <= kept <= length - head - 4 and which < len(interfaces):
                first, last, faults[n] = _payload(data, at + head, at + head + kept, interfaces[which, 0])
                if faults[n] == 0:
                    starts[n], ends[n] = first, last
            n += 1
        at = behind
    return starts[:n].copy(), ends[:n].copy(), times[:n].copy(), faults[:n].copy(), big, interfaces, at


@njit(cache=True)
def _interface(data: Bytes, at: int, end: int, big: bool) -> Ints:
    """Link type, resolution and offset in seconds that the description of an interface gives."""
    out = np.array([[_number(data, at + 8, 2, big), 6, 0]], np.int64)
    option = at + 16
    while option + 8 <= end - 4:
        code, length = _number(data, option, 2, big), _number(data, option + 2, 2, big)
        if code == _RESOLUTION and length == 1:
            out[0, 1] = int(data[option + 4])
        elif code == _OFFSET and length == 8 and option + 12 <= end - 4:
            first, second = _number(data, option + 4, 4, big), _number(data, option + 8, 4, big)
            out[0, 2] = (first << 32) | second if big else (second << 32) | first
        elif code == 0:
            break
        option += 4 + (length + 3) // 4 * 4
    return out


@njit(cache=True)
def _micros(ticks: int, resolution: int, offset_s: int) -> int:
    """Microseconds of ticks: of 10^-r seconds, or with the highest bit of r set of 2^-r."""
    if resolution & 0x80:
        bits = min(resolution & 0x7F, 40)
        whole, part = ticks >> bits, ticks & ((1 << bits) - 1)
        return (whole + offset_s) * 1_000_000 + (part * 1_000_000 >> bits)
    micros = ticks
    for _ in range(6, min(resolution, 15)):
        micros //= 10
    for _ in range(resolution, 6):
        micros *= 10
    return micros + offset_s * 1_000_000


@njit(cache=True)
def _number(data: Bytes, at: int, size: int, big: bool) -> int:
    """An unsigned number of some bytes, as an int64: numba's own int(uint8) would be unsigned."""
    value = 0
    for byte in range(size):
        value = (value << 8) | data[at + byte if big else at + size - 1 - byte]
    return value


@njit(cache=True)
def _payload(data: Bytes, at: int, end: int, link: int) -> tuple[int, int, int]:
    """Begin and end of the UDP payload in a frame, and a fault."""
    kind = 0x0800  # the EtherType
    if link == _ETHERNET:
        if at + 14 > end:
            return at, end, NO_UDP
        kind, at = _number(data, at + 12, 2, True), at + 14
        while kind in (0x8100, 0x88A8, 0x9100) and at + 4 <= end:
            kind, at = _number(data, at + 2, 2, True), at + 4
    elif link == _LINUX:
        if at + 16 > end:
            return at, end, NO_UDP
        kind, at = _number(data, at + 14, 2, True), at + 16
    elif link == _LINUX2:
        if at + 20 > end:
            return at, end, NO_UDP
        kind, at = _number(data, at, 2, True), at + 20
    elif link in (_LOOPBACK, _OPEN_LOOPBACK):
        at += 4
        kind = 0x86DD if at < end and data[at] >> 4 == 6 else 0x0800
    elif at < end and data[at] >> 4 == 6:
        kind = 0x86DD
    if kind == 0x0800:
        if at + 20 > end or data[at] >> 4 != 4 or data[at + 9] != 17:
            return at, end, NO_UDP
        if _number(data, at + 6, 2, True) & 0x3FFF:  # more fragments, or not the first of them
            return at, end, FRAGMENT
        at += 4 * (data[at] & 15)
    elif kind == 0x86DD:
        if at + 40 > end or data[at + 6] not in (17, 44):
            return at, end, NO_UDP
        if data[at + 6] == 44:
            return at, end, FRAGMENT
        at += 40
    else:
        return at, end, NO_UDP
    if at + 8 > end:
        return at, end, CUT_PACKET
    length = _number(data, at + 4, 2, True)
    if length < 8 or at + length > end:
        return at, end, CUT_PACKET
    return at + 8, at + length, 0
