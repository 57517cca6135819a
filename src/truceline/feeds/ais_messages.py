"""AIS messages to observations: what the fields of each type of message mean (ITU-R M.1371-5)."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.feeds.batch import Faults
from truceline.kernels import nmea, sixbit
from truceline.observation import TIME, nullable

Array = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

NONE = sixbit.NONE
KNOT_MPS = 0.514444

#: By field: first bit, width, whether signed, in a message of each type. Type 0 stands for part B of type 24.
_CLASS_A = {
    "status": (38, 4), "turn": (42, 8, 1), "speed": (50, 10), "accuracy": (60, 1), "lon": (61, 28, 1),
    "lat": (89, 27, 1), "course": (116, 12), "heading": (128, 9), "second": (137, 6), "raim": (148, 1),
}  # fmt: skip
_STATION = {
    "year": (38, 14), "month": (52, 4), "day": (56, 5), "hour": (61, 5), "minute": (66, 6), "clock_second": (72, 6),
    "accuracy": (78, 1), "lon": (79, 28, 1), "lat": (107, 27, 1), "raim": (148, 1),
}  # fmt: skip
_CLASS_B = {
    "speed": (46, 10), "accuracy": (56, 1), "lon": (57, 28, 1), "lat": (85, 27, 1), "course": (112, 12),
    "heading": (124, 9), "second": (133, 6),
}  # fmt: skip
LAYOUT: Final[dict[int, dict[str, tuple[int, ...]]]] = {
    **dict.fromkeys((1, 2, 3), _CLASS_A),
    **dict.fromkeys((4, 11), _STATION),
    5: {
        "imo": (40, 30), "ship_type": (232, 8), "bow": (240, 9), "stern": (249, 9), "port": (258, 6),
        "starboard": (264, 6), "draught": (294, 8),
    },
    9: {
        "altitude": (38, 12), "speed": (50, 10), "accuracy": (60, 1), "lon": (61, 28, 1), "lat": (89, 27, 1),
        "course": (116, 12), "second": (128, 6), "raim": (147, 1),
    },
    18: _CLASS_B | {"raim": (147, 1)},
    19: _CLASS_B | {
        "ship_type": (263, 8), "bow": (271, 9), "stern": (280, 9), "port": (289, 6), "starboard": (295, 6),
        "raim": (305, 1),
    },
    21: {
        "accuracy": (163, 1), "lon": (164, 28, 1), "lat": (192, 27, 1), "bow": (219, 9), "stern": (228, 9),
        "port": (237, 6), "starboard": (243, 6), "second": (253, 6), "raim": (268, 1),
    },
    24: {},
    0: {"ship_type": (40, 8), "bow": (132, 9), "stern": (141, 9), "port": (150, 6), "starboard": (156, 6)},
    27: {
        "accuracy": (38, 1), "raim": (39, 1), "status": (40, 4), "lon": (44, 18, 1), "lat": (62, 17, 1),
        "speed": (79, 6), "course": (85, 9),
    },
}  # fmt: skip
#: By text: first bit and characters.
TEXTS: Final[dict[str, dict[int, tuple[int, int]]]] = {
    "callsign": {5: (70, 7), 0: (90, 7)},
    "name": {5: (112, 20), 19: (143, 20), 21: (43, 20), 24: (40, 20)},
    "destination": {5: (302, 20)},
    "text": {12: (72, 156), 14: (40, 161)},  # safety messages, to one station and to all
}
#: A message with fewer bits lacks what makes it of use: a position, a name, dimensions; of others, who sends it.
SHORTEST = {1: 137, 2: 137, 3: 137, 4: 134, 11: 134, 5: 270, 9: 128, 18: 124, 19: 301, 21: 219, 24: 132, 27: 94}
_SENDER_BITS = 38

_FIELDS = sorted({name for fields in LAYOUT.values() for name in fields} | {"mmsi"})
POSITIONS = (1, 2, 3, 9, 18, 19, 27)
COARSE = 27
_STATION_TYPES = (4, 16, 17, 20, 22, 23)
_LAST_TYPE = 27

#: Per-axis sigma, metres. The flag says whether 95 % of positions are within 10 m: a circle of 2.45 sigma.
ACCURATE_M = 10.0 / 2.4477
#: Else "over 10 m": a receiver without corrections, 25 m of 95 %. Assumption, medium confidence.
INACCURATE_M = 25.0 / 2.4477
#: Typed in or reckoned on, not measured (second 61 and 62), or a receiver that does not work (63): low confidence.
NOT_MEASURED_M = 1000.0
#: A tenth of a minute of latitude, rounded: uniform over 185.2 m.
COARSE_M = 185.2 / np.sqrt(12)

#: A report says the second of its position's time. Of 800 in a file of satellite data 95 % were heard within 15 s
#: of it. Further off than this the receiver's time is taken as it is.
HEARD_WITHIN_S, HEARD_BEFORE_S = 30, 5
#: 1-sigma error of a time: of a known second, uniform; of a message that says none. Assumption, medium confidence.
SECOND_SIGMA_S, HEARD_SIGMA_S = 0.3, 5.0

#: Ship types by number (IMO), as terms; 59, neutral ships of ITU Resolution 18, stay vessels.
SHIP_TYPES: Final[dict[int, str]] = {
    30: "vessel.fishing",
    **dict.fromkeys((31, 32, 52), "vessel.tug"),
    **dict.fromkeys((33, 34, 50, 53, 54), "vessel.service"),
    35: "vessel.military",
    **dict.fromkeys((36, 37), "vessel.pleasure"),
    **dict.fromkeys(range(40, 50), "vessel.high_speed"),
    51: "vessel.search_rescue",
    55: "vessel.law_enforcement",
    58: "vessel.medical",
    **dict.fromkeys(range(60, 70), "vessel.passenger"),
    **dict.fromkeys(range(70, 80), "vessel.cargo"),
    **dict.fromkeys(range(80, 90), "vessel.tanker"),
}
_BY_SHIP_TYPE = np.array(["vessel"] + [SHIP_TYPES.get(number, "vessel") for number in range(256)])


def layout() -> Whole:
    """`LAYOUT` as the kernel takes it."""
    table = np.zeros((_LAST_TYPE + 1, len(_FIELDS), 3), np.int64)
    for kind in range(_LAST_TYPE + 1):
        for name, given in {"mmsi": (8, 30), **LAYOUT.get(kind, {})}.items():
            table[kind, _FIELDS.index(name), : len(given)] = given
    return table


_LAYOUT = layout()


class Messages:
    """The fields of some consecutive messages, as whole numbers by name, `NONE` where there is none."""

    def __init__(self, payload: pa.Array, fill: Whole) -> None:
        _, offsets, joined = payload.buffers()
        self._joined = np.frombuffer(joined, np.uint8) if joined is not None and joined.size else np.zeros(0, np.uint8)
        self._offsets = np.frombuffer(offsets, np.int32, len(payload) + 1, payload.offset * 4)
        self.kind, self.bits, values = sixbit.fields(self._joined, self._offsets, fill, _LAYOUT)
        self._values = dict(zip(_FIELDS, values, strict=True))
        self._part_b = (self.kind == 24) & (self.part() == 1)

    def __getitem__(self, name: str) -> Whole:
        return np.asarray(self._values[name])

    def part(self) -> Whole:
        """Of messages of type 24 their part, which says what their fields are; else 0."""
        out = np.zeros(len(self.kind), np.int64)
        rows = np.flatnonzero((self.kind == 24) & (self.bits >= 40))
        if len(rows):  # bits 38 and 39 end the seventh character
            characters = self._joined[self._offsets[rows] + 6].astype(np.int64) - 48
            out[rows] = np.where(characters > 40, characters - 8, characters) >> 2 & 3
        return out

    def station_times(self) -> Whole:
        """What base stations say the time is, microseconds; `NONE` of all other messages."""
        out = np.full(len(self.kind), NONE)
        for row in np.flatnonzero((self.kind == 4) & (self["clock_second"] != NONE)).tolist():
            date = [int(self[name][row]) for name in ("year", "month", "day")]
            clock = [int(self[name][row]) for name in ("hour", "minute", "clock_second")]
            day = nmea.days(*date)
            if day != NONE and clock[0] < 24 and clock[1] < 60 and clock[2] < 60:
                out[row] = (((day * 24 + clock[0]) * 60 + clock[1]) * 60 + clock[2]) * 1_000_000
        return out

    def numbers(self, name: str, missing: tuple[int, ...] = (), scale: float = 1.0) -> Array:
        """A field as float64; NaN where there is none or one that means so."""
        found = self._values[name]
        absent = (found == NONE) | np.isin(found, missing)
        return np.where(absent, np.nan, np.where(absent, 0, found) * scale)

    def text(self, name: str) -> pa.Array:
        """A text; null where there is none or an empty one."""
        form = np.where(self._part_b, 0, np.where((self.kind >= 1) & (self.kind <= _LAST_TYPE), self.kind, 28))
        table = np.zeros((29, 2), np.int64)
        for kind, given in TEXTS[name].items():
            table[kind] = given
        starts, characters = table[form].T
        joined, offsets = sixbit.texts(
            self._joined, self._offsets, self.bits, np.ascontiguousarray(starts), np.ascontiguousarray(characters)
        )
        found = pa.Array.from_buffers(pa.string(), len(form), [None, pa.py_buffer(offsets), pa.py_buffer(joined)])
        return pc.if_else(pc.equal(found, ""), None, found)


def check(messages: Messages, faults: Faults) -> None:
    """Reject what is no message: an unknown type, too few bits, a sender's number of ten digits."""
    kind, bits = messages.kind, messages.bits
    unknown = (kind < 1) | (kind > _LAST_TYPE)
    faults.add(unknown & (bits >= 6), "message type", shown(kind), "is not one of 1..27")
    shortest = np.full(64, _SENDER_BITS)
    shortest[list(SHORTEST)] = list(SHORTEST.values())
    needed = shortest[np.clip(kind, 0, 63)]
    for row in np.flatnonzero((bits < needed) & (~unknown | (bits < 6))).tolist():
        told = f"a message of type {kind[row]} of {bits[row]} bits is cut off: it has {needed[row]}"
        faults.tell(row, told if bits[row] >= 6 else "the message has no type", "bits", str(bits[row]))
    faults.add(messages["mmsi"] > 999_999_999, "mmsi", shown(messages["mmsi"]), "has more than nine digits")


