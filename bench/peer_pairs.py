"""The peer's pairs: which statements may be near each other, and the log ratio of one occurrence to two."""

import math

import numpy as np
import pandas as pd
from bench.peer_fuse import Said
from scipy.special import erf
from sklearn.neighbors import KDTree

#: Pairs worked on at a time.
CHUNK = 2_000_000


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
