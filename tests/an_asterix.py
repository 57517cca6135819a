"""ASTERIX as a test writes it, encoded by libasterix; and the packets that carry it."""

from typing import Any

import numpy as np
from asterix import generated

#: The newest edition of each category.
EDITIONS: dict[int, Any] = {category: of[-1] for category, of in generated.manifest["CATS"].items()}

SOURCE = (("SAC", 25), ("SIC", 201))


def record(category: int, items: dict[str, Any]) -> bytes:
    """One record; the data source is 25/201 unless the items say otherwise."""
    return EDITIONS[category].cv_record.create({"010": SOURCE, **items}).unparse().to_bytes()


def block(category: int, *records: bytes) -> bytes:
    """A data block."""
    content = b"".join(records)
    return bytes([category]) + (len(content) + 3).to_bytes(2, "big") + content


def report(lon: float, lat: float, tod_s: float, address: int = 0x4B1814, **items: Any) -> bytes:
    """An ADS-B target report with its position to 180 / 2^23 degrees; `i170="..."` gives item 170."""
    return record(
        21,
        {
            "040": (0,),
            "073": (tod_s, "s"),
            "130": (("LAT", (lat, "°")), ("LON", (lon, "°"))),
            "080": address,
            **{name[1:]: value for name, value in items.items()},
        },
    )


def plot(range_nm: float, azimuth_deg: float, tod_s: float, **items: Any) -> bytes:
    """A plot of a radar, seen by Mode S, without a height unless an item gives it."""
    return record(
        48,
        {
            "140": (tod_s, "s"),
            "020": (((5, 0, 0, 0, 0, None)),),
            "040": (("RHO", (range_nm, "NM")), ("THETA", (azimuth_deg, "°"))),
            **{name[1:]: value for name, value in items.items()},
        },
    )


def track(lon: float, lat: float, tod_s: float, **items: Any) -> bytes:
    """A system track of the centre 25/201."""
    return record(
        62,
        {
            "070": (tod_s, "s"),
            "105": (("LAT", (lat, "°")), ("LON", (lon, "°"))),
            "040": 17,
            "080": (0,),
            **{name[1:]: value for name, value in items.items()},
        },
    )


def level(flight_level: float) -> tuple[Any, ...]:
    """Item 048/090: a flight level that is validated and not garbled."""
    return 0, 0, (flight_level, "FL")


def udp(payload: bytes) -> bytes:
    """A datagram in IPv4 in Ethernet."""
    length = len(payload) + 8
    header = bytes.fromhex("45000000000000000111000001020304e0000001")
    ip = header[:2] + (length + 20).to_bytes(2, "big") + header[4:]
    return bytes(12) + b"\x08\x00" + ip + b"\x21\x00\x21\x01" + length.to_bytes(2, "big") + b"\0\0" + payload


def pcap(packets: list[tuple[int, bytes]], *, order: str = "little", nano: bool = False, link: int = 1) -> bytes:
    """A classic capture of frames with their times, microseconds since 1970."""
    words = np.dtype("<u4" if order == "little" else ">u4")
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    out = np.array([magic, 2 | 4 << 16 if order == "little" else 2 << 16 | 4, 0, 0, 262144, link], words).tobytes()
    for at_us, frame in packets:
        fraction = at_us % 1_000_000 * (1000 if nano else 1)
        out += np.array([at_us // 1_000_000, fraction, len(frame), len(frame)], words).tobytes() + frame
    return out


def pcapng(
    frames: list[tuple[int | None, bytes]],
    *,
    order: str = "little",
    resolution: int = 6,
    link: int = 1,
    offset_s: int = 0,
) -> bytes:
    """A pcapng capture: a section, one interface with resolution and offset, packets with times in its ticks.

    A packet without a time is a simple one. Behind each stands a block of statistics.
    """
    words = np.dtype("<u4" if order == "little" else ">u4")
    halves = np.dtype("<u2" if order == "little" else ">u2")

    def block(kind: int, content: bytes) -> bytes:
        content += bytes(-len(content) % 4)
        length = np.array([len(content) + 12], words).tobytes()
        return np.array([kind], words).tobytes() + length + content + length

    out = block(0x0A0D0D0A, np.array([0x1A2B3C4D, 0, 0xFFFFFFFF, 0xFFFFFFFF], words).tobytes())
    options = np.array([9, 1], halves).tobytes() + bytes([resolution, 0, 0, 0])
    options += np.array([14, 8], halves).tobytes() + offset_s.to_bytes(8, order) + bytes(4)  # type: ignore[arg-type]
    out += block(1, np.array([link, 0], halves).tobytes() + bytes(4) + options)
    for ticks, frame in frames:
        if ticks is None:
            out += block(3, np.array([len(frame)], words).tobytes() + frame)
        else:
            head = np.array([0, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame)], words).tobytes()
            out += block(6, head + frame)
        out += block(5, bytes(12))
    return out
