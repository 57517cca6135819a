"""One record of a journal: whole, with where it stands, and with the proof that it is there."""

from collections.abc import Sequence
from typing import Any

from truceline import observation
from truceline.errors import NotFoundError
from truceline.store import merkle, tail
from truceline.store.frames import Frame
from truceline.store.proof import Proof
from truceline.store.reading import Reader, leaf_bytes


def record(reader: Reader, observation_id: bytes) -> dict[str, Any]:
    """One observation; see `Journal.record`."""
    found = reader.find(observation_id)
    whole: dict[str, Any] = dict.fromkeys(observation.CORE.names)
    if found is None:
        unrolled = reader.unrolled_record(observation_id)
        if unrolled is None:
            raise NotFoundError(f"the journal has no observation {observation_id.hex()}")
        rows, row = unrolled
        whole |= rows.slice(row, 1).to_pylist()[0]
        return whole | {"segment": tail.NAME, "frame": None, "row": row}
    frame, row = found
    whole |= reader.rows(frame.number).slice(row, 1).to_pylist()[0]
    whole |= {"segment": reader.path(frame).name, "frame": frame.number, "row": row}
    for entry in redactions_of(reader, frame, row):
        whole["redacted"] = {name: entry[name] for name in ("reason", "by", "received_at")}
    return whole


def records(reader: Reader, observation_ids: Sequence[bytes]) -> list[dict[str, Any]]:
    """Many observations, each frame unpacked once; see `Journal.records`."""
    at: dict[int, list[int]] = {}
    for one in dict.fromkeys(observation_ids):
        for number, row in reader.places(one):
            at.setdefault(number, []).append(row)
    found: dict[bytes, dict[str, Any]] = {}
    redacted = reader.table("redaction").select(["frame", "row", "reason", "by", "received_at"]).to_pylist()
    for number, rows in at.items():
        frame = reader.frames[number]
        for row, one in zip(rows, reader.rows(number).take(rows).to_pylist(), strict=True):
            whole = dict.fromkeys(observation.CORE.names) | one
            whole |= {"segment": reader.path(frame).name, "frame": number, "row": row}
            for entry in redacted:
                if (entry["frame"], entry["row"]) == (number, row):
                    whole["redacted"] = {name: entry[name] for name in ("reason", "by", "received_at")}
            found[one["observation_id"]] = whole
    return [found[one] if one in found else record(reader, one) for one in observation_ids]


def redactions_of(reader: Reader, frame: Frame, row: int) -> list[dict[str, Any]]:
    """What the journal says of redactions of one row of a frame."""
    entries = reader.table("redaction").to_pylist()
    return [entry for entry in entries if (entry["frame"], entry["row"]) == (frame.number, row)]


def proof_of(reader: Reader, leaf: bytes) -> Proof:
    """Proof that a record is in the journal; see `Journal.prove`."""
    found = reader.find_leaf(leaf)
    if found is None:
        raise NotFoundError(f"the journal has no record with the leaf {leaf.hex()} in its frames")
    frame, row = found
    leaves = leaf_bytes(reader.rows(frame.number, ["leaf"])["leaf"])
    frames = reader.tree.leaves
    return Proof(
        kind=frame.kind,
        frame=frame.number,
        index=row,
        frames=len(frames),
        header=frame.committed(),
        siblings=merkle.path(leaves, row),
        frame_siblings=merkle.path(b"".join(frames), frame.number),
    )
