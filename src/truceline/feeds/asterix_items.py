"""What the items of the categories mean: target reports, plots and system tracks to numbers of one kind.

    021  ADS-B target reports   position and accuracy as the target states them
    048  monoradar plots        slant range and azimuth, placed by the radar's site
    062  system tracks          what a centre made of several sensors, with its own estimate of accuracy
    002, 019, 023, 025, 034, 063, 065   the state of sensors and services: time and sender alone

A report that says of itself that it is simulated or a test, a plot without a detection, a ghost and a coasted track
are no sightings of anything; `seen` is false for them. Friend-or-foe answers and military identification are not read.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from truceline.agreement import Assumption
from truceline.feeds.asterix_layout import STATUS, TARGETS, Layout
from truceline.feeds.asterix_radar import (
    AZIMUTH_SIGMA_DEG,
    PRIMARY_AZIMUTH_SIGMA_DEG,
    PRIMARY_RANGE_SIGMA_M,
    RANGE_SIGMA_M,
    Site,
    place,
    turn_deg,
)
from truceline.kernels import asterix as cut

Array = npt.NDArray[np.float64]
#: From a field of the standard to its values, NaN where a record has none.
Read = Callable[[str], Array]

NM_M = 1852.0
FOOT_M = 0.3048
FLIGHT_LEVEL_M = 30.48

#: 1-sigma error on each axis by navigation accuracy category. The standard's bound (DO-260B, EPU) holds 95 % of a
#: round normal error, 2.448 of its sigmas.
_EPU_M = {11: 3, 10: 10, 9: 30, 8: 92.6, 7: 185.2, 6: 555.6, 5: 926, 4: 1852, 3: 3704, 2: 7408, 1: 18520}
ACCURACY_SIGMA_M: Final = {category: bound / 2.448 for category, bound in _EPU_M.items()}
#: Of a target report or a track that states no accuracy.
UNSTATED_M = Assumption(100.0, "satellite navigation with allowance for older transponders; nobody states it")
#: 1-sigma error of a time of day, which is given to 1/128 s: the delay of stamping it is not in the record.
TIME_SIGMA_S = Assumption(0.1, "delay allowed between measurement and time stamp in surveillance systems")

#: Terms by emitter category (the same numbers in 021/020 and 062/380 EMC).
_EMITTERS = {
    **dict.fromkeys((1, 2, 3, 4, 5), "aircraft.fixed_wing"),
    6: "aircraft.high_performance",
    10: "aircraft.rotary",
    11: "aircraft.glider",
    12: "aircraft.balloon",
    13: "uav",
    **dict.fromkeys((15, 16), "aircraft.light"),
    **dict.fromkeys((20, 21), "ground.vehicle"),
    **dict.fromkeys((22, 23, 24), "report"),  # masts and cables
}
#: A target that answers or speaks is an aircraft if nothing else is said; an echo is anything in the air.
_TRANSPONDER, _ECHO, _NOTHING = "aircraft", "air", "report"
TERMS = (_NOTHING, _ECHO, _TRANSPONDER, *sorted({*_EMITTERS.values()} - {_NOTHING}))
_TERM_OF_EMITTER = np.array([TERMS.index(_EMITTERS.get(number, _TRANSPONDER)) for number in range(256)], np.float64)

#: What is known of a record; NaN where it is not said.
NUMBERS = (
    *("sac", "sic", "tod_s", "lon", "lat", "alt_m", "major_m", "minor_m", "tilt_deg", "speed_mps", "course_deg"),
    *("bearing_deg", "bearing_sigma_deg", "range_m", "range_sigma_m", "track", "mode3a", "address", "callsign"),
    *("emitter", "flight_level", "detection", "term", "seen"),
)

_ANONYMOUS = 3
#: Item 021/140: this and everything above it, feet.
_ABOVE_FT = 204_793.75


def numbers(
    layout: Layout, data: cut.Bytes, categories: cut.Ints, starts: cut.Ints, ends: cut.Ints, sites: "Sites"
) -> dict[str, Array]:
    """(n,) each of `NUMBERS` of records in order."""
    out = {name: np.full(len(categories), np.nan) for name in NUMBERS}
    for category in np.unique(categories).tolist():
        mine = np.flatnonzero(categories == category)
        item_starts, item_ends = starts[mine], ends[mine]

        def read(path: str, of: int = category, a: cut.Ints = item_starts, b: cut.Ints = item_ends) -> Array:
            return layout.fields[of, path].values(data, a, b)

        found = {"sac": read("010/SAC"), "sic": read("010/SIC")}
        site = sites.of(found["sac"], found["sic"])
        found |= _MEANINGS[category](read, site) if category in TARGETS else _status(read, STATUS[category])
        for name, values in found.items():
            out[name][mine] = values
    return out


class Sites:
    """The radars and centres that the mission file places, by SAC/SIC."""

    def __init__(self, given: Mapping[tuple[int, int], tuple[float, float, float, float, float]]) -> None:
        # The last row is for all others.
        self._rows = np.array([*given.values(), [np.nan] * 5], np.float64)
        self._row_of = np.full(1 << 16, len(given), np.int64)
        for row, (sac, sic) in enumerate(given):
            self._row_of[sac << 8 | sic] = row

    def of(self, sac: Array, sic: Array) -> Site:
        """The site of each record; NaN where none is given."""
        known = np.isfinite(sac + sic)
        code = np.where(known, sac * 256 + sic, 0).astype(np.int64)
        rows = self._rows[np.where(known, self._row_of[code], len(self._rows) - 1)]
        return Site(*rows.T)


def _ads_b(read: Read, _: Site) -> dict[str, Array]:
    fine = read("131/LAT"), read("131/LON")
    coarse = read("130/LAT"), read("130/LON")
    lat, lon = (np.where(np.isnan(fine[0]), b, a) for a, b in zip(fine, coarse, strict=True))
    by_category = np.full(16, UNSTATED_M.value)
    by_category[list(ACCURACY_SIGMA_M)] = list(ACCURACY_SIGMA_M.values())
    sigma = by_category[np.nan_to_num(read("090/NACP")).astype(np.int64)]
    address, emitter, height = read("080"), read("020"), read("140")
    simulated = (read("040/SIM") == 1) | (read("040/TST") == 1) | (read("040/RAB") == 1)
    term = _term(emitter)
    return {
        "tod_s": _first(read("071"), read("073"), read("077")),
        "lon": lon,
        "lat": lat,
        "alt_m": _first(np.where(height == _ABOVE_FT, np.nan, height) * FOOT_M, read("145") * FLIGHT_LEVEL_M),
        "major_m": sigma,
        "minor_m": sigma,
        "tilt_deg": np.zeros(len(lon)),
        "speed_mps": read("160/GS") * NM_M,
        "course_deg": read("160/TA"),
        "track": read("161/TRNUM"),
        "mode3a": read("070/MODE3A"),
        "address": np.where(read("040/ATP") == _ANONYMOUS, np.nan, address),
        "callsign": read("170"),
        "emitter": emitter,
        "flight_level": read("145"),
        "term": term,
        "seen": (~simulated & (term != TERMS.index(_NOTHING))).astype(np.float64),
    }


def _monoradar(read: Read, site: Site) -> dict[str, Array]:
    slant, azimuth = read("040/RHO") * NM_M, read("040/THETA")
    trusted = (read("090/V") == 0) & (read("090/G") == 0)
    level = np.where(trusted, read("090/FL"), np.nan)
    height = _first(read("110/3DH") * FOOT_M, level * FLIGHT_LEVEL_M)
    detection = read("020/TYP")
    primary = detection == 1
    range_sigma = _first(site.range_sigma_m, np.where(primary, PRIMARY_RANGE_SIGMA_M.value, RANGE_SIGMA_M.value))
    azimuth_sigma = _first(
        site.azimuth_sigma_deg, np.where(primary, PRIMARY_AZIMUTH_SIGMA_DEG.value, AZIMUTH_SIGMA_DEG.value)
    )
    placed = place(slant, azimuth, height, site._replace(range_sigma_m=range_sigma, azimuth_sigma_deg=azimuth_sigma))
    said = (read("070/V") == 0) & (read("070/G") == 0)
    simulated = (read("020/SIM") == 1) | (read("020/TST") == 1) | (read("020/RAB") == 1)
    return {
        "tod_s": read("140"),
        "lon": placed.lon,
        "lat": placed.lat,
        "alt_m": height,
        "major_m": placed.major_m,
        "minor_m": placed.minor_m,
        "tilt_deg": placed.tilt_deg,
        "speed_mps": read("200/GSP") * NM_M,
        "course_deg": np.mod(read("200/HDG") + placed.turn_deg, 360.0),
        "bearing_deg": azimuth,
        "bearing_sigma_deg": np.where(np.isnan(azimuth), np.nan, azimuth_sigma),
        "range_m": slant,
        "range_sigma_m": np.where(np.isnan(slant), np.nan, range_sigma),
        "track": read("161/TRN"),
        "mode3a": np.where(said, read("070/MODE3A"), np.nan),
        "address": read("220"),
        "callsign": read("240"),
        "flight_level": level,
        "detection": detection,
        "term": np.where(primary, TERMS.index(_ECHO), TERMS.index(_TRANSPONDER)),
        "seen": (~simulated & (detection != 0) & (read("170/GHO") != 1)).astype(np.float64),
    }


def _system_track(read: Read, site: Site) -> dict[str, Array]:
    lat, lon = read("105/LAT"), read("105/LON")
    east, north = read("185/VX"), read("185/VY")
    var_e, cov, var_n = _accuracy(read, lat)
    middle, half = (var_e + var_n) / 2, (var_n - var_e) / 2
    spread = np.hypot(half, cov)
    callsign, emitter = _first(read("245/CHR"), read("380/ID")), read("380/EMC")
    turn = turn_deg(site.lon, site.lat, lon, lat)
    course = np.mod(np.degrees(np.arctan2(east, north)) + turn, 360.0)
    return {
        "tod_s": read("070"),
        "lon": lon,
        "lat": lat,
        "alt_m": _first(read("130") * FOOT_M, read("136") * FLIGHT_LEVEL_M),
        "major_m": np.sqrt(np.maximum(middle + spread, 1.0)),
        "minor_m": np.sqrt(np.maximum(middle - spread, 1.0)),
        "tilt_deg": np.mod(np.degrees(np.arctan2(cov, half)) / 2 + turn, 180.0),
        "speed_mps": np.hypot(east, north),
        "course_deg": np.where((east == 0) & (north == 0), np.nan, course),
        "track": read("040"),
        "mode3a": np.where((read("060/V") == 0) & (read("060/G") == 0), read("060/MODE3A"), np.nan),
        "address": read("380/ADR"),
        "callsign": callsign,
        "emitter": emitter,
        "flight_level": read("136"),
        "term": _term(emitter),
        "seen": ((read("080/SIM") != 1) & (read("080/CST") != 1)).astype(np.float64),
    }


def _accuracy(read: Read, lat: Array) -> tuple[Array, Array, Array]:
    """Variance east, covariance, variance north of a system track, metres squared, as its centre estimates them."""
    degree_m = 111_320.0  # within half a percent anywhere; these are errors
    east = _first(read("500/APC/X"), read("500/APW/LON") * degree_m * np.cos(np.radians(lat)))
    north = _first(read("500/APC/Y"), read("500/APW/LAT") * degree_m)
    unstated = ~((east > 0) & (north > 0))
    east, north = (np.where(unstated, UNSTATED_M.value, v) for v in (east, north))
    # The standard sends the root of the covariance with its sign.
    root = np.where(unstated, 0.0, np.nan_to_num(read("500/COV")))
    most = 0.999 * east * north
    return east**2, np.clip(np.sign(root) * root**2, -most, most), north**2


def _status(read: Read, clock: str) -> dict[str, Array]:
    time = read(clock)
    return {"tod_s": time, "term": np.full(len(time), float(TERMS.index(_NOTHING))), "seen": np.zeros(len(time))}


_MEANINGS = {21: _ads_b, 48: _monoradar, 62: _system_track}


def _first(*columns: Array) -> Array:
    """Of each row the first that is known."""
    found = columns[0]
    for column in columns[1:]:
        found = np.where(np.isnan(found), column, found)
    return found


def _term(emitter: Array) -> Array:
    return np.asarray(_TERM_OF_EMITTER[np.nan_to_num(emitter).astype(np.int64)])
