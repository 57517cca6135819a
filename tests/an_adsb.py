"""Mode S frames for tests: invented aircraft, encoded slowly and plainly, bit by bit."""

import math

GENERATOR = 0x1FFF409


def parity(bits: str) -> int:
    """Remainder of a frame's bits, the last 24 of them 0, by long division."""
    value = int(bits, 2)
    for at in range(len(bits) - 1, 23, -1):
        if value >> at & 1:
            value ^= GENERATOR << (at - 24)
    return value


def frame(bits: str, overlay: int = 0) -> str:
    """A frame with its parity, in hexadecimal digits; answers lay their address over it."""
    return f"{int(bits, 2) << 24 | (parity(bits + '0' * 24) ^ overlay):0{(len(bits) + 24) // 4}X}"


def squitter(message: str, icao: int = 0x4B1814, form: int = 17, control: int = 5) -> str:
    """An extended squitter of 56 bits of message."""
    assert len(message) == 56
    return frame(f"{form:05b}{control:03b}{icao:024b}{message}")


def zones(lat: float) -> int:
    """Number of longitude zones, by the definition."""
    if abs(lat) >= 87:
        return 2 if abs(lat) == 87 else 1
    inner = 1 - (1 - math.cos(math.pi / 30)) / math.cos(math.radians(lat)) ** 2
    return 59 if lat == 0 else math.floor(2 * math.pi / math.acos(inner))


def cpr(lon: float, lat: float, odd: bool, surface: bool = False) -> tuple[int, int]:
    """Latitude and longitude in 17 bits."""
    size = 90 if surface else 360
    d_lat = size / (60 - odd)
    y = math.floor(2**17 * (lat / d_lat - math.floor(lat / d_lat)) + 0.5)
    near = d_lat * (y / 2**17 + math.floor(lat / d_lat))
    d_lon = size / max(zones(near) - odd, 1)
    x = math.floor(2**17 * (lon / d_lon - math.floor(lon / d_lon)) + 0.5)
    return y % 2**17, x % 2**17


def position(lon: float, lat: float, odd: bool, feet: int = 30000, kind: int = 11) -> str:
    """The message of an airborne position, altitude in steps of 25 feet."""
    steps = (feet + 1000) // 25
    code = f"{steps >> 4:07b}1{steps & 15:04b}"
    y, x = cpr(lon, lat, odd)
    return f"{kind:05b}000{code}0{odd:01b}{y:017b}{x:017b}"


def surface(lon: float, lat: float, odd: bool, movement: int = 39, track: int = 32) -> str:
    """The message of a position on the ground; movement 39 is 15 knots, track 32 is 90 degrees."""
    y, x = cpr(lon, lat, odd, surface=True)
    return f"{7:05b}{movement:07b}1{track:07b}0{odd:01b}{y:017b}{x:017b}"


def velocity(east: int, north: int, climb: int = 0, step: int = 1) -> str:
    """The message of a velocity over the ground: knots in steps of 1 or 4, feet a minute in steps of 64."""
    e, n = (f"{int(v < 0):01b}{abs(v) // step + 1:010b}" for v in (east, north))
    rate = f"{int(climb < 0):01b}{abs(climb) // 64 + 1:09b}"
    return f"{19:05b}{1 if step == 1 else 2:03b}00000{e}{n}0{rate}0000000000"


def identification(callsign: str, category: int = 3, kind: int = 4) -> str:
    """The message of a callsign; type 4 with category 3 is A3."""
    return f"{kind:05b}{category:03b}" + "".join(f"{ord(c) & 63:06b}" for c in callsign.ljust(8))


def status(nacp: int, version: int = 2) -> str:
    """The message of an aircraft's operational status."""
    return f"{31:05b}000" + "0" * 32 + f"{version:03b}0{nacp:04b}" + "0" * 8


def answer(form: int, code: int, icao: int = 0x4B1814, message: str = "") -> str:
    """An answer to an interrogation: DF 4, 5 (short) or 20, 21 with 56 bits; code is of altitude or identity."""
    return frame(f"{form:05b}" + "0" * 14 + f"{code:013b}{message}", icao)


def height(feet: int) -> int:
    """The 13-bit code of an altitude in steps of 25 feet."""
    steps = f"{(feet + 1000) // 25:011b}"
    return int(f"{steps[:6]}0{steps[6]}1{steps[7:]}", 2)


def identity(squawk: str) -> int:
    """The 13-bit code of four octal digits: C1 A1 C2 A2 C4 A4 - B1 D1 B2 D2 B4 D4."""
    a, b, c, d = (f"{int(digit):03b}"[::-1] for digit in squawk)
    return int(f"{c[0]}{a[0]}{c[1]}{a[1]}{c[2]}{a[2]}0{b[0]}{d[0]}{b[1]}{d[1]}{b[2]}{d[2]}", 2)


def beast(frame: str, ticks: int = 12_000_000) -> bytes:
    """A frame as a Beast receiver sends it."""
    kind = {4: b"1", 14: b"2", 28: b"3"}[len(frame)]
    inside = ticks.to_bytes(6) + b"\x80" + bytes.fromhex(frame)
    return b"\x1a" + kind + inside.replace(b"\x1a", b"\x1a\x1a")
