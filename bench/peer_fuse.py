"""The peer's fusion (`peer_pairs`, `peer_events`, `peer_episodes`, `peer_tables`), with numpy, scikit-learn and scipy.

The same mathematics as truceline.fuse, whose assumptions it takes as numbers; vectorised over candidate pairs that
scikit-learn's trees give. What cannot be vectorised, mergers that each depend on the one before, is a loop over a
heap, in plain Python floats.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
import pyproj

from truceline.fuse import assumptions as assumed
from truceline.fuse.assumptions import STREAMS, stream
from truceline.observation import TAXONOMY

NO_TIME = np.iinfo(np.int64).min


class Theatre:
    """Degrees to metres and back, with convergence (as truceline.frame states it)."""

    def __init__(self, lon: float, lat: float, radius_m: float) -> None:
        self.lon, self.lat, self.radius_m = lon, lat, radius_m
        self.crs = f"+proj=aeqd +lon_0={lon} +lat_0={lat} +ellps=WGS84 +units=m"
        self.proj = pyproj.Proj(self.crs)

    def local(self, lon, lat):
        good = np.isfinite(lon + lat)
        east, north = self.proj(np.where(good, lon, self.lon), np.where(good, lat, self.lat))
        return np.where(good, east, np.nan), np.where(good, north, np.nan)

    def degrees(self, east, north):
        good = np.isfinite(east + north)
        lon, lat = self.proj(np.where(good, east, 0.0), np.where(good, north, 0.0), inverse=True)
        return np.where(good, lon, np.nan), np.where(good, lat, np.nan)

    def convergence(self, lon, lat):
        """Bilinear on a lattice of a quarter of a degree."""
        x, y = np.nan_to_num(lon) * 4 + 720, np.nan_to_num(lat) * 4 + 360
        column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
        cells, cell = np.unique(column * 1024 + row, return_inverse=True)
        corner = [self._corner(cells // 1024 + e, cells % 1024 + n)[cell] for e in (0, 1) for n in (0, 1)]
        u, v = x - column, y - row
        turned = (corner[0] * (1 - v) + corner[1] * v) * (1 - u) + (corner[2] * (1 - v) + corner[3] * v) * u
        return np.where(np.isfinite(lon + lat), turned, np.nan)

    def _corner(self, column, row):
        lon, lat, step = column / 4 - 180, row / 4 - 90, 50.0 / 111_132.0
        up, down = self.local(lon, lat + step), self.local(lon, lat - step)
        return -np.degrees(np.arctan2(up[0] - down[0], up[1] - down[1]))

    def covariance(self, lon, lat, major, minor, tilt):
        turn = np.radians(np.mod(tilt - self.convergence(lon, lat), 360.0))
        s, c = np.sin(turn), np.cos(turn)
        major, minor = major**2, minor**2
        return major * s * s + minor * c * c, (major - minor) * s * c, major * c * c + minor * s * s

    def ellipse(self, lon, lat, var_e, cov, var_n):
        middle, half = (var_e + var_n) / 2, (var_n - var_e) / 2
        spread = np.hypot(half, cov)
        tilt = 0.5 * np.degrees(np.arctan2(cov, half)) + self.convergence(lon, lat)
        return np.sqrt(middle + spread), np.sqrt(np.maximum(middle - spread, 0)), np.mod(tilt, 180.0)


class Said(NamedTuple):
    """What observations state, as truceline's statements have it."""

    e: np.ndarray
    n: np.ndarray
    ee: np.ndarray
    en: np.ndarray
    nn: np.ndarray
    at: np.ndarray
    var: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    rate: np.ndarray

    def take(self, rows):
        return Said(*(column[rows] for column in self))


