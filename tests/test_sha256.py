"""Many hashes at once are those that hashlib gives one by one."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truceline.kernels.sha256 import digests, of_rows


@settings(deadline=None)
@given(st.binary(max_size=140), st.lists(st.binary(max_size=200), max_size=40))
def test_many_messages_of_any_length(prefix: bytes, messages: list[bytes]) -> None:
    """A prefix longer than a block, no messages, empty ones, more than go side by side."""
    offsets = np.cumsum([0, *map(len, messages)])
    content = np.frombuffer(bytearray(b"".join(messages)), np.uint8)
    found = digests(np.frombuffer(bytearray(prefix), np.uint8), content, offsets)
    assert [bytes(row) for row in found] == [hashlib.sha256(prefix + message).digest() for message in messages]


@pytest.mark.parametrize("length", [0, 54, 55, 56, 63, 64, 65, 119, 120, 128, 5000])
def test_lengths_at_which_padding_needs_a_block_of_its_own(length: int) -> None:
    rows = np.random.default_rng(1).integers(0, 256, (33, length)).astype(np.uint8)
    expected = [hashlib.sha256(b"\1" + row.tobytes()).digest() for row in rows]
    assert [bytes(row) for row in of_rows(b"\1", rows)] == expected
