"""Proof that one record is in a journal, without showing its neighbours."""

import msgspec

from truceline.store import merkle
from truceline.store.frames import frame_digest, head_of, read_committed


class Proof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that leads from a record's leaf to the journal's head; as JSON by `msgspec.json.encode`.

    `kind`, `frame` and `index` say where the record stands; `frames` is how many frames the head covers.
    `header` holds the frame's committed bytes, with the root over its records in them.
    """

    kind: str
    frame: int
    index: int
    frames: int
    header: bytes
    siblings: list[bytes]  # from the leaf to the root over its frame's records
    frame_siblings: list[bytes]  # from the frame to the root over all frames


def check_proof(proof: Proof, leaf: bytes, head: str) -> bool:
    """Whether `proof` shows that the record of `leaf` is in the journal whose head was `head`.

    Nothing else is needed: not the journal, not its other records. The leaf is computed from the record
    itself (`observation.leaves`, `store.canonical.row_leaf`), the head is what was published at the time.
    """
    frame = read_committed(proof.header)
    if frame is None or (frame.kind, frame.number) != (proof.kind, proof.frame):
        return False
    if merkle.climb(leaf, proof.index, frame.rows, proof.siblings) != frame.root:
        return False
    top = merkle.climb(frame_digest(proof.header), frame.number, proof.frames, proof.frame_siblings)
    return top is not None and head_of(proof.frames, top).hex() == head
