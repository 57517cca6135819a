"""What became of the ids of the edition before, told by the observations behind them."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline import picture
from truceline.observation import ID, id_column, ids
from truceline.pieces import Rows, filtered

Ints = npt.NDArray[np.int64]
Pairs = npt.NDArray[np.uint64]

#: Associations of about so many observations are looked at together: some 200 MB.
_AT_ONCE = 2_000_000


def lineage(before: Mapping[str, Rows], after: Mapping[str, Rows]) -> pa.Table:
    """How the events, incidents and tracks of one edition became those of the next: `picture.LINEAGE`.

    Two are related when they share an observation. `same`: one became one, whether or not its id or its
    observations changed; `split`: one became several; `merged`: several became one (of a pair that is
    part of both, split is said); `gone`: none of its observations is in the new edition; `new`: none was in the old.

    Parameters
    ----------
    before, after
        Each with the tables "associations" and "events". What is held of many associations is those of a share of the
        observations at a time.
    """
    return pa.concat_tables([_related(before, after, kind) for kind in ("event", "incident", "track")])


def _related(before: Mapping[str, Rows], after: Mapping[str, Rows], kind: str) -> pa.Table:
    rows = max(edition["associations"].num_rows for edition in (before, after))
    edges = np.linspace(0, 1 << 16, 2 + rows // _AT_ONCE).astype(np.uint64)[1:] - np.uint64(1)
    old, new, both = [], [], []
    for share in range(len(edges)):
        (old_seen, old_ids), (new_seen, new_ids) = (_behind(e, kind, edges, share) for e in (before, after))
        row, other = _shared(old_seen, new_seen)
        both.append(_distinct(np.concatenate([old_ids[row], new_ids[other]], axis=1)))
        old.append(_distinct(old_ids))
        new.append(_distinct(new_ids))
    olds, news, pairs = (_distinct(np.concatenate(parts)) for parts in (old, new, both))
    of_old, of_new = (_codes(np.concatenate([a, b])) for a, b in ((olds, pairs[:, :2]), (news, pairs[:, 2:])))
    was, now = of_old[len(olds) :], of_new[len(news) :]
    heirs, parents = np.bincount(was, minlength=len(olds)), np.bincount(now, minlength=len(news))
    relation = np.where(heirs[was] > 1, "split", np.where(parents[now] > 1, "merged", "same"))
    gone, born = olds[heirs == 0], news[parents == 0]
    from_id = [id_column(pairs[:, :2]), id_column(gone), pa.nulls(len(born), ID)]
    to_id = [id_column(pairs[:, 2:]), pa.nulls(len(gone), ID), id_column(born)]
    said = pa.array([*relation.tolist(), *["gone"] * len(gone), *["new"] * len(born)], pa.string())
    columns = [pa.repeat(kind, len(said)), pa.concat_arrays(from_id), pa.concat_arrays(to_id), said]
    return pa.Table.from_arrays(columns, schema=picture.LINEAGE)


def _behind(edition: Mapping[str, Rows], kind: str, edges: Pairs, share: int) -> tuple[Pairs, Pairs]:
    """Ids of a share of the observations, and of the event, incident or track that each is behind."""
    what = "track_id" if kind == "track" else "event_id"

    def tied(piece: pa.Table) -> pa.Table:
        piece = piece.select(["observation_id", what]).filter(pc.is_valid(piece[what]))
        if len(edges) > 1:  # by the first bytes of their ids, which are cut from SHA-256
            of = np.searchsorted(edges, ids(piece["observation_id"])[:, 0] >> np.uint64(48))
            piece = piece.filter(pa.array(of == share))
        return piece

    ties = filtered(edition["associations"], tied)
    seen, behind = ids(ties["observation_id"]), ids(ties[what])
    if kind != "incident":
        return seen, behind
    events = edition["events"]
    assert isinstance(events, pa.Table)
    listed, incident = ids(events["event_id"]), ids(events["incident_id"])
    code = _codes(np.concatenate([listed, behind]))
    row = np.empty(int(code.max(initial=-1)) + 1, np.int64)
    row[code[: len(listed)]] = np.arange(len(listed))
    return seen, incident[row[code[len(listed) :]]]


def _shared(old: Pairs, new: Pairs) -> tuple[Ints, Ints]:
    """Rows of the old and of the new that have one id; of several old ones the last."""
    code = _codes(np.concatenate([old, new]))
    holder = np.full(int(code.max(initial=-1)) + 1, -1, np.int64)
    holder[code[: len(old)]] = np.arange(len(old))
    was = holder[code[len(old) :]]
    return was[was >= 0], np.flatnonzero(was >= 0)


def _distinct(rows: Pairs) -> Pairs:
    """The distinct rows, in their order."""
    order = np.lexsort(rows.T[::-1])
    rows = rows[order]
    new: npt.NDArray[np.bool_] = np.r_[True, (rows[1:] != rows[:-1]).any(axis=1)][: len(rows)]
    return np.asarray(rows[new])


def _codes(pairs: Pairs) -> Ints:
    """Codes 0, 1, … of distinct ids, in their order."""
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    sorted_ = pairs[order]
    code = np.empty(len(pairs), np.int64)
    code[order] = np.cumsum(np.r_[False, (sorted_[1:] != sorted_[:-1]).any(axis=1)][: len(pairs)])
    return code
