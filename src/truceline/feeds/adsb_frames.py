"""Mode S frames with their times: what transponders say, one frame a line.

    1457996402,8D406B9058B98218DD7D364566EF       any order and number of columns, one of them the frame
    *8D406B9058B98218DD7D364566EF;                as AVR, without a time
    @00016B9058B98D406B9058B98218DD7D364566EF;    with a receiver's counter of 12 MHz

Extended squitters (DF 17, 18) are read by a kernel, whole columns at once; positions need what the aircraft said
before, which is kept from batch to batch. What an aircraft answers about itself (Comm-B, DF 20 and 21) does not say
which register it is from: rs1090 judges that.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import rs1090

from truceline.feeds.adsb_terms import (
    CATEGORIES,
    FOOT_M,
    KNOT_MPS,
    LAG_SIGMA_S,
    address,
    epu_sigma_m,
    flags,
    moments,
    type_sigma_m,
    what,
)
from truceline.feeds.batch import UNTIMED, Fault, Faults, Records
from truceline.feeds.lines import PIECE_BYTES, Lines, lines
from truceline.feeds.records import MOST_RECORDS
from truceline.feeds.stream import window
from truceline.kernels import beast as kernel
from truceline.kernels import cpr, modes
from truceline.observation import nullable

Array = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

#: A line of a log has some hundred characters.
LONGEST_LINE = 4096
NONE = modes.NONE
#: Mode S has been in use since the 1980s; a time outside these is a mistake.
FIRST_US, LAST_US = 315_532_800_000_000, 4_102_444_800_000_000  # 1980, 2100
TICKS_PER_S = 12e6

_NO_FRAMES = {
    kernel.MODE_AC: Fault("is an answer of Mode A or C, which says no address"),
    kernel.SETTINGS: Fault("is a receiver's settings, not a frame"),
    kernel.CUT_OFF: Fault("is a frame that breaks off"),
    kernel.STRAY: Fault("holds bytes between frames"),
}
_WRONG = {
    modes.NO_FRAME: "holds no Mode S frame: 14 or 28 hexadecimal digits",
    modes.TWO_FRAMES: "holds two Mode S frames",
}
#: Downlink formats, and those that say who sends.
_FORMATS = (0, 4, 5, 11, 16, 17, 18, 19, 20, 21, 24)
_WITH_ADDRESS = (0, 4, 5, 11, 16, 17, 18, 20, 21)
_COMM_B = (20, 21)

#: Fields of registers as rs1090 names them, with our column and the factor to its unit.
_REGISTERS = {
    "bds40": {"selected_mcp": ("selected_alt_m", FOOT_M)},
    "bds50": {
        "roll": ("roll_deg", 1.0), "track": ("track_deg", 1.0), "groundspeed": ("ground_mps", KNOT_MPS),
        "TAS": ("tas_mps", KNOT_MPS),
    },
    "bds60": {
        "heading": ("heading_deg", 1.0), "IAS": ("ias_mps", KNOT_MPS), "Mach": ("mach", 1.0),
        "vrate_inertial": ("climb_mps", FOOT_M / 60),
    },
}  # fmt: skip
_FIELDS = ("selected_alt_m", "roll_deg", "track_deg", "ground_mps", "tas_mps", "heading_deg", "ias_mps", "mach",
           "climb_mps")  # fmt: skip


class Frames(NamedTuple):
    """Frames of some consecutive records, those that are not broken; their times, counters and record numbers."""

    frame: npt.NDArray[np.uint8]
    sizes: Whole
    heard_us: Whole
    ticks: Whole
    wrong: npt.NDArray[np.uint8]
    records: Whole


def lines_of(path: str, name: str, chunk_bytes: int) -> Iterator[tuple[Records, Frames]]:
    """The lines of a file as records, with the frames of those that are not broken."""
    first = 1
    for found in lines(path, name, longest=LONGEST_LINE, chunk_bytes=chunk_bytes):
        if isinstance(found, Records):
            yield Records(first, found.raws, found.broken, {}, found.break_at), _no_frames()
            continue
        text = found.data.tobytes()
        raws = [text[a:b] for a, b in zip(found.starts.tolist(), found.ends.tolist(), strict=True)]
        broken = _not_text(raws, found)
        keep = np.ones(len(raws), np.bool_)
        keep[list(broken)] = False
        frame, sizes, times, ticks, wrong = modes.frames(found.data, found.starts[keep], found.ends[keep])
        numbers = np.flatnonzero(keep) + first
        yield Records(first, raws, broken, {}), Frames(frame, sizes, times, ticks, wrong, numbers)
        first += len(raws)


def beast(path: str, name: str, chunk_bytes: int) -> Iterator[tuple[Records, Frames]]:
    """The frames of a file of a Beast receiver, which has a counter and no time."""
    first = 1
    with window(path, name, chunk_bytes, PIECE_BYTES) as text:
        while True:
            data = np.frombuffer(text.data, np.uint8)
            whole = text.final and text.stream.problem is None
            starts, ends, what, frame, sizes, ticks, text.begin = kernel.split(
                data, text.begin, whole, MOST_RECORDS, LONGEST_LINE
            )
            if len(starts):
                raws = [text.data[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
                broken = {row: _NO_FRAMES[int(what[row])] for row in np.flatnonzero(what != kernel.FRAME).tolist()}
                good = np.flatnonzero(what == kernel.FRAME)
                none, right = np.full(len(good), NONE), np.zeros(len(good), np.uint8)
                yield (
                    Records(first, raws, broken, {}),
                    Frames(frame[good], sizes[good], none, ticks[good], right, good + first),
                )
                first += len(raws)
            elif text.final:
                break
            else:
                text.more()
        if text.stream.problem is not None:
            rest = Fault(text.stream.problem)
            yield Records(first, [text.data[text.begin :]], {0: rest}, {}, text.stream.break_at), _no_frames()


def _no_frames() -> Frames:
    none = np.zeros(0, np.int64)
    return Frames(np.zeros((0, 14), np.uint8), none, none, none, np.zeros(0, np.uint8), none)


def _not_text(raws: list[bytes], found: Lines) -> dict[int, Fault]:
    broken = dict(found.faults)
    begin, end = found.starts[0], found.ends[-1]
    if (found.data[begin:end] >= 128).any():
        for line, raw in enumerate(raws):
            try:
                raw.decode()
            except UnicodeDecodeError as error:
                at = f"byte {error.start} of the record is {raw[error.start]:#04x}"
                broken.setdefault(line, Fault(f"is not UTF-8 text: {at}"))
    return broken


class Aircraft:
    """What the aircraft of one file have said so far, and the observations that come of what they say next."""

    def __init__(self, reference: tuple[float, float] | None, start_us: int | None) -> None:
        self._reference = np.array([np.nan, np.nan] if reference is None else reference)
        self._start_us = NONE if start_us is None else start_us
        self._first_tick = NONE
        self._slots: dict[int, int] = {}
        self._state = np.full((64, cpr.STATE), np.nan)

    def columns(self, found: Frames, faults: Faults) -> dict[str, Any]:
        """The observation's columns of some consecutive frames."""
        frame, sizes, heard_us, ticks, wrong, records = found
        wholes, numbers, callsigns = modes.fields(frame, sizes)
        self._check(wholes, heard_us, wrong, faults)
        at_us, clock_s = self._times(heard_us, ticks)
        lon, lat, others, velocities, nacp = self._follow(wholes, numbers, clock_s, records, faults.good)
        form, kind = wholes[:, modes.FORMAT], wholes[:, modes.TYPE]
        placed, is_position = np.isfinite(lon), wholes[:, modes.LAT_CPR] >= 0
        said = np.stack([numbers[:, modes.SPEED], numbers[:, modes.COURSE], numbers[:, modes.CLIMB]], axis=1)
        said = np.where((placed & is_position)[:, None], velocities, said)
        registers = _registers(frame, sizes, np.isin(form, _COMM_B))
        speed_mps = np.where(np.isfinite(said[:, 0]), said[:, 0] * KNOT_MPS, registers["ground_mps"])
        course = np.where(np.isfinite(said[:, 1]), said[:, 1], registers["track_deg"])
        climb = np.where(np.isfinite(said[:, 2]), said[:, 2] * FOOT_M / 60, registers["climb_mps"])
        heading = np.where(np.isfinite(numbers[:, modes.HEADING]), numbers[:, modes.HEADING], registers["heading_deg"])
        stated = epu_sigma_m(nacp)
        sigma = np.where(np.isnan(stated), type_sigma_m(kind), stated)
        sigma = np.where(placed, sigma, np.nan).astype(np.float32)
        category = wholes[:, modes.CATEGORY]
        named = np.isin(form, _WITH_ADDRESS) & (wholes[:, modes.ADDRESS_KIND] == 0)
        untimed = at_us == NONE
        return {
            "kind": pc.if_else(pa.array(placed), "fix", "status"),
            "what": pa.array(what(category)),
            "at": moments(at_us),
            "at_sigma_s": pa.array(np.full(len(at_us), LAG_SIGMA_S, np.float32), mask=untimed),
            "lon": nullable(lon),
            "lat": nullable(lat),
            "alt_m": nullable((numbers[:, modes.ALTITUDE] * FOOT_M).astype(np.float32)),
            "major_m": nullable(sigma),
            "minor_m": nullable(sigma),
            "tilt_deg": nullable(np.where(placed, 0.0, np.nan).astype(np.float32)),
            "speed_mps": nullable(speed_mps.astype(np.float32)),
            "course_deg": nullable(course.astype(np.float32)),
            "identity": address(np.where(named, wholes[:, modes.ADDRESS], -1)),
            "adsb_format": _whole(form),
            "adsb_type": _whole(kind),
            "adsb_address_checked": flags(np.where(wholes[:, modes.PARITY] == modes.OVERLAID, 0, 1)),
            "adsb_callsign": _callsign(callsigns),
            "adsb_squawk": _squawk(wholes[:, modes.SQUAWK]),
            "adsb_category": pa.array([CATEGORIES.get(code) for code in category.tolist()], pa.string()),
            "adsb_on_ground": flags(wholes[:, modes.ON_GROUND]),
            "adsb_climb_mps": nullable(climb.astype(np.float32)),
            "adsb_geo_above_baro_m": nullable((numbers[:, modes.ABOVE_BARO] * FOOT_M).astype(np.float32)),
            "adsb_geo_alt_m": pa.nulls(len(lon), pa.float32()),
            "adsb_heading_deg": nullable(heading.astype(np.float32)),
            "adsb_airspeed_mps": nullable((numbers[:, modes.AIRSPEED] * KNOT_MPS).astype(np.float32)),
            "adsb_nacp": _whole(np.where(is_position, nacp, wholes[:, modes.NACP])),
            "adsb_pair_record": pa.array(np.where(others < 0, 0, others), mask=others < 0),
            "adsb_repeated": pa.nulls(len(lon), pa.bool_()),
            "adsb_registers": registers["names"],
            **{f"adsb_{name}": nullable(registers[name].astype(np.float32)) for name in
               ("selected_alt_m", "roll_deg", "tas_mps", "ias_mps", "mach")},
            # A counter tells repeats apart as a time does.
            UNTIMED: (heard_us == NONE) & (ticks == NONE),
        }  # fmt: skip

    def _check(self, wholes: Whole, heard_us: Whole, wrong: npt.NDArray[np.uint8], faults: Faults) -> None:
        for code, reason in _WRONG.items():
            for row in np.flatnonzero(wrong == code).tolist():
                faults.why.setdefault(row, Fault(reason))
        form = wholes[:, modes.FORMAT]
        known = np.isin(form, _FORMATS)
        faults.add((wrong == 0) & ~known, "downlink format", pa.array(form).cast(pa.string()), "is none of Mode S")
        for row in np.flatnonzero((wrong == 0) & known & (wholes[:, modes.PARITY] == modes.WRONG)).tolist():
            faults.why.setdefault(row, Fault("has a wrong parity, or a length that is not its format's", "parity"))
        outside = (heard_us != NONE) & ((heard_us < FIRST_US) | (heard_us >= LAST_US))
        shown = pa.array(heard_us // 1_000_000).cast(pa.string()) if outside.any() else None
        faults.add(outside, "time", shown, "is outside the years 1980..2100")

    def _times(self, heard_us: Whole, ticks: Whole) -> tuple[Whole, Array]:
        """Microseconds of each frame, and seconds of a clock that all frames of the file share, NaN without one."""
        at_us = heard_us.copy()
        counted = np.flatnonzero(ticks != NONE)
        if len(counted) and self._first_tick == NONE:
            self._first_tick = int(ticks[counted[0]])
        since_us = np.round((ticks - self._first_tick) / TICKS_PER_S * 1e6)
        clock_s = np.where(ticks != NONE, since_us / 1e6, np.where(heard_us != NONE, heard_us / 1e6, np.nan))
        if self._start_us != NONE:
            fill = (at_us == NONE) & (ticks != NONE)
            at_us[fill] = self._start_us + since_us[fill].astype(np.int64)
        return at_us, clock_s

    def _follow(
        self, wholes: Whole, numbers: Array, clock_s: Array, records: Whole, good: npt.NDArray[np.bool_]
    ) -> tuple[Array, Array, Whole, Array, Whole]:
        """Positions, in the file's order."""
        n = len(wholes)
        kind = wholes[:, modes.TYPE]
        use = np.flatnonzero(good & (kind >= 0))
        # An address that is none of ICAO's may be another aircraft's: it has a place of its own.
        keys = wholes[use, modes.ADDRESS] + (wholes[use, modes.ADDRESS_KIND] << 24)
        distinct, codes = np.unique(keys, return_inverse=True)
        slots = np.array([self._slots.setdefault(key, len(self._slots)) for key in distinct.tolist()], np.int64)[codes]
        while len(self._slots) > len(self._state):
            self._state = np.concatenate([self._state, np.full_like(self._state, np.nan)])
        velocity = np.stack([numbers[use, modes.SPEED], numbers[use, modes.COURSE], numbers[use, modes.CLIMB]], axis=1)
        columns = [wholes[use, column] for column in (modes.ON_GROUND, modes.ODD, modes.LAT_CPR, modes.LON_CPR)]
        columns = [np.ascontiguousarray(column) for column in columns]
        nacp = np.ascontiguousarray(wholes[use, modes.NACP])
        found = cpr.follow(self._state, slots, clock_s[use], records[use], *columns, velocity, nacp, self._reference)
        lon, lat, velocities = np.full(n, np.nan), np.full(n, np.nan), np.full((n, 3), np.nan)
        others, accuracies = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
        for out, part in zip((lon, lat, others, velocities, accuracies), found, strict=True):
            out[use] = part
        return lon, lat, others, velocities, accuracies


def _registers(frame: npt.NDArray[np.uint8], sizes: Whole, comm_b: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """What Comm-B answers say, where only one register fits them; and the names of all that fit."""
    n = len(sizes)
    out: dict[str, Any] = {name: np.full(n, np.nan) for name in _FIELDS}
    names: list[str | None] = [None] * n
    rows = np.flatnonzero(comm_b).tolist()
    if rows:
        decoded: list[Any] = list(rs1090.decode([frame[row].tobytes().hex() for row in rows]))
        for row, answer in zip(rows, decoded, strict=True):
            fitting = [key for key in answer or () if key.startswith("bds") and _is_sound(key, answer[key])]
            names[row] = ",".join(key[3:] for key in fitting) or None
            if len(fitting) != 1 or fitting[0] not in _REGISTERS:
                continue
            register: Any = answer[fitting[0]]
            for theirs, (ours, factor) in _REGISTERS[fitting[0]].items():
                if register.get(theirs) is not None:
                    out[ours][row] = factor * register[theirs]
    return out | {"names": pa.array(names, pa.string())}


def _is_sound(key: str, register: Any) -> bool:
    """Whether a register fits: rs1090 takes a registration with characters that none has for one."""
    return key != "bds21" or "#" not in str(register)


def _whole(values: Whole) -> pa.Array:
    return pa.array(np.maximum(values, 0).astype(np.int32), mask=values < 0)


def _callsign(characters: npt.NDArray[np.uint8]) -> pa.Array:
    n = len(characters)
    offsets = np.arange(n + 1, dtype=np.int32) * 8
    text = pa.Array.from_buffers(pa.string(), n, [None, pa.py_buffer(offsets), pa.py_buffer(characters.tobytes())])
    text = pc.utf8_rtrim_whitespace(text)
    return pc.if_else(pc.equal(text, ""), None, text)


def _squawk(values: Whole) -> pa.Array:
    text = pc.utf8_lpad(pa.array(np.maximum(values, 0)).cast(pa.string()), 4, "0")
    return pc.if_else(pa.array(values < 0), None, text)
