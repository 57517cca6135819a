"""A process of its own for what would hold up the event loop: asked one thing at a time, over a pipe.

It is made anew (`spawn`), so that it shares nothing; it ends when its parent does, however that ended.
"""

import asyncio
import contextlib
import multiprocessing
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

import pyarrow as pa

from truceline.errors import StoreError, TrucelineError

#: Answers one question: its name, then its arguments.
Answer = Callable[..., Any]
#: Appends rows to the journal, which the parent alone may write.
Record = Callable[[str, pa.Table], Awaitable[None]]

#: How long one that was told to end may take before it is made to.
_ENDS_S = 2.0


class EndedError(TrucelineError):
    """The process has ended, or was ended, in the middle of a question."""


class Child:
    """The parent's end.

    Parameters
    ----------
    make
        Importable function that, in the process, makes the `Answer`: of `arguments` and a function to record rows.
    """

    def __init__(
        self, make: Callable[..., Answer], *arguments: Any, record: Record | None = None, nice: int = 0
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._record = record
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, make.__module__)
        self.process = context.Process(target=_run, args=(theirs, make, arguments, nice), daemon=True)
        self.process.start()
        theirs.close()

    async def ask(self, what: str, *arguments: Any) -> Any:
        """The answer to one question; others wait for their turn.

        Raises
        ------
        TrucelineError
            What the answer raised; `EndedError` when the process has ended.
        """
        loop = asyncio.get_running_loop()
        async with self._turn:
            kind, content = await loop.run_in_executor(self._thread, self._exchange, (what, arguments), loop)
        if kind == "failed":
            raise content
        return content

    def _exchange(self, question: Any, loop: asyncio.AbstractEventLoop) -> tuple[str, Any]:
        try:
            self._ours.send(question)
            while True:
                kind, content = self._ours.recv()
                if kind != "record":
                    return kind, content
                assert self._record is not None
                name, rows = content
                try:
                    asyncio.run_coroutine_threadsafe(_recorded(self._record, name, unpacked(rows)), loop).result()
                    self._ours.send(None)
                except TrucelineError as error:
                    self._ours.send(str(error))
        except (EOFError, OSError) as error:
            raise EndedError(f"the process that was asked for {question[0]} has ended") from error

    def end(self) -> None:
        """End it; whatever it is at is not waited for long."""
        with contextlib.suppress(OSError):
            self._ours.close()
        self.process.terminate()
        self.process.join(_ENDS_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join(_ENDS_S)
        self._thread.shutdown(wait=False, cancel_futures=True)


async def _recorded(record: Record, kind: str, rows: pa.Table) -> None:
    await record(kind, rows)


def _run(pipe: Connection, make: Callable[..., Answer], arguments: tuple[Any, ...], nice: int) -> None:
    """The process: answer questions until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to hear
    if nice:
        with contextlib.suppress(OSError):
            os.nice(nice)

    def record(kind: str, rows: pa.Table) -> None:
        pipe.send(("record", (kind, packed(rows))))
        refused = pipe.recv()
        if refused is not None:
            raise StoreError(refused)

    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        answer: Answer | None = None
        while True:
            what, given = pipe.recv()
            try:
                answer = answer or make(*arguments, record)
                pipe.send(("done", answer(what, *given)))
            except TrucelineError as error:
                pipe.send(("failed", error))


def packed(rows: pa.Table) -> bytes:
    """A table's bytes: Arrow's stream, of these rows alone."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return bytes(sink.getvalue())


def unpacked(content: bytes) -> pa.Table:
    """The inverse of `packed`."""
    return pa.ipc.open_stream(content).read_all()


def all_packed(tables: Mapping[str, pa.Table]) -> dict[str, bytes]:
    """Tables by name, each packed."""
    return {name: packed(rows) for name, rows in tables.items()}


def all_unpacked(contents: Mapping[str, bytes]) -> dict[str, pa.Table]:
    """The inverse of `all_packed`."""
    return {name: unpacked(content) for name, content in contents.items()}