def columns(messages: Messages, faults: Faults) -> dict[str, Any]:
    """What the messages say, but for times and stations."""
    check(messages, faults)
    lon, lat = _degrees(messages, faults)
    kind = messages.kind
    is_fix = np.isin(kind, POSITIONS) & np.isfinite(lon)
    second = messages.numbers("second")
    major, minor = ellipses(lat, messages.numbers("accuracy") == 1, second >= 61, kind == COARSE)
    speed = messages.numbers("speed", scale=1.0)
    nine, coarse = kind == 9, kind == COARSE
    none = np.where(coarse, 63, 1023)
    knots = np.where(speed == none, np.nan, speed) * np.where(nine | coarse, 1.0, 0.1)
    course = messages.numbers("course") * np.where(coarse, 1.0, 0.1)
    heading = messages.numbers("heading")
    mmsi = messages["mmsi"]
    return {
        "kind": pc.if_else(pa.array(is_fix), "fix", "status"),
        "what": pa.array(what(kind, mmsi, messages["ship_type"], messages.part() == 1)),
        "lon": nullable(lon),
        "lat": nullable(lat),
        "major_m": nullable(np.where(np.isnan(lon), np.nan, major).astype(np.float32)),
        "minor_m": nullable(np.where(np.isnan(lon), np.nan, minor).astype(np.float32)),
        "tilt_deg": nullable(np.where(np.isnan(lon), np.nan, 0.0).astype(np.float32)),
        "alt_m": nullable(messages.numbers("altitude", (4095,)).astype(np.float32)),
        "speed_mps": nullable((knots * KNOT_MPS).astype(np.float32)),
        "course_deg": nullable(np.where(course < 360, course, np.nan).astype(np.float32)),
        "identity": identities(mmsi),
        "text": messages.text("text"),
        "ais_type": whole(np.where(kind < 0, np.nan, kind)),
        "ais_part": whole(np.where(kind == 24, messages.part(), np.nan)),
        "ais_nav_status": whole(messages.numbers("status", (15,))),
        "ais_turn": whole(messages.numbers("turn", (-128,))),
        "ais_heading_deg": nullable(np.where(heading < 360, heading, np.nan).astype(np.float32)),
        "ais_second": whole(second),
        "ais_accurate": flags(messages.numbers("accuracy")),
        "ais_raim": flags(messages.numbers("raim")),
        "ais_imo": whole(messages.numbers("imo", (0,))),
        "ais_callsign": messages.text("callsign"),
        "ais_name": messages.text("name"),
        "ais_ship_type": whole(messages.numbers("ship_type", (0,))),
        "ais_bow_m": whole(messages.numbers("bow")),
        "ais_stern_m": whole(messages.numbers("stern")),
        "ais_port_m": whole(messages.numbers("port")),
        "ais_starboard_m": whole(messages.numbers("starboard")),
        "ais_length_m": whole(messages.numbers("bow") + messages.numbers("stern")),
        "ais_width_m": whole(messages.numbers("port") + messages.numbers("starboard")),
        "ais_draught_m": nullable(messages.numbers("draught", (0,), 0.1).astype(np.float32)),
        "ais_destination": messages.text("destination"),
    }


