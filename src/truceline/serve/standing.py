"""What of a picture the watch is to hear of, and what became of what it heard of before."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from truceline.kernels.idset import index_in
from truceline.observation import ID, id_column, ids
from truceline.serve.alerts import CANDIDATES, MARGIN, Became

Picture = Mapping[str, pa.Table]


def candidates(picture: Picture, limit: float, exercise: bool) -> pa.Table:
    """The likely breaches: rows of `alerts.CANDIDATES`, one for each clause and subject.

    Of the readings the likeliest, among those in which the clause was in force; where the agreement as a whole was
    not, or the mission is an exercise, all count, and the sentence says so.
    """
    found = picture["findings"]
    illustrative = pc.fill_null(found["illustrative"], False)
    counts = pc.or_(pc.fill_null(found["in_force"], True), illustrative)
    if exercise:
        counts = pc.fill_null(pc.or_(counts, True), True)
    likely = pc.fill_null(pc.greater_equal(found["p_breach"], limit - MARGIN), False)
    order = [("clause", "ascending"), ("subject_id", "ascending"), ("p_breach", "descending"), ("reading", "ascending")]
    found = found.filter(pc.and_(likely, counts)).sort_by(order)
    if not found.num_rows:
        return CANDIDATES.empty_table()
    subjects = ids(found["subject_id"])
    clauses = found["clause"].to_pylist()
    new = np.append(True, (subjects[1:] != subjects[:-1]).any(axis=1))
    new |= [k == 0 or clauses[k] != clauses[k - 1] for k in range(len(clauses))]
    found = found.filter(pa.array(new))
    incidents = picture["incidents"]
    at = index_in(ids(found["subject_id"]), ids(incidents["incident_id"]))
    rows = pa.array(at, mask=at < 0)
    said = ["exercise"] if exercise else []
    sentences = [
        sentence + (f" ({'; '.join([*said, *_ILLUSTRATIVE] if only else said)})" if said or only else "")
        for sentence, only in zip(found["sentence"].to_pylist(), found["illustrative"].to_pylist(), strict=True)
    ]
    columns = {
        "clause": found["clause"],
        "subject_id": found["subject_id"],
        "finding_id": found["finding_id"],
        "case_id": _cases(picture["cases"], found["finding_id"]),
        "severity": found["severity"],
        "p_breach": found["p_breach"],
        "lon": incidents["lon"].take(rows),
        "lat": incidents["lat"].take(rows),
        "at": pc.coalesce(incidents["first_at"].take(rows), found["first_breach_from"]),
        "sentence": pa.array(sentences, pa.string()),
    }
    return pa.table([columns[field.name] for field in CANDIDATES], CANDIDATES)


_ILLUSTRATIVE = ["illustrative: the agreement was not in force then"]


def became(
    watched: Sequence[bytes],
    now: Picture,
    before: Picture,
    edition: Picture,
    standing: npt.NDArray[np.bool_] | None,
) -> dict[bytes, Became]:
    """What became of findings, by id.

    Parameters
    ----------
    now, before
        The provisional picture, and the one told before it.
    edition, standing
        The newest edition, and which of its findings stand outside the provisional picture.
    """
    out: dict[bytes, Became] = {}
    if not watched:
        return out
    wanted = ids(pa.array(list(watched), ID))
    places = [index_in(wanted, ids(one["findings"]["finding_id"])) for one in (now, before, edition)]
    for k, finding in enumerate(watched):
        here, there, settled = (int(place[k]) for place in places)
        if here >= 0:
            subject = now["findings"]["subject_id"][here].as_py()
            out[finding] = Became(subject, now["findings"]["p_breach"][here].as_py())
        elif settled >= 0 and standing is not None and standing[settled]:
            out[finding] = Became(edition["findings"]["subject_id"][settled].as_py(), within=False)
        elif there >= 0 or settled >= 0:
            was, row = (before, there) if there >= 0 else (edition, settled)
            subject = was["findings"]["subject_id"][row].as_py()
            out[finding] = Became(subject, None, _heirs(subject, was, now))
        else:
            out[finding] = Became(None)
    return out


def _heirs(subject: bytes, before: Picture, now: Picture) -> list[bytes]:
    """The incidents that the observations behind an incident are behind now; none for what is no incident."""
    wanted = pa.scalar(subject, ID)
    events = before["events"].filter(pc.equal(before["events"]["incident_id"], wanted))["event_id"]
    if not len(events):
        return []
    ties = before["associations"].filter(pc.is_valid(before["associations"]["event_id"]))
    behind = ids(ties.filter(pa.array(index_in(ids(ties["event_id"]), ids(events)) >= 0))["observation_id"])
    ties = now["associations"].filter(pc.is_valid(now["associations"]["event_id"]))
    ties = ties.filter(pa.array(index_in(ids(ties["observation_id"]), behind) >= 0))
    at = index_in(ids(ties["event_id"]), ids(now["events"]["event_id"]))
    found = np.unique(ids(now["events"]["incident_id"])[at[at >= 0]], axis=0)
    return list(id_column(found).to_pylist())


def _cases(cases: pa.Table, findings: pa.ChunkedArray) -> pa.Array:
    """The case of each finding; null where it has none."""
    listed = cases["findings"].combine_chunks()
    listed = pa.concat_arrays(listed.chunks) if isinstance(listed, pa.ChunkedArray) else listed
    behind = listed.flatten()
    case = cases["case_id"].take(pc.list_parent_indices(listed))
    at = index_in(ids(findings), ids(behind)) if len(behind) else np.full(len(findings), -1)
    return case.take(pa.array(at, mask=at < 0)) if len(behind) else pa.nulls(len(findings), ID)
