"""What the codes of ADS-B mean: emitter categories as terms, accuracy categories as metres."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from truceline.kernels.modes import NONE
from truceline.observation import TIME

Array = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

KNOT_MPS = 0.514444
FOOT_M = 0.3048

#: Emitter categories (DO-260B table 2-16): set and number as one decimal, 11 for A1.
CATEGORIES: Final[dict[int, str]] = {10 * (1 + s) + n: f"{'ABCD'[s]}{n}" for s in range(4) for n in range(1, 8)}
_TERMS: Final[dict[str, str]] = {
    **dict.fromkeys(("A1", "A2", "A3", "A4", "A5"), "aircraft.fixed_wing"),
    "A6": "aircraft.high_performance",
    "A7": "aircraft.rotary",
    "B1": "aircraft.glider",
    "B2": "aircraft.balloon",
    "B3": "aircraft.light",
    "B4": "aircraft.light",
    "B6": "uav",
    "C1": "ground.vehicle",
    "C2": "ground.vehicle",
    **dict.fromkeys(("C3", "C4", "C5"), "navigation_aid"),  # obstacles
}

#: A circle of 95 % has 2.4477 times the 1-sigma radius of each axis.
_P95 = 2.4477
#: 95 % bound of the position by NACp, metres (DO-260B table 2-70); 0: unknown, taken as the widest.
_NACP_M = np.array([18_520.0, 18_520.0, 7_408.0, 3_704.0, 1_852.0, 926.0, 555.6, 185.2, 92.6, 30.0, 10.0, 3.0])
#: The same by the type of a position message, for aircraft that have not stated a NACp: 95 % containment of NUCp.
_BY_TYPE = {
    5: 3.0, 6: 10.0, 7: 93.0, 8: 185.0, 9: 3.0, 10: 10.0, 11: 93.0, 12: 185.0, 13: 463.0, 14: 926.0, 15: 1852.0,
    16: 9260.0, 17: 18520.0, 18: 18520.0, 20: 3.0, 21: 10.0, 22: 18520.0,
}  # fmt: skip
#: A report in the air is rounded to 5.1 m, uniformly.
_STEP_M = 5.1 / np.sqrt(12)

#: Positions are up to 0.6 s old when they are sent; uniform. A receiver's time in whole seconds adds as much.
LAG_SIGMA_S = 0.3

#: A state vector that says nothing of its accuracy: as the commonest type of position message says, 93 m of 95 %.
UNSTATED_M = 93.0 / _P95


def term(category: str | None) -> str:
    """The taxonomy's term of a category like `A3`; `aircraft` of one that says nothing."""
    return _TERMS.get(category or "", "aircraft")


_BY_CODE = np.array([term(CATEGORIES.get(code)) for code in range(64)])


def what(category: Whole) -> npt.NDArray[Any]:
    """Terms of categories as numbers; -1 for none."""
    return np.asarray(_BY_CODE[np.clip(category, 0, 63)])


def epu_sigma_m(nacp: Whole) -> Array:
    """1-sigma radius by NACp; NaN for -1 and for reserved values."""
    known = (nacp >= 0) & (nacp < len(_NACP_M))
    return np.where(known, np.hypot(_NACP_M[np.where(known, nacp, 0)] / _P95, _STEP_M), np.nan)


def type_sigma_m(kind: Whole) -> Array:
    """1-sigma radius by the type of a position message; NaN for other types."""
    table = np.full(33, np.nan)
    table[list(_BY_TYPE)] = list(_BY_TYPE.values())
    return np.asarray(np.hypot(table[np.where(kind < 0, 32, kind)] / _P95, _STEP_M))


def address(addresses: Whole) -> pa.Array:
    """`icao:` and six hexadecimal digits; null for -1."""
    coded, codes = np.unique(addresses, return_inverse=True)
    names = pa.array([None if one < 0 else f"icao:{one:06x}" for one in coded.tolist()], pa.string())
    return names.take(pa.array(codes))


def moments(micros: Whole) -> pa.Array:
    """Microseconds as times, `NONE` become null."""
    return pa.array(np.where(micros == NONE, 0, micros), mask=micros == NONE).cast(TIME)


def flags(values: npt.NDArray[Any]) -> pa.Array:
    """0 and 1 as booleans; null for anything else."""
    return pa.array(values == 1, mask=~np.isin(values, (0, 1)))
