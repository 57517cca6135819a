"""Merkle trees as in RFC 6962: one root for many leaves, and a short proof that a leaf is among them.

Leaves are hashes already (their zero byte is hashed in where they are made); an inner node is SHA-256 of a
one byte and its two children. A level's odd node out goes up as it is, which for any number of leaves gives
the RFC's tree.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

SIZE = 32

#: Root of no leaves: SHA-256 of nothing.
EMPTY = hashlib.sha256().digest()
#: What every inner node begins with; a copy of it is a third cheaper than a new hash.
_INNER = hashlib.sha256(b"\x01")
#: From so many nodes on they are hashed side by side.
_MANY = 1024


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _above(level: bytes) -> bytes:
    """The level above: half as many hashes, one behind the other as below."""
    inner, up = _INNER.copy, []
    paired = len(level) // (2 * SIZE) * 2 * SIZE
    if paired >= _MANY * 2 * SIZE:
        from truceline.kernels.sha256 import of_rows  # numba takes half a second, and only a writer has so many

        return of_rows(b"\x01", np.frombuffer(level, np.uint8, paired).reshape(-1, 2 * SIZE)).tobytes() + level[paired:]
    for at in range(0, paired, 2 * SIZE):
        node = inner()
        node.update(level[at : at + 2 * SIZE])
        up.append(node.digest())
    return b"".join(up) + level[paired:]


def root(leaves: bytes) -> bytes:
    """The root over 32-byte leaves, one behind the other; of none, SHA-256 of nothing; of one, that leaf."""
    level = leaves
    while len(level) > SIZE:
        level = _above(level)
    return level or EMPTY


def path(leaves: bytes, index: int) -> list[bytes]:
    """The siblings, from the leaf upwards, that lead from leaf `index` to the root; at most log2(n) of them."""
    if not 0 <= index < len(leaves) // SIZE:
        raise IndexError(f"no leaf {index} among {len(leaves) // SIZE}")
    siblings = []
    level = leaves
    while len(level) > SIZE:
        beside = level[(index ^ 1) * SIZE : (index ^ 1) * SIZE + SIZE]
        if beside:
            siblings.append(beside)
        level = _above(level)
        index //= 2
    return siblings


def climb(leaf: bytes, index: int, count: int, siblings: Sequence[bytes]) -> bytes | None:
    """The root that a leaf and its siblings lead to; None when they do not fit leaf `index` of `count`."""
    if not 0 <= index < count:
        return None
    node = leaf
    rest = list(siblings)
    while count > 1:
        if index ^ 1 < count:
            if not rest:
                return None
            beside = rest.pop(0)
            node = _node(beside, node) if index % 2 else _node(node, beside)
        index //= 2
        count = (count + 1) // 2
    return node if not rest else None


class Tree:
    """A tree that grows at its end: `add` and `root` take log2(n) hashes."""

    def __init__(self) -> None:
        self.leaves: list[bytes] = []
        self._peaks: list[tuple[int, bytes]] = []  # complete subtrees, the largest first: size, root

    def add(self, leaf: bytes) -> None:
        """Append a 32-byte leaf."""
        self.leaves.append(leaf)
        size, node = 1, leaf
        while self._peaks and self._peaks[-1][0] == size:
            node = _node(self._peaks.pop()[1], node)
            size *= 2
        self._peaks.append((size, node))

    def root(self) -> bytes:
        """The root over all leaves so far."""
        if not self._peaks:
            return EMPTY
        node = self._peaks[-1][1]
        for _, left in reversed(self._peaks[:-1]):
            node = _node(left, node)
        return node
