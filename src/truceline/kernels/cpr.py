"""Compact position reports of ADS-B to degrees, in the order in which they came (ICAO Doc 9871, 2.6)."""

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

#: Columns of the state of an aircraft: its last even and odd report (latitude, longitude, 0..1, time, record), its
#: last position (longitude, latitude, time), its last velocity (speed, course, climb, time), its accuracy category.
EVEN, ODD, POSITION, VELOCITY, NACP = 0, 4, 8, 11, 15
STATE = 16

#: An even and an odd report this far apart give one position: an aircraft of 500 knots moves 2.6 km meanwhile.
PAIR_S = 10.0
#: A single report is read beside the last position while the aircraft cannot have left its half cell of 330 km.
BESIDE_S = 120.0
#: On the ground half a cell is 80 km.
BESIDE_GROUND_S = 600.0
#: A velocity this old goes with a position.
VELOCITY_S = 10.0

_SCALE = 131072.0


@njit(cache=True)
def zones(lat_deg: float) -> int:
    """Number of longitude zones at a latitude, 1..59."""
    lat = abs(lat_deg)
    if lat == 0.0:
        return 59
    if lat > 87.0:
        return 1
    if lat == 87.0:
        return 2
    a = 1.0 - np.cos(np.pi / 30.0)
    return int(np.floor(2.0 * np.pi / np.arccos(1.0 - a / np.cos(np.radians(lat)) ** 2)))


@njit(cache=True)
def together(even_lat: float, even_lon: float, odd_lat: float, odd_lon: float, odd_last: bool) -> tuple[float, float]:
    """Longitude and latitude of an airborne pair, of the later of the two; NaN when they lie across a zone's border.

    Parameters
    ----------
    even_lat, even_lon, odd_lat, odd_lon
        As sent, divided by 2^17.
    """
    j = np.floor(59.0 * even_lat - 60.0 * odd_lat + 0.5)
    lat_even = 6.0 * (j % 60.0 + even_lat)
    lat_odd = 360.0 / 59.0 * (j % 59.0 + odd_lat)
    lat_even = lat_even - 360.0 if lat_even >= 270.0 else lat_even
    lat_odd = lat_odd - 360.0 if lat_odd >= 270.0 else lat_odd
    if not (-90.0 <= lat_even <= 90.0 and -90.0 <= lat_odd <= 90.0) or zones(lat_even) != zones(lat_odd):
        return np.nan, np.nan
    lat = lat_odd if odd_last else lat_even
    nl = zones(lat)
    m = np.floor(even_lon * (nl - 1) - odd_lon * nl + 0.5)
    n = max(nl - 1, 1) if odd_last else max(nl, 1)
    lon = 360.0 / n * (m % n + (odd_lon if odd_last else even_lon))
    return (lon - 360.0 if lon >= 180.0 else lon), lat


@njit(cache=True)
def beside(
    lat_cpr: float, lon_cpr: float, odd: bool, lon_deg: float, lat_deg: float, size: float
) -> tuple[float, float]:
    """Longitude and latitude of one report, the nearest to a place; `size` is 360 in the air, 90 on the ground."""
    d_lat = size / (59.0 if odd else 60.0)
    # The nearest cell; not by floor and remainder, which do not agree at a cell's border.
    lat = d_lat * (np.floor(0.5 + lat_deg / d_lat - lat_cpr) + lat_cpr)
    if not -90.0 <= lat <= 90.0:
        return np.nan, np.nan
    d_lon = size / max(zones(lat) - (1 if odd else 0), 1)
    lon = d_lon * (np.floor(0.5 + lon_deg / d_lon - lon_cpr) + lon_cpr)
    return (lon + 180.0) % 360.0 - 180.0, lat


@njit(cache=True)
def follow(
    state: Array,
    slots: Whole,
    time_s: Array,
    records: Whole,
    on_ground: Whole,
    odd: Whole,
    lat_cpr: Whole,
    lon_cpr: Whole,
    velocity: Array,
    nacp: Whole,
    reference: Array,
) -> tuple[Array, Array, Whole, Array, Whole]:
    """Positions of reports in the order given, each with what its aircraft said before.

    Parameters
    ----------
    state
        (aircraft, STATE) float64, NaN before anything is known; changed in place, for the next call.
    slots, time_s, records
        (n,) row of `state`, time (any zero; NaN where there is none) and record number of each report.
    on_ground, odd, lat_cpr, lon_cpr
        (n,) as sent; `lat_cpr` -1 where the report is no position.
    velocity
        (n, 3) speed, course, climb; NaN where the report is no velocity.
    nacp
        (n,) accuracy category, -1 where the report says none.
    reference
        Longitude and latitude of the receiver, NaN when it is not known.

    Returns
    -------
    lon, lat
        (n,) degrees, NaN where there is no position.
    others
        (n,) record of the other report of the pair, -1 where one was enough.
    velocities
        (n, 3) of each position, the last one not older than `VELOCITY_S`.
    accuracies
        (n,) the last category, -1 for none.
    """
    n = len(slots)
    lon = np.full(n, np.nan)
    lat = np.full(n, np.nan)
    others = np.full(n, -1, np.int64)
    velocities = np.full((n, 3), np.nan)
    accuracies = np.full(n, -1, np.int64)
    for i in range(n):
        one, now = state[slots[i]], time_s[i]
        if nacp[i] >= 0:
            one[NACP] = nacp[i]
        if not np.isnan(velocity[i, 0]) and lat_cpr[i] < 0:
            one[VELOCITY : VELOCITY + 3] = velocity[i]
            one[VELOCITY + 3] = now
        if lat_cpr[i] < 0:
            continue
        accuracies[i] = -1 if np.isnan(one[NACP]) else int(one[NACP])
        y, x = lat_cpr[i] / _SCALE, lon_cpr[i] / _SCALE
        is_odd, ground = odd[i] == 1, on_ground[i] == 1
        if not ground:
            mine, theirs = (ODD, EVEN) if is_odd else (EVEN, ODD)
            one[mine], one[mine + 1], one[mine + 2], one[mine + 3] = y, x, now, records[i]
            if abs(now - one[theirs + 2]) <= PAIR_S:  # NaN fails
                even, other = (theirs, mine) if is_odd else (mine, theirs)
                lon[i], lat[i] = together(one[even], one[even + 1], one[other], one[other + 1], is_odd)
                if not np.isnan(lon[i]):
                    others[i] = int(one[theirs + 3])
        if np.isnan(lon[i]):
            size, limit = (90.0, BESIDE_GROUND_S) if ground else (360.0, BESIDE_S)
            if abs(now - one[POSITION + 2]) <= limit:
                lon[i], lat[i] = beside(y, x, is_odd, one[POSITION], one[POSITION + 1], size)
            elif not np.isnan(reference[0]):
                lon[i], lat[i] = beside(y, x, is_odd, reference[0], reference[1], size)
        if np.isnan(lon[i]):
            continue
        one[POSITION], one[POSITION + 1], one[POSITION + 2] = lon[i], lat[i], now
        if ground:
            velocities[i] = velocity[i]
        elif abs(now - one[VELOCITY + 3]) <= VELOCITY_S:
            velocities[i] = one[VELOCITY : VELOCITY + 3]
    return lon, lat, others, velocities, accuracies
