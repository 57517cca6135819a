"""Observations to events: one physical occurrence each, whoever saw it and in whatever order it was told.

Satellite pixels make fires (`fires`). Accounts and alerts of any source are linked when one occurrence explains
them better than two, and merged as long as that holds of all they say together (`kernels.merge`). What makes
two accounts one: near positions, for their ellipses; times that can be the same, so that a report of
Monday's day and one of Tuesday's never are; like kinds; and all that against how many other such occurrences
there are round there and then. What keeps them apart whatever the numbers: one text of one source at two
places speaks of two occurrences (a list of twelve villages is twelve events).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from truceline.fuse.assumptions import REPEAT, agreement_of_kinds
from truceline.fuse.columns import Groups, coded
from truceline.fuse.fires import fires
from truceline.fuse.occurrences import Occurrences, kinds_of
from truceline.kernels.cluster import links
from truceline.kernels.grid import distinct
from truceline.kernels.likelihood import Statements, in_order
from truceline.kernels.merge import Sameness, alike, merged, row_codes
from truceline.kernels.sha256 import of_rows
from truceline.observation import ID, bytes_of

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Positions farther apart than this many sigmas of their joint ellipse are of two occurrences, however few there
#: are round there; one pair in 90 of one occurrence is lost by it. Ellipses of settlements have no longer tails.
_GATE = 3.0
#: The stated interval of an instant: 2 sigma either way, 95 of 100.
_TWO_SIGMA = 2.0


class Events(NamedTuple):
    """Events in the order of their first observations; arrays of (events,) but for the first two."""

    event: Ints  # (observations,) which event each observation belongs to
    log_ratio: Array  # (observations,) of its strongest tie to another one of its event; NaN without
    first: Ints  # the row of its earliest observation, its anchor
    east_m: Array
    north_m: Array
    var_e: Array
    cov_en: Array
    var_n: Array
    at_s: Array
    from_s: Array
    until_s: Array
    begins_s: Array  # the interval as if all instants in it were alike: of the same variance, for instants
    ends_s: Array
    log_rate: Array

    @property
    def number(self) -> int:
        """How many."""
        return len(self.first)


def fuse_events(occurred: Occurrences) -> Events:
    """Every occurrence's observations in one event, which is where and when they jointly say.

    Position of accounts: weighted by information. Observations that give exactly the same point and ellipse (a
    gazetteer's entry, a camera's fixed aim) share one source of error and count once, so ten reports from one
    village are no surer of the spot than one; several points of one instrument or post (or, where that is
    unknown, of one source) are averaged, and only those of different ones make the ellipse smaller. Position of
    satellite fires: the mean of the pixels, and the ellipse covers them. Time: instants likewise; intervals
    intersected, where of each source the first account is what dates the event.
    """
    n = len(occurred.at_s)
    label, ratio = np.empty(n, np.int64), np.full(n, np.nan)
    pixels, accounts = np.flatnonzero(occurred.hotspot), np.flatnonzero(~occurred.hotspot)
    fire, best = fires(occurred, pixels)
    groups = Groups(fire, int(fire.max(initial=-1)) + 1)
    label[pixels] = pixels[groups.order[groups.start]][fire]
    ratio[pixels] = np.where(np.isinf(best), np.nan, best)
    root, ratio[accounts], state = _merge_accounts(occurred, accounts)
    label[accounts] = accounts[root]
    first = distinct(label)
    event = np.searchsorted(first, label)
    of_fires, of_accounts = (np.searchsorted(first, distinct(label[rows])) for rows in (pixels, accounts))
    columns = np.full((len(Events._fields) - 4, len(first)), np.nan)
    columns[:, of_fires] = _fire_state(occurred, pixels, groups)
    columns[:, of_accounts] = state
    everyone = Groups(event, len(first))
    log_rate = everyone.mean(occurred.log_rate)
    ratio[first] = np.nan  # the observation an event began with has nothing to be tied to
    return Events._make([event, ratio, first, *columns, log_rate])


def _merge_accounts(occurred: Occurrences, rows: Ints) -> tuple[Ints, Array, Array]:
    """Each account's event as the row of its first, its strongest tie in it, and what each event's say jointly."""
    table = occurred.table.take(pa.array(rows))
    said = occurred.statements(rows, kinds_of(table, occurred.terms))
    named = said.kinds.any(axis=0)  # what no account speaks of adds nothing to any sum over kinds
    said = said._replace(kinds=said.kinds[:, named].copy(), expected=said.expected[:, named].copy())
    source = coded(table["source"])[0]
    text = coded(table["text"], in_order=False)[0]
    sensor = coded(table["sensor"])[0]
    same = Sameness(
        place=row_codes(*said[:5]),
        moment=row_codes(said.at_s, said.var_s),
        account=np.where(text < 0, -1, row_codes(source, text)),
        source=source,
        voice=row_codes(source, sensor),
        sensor=np.where(sensor < 0, -1, row_codes(source, sensor)),
    )
    begun, own = alike(said, same)
    worth = np.flatnonzero(_can_link(said) & (begun == np.arange(len(rows))))
    i, j, tie = links(in_order(said, worth.astype(np.int32)), _GATE)
    i, j = worth[i], worth[j]
    agreement = agreement_of_kinds(occurred.terms)[np.ix_(named, named)]
    log_repeat = float(np.log(REPEAT.value))
    root, joint = merged(said, same, agreement, begun, i, j, log_repeat, _GATE)
    ties = np.where(np.bincount(begun, minlength=len(rows)) > 1, own, np.nan)
    kept = root[i] == root[j]
    for end in (i[kept], j[kept]):
        np.fmax.at(ties, end, tie[kept])
    ties = np.fmax(ties[begun], np.where(begun != np.arange(len(rows)), own, np.nan))
    heads = distinct(root)
    sigma = np.sqrt(joint.var_s[heads])
    begins, ends = joint.begins_s[heads], joint.ends_s[heads]
    interval = np.isinf(sigma)
    middle = np.where(interval, begins, 0.0) / 2 + np.where(interval, ends, 0.0) / 2
    at = np.where(interval, middle, np.clip(joint.at_s[heads], begins, ends))
    state = np.stack(
        [
            *(column[heads] for column in joint[:5]),
            at,
            np.maximum(begins, np.where(interval, begins, at - _TWO_SIGMA * sigma)),
            np.minimum(ends, np.where(interval, ends, at + _TWO_SIGMA * sigma)),
            np.maximum(begins, np.where(interval, begins, at - np.sqrt(3) * sigma)),
            np.minimum(ends, np.where(interval, ends, at + np.sqrt(3) * sigma)),
        ]
    )
    return root, ties, state


def _can_link(said: Statements) -> npt.NDArray[np.bool_]:
    """Whether any other account could be as near as to make one of two; a report of a whole region cannot.

    An upper bound of the log ratio with any other: as if that one were exact, of the same kind and not rifer.
    """
    area = 2 * np.pi * np.sqrt(said.var_e * said.var_n - said.cov_en**2) / 1e6  # km2
    length = np.where(np.isinf(said.var_s), said.ends_s - said.begins_s, np.sqrt(2 * np.pi * said.var_s)) / 3600.0
    return np.asarray(-np.log(area * length) - said.log_rate > 0)


def _fire_state(occurred: Occurrences, rows: Ints, groups: Groups) -> Array:
    east, north = occurred.east_m[rows], occurred.north_m[rows]
    mean_e, mean_n = groups.mean(east), groups.mean(north)
    off_e, off_n = east - mean_e[groups.group], north - mean_n[groups.group]
    at, sigma = occurred.at_s[rows], np.sqrt(occurred.var_s[rows])
    begins, ends = occurred.begins_s[rows], occurred.ends_s[rows]
    interval = np.isinf(sigma)
    margin = np.where(interval, 0.0, sigma)
    edges = [
        groups.least(np.where(interval, begins, at - _TWO_SIGMA * margin)),
        groups.greatest(np.where(interval, ends, at + _TWO_SIGMA * margin)),
        groups.least(np.where(interval, begins, at - np.sqrt(3) * margin)),
        groups.greatest(np.where(interval, ends, at + np.sqrt(3) * margin)),
    ]
    return np.stack(
        [
            *(mean_e, mean_n),
            groups.mean(occurred.var_e[rows] + off_e**2),
            groups.mean(occurred.cov_en[rows] + off_e * off_n),
            groups.mean(occurred.var_n[rows] + off_n**2),
            groups.mean(at),
            *edges,
        ]
    )


def named(anchors: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Ids of events, and of the incidents that begin with them: both from the id of an event's first observation.

    The halves of SHA-256 over "event" and that id: a late report changes them only where it is the earliest.
    """
    halves = of_rows(b"event", bytes_of(anchors)).reshape(-1, 2, 16)
    event, incident = (pa.py_buffer(np.ascontiguousarray(halves[:, half])) for half in (0, 1))
    return tuple(pa.Array.from_buffers(ID, len(anchors), [None, ids]) for ids in (event, incident))
