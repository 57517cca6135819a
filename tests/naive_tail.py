"""Processes that are killed in the middle of a write, for test_tail."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import naive_store as naive
from truceline import finding, observation
from truceline.kernels.idset import IdSet
from truceline.store import Journal

#: What changes files: each is done half way, or not at all, at the moment of the kill.
CALLS = ("pwrite", "write", "ftruncate", "fdatasync", "fsync")


def action(number: int) -> pa.Table:
    """A row of a kind that has no id which the journal would know it by."""
    columns = {
        "action_id": naive.binary([number.to_bytes(16, "big")], 16),
        "case_id": naive.binary([bytes(16)], 16),
        "what": "note",
        "by": "vera",
        "role": "verifier",
        "leaf": naive.binary([bytes(32)], 32),
    }
    return observation.table(columns, 1, finding.ACTION).drop_columns(["leaf"])


def batch(number: int) -> tuple[pa.Table, pa.Table]:
    """Three observations, one of them also in the batch before, and one rejection."""
    raws = [b"%d" % (2 * number + k) for k in range(3)]
    return naive.observations(raws), naive.rejections([b"bad %d" % number])


def work(folder: Path, acknowledged: Callable[[int], object]) -> None:
    """Groups into the tail, rolled now and then, with a frame of its own in between."""
    with Journal(folder, write=True) as journal:
        for number in range(6):
            journal.admit([batch(number)], [("action", action(number))])
            acknowledged(number)
            if number in (2, 4):
                journal.roll()
            if number == 3:
                journal.append("notice", pa.table({"clause": ["7"], "party": ["a"], "text": ["pause"]}))


def die_at(call: int) -> None:
    """The `call`-th of the calls that change files is the last of this process; of what it writes half is written."""
    done = [0]

    def deadly(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def instead(handle: int, *rest: Any) -> Any:
            done[0] += 1
            if done[0] == call:
                if name in ("pwrite", "write"):
                    real(handle, bytes(rest[0])[: len(rest[0]) // 2], *rest[1:])
                os._exit(9)
            return real(handle, *rest)

        return instead

    for name in CALLS:
        setattr(os, name, deadly(name))
    from truceline.store import durable, tail, writer

    for module in (durable, tail, writer):
        module.sync = os.fdatasync


def killed_at_every_call(folder: Path) -> None:
    """In `folder`, for each call the journal of a process that was killed there, and what it had acknowledged."""
    IdSet(16).add(np.ones((1, 2), np.uint64))
    IdSet(16).contains(np.ones((1, 2), np.uint64))
    for call in range(1, 1000):
        mine = folder / str(call)
        mine.mkdir()
        child = os.fork()
        if child == 0:
            _killed(mine, call)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
            break
    sys.stdout.write(f"{call}\n")


def _killed(folder: Path, call: int) -> None:
    write, told = os.write, os.open(folder / "told", os.O_WRONLY | os.O_CREAT)
    die_at(call)
    work(folder / "journal", lambda number: write(told, b"%d\n" % number))
    os._exit(0)
