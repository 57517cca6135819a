"""What the modules of the command line share: how a command is described, the clock, how machines are answered."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

#: What scripts may rely on.
DONE, FOUND, WRONG, PARTLY = 0, 1, 2, 3

Mission = Annotated[Path, Parameter(help="The mission's folder, with mission.toml in it.")]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON for machines instead of text.")]


def examples(*lines: str) -> str:
    """The two working examples that end every help page."""
    return "Examples:\n\n" + "\n".join(f"    {line}" for line in lines)


def now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


def builtins(value: Any) -> Any:
    """A struct as JSON has it."""
    from msgspec import to_builtins

    return to_builtins(value)


def out(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, ensure_ascii=False, indent=2, default=str))
