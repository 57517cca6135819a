"""AIS sentences for tests: invented ships, encoded by pyais."""

from typing import Any

import pyais


def checksum(text: str) -> str:
    """Two hex digits, as NMEA 0183 has it."""
    found = 0
    for c in text.encode():
        found ^= c
    return f"{found:02X}"


def sentences(kind: int, mmsi: int = 211234560, **fields: Any) -> list[str]:
    """The sentences of one message, without a time."""
    return [str(line) for line in pyais.encode_dict({"type": kind, "mmsi": mmsi, **fields}, sentence_type="VDM")]


def sentence(kind: int, mmsi: int = 211234560, **fields: Any) -> str:
    """The one sentence of a message that needs only one."""
    (line,) = sentences(kind, mmsi, **fields)
    return line


def tagged(line: str, unix: int | str | None = None, station: str | None = None, group: str | None = None) -> str:
    """A sentence behind a tag block."""
    codes = [("g", group), ("s", station), ("c", unix)]
    block = ",".join(f"{code}:{value}" for code, value in codes if value is not None)
    return f"\\{block}*{checksum(block)}\\{line}"


def payload(bits: str) -> str:
    """Six-bit characters of bits, which are filled up with zeros; see `raw` for their sentence."""
    bits += "0" * (-len(bits) % 6)
    values = [int(bits[at : at + 6], 2) for at in range(0, len(bits), 6)]
    return "".join(chr(value + 48 if value < 40 else value + 56) for value in values)


def raw(bits: str) -> str:
    """A sentence of any bits."""
    body = f"AIVDM,1,1,,A,{payload(bits)},{-len(bits) % 6}"
    return f"!{body}*{checksum(body)}"


def ship(**changes: Any) -> dict[str, Any]:
    """A position report of class A off Odesa."""
    return {"lon": 30.75, "lat": 46.45, "speed": 12.3, "course": 181.5, "heading": 180, "second": 57, **changes}


def static(**changes: Any) -> dict[str, Any]:
    """The static data of an invented cargo ship; two sentences."""
    return {
        "imo": 9074729,
        "callsign": "EXER1",
        "shipname": "EXERCISE ONE",
        "ship_type": 70,
        "to_bow": 100,
        "to_stern": 50,
        "to_port": 12,
        "to_starboard": 10,
        "draught": 7.5,
        "destination": "ODESA",
        **changes,
    }
