"""The peer's fusion: observations to events to incidents, with numpy, scikit-learn and scipy.

The same mathematics as truceline.fuse, whose assumptions it takes as numbers; vectorised over candidate pairs that
scikit-learn's trees give. What cannot be vectorised, mergers that each depend on the one before, is a loop over a
heap, in plain Python floats.
"""

import math
from hashlib import sha256
from heapq import heapify, heappop, heappush
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyproj
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.special import erf
from sklearn.neighbors import KDTree

from truceline.fuse import assumptions as assumed
from truceline.fuse.assumptions import STREAMS, stream
from truceline.observation import RELEASES, TAXONOMY

NO_TIME = np.iinfo(np.int64).min
GATE_M, TOUCHING, WIDER, PASS_S, UNNAMED = 3.0, 3.6, 2.0, 300.0, 0.02
FIRE = STREAMS.index("fire")
#: Pairs worked on at a time.
CHUNK = 2_000_000


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
    e, n = theatre.local(lon, lat)
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


# ---- candidate pairs -----------------------------------------------------------------------------------------------


def candidates(e, n, begins, length, reach):
    """Chunks of pairs (i, j) that may be near in space and time, each pair once.

    One KD-tree for every two classes of like reach and length: a box that fits a region's report would find half
    a country round each pixel.
    """
    usable = np.flatnonzero(np.isfinite(e + n + begins + length + reach))
    if len(usable) < 2:
        return
    size = np.floor(np.log(np.maximum(reach[usable] / reach[usable].min(), 1)) / math.log(4)).astype(int)
    shortest = max(length[usable].min(), 1.0)
    lasts = np.floor(np.log(np.maximum(length[usable] / shortest, 1)) / math.log(8)).astype(int)
    groups = [g.to_numpy() for _, g in pd.Series(usable).groupby(size * 100 + lasts)]
    middle = begins + length / 2
    for a, one in enumerate(groups):
        for other in groups[a:]:
            far = math.hypot(reach[one].max(), reach[other].max()) * (1 + 1e-9)
            long = (length[one].max() + length[other].max()) / 2 * (1 + 1e-9) + 1e-3
            if len(one) > len(other):
                few, many = other, one
            else:
                few, many = one, other
            tree = KDTree(np.column_stack([e[many] / far, n[many] / far, middle[many] / long]), metric="chebyshev")
            asked = np.column_stack([e[few] / far, n[few] / far, middle[few] / long])
            step = max(1, CHUNK // 40)
            for k in range(0, len(few), step):
                found = tree.query_radius(asked[k : k + step], 1.0)
                counts = np.array([len(row) for row in found])
                if not counts.sum():
                    continue
                j = many[np.concatenate(found)]
                i = np.repeat(few[k : k + step], counts)
                once = i < j if one is other else np.ones(len(i), bool)
                i, j = i[once], j[once]
                apart = (e[i] - e[j]) ** 2 + (n[i] - n[j]) ** 2 <= reach[i] ** 2 + reach[j] ** 2
                meet = (begins[i] <= begins[j] + length[j]) & (begins[j] <= begins[i] + length[i])
                yield i[apart & meet], j[apart & meet]


def squared(s, i, j):
    """Squared distance in units of the joint ellipse, and the determinant of that."""
    ee, en, nn = s.ee[i] + s.ee[j], s.en[i] + s.en[j], s.nn[i] + s.nn[j]
    determinant = ee * nn - en * en
    e, n = s.e[i] - s.e[j], s.n[i] - s.n[j]
    return (nn * e * e - 2.0 * en * e * n + ee * n * n) / determinant, determinant


def within(at, var, begins, ends):
    with np.errstate(invalid="ignore"):
        scale = 1.0 / np.sqrt(2.0 * var)
        share = 0.5 * (erf((ends - at) * scale) - erf((begins - at) * scale))
    return np.where(np.isinf(var), ends - begins, share)


def ratios(s, i, j, alike):
    """Log of p(both | one occurrence) / p(both | two)."""
    d2, determinant = squared(s, i, j)
    begins, ends = np.maximum(s.begins[i], s.begins[j]), np.minimum(s.ends[i], s.ends[j])
    va, vb = s.var[i], s.var[j]
    ia, ib = np.isinf(va), np.isinf(vb)
    with np.errstate(invalid="ignore", divide="ignore"):
        total, apart = va + vb, s.at[i] - s.at[j]
        both = np.where(ia | ib, 0.0, -0.5 * (apart * apart / total + np.log(2 * np.pi * total)))
        at = np.where(ib, s.at[i], np.where(ia, s.at[j], (s.at[i] * vb + s.at[j] * va) / total))
        var = np.where(ib, va, np.where(ia, vb, va * vb / total))
        together = within(at, var, begins, ends)
        alone = within(s.at[i], va, s.begins[i], s.ends[i]), within(s.at[j], vb, s.begins[j], s.ends[j])
        time = both + np.log(together) - np.log(alone[0]) - np.log(alone[1])
        good = (ends > begins) & (together > 0) & (alone[0] > 0) & (alone[1] > 0) & (alike > 0) & (determinant > 0)
        space = -0.5 * d2 - math.log(2 * np.pi) - 0.5 * np.log(determinant) + math.log(1e6)
        value = space + time + math.log(3600.0) + np.log(alike) - np.maximum(s.rate[i], s.rate[j])
    return np.where(good, value, -np.inf), d2


def linked(s: Said, gate: float, threshold: float, kinds=None, expected=None):
    """Pairs within the gate whose log ratio is above the threshold, sorted, and the ratios."""
    begins, ends = s.begins.copy(), s.ends.copy()
    instant = np.isfinite(s.var)
    begins[instant] = np.maximum(begins[instant], s.at[instant] - 4 * np.sqrt(s.var[instant]))
    ends[instant] = np.minimum(ends[instant], s.at[instant] + 4 * np.sqrt(s.var[instant]))
    reach = gate * np.sqrt((s.ee + s.nn) / 2 + np.hypot((s.ee - s.nn) / 2, s.en))
    found = []
    for i, j in candidates(s.e, s.n, begins, ends - begins, reach):
        i, j = np.minimum(i, j), np.maximum(i, j)
        near = squared(s, i, j)[0] <= gate * gate
        i, j = i[near], j[near]
        alike = np.ones(len(i)) if kinds is None else np.einsum("ij,ij->i", kinds[i], expected[j])
        value = ratios(s, i, j, alike)[0]
        good = value > threshold
        found.append((i[good], j[good], value[good]))
    if not found:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    i, j, value = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((j, i))
    return i[order], j[order], value[order]


# ---- events --------------------------------------------------------------------------------------------------------


def events(table: pd.DataFrame, s: Said, terms: tuple[str, ...]):
    """The event of each observation (a code in the order of first observations), the ties, and each event's state."""
    pixel = (table["kind"] == "hotspot").to_numpy()
    pixels, accounts = np.flatnonzero(pixel), np.flatnonzero(~pixel)
    label, tie = np.arange(len(table)), np.full(len(table), np.nan)
    wide = s._replace(
        ee=s.ee * WIDER**2,
        en=s.en * WIDER**2,
        nn=s.nn * WIDER**2,
        var=np.where(np.isinf(s.var), s.var, np.maximum(s.var, PASS_S**2)),
    )
    sensor = table["sensor"].fillna("").to_numpy()
    for name in np.unique(sensor[pixels].astype(str)):
        rows = pixels[sensor[pixels] == name]
        i, j, value = linked(wide.take(rows), TOUCHING / WIDER, -np.inf)
        graph = coo_matrix((np.ones(len(i)), (i, j)), shape=(len(rows), len(rows)))
        _, fire = connected_components(graph, directed=False)
        label[rows] = pd.Series(rows).groupby(fire).transform("min").to_numpy()
        for end in (i, j):
            np.fmax.at(tie, rows[end], value)
    states = [fire_state(s.take(pixels), label[pixels])]
    if len(accounts):
        root, ties, joint = merge_accounts(table.iloc[accounts], s.take(accounts), terms)
        label[accounts], tie[accounts] = accounts[root], ties
        joint.index = accounts[joint.index]
        states.append(joint)
    whole = pd.concat(states).sort_index()
    first = whole.index.to_numpy()
    event = np.searchsorted(first, label)
    whole["rate"] = pd.Series(s.rate).groupby(event).mean().to_numpy()
    tie[first] = np.nan
    return event, tie, first, whole.reset_index(drop=True)


def fire_state(s: Said, label: np.ndarray) -> pd.DataFrame:
    frame = pd.DataFrame({"e": s.e, "n": s.n})
    mean = frame.groupby(label).transform("mean")
    de, dn = (frame["e"] - mean["e"]).to_numpy(), (frame["n"] - mean["n"]).to_numpy()
    sigma = np.where(np.isinf(s.var), 0.0, np.sqrt(np.where(np.isinf(s.var), 0.0, s.var)))
    low, high = np.where(np.isinf(s.var), s.begins, s.at), np.where(np.isinf(s.var), s.ends, s.at)
    columns = {"e": s.e, "n": s.n, "ee": s.ee + de**2, "en": s.en + de * dn, "nn": s.nn + dn**2, "at": s.at}
    grouped = pd.DataFrame(columns).groupby(label).mean()
    edges = {"from": low - 2 * sigma, "until": high + 2 * sigma}
    edges |= {"begins": low - 3**0.5 * sigma, "ends": high + 3**0.5 * sigma}
    for name, values in edges.items():
        by = pd.Series(values).groupby(label)
        grouped[name] = by.min() if name in ("from", "begins") else by.max()
    return grouped


def merge_accounts(table: pd.DataFrame, s: Said, terms):
    """Accounts to occurrences: the likeliest merger first, each judged by all that its clusters hold."""
    kinds = likelihoods(table["what"], table["confidence"].to_numpy(np.float64), table["alternatives"], terms)
    agreement = assumed.agreement_of_kinds(terms)
    expected = kinds @ agreement
    area = 2 * np.pi * np.sqrt(s.ee * s.nn - s.en**2) / 1e6
    span = np.where(np.isinf(s.var), s.ends - s.begins, np.sqrt(2 * np.pi * np.where(np.isinf(s.var), 1, s.var)))

    def code(*names: str) -> np.ndarray:
        return table.groupby([*names], dropna=False).ngroup().to_numpy()

    place = pd.DataFrame(np.column_stack(s[:5])).groupby([*range(5)], dropna=False).ngroup().to_numpy()
    moment = pd.DataFrame(np.column_stack([s.at, s.var])).groupby([0, 1], dropna=False).ngroup().to_numpy()
    account = np.where(table["text"].isna(), -1, code("source", "text"))
    sensor = np.where(table["sensor"].isna(), -1, code("source", "sensor"))
    same = (place, moment, account, code("source", "sensor"), code("source"), sensor)
    # copies of one account begin as one cluster, where one occurrence explains two of them better than two do
    rows = np.arange(len(table))
    own = ratios(s, rows, rows, np.einsum("ij,ij->i", kinds, expected))[0]
    alone = np.where((own > 0) & (sensor < 0), -1, rows)
    told = pd.util.hash_array(np.ascontiguousarray(kinds.round(9)).view(f"V{8 * kinds.shape[1]}").ravel().astype(object))
    copies = pd.DataFrame({"a": alone, "b": place, "c": moment, "d": same[4], "e": s.begins, "f": s.ends, "g": s.rate, "h": told})
    begun = pd.Series(rows).groupby([copies[c] for c in copies], dropna=False).transform("min").to_numpy()
    worth = np.flatnonzero((-np.log(area * span / 3600.0) - s.rate > 0) & (begun == rows))
    i, j, value = linked(s.take(worth), GATE_M, 0.0, kinds[worth], expected[worth])
    i, j = worth[i], worth[j]
    clusters = Clusters(s, kinds, expected, agreement, same)
    root = clusters.merge(begun, i, j)
    ties = np.where(np.bincount(begun, minlength=len(rows)) > 1, own, np.nan)
    kept = root[i] == root[j]
    for end in (i[kept], j[kept]):
        np.fmax.at(ties, end, value[kept])
    ties = np.fmax(ties[begun], np.where(begun != rows, own, np.nan))
    heads = np.unique(root)
    joint = pd.DataFrame([clusters.said[h][:9] for h in heads.tolist()], heads, [*"en", "ee", "en2", "nn", "at", "var", "begins", "ends"])
    sigma, interval = np.sqrt(joint["var"]), np.isinf(joint["var"])
    low, high = joint["begins"], joint["ends"]
    at = np.where(interval, np.where(interval, low, 0) / 2 + np.where(interval, high, 0) / 2, joint["at"].clip(low, high))
    out = joint[["e", "n", "ee", "en2", "nn"]].rename(columns={"en2": "en"}).assign(at=at)
    for (a, b), k in {("from", "until"): 2.0, ("begins", "ends"): 3**0.5}.items():
        out[a] = np.maximum(low, np.where(interval, low, at - k * sigma))
        out[b] = np.minimum(high, np.where(interval, high, at + k * sigma))
    return root, ties, out


class Clusters:
    """Clusters of accounts while they merge. Plain floats and lists: at two to thirty members arrays are slower."""

    def __init__(self, s: Said, kinds, expected, agreement, same) -> None:
        names = zip(*(column.tolist() for column in (*s[:9], s.rate)), strict=True)
        self.own = list(names)  # e n ee en nn at var begins ends rate
        self.said = list(self.own)
        self.kinds, self.expected = list(kinds), list(expected)
        self.own_kinds, self.own_rate = kinds, s.rate
        self.log_expected = np.log(np.maximum(expected, UNNAMED))
        self.agreement, self.real = agreement, np.diag(agreement) > 0
        self.place, self.moment, self.account, self.voice, self.source, self.sensor = (c.tolist() for c in same)
        self.members = [[row] for row in range(len(self.own))]
        self.log_repeat = float(np.log(assumed.REPEAT.value))

    def merge(self, begun: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """The least row of each row's cluster."""
        n = len(self.own)
        for k in np.flatnonzero(begun != np.arange(n)).tolist():
            self.members[begun[k]].append(k)
        for i in np.unique(begun[begun != np.arange(n)]).tolist():
            self.restate(i)
        others: dict[int, list[int]] = {}
        heap = []
        for i, j in zip(left.tolist(), right.tolist(), strict=True):
            others.setdefault(i, []).append(j)
            others.setdefault(j, []).append(i)
            ratio = self.ratio(i, j)
            if ratio > 0.0:
                heap.append((-ratio, i, j, 0, 0))
        heapify(heap)
        root, version = begun.tolist(), [0] * n
        while heap:
            _, i, j, version_i, version_j = heappop(heap)
            if root[i] != i or root[j] != j or version[i] != version_i or version[j] != version_j:
                continue
            for member in self.members[j]:
                root[member] = i
            self.members[i] += self.members[j]
            version[i] += 1
            self.restate(i)
            for r in {root[o] for member in self.members[i] for o in others.get(member, ())} - {i}:
                ratio = self.ratio(i, r)
                if ratio > 0.0:
                    a, b = min(i, r), max(i, r)
                    heappush(heap, (-ratio, a, b, version[a], version[b]))
        return np.array(root)

    def ratio(self, i: int, j: int) -> float:
        """Log ratio of two clusters by what each says jointly; -inf where something keeps them apart."""
        ea, na, eea, ena, nna, ata, va, ba, za, ra = self.said[i]
        eb, nb, eeb, enb, nnb, atb, vb, bb, zb, rb = self.said[j]
        ee, en, nn = eea + eeb, ena + enb, nna + nnb
        determinant = ee * nn - en * en
        e, n = ea - eb, na - nb
        d2 = (nn * e * e - 2.0 * en * e * n + ee * n * n) / determinant if determinant > 0 else math.nan
        if not d2 <= GATE_M * GATE_M:
            return -math.inf
        mine, theirs = self.members[i], self.members[j]
        own = self.own
        if max(max(own[m][7] for m in mine), max(own[m][7] for m in theirs)) >= min(
            min(own[m][8] for m in mine), min(own[m][8] for m in theirs)
        ):
            return -math.inf
        where = {self.account[m]: self.place[m] for m in mine if self.account[m] >= 0}
        if any(where.get(self.account[m], self.place[m]) != self.place[m] for m in theirs if self.account[m] >= 0):
            return -math.inf
        begins, ends = max(ba, bb), min(za, zb)
        alike = float(self.kinds[i] @ self.expected[j])
        if not (ends > begins and alike > 0.0):
            return -math.inf
        at, var, both = ata, va, 0.0
        if vb < math.inf:
            if va < math.inf:
                total, apart = va + vb, ata - atb
                both = -0.5 * (apart * apart / total + math.log(2.0 * math.pi * total))
                at, var = (ata * vb + atb * va) / total, va * vb / total
            else:
                at, var = atb, vb
        together, alone, other = inside(at, var, begins, ends), inside(ata, va, ba, za), inside(atb, vb, bb, zb)
        if not (together > 0.0 and alone > 0.0 and other > 0.0):
            return -math.inf
        time = both + math.log(together) - math.log(alone) - math.log(other) + math.log(3600.0)
        space = -0.5 * d2 - math.log(2.0 * math.pi) - 0.5 * math.log(determinant) + math.log(1e6)
        ratio = space + time + math.log(alike) - max(ra, rb)
        sensors = {self.sensor[m] for m in mine if self.sensor[m] >= 0}
        return ratio + self.log_repeat if any(self.sensor[m] in sensors for m in theirs) else ratio

    def restate(self, i: int) -> None:
        """The joint statement of a cluster's members."""
        members, own = self.members[i], self.own
        e0, n0, t0 = own[i][0], own[i][1], own[i][5]
        places, moments = {}, {}
        for m in members:
            places.setdefault(self.place[m], m)
            if own[m][6] < math.inf:
                moments.setdefault(self.moment[m], m)
        voices: dict[int, int] = {}
        for m in places.values():
            voices[self.voice[m]] = voices.get(self.voice[m], 0) + 1
        wee = wen = wnn = we = wn = wt = wta = 0.0
        for m in places.values():
            e, n, ee, en, nn = own[m][:5]
            share = 1.0 / (ee * nn - en**2) / voices[self.voice[m]]
            iee, ien, inn = nn * share, -en * share, ee * share
            wee, wen, wnn = wee + iee, wen + ien, wnn + inn
            we, wn = we + iee * (e - e0) + ien * (n - n0), wn + ien * (e - e0) + inn * (n - n0)
        voices = {}
        for m in moments.values():
            voices[self.voice[m]] = voices.get(self.voice[m], 0) + 1
        for m in moments.values():
            share = 1.0 / own[m][6] / voices[self.voice[m]]
            wt, wta = wt + share, wta + share * (own[m][5] - t0)
        determinant = wee * wnn - wen * wen
        ee, en, nn = wnn / determinant, -wen / determinant, wee / determinant
        at, var = (t0 + wta / wt, 1.0 / wt) if wt > 0 else (self.said[i][5], self.said[i][6])
        first: dict[int, tuple[float, float]] = {}
        for m in members:
            key = (own[m][8], -own[m][7])
            if self.source[m] not in first or key < first[self.source[m]]:
                first[self.source[m]] = key
        begins, ends = max(-b for _, b in first.values()), min(z for z, _ in first.values())
        rows = np.array(members)
        rate = sum(own[m][9] for m in members) / len(members)
        self.said[i] = (e0 + ee * we + en * wn, n0 + en * we + nn * wn, ee, en, nn, at, var, begins, ends, rate)
        named = (self.own_kinds[rows] > 0).any(axis=0) & self.real
        chance = np.where(named, np.exp(self.log_expected[rows].sum(axis=0) / len(rows)), 0.0)
        mass = self.own_kinds[rows][:, self.real].sum()
        self.kinds[i] = chance * (mass / len(rows) / chance.sum())
        self.expected[i] = self.kinds[i] @ self.agreement


def inside(at: float, var: float, begins: float, ends: float) -> float:
    if var == math.inf:
        return ends - begins
    scale = 1.0 / math.sqrt(2.0 * var)
    return 0.5 * (math.erf((ends - at) * scale) - math.erf((begins - at) * scale))


# ---- incidents -----------------------------------------------------------------------------------------------------


def descent():
    n, parts = len(STREAMS), max(len(origin.parts) for origin in assumed.ORIGINS)
    rate, decay = np.zeros((n, n, parts)), np.ones((n, n, parts))
    after, spread, apart, horizon = np.zeros((n, n), bool), np.zeros((n, n)), np.zeros((n, n)), np.zeros(n)
    for origin in assumed.ORIGINS:
        p, c = STREAMS.index(origin.parent), STREAMS.index(origin.child)
        for k, (r, hours) in enumerate(origin.parts):
            rate[p, c, k], decay[p, c, k] = r, hours * 3600.0
        after[p, c], spread[p, c], apart[p, c] = origin.after, origin.spread_m, origin.apart_h * 3600.0
        horizon[p] = max(horizon[p], apart[p, c])
        if not origin.after:
            horizon[c] = max(horizon[c], apart[p, c])
    return rate, decay, after, spread, apart, horizon


def meets(a, b, c, e, apart):
    return np.minimum(b + apart, e) - np.maximum(a - apart, c) >= 0.5 * np.minimum(b - a, e - c)


def moved(d, decay, after):
    one = np.where(d > 0, d - decay * (1 - np.exp(-np.maximum(d, 0) / decay)), 0.0)
    return np.where(after, one, 0.5 * (np.abs(d) + decay * np.exp(-np.abs(d) / decay)))


def offspring(rate, decay, after, a, b, c, e):
    lag = 0.5 * (c + e - a - b)
    instant = np.where(after & (lag < 0), 0.0, rate * np.exp(-np.abs(lag) / decay))
    length, width = np.maximum(b - a, 1e-3 * decay), np.maximum(e - c, 1e-3 * decay)
    b2, e2 = a + length, c + width
    double = moved(e2 - a, decay, after) - moved(c - a, decay, after)
    double += moved(c - b2, decay, after) - moved(e2 - b2, decay, after)
    whole = np.where(after, decay, 2 * decay)
    short = ((b - a) + (e - c) < 0.005 * decay) & ((c >= b) | (e <= a))
    return np.where(short, instant, rate * np.maximum(double, 0) * whole / (length * width))


def episodes(v: pd.DataFrame, streams, by) -> np.ndarray:
    """The first event of each event's episode; rows in an order in which parents come first."""
    rate, decay, after, spread, apart, horizon = by
    e, n, ee, en, nn, begins, ends, log_rate = (
        v[c].to_numpy() for c in ("e", "n", "ee", "en", "nn", "begins", "ends", "rate")
    )
    widest = np.maximum(spread.max(axis=0), spread.max(axis=1))[streams]
    reach = 4.0 * np.sqrt((ee + nn) / 2 + np.hypot((ee - nn) / 2, en) + widest**2 / 2)
    found = []
    for i, j in candidates(e, n, begins, ends - begins + horizon[streams], reach):
        p, c = np.minimum(i, j), np.maximum(i, j)
        sp, sc = streams[p], streams[c]
        able = rate[sp, sc, 0] > 0
        able &= meets(begins[p], ends[p], begins[c], ends[c], apart[sp, sc])
        p, c, sp, sc = p[able], c[able], sp[able], sc[able]
        extra = spread[sp, sc] ** 2
        see, snn, sen = ee[p] + ee[c] + extra, nn[p] + nn[c] + extra, en[p] + en[c]
        determinant = see * snn - sen * sen
        de, dn = e[p] - e[c], n[p] - n[c]
        d2 = (snn * de * de - 2 * sen * de * dn + see * dn * dn) / determinant
        near = d2 <= 16.0
        p, c, sp, sc, d2, determinant = (x[near] for x in (p, c, sp, sc, d2, determinant))
        total = np.zeros(len(p))
        for k in range(rate.shape[2]):
            r = rate[sp, sc, k]
            part = offspring(r, decay[sp, sc, k], after[sp, sc], begins[p], ends[p], begins[c], ends[c])
            total += np.where(r > 0, part, 0.0)
        with np.errstate(divide="ignore"):
            value = np.log(total * 1e6 / (2 * np.pi * np.sqrt(determinant))) - 0.5 * d2 - log_rate[c]
        good = value > 0
        found.append((p[good], c[good], value[good]))
    parent = np.full(len(v), -1)
    if found:
        p, c, value = (np.concatenate(part) for part in zip(*found, strict=True))
        order = np.lexsort((p, -value, c))
        child, at = np.unique(c[order], return_index=True)
        parent[child] = p[order][at]
    return trees(parent, e, n, begins, ends, streams, apart)


def trees(parent, e, n, begins, ends, streams, apart) -> np.ndarray:
    """Roots, in order: an episode does not wander from its first event, nor chain over vague ones."""
    reach = np.array([assumed.ROOT_M.get(name, np.inf) for name in STREAMS])[streams].tolist()
    root, vague = np.arange(len(parent)).tolist(), assumed.VAGUE_H * 3600.0
    e, n, begins, ends = e.tolist(), n.tolist(), begins.tolist(), ends.tolist()
    for c, p in zip(np.flatnonzero(parent >= 0).tolist(), parent[parent >= 0].tolist(), strict=True):
        r = root[p]
        if ends[p] - begins[p] > vague and not meets(
            begins[r], ends[r], begins[c], ends[c], apart[streams[r], streams[c]]
        ):
            continue
        if (e[c] - e[r]) ** 2 + (n[c] - n[r]) ** 2 <= reach[c] ** 2:
            root[c] = r
    return np.array(root, np.int64)


def group(v: pd.DataFrame, streams: np.ndarray) -> np.ndarray:
    """The incident of each event, a code in the order of earliest events."""
    by = descent()
    root, fires = np.arange(len(v)), np.flatnonzero(streams == FIRE)
    root[fires] = fires[ordered(v, fires, streams, by)]
    burns = v.iloc[fires].groupby(root[fires])
    days = (burns["ends"].max() - burns["begins"].min()) / 86400.0
    begun = days.index[days <= assumed.SET_BY_IMPACT_DAYS].to_numpy()
    rest = np.sort(np.concatenate([np.flatnonzero(streams != FIRE), begun]))
    rate = by[0].copy()
    rate[FIRE, FIRE] = 0.0
    root[rest] = rest[ordered(v, rest, streams, (rate, *by[1:]))]
    return pd.factorize(root[root])[0]


def ordered(v, rows, streams, by) -> np.ndarray:
    some, of = v.iloc[rows], streams[rows]
    vague = (some["ends"] - some["begins"]).to_numpy() > assumed.VAGUE_H * 3600.0
    order = np.lexsort((np.arange(len(rows)), some["at"].to_numpy(), vague, of == FIRE))
    root = np.empty(len(rows), np.int64)
    root[order] = order[episodes(some.iloc[order], of[order], by)]
    return root


# ---- tables --------------------------------------------------------------------------------------------------------


def pooled(kinds: np.ndarray, terms, of: np.ndarray, count: int, sources: np.ndarray):
    """The kind of each group: likelihoods multiplied over sources, averaged as logs over accounts of one."""
    size = np.bincount(of, minlength=count)
    mean = lambda values: pd.DataFrame(values).groupby(of).mean().to_numpy()  # noqa: E731
    averaged = mean(kinds)
    kinds = kinds.copy()
    for i, general in enumerate(terms):
        special = [j for j, name in enumerate(terms) if name.startswith(general + ".")]
        if not special:
            continue
        weight = averaged[:, special]
        total = weight.sum(axis=1)
        gives = (averaged[:, i] > 0) & (total > 0) & (total >= 0.5 * averaged[:, i])
        share = np.where(gives[:, None], weight / np.where(total > 0, total, 1.0)[:, None], 0.0)[of]
        moved_ = kinds[:, i] * gives[of]
        kinds[:, i] -= moved_
        kinds[:, special] += moved_[:, None] * share
    named = mean(kinds) > 0
    named[:, -1] = True
    voices = pd.DataFrame({"of": of, "source": sources}).drop_duplicates()["of"].value_counts().sort_index().to_numpy()
    log = mean(np.log(np.maximum(kinds, UNNAMED))) * np.minimum(voices, 3)[:, None]
    log = np.where(named, log, -np.inf)
    chance = np.exp(log - log.max(axis=1, keepdims=True))
    chance /= chance.sum(axis=1, keepdims=True)
    listed = chance[:, :-1]
    depth = np.array([name.count(".") for name in terms])
    what = np.argmax(np.round(listed, 6) + 1e-7 * depth, axis=1)
    rest = listed.copy()
    rest[np.arange(count), what] = 0.0
    return np.array(terms, object)[what], listed[np.arange(count), what].astype(np.float32), several(rest, terms)


def several(table: np.ndarray, terms) -> np.ndarray:
    out = np.empty(len(table), object)
    rows, columns = np.nonzero(table >= 0.005)
    values = table[rows, columns].astype(np.float32).tolist()
    lists: dict[int, list] = {}
    for row, column, value in zip(rows.tolist(), columns.tolist(), values, strict=True):
        lists.setdefault(row, []).append((terms[column], value))
    for row, pairs in lists.items():
        out[row] = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
    return out


def most(values: pd.Series, of: np.ndarray, count: int, weight=None) -> np.ndarray:
    """The word with most rows (or weight) in each group, the first of equals; None where there is none."""
    frame = pd.DataFrame({"of": of, "word": values.to_numpy(), "weight": 1.0 if weight is None else weight})
    total = frame.dropna(subset=["word"]).groupby(["of", "word"], as_index=False)["weight"].sum()
    best = total.sort_values(["of", "weight", "word"], ascending=[True, False, True]).drop_duplicates("of")
    out = np.full(count, None, object)
    out[best["of"].to_numpy()] = best["word"].to_numpy()
    return out


def event_table(table, s, terms, event, first, v, theatre) -> pd.DataFrame:
    count = len(first)
    grouped = table.groupby(event)
    out = pd.DataFrame({"what": table["what"].to_numpy()[first], "confidence": grouped["confidence"].max().to_numpy()})
    out["alternatives"] = table["alternatives"].to_numpy()[first]
    size = np.bincount(event, minlength=count)
    many = (size > 1) & (table["kind"].to_numpy()[first] != "hotspot")
    if many.any():
        rows = np.flatnonzero(many[event])
        some = table.iloc[rows]
        kinds = likelihoods(some["what"], some["confidence"].to_numpy(np.float64), some["alternatives"], terms)
        of = (np.cumsum(many) - 1)[event[rows]]
        sources = pd.factorize(some["source"])[0]
        what, confidence, others = pooled(kinds, terms, of, int(many.sum()), sources)
        out.loc[many, "what"], out.loc[many, "confidence"] = what, confidence
        out.loc[many, "alternatives"] = pd.Series(others, out.index[many])
    for name in ("at", "from", "until"):
        out[name] = np.round(v[name] * 1e6) / 1e6
    place(out, v, theatre)
    out["observations"] = size
    out["sources"] = lists(table["source"], event, count)
    out["sensors"] = lists(table["sensor"], event, count)
    for name in ("means", "description", "weapon"):
        out[name] = most(table[name], event, count)
    low, high = np.fmin(table["count"], table["count_max"]), np.fmax(table["count"], table["count_max"])
    out["count"], out["count_max"] = low.groupby(event).min(), high.groupby(event).max()
    for name in ("killed", "injured"):
        out[name] = grouped[name].max().to_numpy()
    out["frp_mw"] = grouped["firms_frp"].sum(min_count=1).to_numpy()
    rank = table["release"].map({name: i for i, name in enumerate(RELEASES)}).fillna(len(RELEASES) - 1)
    out["release"] = np.array(RELEASES, object)[rank.groupby(event).max().to_numpy(int)]
    out["stream"] = table["stream"].to_numpy()[first]
    anchors = table["observation_id"].to_numpy()[first]
    digests = [sha256(b"event" + anchor).digest() for anchor in anchors]
    out["event_id"], out["begins_id"] = [d[:16] for d in digests], [d[16:] for d in digests]
    return out


def lists(words: pd.Series, of: np.ndarray, count: int) -> np.ndarray:
    """The distinct words of each group, sorted."""
    pairs = pd.DataFrame({"of": of, "word": words.to_numpy()}).dropna().drop_duplicates().sort_values(["of", "word"])
    out = np.empty(count, object)
    out[:] = [[] for _ in range(count)]
    for row, word in zip(pairs["of"].to_numpy(), pairs["word"].to_numpy(), strict=True):
        out[row].append(word)
    return out


def place(out: pd.DataFrame, v: pd.DataFrame, theatre: Theatre) -> None:
    lon, lat = theatre.degrees(v["e"].to_numpy(), v["n"].to_numpy())
    major, minor, tilt = theatre.ellipse(lon, lat, v["ee"].to_numpy(), v["en"].to_numpy(), v["nn"].to_numpy())
    out["lon"], out["lat"] = lon, lat
    out["major_m"], out["minor_m"], out["tilt_deg"] = (x.astype(np.float32) for x in (major, minor, tilt))


def stated_cause(events_: pd.DataFrame, fire_prior: float) -> None:
    prior = {name: a.value for name, a in assumed.CONFLICT.items()} | {"fire": fire_prior}
    by_word = {w: prior.get(stream(w) or "", np.nan) for w in events_["what"].unique()}
    events_["p_conflict"] = events_["what"].map(by_word).astype(np.float32)


def incident_table(events_: pd.DataFrame, v: pd.DataFrame, incident, terms, theatre):
    """Incidents, and where their leading events were, as the mean weighted by sharpness."""
    count = int(incident.max()) + 1
    rank = np.array([assumed.LEADING.index(name) for name in STREAMS])[events_["stream"]]
    leading = rank == pd.Series(rank).groupby(incident).transform("min").to_numpy()
    led, of = v[leading], incident[leading]
    weight = 1.0 / np.sqrt(led["ee"] * led["nn"] - led["en"] ** 2)
    whole = weight.groupby(of).sum().to_numpy()
    mean = lambda x: (x * weight).groupby(of).sum().to_numpy() / whole  # noqa: E731
    e, n = mean(led["e"]), mean(led["n"])
    de, dn = led["e"] - e[of], led["n"] - n[of]
    covered = {"ee": mean(led["ee"] + de**2), "en": mean(led["en"] + de * dn), "nn": mean(led["nn"] + dn**2)}
    where = pd.DataFrame({"e": e, "n": n, **covered})
    where["at"] = v["at"].groupby(incident).min().to_numpy()
    heads = events_[leading]
    out = pd.DataFrame({"what": most(heads["what"], of, count, heads["observations"].to_numpy())})
    out["confidence"] = heads["confidence"].groupby(of).max().to_numpy()
    head = pd.Series(np.flatnonzero(leading)).groupby(of).first().to_numpy()
    out["alternatives"] = events_["alternatives"].to_numpy()[head]
    many = (np.bincount(of, minlength=count) > 1) & (events_["stream"].to_numpy()[head] != FIRE)
    if many.any():
        some = heads[many[of]]
        kinds = likelihoods(some["what"], some["confidence"].to_numpy(np.float64), some["alternatives"], terms)
        part = (np.cumsum(many) - 1)[of[many[of]]]
        what, confidence, others = pooled(kinds, terms, part, int(many.sum()), np.zeros(len(some), int))
        out.loc[many, "what"], out.loc[many, "confidence"] = what, confidence
        out.loc[many, "alternatives"] = pd.Series(others, out.index[many])
    by = events_.groupby(incident)
    out["first"], out["last"] = by["from"].min().to_numpy(), by["until"].max().to_numpy()
    place(out, where, theatre)
    out["events"], out["observations"] = by.size().to_numpy(), by["observations"].sum().to_numpy()
    out["sources"] = by["sources"].agg(lambda rows: sorted({w for row in rows for w in row})).to_numpy()
    for name in ("means", "description", "weapon"):
        out[name] = most(heads[name], of, count, heads["observations"].to_numpy())
    for name in ("count", "count_max"):
        out[name] = by[name].sum(min_count=1).to_numpy()
    for name in ("killed", "injured", "p_conflict"):
        out[name] = by[name].max().to_numpy()
    ranks = events_["release"].map({name: i for i, name in enumerate(RELEASES)})
    out["release"] = np.array(RELEASES, object)[ranks.groupby(incident).max().to_numpy(int)]
    anchor = pd.Series(np.arange(len(events_))).groupby(incident).first().to_numpy()
    return out, where, anchor
