"""How far long work has come, said to whoever waits for it."""

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from truceline.intake import Progress

#: Said where the machine has no compiled kernels yet.
COMPILING = "compiling for this machine, once; half a minute or so"


@contextlib.contextmanager
def progress() -> Iterator["Progress"]:
    """Bars on a terminal's standard error; without a terminal a line where each stage begins."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from truceline.kernels import compiling

    console = Console(stderr=True)
    if not console.is_terminal:
        said: set[str] = set()

        def plain(stage: str, done: int, total: int | None) -> None:
            if stage not in said:
                said.add(stage)
                sys.stderr.write(f"... {stage}\n")
                sys.stderr.flush()

        with compiling.told(lambda count: plain(COMPILING, count, None)):
            yield plain
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        with compiling.told(lambda count: show(COMPILING, count, None)):
            yield show
