"""What became of the ids of the edition before, told by the observations behind them."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline import picture
from truceline.observation import ID, id_column, ids

Ints = npt.NDArray[np.int64]
Pairs = npt.NDArray[np.uint64]


def lineage(before: Mapping[str, pa.Table], after: Mapping[str, pa.Table]) -> pa.Table:
    """How the events, incidents and tracks of one edition became those of the next: `picture.LINEAGE`.

    Two are related when they share an observation. `same`: one became one, whether or not its id or its
    observations changed; `split`: one became several; `merged`: several became one (of a pair that is
    part of both, split is said); `gone`: none of its observations is in the new edition; `new`: none was in the old.

    Parameters
    ----------
    before, after
        Each with the tables "associations" and "events".
    """
    return pa.concat_tables([_related(before, after, kind) for kind in ("event", "incident", "track")])


def _related(before: Mapping[str, pa.Table], after: Mapping[str, pa.Table], kind: str) -> pa.Table:
    (old_seen, old_ids), (new_seen, new_ids) = _behind(before, kind), _behind(after, kind)
    seen = _codes(np.concatenate([old_seen, new_seen]))
    old, old_first = _rows(old_ids)
    new, new_first = _rows(new_ids)
    holder = np.full(int(seen.max(initial=-1)) + 1, -1, np.int64)
    holder[seen[: len(old)]] = old
    was = holder[seen[len(old) :]]
    pairs = np.unique(np.stack([was, new], axis=1)[was >= 0], axis=0)
    heirs = np.bincount(pairs[:, 0], minlength=len(old_first))
    parents = np.bincount(pairs[:, 1], minlength=len(new_first))
    relation = np.where(heirs[pairs[:, 0]] > 1, "split", np.where(parents[pairs[:, 1]] > 1, "merged", "same"))
    gone, born = old_first[heirs == 0], new_first[parents == 0]
    from_id = [id_column(old_ids[old_first[pairs[:, 0]]]), id_column(old_ids[gone]), pa.nulls(len(born), ID)]
    to_id = [id_column(new_ids[new_first[pairs[:, 1]]]), pa.nulls(len(gone), ID), id_column(new_ids[born])]
    said = pa.array([*relation.tolist(), *["gone"] * len(gone), *["new"] * len(born)], pa.string())
    columns = [pa.repeat(kind, len(said)), pa.concat_arrays(from_id), pa.concat_arrays(to_id), said]
    return pa.Table.from_arrays(columns, schema=picture.LINEAGE)


def _behind(edition: Mapping[str, pa.Table], kind: str) -> tuple[Pairs, Pairs]:
    """Ids of observations, and of the event, incident or track that each is behind."""
    ties = edition["associations"]
    if kind == "track":
        ties = ties.filter(pc.is_valid(ties["track_id"]))
        return ids(ties["observation_id"]), ids(ties["track_id"])
    ties = ties.filter(pc.is_valid(ties["event_id"]))
    seen, events = ids(ties["observation_id"]), ids(ties["event_id"])
    if kind == "event":
        return seen, events
    listed, incident = ids(edition["events"]["event_id"]), ids(edition["events"]["incident_id"])
    code = _codes(np.concatenate([listed, events]))
    row = np.empty(int(code.max(initial=-1)) + 1, np.int64)
    row[code[: len(listed)]] = np.arange(len(listed))
    return seen, incident[row[code[len(listed) :]]]


def _codes(pairs: Pairs) -> Ints:
    """Codes 0, 1, … of distinct ids, in their order."""
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    sorted_ = pairs[order]
    code = np.empty(len(pairs), np.int64)
    code[order] = np.cumsum(np.r_[False, (sorted_[1:] != sorted_[:-1]).any(axis=1)][: len(pairs)])
    return code


def _rows(pairs: Pairs) -> tuple[Ints, Ints]:
    """Each row's code, and the first row of each code."""
    code = _codes(pairs)
    return code, np.unique(code, return_index=True)[1]