def _degrees(messages: Messages, faults: Faults) -> tuple[Array, Array]:
    """Longitude and latitude, NaN where not available (181 and 91); what is outside the Earth is a fault."""
    scale = np.where(messages.kind == COARSE, 600.0, 600_000.0)
    out = []
    for name, most in (("lon", 180), ("lat", 90)):
        degrees = messages.numbers(name) / scale
        degrees = np.where(degrees == most + 1, np.nan, degrees)
        with np.errstate(invalid="ignore"):
            outside = np.abs(degrees) > most
        faults.add(outside, name, shown(np.round(degrees, 6)) if outside.any() else None, f"is outside -{most}..{most}")
        out.append(np.where(outside, np.nan, degrees))
    absent = np.isnan(out[0] + out[1])
    return np.where(absent, np.nan, out[0]), np.where(absent, np.nan, out[1])


def ellipses(lat: Array, accurate: Mask, not_measured: Mask, coarse: Mask) -> tuple[Array, Array]:
    """1-sigma axes of a position, the longer one northwards."""
    sigma = np.where(not_measured, NOT_MEASURED_M, np.where(accurate, ACCURATE_M, INACCURATE_M))
    step = np.where(coarse, COARSE_M, 0.0)
    return np.hypot(sigma, step), np.hypot(sigma, step * np.cos(np.radians(np.where(np.isnan(lat), 0.0, lat))))


