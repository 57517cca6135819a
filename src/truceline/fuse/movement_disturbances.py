"""Anomalies of several objects at one time and in one area: interference with navigation rather than guilt.

Space and time are cut into cells of half the distance and half the time within which anomalies are one disturbance;
a cell and those that touch it are "nearby". So it takes the same time whether ten ships are disturbed or ten thousand.
"""

from collections.abc import Iterable, Iterator
from itertools import product

import numpy as np
import numpy.typing as npt

from truceline.fuse import movement_assumptions as assumed
from truceline.fuse.movement_rows import Told, between, far, log_odds, probability, told

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Cell = tuple[int, int, int]


def together(parts: list[Told]) -> list[Told]:
    """The anomalies, each with how many other objects had one there and then, and a row for every disturbance."""
    if not parts:
        return []
    whole = _Whole(parts)
    out, at = [], 0
    for part in parts:
        others = whole.others[at : at + part.rows].tolist()
        at += part.rows
        text = [
            words + (f" {k} other object{'s' if k > 1 else ''} nearby showed such positions at the time." if k else "")
            for words, k in zip(part.text, others, strict=True)
        ]
        out.append(part._replace(text=text))
    return [*out, whole.disturbances()]


class _Whole:
    """All anomalies; those likelier than not by their cells: doubtful ones do not add up to a disturbance."""

    def __init__(self, parts: list[Told]) -> None:
        self.track, p, self.begin, self.end = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("track", "p", "from_s", "until_s")
        )
        self.east, self.north = (np.concatenate([part.place[k] for part in parts]) for k in (0, 1))
        known = np.isfinite(self.east + self.north + self.begin)
        sizes = (assumed.TOGETHER_M / 2, assumed.TOGETHER_M / 2, assumed.TOGETHER_S / 2)
        columns = [
            np.floor(np.where(known, v, 0.0) / size).astype(np.int64).tolist()
            for v, size in zip((self.east, self.north, self.begin), sizes, strict=True)
        ]
        cells: list[Cell] = list(zip(*columns, strict=True))
        self.members: dict[Cell, list[int]] = {}
        for row in np.flatnonzero(known & (p >= 0.5)).tolist():
            self.members.setdefault(cells[row], []).append(row)
        tracks = {cell: set(self.track[rows].tolist()) for cell, rows in self.members.items()}
        near: dict[Cell, set[int]] = {}
        for cell in {cells[row] for row in np.flatnonzero(known)}:
            near[cell] = set().union(*(tracks[c] for c in _touching(cell) if c in tracks))
        self.others = np.array(
            [
                len(near[c] - {t}) if c in near and k else 0
                for c, t, k in zip(cells, self.track.tolist(), known, strict=True)
            ]
        )

    def groups(self) -> Iterable[Ints]:
        """Anomalies whose cells hang together, in the order of their first cell."""
        seen: set[Cell] = set()
        for start in sorted(self.members):
            if start in seen:
                continue
            seen.add(start)
            todo, found = [start], []
            while todo:
                cell = todo.pop()
                found += self.members[cell]
                for other in _touching(cell):
                    if other in self.members and other not in seen:
                        seen.add(other)
                        todo.append(other)
            yield np.array(sorted(found), np.int64)

    def disturbances(self) -> Told:
        """One row for every group of enough objects, under the first of its tracks."""
        groups = [g for g in self.groups() if len(np.unique(self.track[g])) >= assumed.INTERFERED_LEAST]
        n = np.array([len(np.unique(self.track[g])) for g in groups], np.float64)
        begin, end = [self.begin[g].min() for g in groups], [self.end[g].max() for g in groups]
        prior = np.full(len(groups), log_odds(assumed.INTERFERENCE_PRIOR.value))
        says = np.minimum(assumed.INTERFERED.value * (n - 1), 9.0)
        place = np.array([_area(self.east[g], self.north[g]) for g in groups]).reshape(-1, 5).T
        text = [
            f"{k:.0f} objects within some {far(2 * float(np.sqrt(wide)))} stated positions that cannot be, "
            f"{between(a, b)}: interference with navigation is likelier than {k:.0f} causes apart."
            for k, wide, a, b in zip(n, place[2] + place[4], begin, end, strict=True)
        ]
        track, factors = [int(self.track[g].min()) for g in groups], {"prior": prior, "objects at once": says}
        return told("jamming.position", track, probability(prior + says), begin, end, place, text, factors)


def _touching(cell: Cell) -> Iterator[Cell]:
    for step in product((-1, 0, 1), repeat=3):
        yield (cell[0] + step[0], cell[1] + step[1], cell[2] + step[2])


def _area(east_m: Floats, north_m: Floats) -> tuple[float, float, float, float, float]:
    """Mean and covariance of places, with the error of each."""
    e, n = east_m - east_m.mean(), north_m - north_m.mean()
    floor = assumed.PLACE_SIGMA_M.value**2
    spread = float((e * e).mean() + floor), float((e * n).mean()), float((n * n).mean() + floor)
    return float(east_m.mean()), float(north_m.mean()), *spread
