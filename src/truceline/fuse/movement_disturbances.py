"""Anomalies of several objects at one time and in one area: interference with navigation rather than guilt."""

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from truceline.fuse import movement_assumptions as assumed
from truceline.fuse.movement_rows import Told, between, far, log_odds, probability, told

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def together(parts: list[Told]) -> list[Told]:
    """The anomalies, each with how many others had one there and then, and a row for every disturbance."""
    if not parts:
        return []
    track = np.concatenate([part.track for part in parts])
    begin, east, north = (
        np.concatenate(v) for v in zip(*((part.from_s, *part.place[:2]) for part in parts), strict=True)
    )
    known = np.isfinite(east + north + begin)
    near: list[list[int]] = [[] for _ in track]
    if known.any():
        rows = np.flatnonzero(known)
        scaled = np.column_stack([east, north, begin * (assumed.TOGETHER_M / assumed.TOGETHER_S)])[rows]
        tree = cKDTree(scaled)
        for row, found in zip(rows, tree.query_ball_point(scaled, assumed.TOGETHER_M), strict=True):
            near[row] = [int(rows[k]) for k in found]
    others = np.array([len({int(track[k]) for k in found} - {int(t)}) for t, found in zip(track, near, strict=True)])
    out, at = [], 0
    for part in parts:
        n = others[at : at + part.rows].tolist()
        at += part.rows
        text = [
            words + (f" {k} other object{'s' if k > 1 else ''} nearby showed such positions at the time." if k else "")
            for words, k in zip(part.text, n, strict=True)
        ]
        out.append(part._replace(text=text))
    return [*out, _disturbances(track, begin, (east, north), near, parts)]


def _disturbances(
    track: Ints, begin: Floats, place: tuple[Floats, Floats], near: list[list[int]], parts: list[Told]
) -> Told:
    """Anomalies that hang together, of enough objects: one row each, under the first of its tracks."""
    end = np.concatenate([part.until_s for part in parts])
    label = np.full(len(track), -1)
    groups: list[Ints] = []
    for start in np.lexsort((track, begin)).tolist():
        if label[start] >= 0:
            continue
        label[start], todo, members = len(groups), [start], []
        while todo:
            k = todo.pop()
            members.append(k)
            for other in near[k]:
                if label[other] < 0:
                    label[other] = len(groups)
                    todo.append(other)
        groups.append(np.array(sorted(members), np.int64))
    groups = [g for g in groups if len(np.unique(track[g])) >= assumed.INTERFERED_LEAST]
    n = np.array([len(np.unique(track[g])) for g in groups], np.float64)
    says = np.minimum(assumed.INTERFERED.value * (n - 1), 9.0)
    prior = log_odds(assumed.INTERFERENCE_PRIOR.value)
    east, north = ([float(v[g].mean()) for g in groups] for v in place)
    spreads = [_spread(place, g) for g in groups]
    text = [
        f"{k:.0f} objects within some {far(2 * float(np.sqrt(s[0] + s[2])))} stated positions that cannot be, "
        f"{between(begin[g].min(), end[g].max())}: interference with navigation is likelier than {k:.0f} causes apart."
        for g, k, s in zip(groups, n, spreads, strict=True)
    ]
    return told(
        "jamming.position", [int(track[g].min()) for g in groups], probability(prior + says),
        [begin[g].min() for g in groups], [end[g].max() for g in groups],
        (east, north, [s[0] for s in spreads], [s[1] for s in spreads], [s[2] for s in spreads]), text,
        {"prior": np.full(len(groups), prior), "objects at once": says},
    )  # fmt: skip


def _spread(place: tuple[Floats, Floats], rows: Ints) -> tuple[float, float, float]:
    e, n = place[0][rows] - place[0][rows].mean(), place[1][rows] - place[1][rows].mean()
    floor = assumed.PLACE_SIGMA_M.value**2
    return float((e * e).mean() + floor), float((e * n).mean()), float((n * n).mean() + floor)
