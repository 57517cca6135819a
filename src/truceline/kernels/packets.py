"""Where the packets of a pcap capture and the UDP datagrams in them begin and end.

    capture  24 bytes of header, then packets
    packet   16 bytes of header (seconds, fraction, length kept, length sent), then a frame: link, IP, UDP headers

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
        seconds, fraction, kept = _word(data, at, big), _word(data, at + 4, big), _word(data, at + 8, big)
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
def _word(data: Bytes, at: int, big: bool) -> int:
    a, b, c, d = int(data[at]), int(data[at + 1]), int(data[at + 2]), int(data[at + 3])
    return (a << 24) | (b << 16) | (c << 8) | d if big else (d << 24) | (c << 16) | (b << 8) | a


@njit(cache=True)
def _pair(data: Bytes, at: int) -> int:
    return (int(data[at]) << 8) | int(data[at + 1])


@njit(cache=True)
def _payload(data: Bytes, at: int, end: int, link: int) -> tuple[int, int, int]:
    """Begin and end of the UDP payload in a frame, and a fault."""
    kind = 0x0800  # the EtherType
    if link == _ETHERNET:
        if at + 14 > end:
            return at, end, NO_UDP
        kind, at = _pair(data, at + 12), at + 14
        while kind in (0x8100, 0x88A8, 0x9100) and at + 4 <= end:
            kind, at = _pair(data, at + 2), at + 4
    elif link == _LINUX:
        if at + 16 > end:
            return at, end, NO_UDP
        kind, at = _pair(data, at + 14), at + 16
    elif link == _LINUX2:
        if at + 20 > end:
            return at, end, NO_UDP
        kind, at = _pair(data, at), at + 20
    elif link in (_LOOPBACK, _OPEN_LOOPBACK):
        at += 4
        kind = 0x86DD if at < end and data[at] >> 4 == 6 else 0x0800
    elif at < end and data[at] >> 4 == 6:
        kind = 0x86DD
    if kind == 0x0800:
        if at + 20 > end or data[at] >> 4 != 4 or data[at + 9] != 17:
            return at, end, NO_UDP
        if _pair(data, at + 6) & 0x3FFF:  # more fragments, or not the first of them
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
    length = _pair(data, at + 4)
    if length < 8 or at + length > end:
        return at, end, CUT_PACKET
    return at + 8, at + length, 0