def what(kind: Whole, mmsi: Whole, ship_type: Whole, part_b: Mask) -> npt.NDArray[Any]:
    """The taxonomy's term of each sender: by the ship type it states, else by the form of its number and message."""
    static = (kind == 5) | (kind == 19) | (kind == 24)
    says_type = static & ((kind != 24) | part_b)
    term = np.where(says_type, _BY_SHIP_TYPE[np.clip(ship_type, -1, 255) + 1], "vessel").astype("U32")
    # 99 is a mark's own number, 00 a coast station's; a ship whose number nobody set up may have few digits too.
    few_digits = (mmsi < 10_000_000) & ~static & ~np.isin(kind, POSITIONS)
    is_mark = np.isin(kind, _STATION_TYPES) | (kind == 21) | few_digits | (mmsi // 10_000_000 == 99)
    term[is_mark] = "navigation_aid"
    leading = mmsi // 1_000_000
    term[(leading == 970) | (leading == 972) | (leading == 974)] = "vessel.distress"
    term[(leading == 111) | (kind == 9)] = "aircraft.search_rescue"
    return term


def identities(mmsi: Whole) -> pa.Array:
    """`mmsi:` and nine digits; null for none and for 0, which many a transponder sends that nobody set up."""
    none = (mmsi <= 0) | (mmsi > 999_999_999)
    digits = pc.utf8_lpad(pa.array(np.where(none, 0, mmsi)).cast(pa.string()), 9, "0")
    named = pc.binary_join_element_wise("mmsi:", digits, "")
    return pc.if_else(pa.array(none), None, named)


def times(heard_us: Whole, second: Array) -> tuple[Whole, pa.Array]:
    """When each position was measured and the error of that: the receiver's time, set back to the second it says.

    Of messages that say no second, or one too far off, the receiver's time. Microseconds, `NONE` where untimed.
    """
    says = (second < 60) & (heard_us != NONE)
    late = heard_us - np.where(says, second, 0).astype(np.int64) * 1_000_000 + HEARD_BEFORE_S * 1_000_000
    late = np.mod(late, 60_000_000) - HEARD_BEFORE_S * 1_000_000
    known = says & (late <= HEARD_WITHIN_S * 1_000_000)
    sigma = np.where(known, SECOND_SIGMA_S, HEARD_SIGMA_S).astype(np.float32)
    return np.where(known, heard_us - late, heard_us), pa.array(sigma, mask=heard_us == NONE)


def moments(micros: Whole) -> pa.Array:
    """Microseconds as times, `NONE` become null."""
    return pa.array(np.where(micros == NONE, 0, micros), mask=micros == NONE).cast(TIME)


def whole(values: Array) -> pa.Array:
    """Whole numbers, int32, NaN become null."""
    absent = np.isnan(values)
    return pa.array(np.where(absent, 0, values).astype(np.int32), mask=absent)


def flags(values: Array) -> pa.Array:
    """Flags, NaN become null."""
    absent = np.isnan(values)
    return pa.array(values == 1, mask=absent)


def shown(values: npt.NDArray[Any]) -> pa.Array:
    return pa.array(values).cast(pa.string())
