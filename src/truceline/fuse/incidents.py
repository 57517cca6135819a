"""Events to incidents: episodes close in place, time and kind, and fires with what set them.

Each event either begins something new or came of one earlier event, whichever is likelier (`kernels.episode`):
an explosion within the hour of another, a fire after an impact, a fire where one burned on the pass before.
Only physics counts: neither the line nor any party is looked at. A day-long report joins the sharper episode it
fits best and ties no two together.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from truceline import picture
from truceline.frame import Frame
from truceline.fuse import columns
from truceline.fuse.assumptions import LEADING, ORIGINS, ROOT_M, SET_BY_IMPACT_DAYS, STREAMS, VAGUE_H
from truceline.fuse.columns import Groups, chosen, coded, single, whole
from truceline.fuse.events import Events
from truceline.fuse.kinds import LEAST, either, pooled
from truceline.fuse.occurrences import Occurrences, kinds_of
from truceline.fuse.tables import against, assembled, where
from truceline.kernels.episode import Descent, Happenings, episodes
from truceline.observation import to_numpy

if TYPE_CHECKING:
    from truceline.line import Line
    from truceline.places import Gazetteer

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_FIRE = STREAMS.index("fire")


def descent() -> Descent:
    """The assumptions of `ORIGINS` as the kernel takes them."""
    n, parts = len(STREAMS), max(len(origin.parts) for origin in ORIGINS)
    by = Descent(
        rate=np.zeros((n, n, parts)),
        decay_s=np.ones((n, n, parts)),
        after=np.zeros((n, n), np.int64),
        spread_m=np.zeros((n, n)),
        horizon_s=np.zeros(n),
        apart_s=np.zeros((n, n)),
        root_m=np.array([ROOT_M.get(name, np.inf) for name in STREAMS]),
    )
    for origin in ORIGINS:
        p, c = STREAMS.index(origin.parent), STREAMS.index(origin.child)
        for k, (rate, decay_h) in enumerate(origin.parts):
            by.rate[p, c, k], by.decay_s[p, c, k] = rate, decay_h * 3600.0
        by.after[p, c], by.spread_m[p, c], by.apart_s[p, c] = origin.after, origin.spread_m, origin.apart_h * 3600.0
        by.horizon_s[p] = max(by.horizon_s[p], by.apart_s[p, c])
        if not origin.after:
            by.horizon_s[c] = max(by.horizon_s[c], by.apart_s[p, c])
    return by


def group(occurred: Occurrences, fused: Events) -> Groups:
    """The incident of each event: groups of events, in the order of their earliest events.

    First fires alone: each pass's fire goes on from one of an earlier pass, or is new. Then all else, and with it
    the beginning of each fire that may be the consequence of something: a fire that burns for longer than
    `SET_BY_IMPACT_DAYS` is a furnace or a tip, not what an impact left.
    """
    streams = occurred.stream[fused.first]
    by = descent()
    root = np.arange(fused.number)
    fires = np.flatnonzero(streams == _FIRE)
    root[fires] = fires[_episodes(fused, fires, streams, by)]
    first, fire = np.unique(root[fires], return_inverse=True)
    burns = Groups(fire, len(first))
    days = (burns.greatest(fused.ends_s[fires]) - burns.least(fused.begins_s[fires])) / 86400.0
    begun = first[days <= SET_BY_IMPACT_DAYS]
    rest = np.sort(np.concatenate([np.flatnonzero(streams != _FIRE), begun]))
    by.rate[_FIRE, _FIRE] = 0.0
    root[rest] = rest[_episodes(fused, rest, streams, by)]
    root = root[root]  # the rest of a fire goes where its beginning went
    _, first, group = np.unique(root, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return Groups(rank[group], len(first))


def _episodes(fused: Events, rows: Ints, streams: Ints, by: Descent) -> Ints:
    """Which of `rows` each of them goes back to: acts before fires, sharp before vague, then by time."""
    arrays = (fused.east_m, fused.north_m, fused.var_e, fused.cov_en, fused.var_n, fused.begins_s, fused.ends_s)
    taken = [array[rows] for array in (*arrays, streams, fused.log_rate)]
    vague = taken[6] - taken[5] > VAGUE_H * 3600.0
    order = np.lexsort((np.arange(len(rows)), fused.at_s[rows], vague, streams[rows] == _FIRE))
    root = np.empty(len(rows), np.int64)
    root[order] = order[episodes(Happenings._make(array[order] for array in taken), by, VAGUE_H * 3600.0)]
    return root


def incident_table(
    occurred: Occurrences,
    fused: Events,
    groups: Groups,
    events: pa.Table,
    ids: pa.Array,
    frame: Frame,
    line: "Line | None",
    gazetteer: "Gazetteer | None",
) -> pa.Table:
    """`picture.INCIDENTS`, in the order of their earliest events.

    An incident is named by its leading events: the act (impulse, ground, air ...) before the fire it left. Where
    it was is the mean of the leading events, the sharper the heavier, with an ellipse that covers them. Counts
    add over events, since each is another occurrence; casualties are the greatest stated, since accounts of an
    episode repeat each other's. p_conflict is that of its likeliest event.
    """
    rank = np.array([LEADING.index(name) for name in STREAMS])[occurred.stream[fused.first]]
    leading = rank == groups.least(rank.astype(np.float64))[groups.group]
    leaders = np.flatnonzero(leading)
    led = Groups(groups.group[leaders], groups.count)
    at = groups.least(fused.at_s)
    place = _place(fused, leaders, led)
    size = to_numpy(events["observations"]).astype(np.float64)
    everyone = Groups(groups.group[fused.event], groups.count)
    p = to_numpy(events["p_conflict"]).astype(np.float64)
    likeliest = np.lexsort((np.arange(len(p)), -np.nan_to_num(p, nan=-1.0), groups.group))[groups.start]
    release = columns.release_ranks(events["release"]).astype(np.float64)
    positioned = where(*place, frame)
    lon, lat = to_numpy(positioned["lon"]), to_numpy(positioned["lat"])
    built: dict[str, Any] = {
        "incident_id": ids,
        **_kind(occurred, fused, events, leaders, led, size),
        "first_at": columns.moments(groups.least(fused.from_s)),
        "last_at": columns.moments(groups.greatest(fused.until_s)),
        **positioned,
        **against(*place, at, line),
        "place": None if gazetteer is None else pa.array(gazetteer.words(lon, lat), pa.string()),
        "events": groups.size.astype(np.int32),
        "observations": everyone.size.astype(np.int32),
        "sources": everyone.words(*coded(occurred.table["source"])),
        **{name: _supported(events[name], leaders, led, size) for name in ("means", "description", "weapon")},
        "count": whole(groups.known_total(to_numpy(events["count"]).astype(np.float64))),
        "count_max": whole(groups.known_total(to_numpy(events["count_max"]).astype(np.float64))),
        "killed": whole(groups.greatest(to_numpy(events["killed"]).astype(np.float64))),
        "injured": whole(groups.greatest(to_numpy(events["injured"]).astype(np.float64))),
        "p_conflict": single(p[likeliest]),
        "p_conflict_model": events["p_conflict_model"].take(pa.array(likeliest)),
        "release": columns.narrowest(groups.greatest(release)),
    }
    return assembled(built, groups.count, picture.INCIDENTS)


def _place(fused: Events, leaders: Ints, led: Groups) -> tuple[Array, Array, Array, Array, Array]:
    """Mean of the leading events, weighted by their sharpness, and a covariance that covers them."""
    east, north = fused.east_m[leaders], fused.north_m[leaders]
    var_e, cov, var_n = fused.var_e[leaders], fused.cov_en[leaders], fused.var_n[leaders]
    weight = 1.0 / np.sqrt(var_e * var_n - cov**2)
    mean_e, mean_n = led.mean(east, weight), led.mean(north, weight)
    off_e, off_n = east - mean_e[led.group], north - mean_n[led.group]
    covered = (var_e + off_e**2, cov + off_e * off_n, var_n + off_n**2)
    var_e, cov, var_n = (led.mean(column, weight) for column in covered)
    return mean_e, mean_n, var_e, cov, var_n


def _supported(column: pa.ChunkedArray, leaders: Ints, led: Groups, size: Array) -> pa.Array:
    codes, words = coded(column)
    return chosen(led.most(codes[leaders], size[leaders]), words)


def _kind(
    occurred: Occurrences, fused: Events, events: pa.Table, leaders: Ints, led: Groups, size: Array
) -> dict[str, Any]:
    """As the leading events say: the only one's, or pooled; for fires the surest one's confidence."""
    codes, words = coded(events["what"])
    confidence = led.greatest(to_numpy(events["confidence"]).astype(np.float64)[leaders])
    head = leaders[led.order[led.start]]
    many = (led.size > 1) & (occurred.stream[fused.first[head]] != _FIRE)
    place = np.cumsum(many) - 1
    rows = np.flatnonzero(many[led.group])
    part = Groups(place[led.group[rows]], int(many.sum()))
    stated = kinds_of(events.take(pa.array(leaders[rows])), occurred.terms)
    kinds = pooled(stated, occurred.terms, part, np.zeros(len(rows), np.int64))
    confidence[many] = kinds.confidence
    what = led.most(codes[leaders], size[leaders])
    what[many] = len(words) + kinds.what
    pool = columns.likelihoods(kinds.table, list(occurred.terms), LEAST)
    alone = events["alternatives"].combine_chunks().take(pa.array(head))
    return {
        "what": pa.array([*words, *occurred.terms], pa.string()).take(pa.array(what)),
        "confidence": single(confidence),
        "alternatives": either(alone, pool, many, place),
    }