def state(observations: pd.DataFrame, theatre: Theatre) -> tuple[pd.DataFrame, Said, tuple[str, ...]]:
    """The observations of occurrences in the order of (time, id), and what each states."""
    streams = observations["what"].map({w: stream(w) for w in observations["what"].unique()})
    table = observations[observations["kind"].isin(["hotspot", "sighting", "alert"]) & streams.notna()]
    at_us = table["at_us"].to_numpy()
    order = np.lexsort((table["observation_id"].to_numpy(), np.where(at_us == NO_TIME, np.inf, at_us / 1e6)))
    table = table.iloc[order].reset_index(drop=True)
    table["stream"] = table["what"].map({w: STREAMS.index(stream(w)) for w in table["what"].unique()})
    lon, lat = (table[c].to_numpy(np.float64) for c in ("lon", "lat"))
    e, n = (np.round(metres, 4) + 0.0 for metres in theatre.local(lon, lat))  # no last bits of the projection
    major = table["major_m"].to_numpy(np.float64, na_value=np.nan)
    minor = table["minor_m"].to_numpy(np.float64, na_value=np.nan)
    major = np.maximum(np.where(np.isnan(major), assumed.POSITION_SIGMA_M, major), assumed.LEAST_SIGMA_M)
    minor = np.maximum(np.where(np.isnan(minor), major, minor), assumed.LEAST_SIGMA_M)
    tilt = np.nan_to_num(table["tilt_deg"].to_numpy(np.float64, na_value=np.nan))
    ellipse = theatre.covariance(lon, lat, major, minor, tilt)
    at, until = (seconds(table[c]) for c in ("at_us", "until_us"))
    sigma = table["at_sigma_s"].to_numpy(np.float64, na_value=np.nan)
    otherwise = table["kind"].map(assumed.AT_SIGMA_S).to_numpy(np.float64)
    least = table["means"].map(assumed.PERSONS_SIGMA_S).fillna(assumed.PERSONS_SIGMA_OTHERWISE_S)
    least = np.where(table["kind"] == "sighting", least.to_numpy(np.float64), 0.0)
    sigma = np.maximum(sigma, least)
    interval = until > at
    middle, length = (at + until) / 2, np.maximum(until - at, 60.0)
    half = np.round(np.sqrt(length**2 / 4 + 3 * np.fmax(sigma, least) ** 2))
    begins, ends = np.where(interval, middle - half, -np.inf), np.where(interval, middle + half, np.inf)
    sigma = np.where(np.isnan(sigma) | (sigma <= 0), np.maximum(otherwise, least), sigma)
    at, var = np.where(interval, middle, at), np.where(interval, np.inf, sigma**2)
    rate = rates(table["stream"].to_numpy(), e, n, at)
    named = {*table["what"], *(k for row in table["alternatives"] if isinstance(row, list) for k, _ in row)}
    listed = [name for name in TAXONOMY if stream(name)]
    terms = (*listed, *sorted(name for name in named if stream(name) and name not in TAXONOMY))
    return table, Said(e, n, *ellipse, at, var, begins, ends, rate), terms


def seconds(micros: pd.Series) -> np.ndarray:
    values = micros.to_numpy()
    return np.where(values == NO_TIME, np.nan, values / 1e6)


def rates(streams, e, n, at) -> np.ndarray:
    """Log of the rate of other occurrences round each row: active cells and days, counted in a box."""
    out = np.empty(len(at))
    for code in np.unique(streams):
        rows = np.flatnonzero(streams == code)
        known = rows[np.isfinite(e[rows] + n[rows] + at[rows])]
        active = pd.Series(0.0, rows)
        if len(known):
            cells = pd.DataFrame(
                {
                    "day": np.floor(at[known] / 86400).astype(np.int64),
                    "ce": np.floor(e[known] / assumed._CELL_M).astype(np.int64),
                    "cn": np.floor(n[known] / assumed._CELL_M).astype(np.int64),
                },
                known,
            )
            each = round(assumed._COLUMN_M / assumed._CELL_M)
            cells["e"], cells["n"] = cells["ce"] // each, cells["cn"] // each
            cells[["e", "n", "day"]] -= cells[["e", "n", "day"]].min() - [2, 2, 20]
            days, width = int(cells["day"].max()) + 20, int(cells["n"].max()) + 3
            key = (cells["e"] * width + cells["n"]) * days + cells["day"]
            keys = np.sort(key[~cells.assign(key=key).duplicated(["key", "ce", "cn"])].to_numpy())
            asked, back = np.unique(key, return_inverse=True)
            total = np.zeros(len(asked))
            for shift in ((i * width + j) * days for i in (-1, 0, 1) for j in (-1, 0, 1)):
                last, first = asked + shift + assumed._HALF_DAYS, asked + shift - assumed._HALF_DAYS
                total += np.searchsorted(keys, last, "right") - np.searchsorted(keys, first)
            active.loc[known] = total[back]
        stated = assumed.RATE[STREAMS[code]].value
        others = np.maximum(active.to_numpy() - 1, 0)
        out[rows] = np.log((others + assumed._PRIOR_COUNT) / (assumed._BOX + assumed._PRIOR_COUNT / stated))
    return out


def likelihoods(what, confidence, alternatives, terms) -> np.ndarray:
    """(n, terms + 1) the probability each row gives to each term and to something else."""
    column = {name: i for i, name in enumerate(terms)}
    out = np.zeros((len(what), len(terms) + 1))
    lists = [row if isinstance(row, list) else () for row in alternatives]
    pairs = [(column.get(k, len(terms)), v) for row in lists for k, v in row]
    if pairs:
        codes, chances = zip(*pairs, strict=True)
        rows = np.repeat(np.arange(len(lists)), [len(row) for row in lists])
        np.add.at(out, (rows, codes), np.float32(chances).astype(np.float64))
    rest = np.minimum(assumed.CONFIDENCE, np.maximum(1.0 - out.sum(axis=1), 0.0))
    confidence = np.asarray(confidence, np.float64)
    codes, distinct = pd.factorize(np.asarray(what, object))
    at = np.array([column.get(word, len(terms)) for word in distinct], np.int64)[codes]
    out[np.arange(len(at)), at] += np.where(np.isnan(confidence), rest, np.clip(confidence, 0, 1))
    out /= np.maximum(out.sum(axis=1, keepdims=True), 1.0)
    out[:, -1] += 1.0 - out.sum(axis=1)
    return out
