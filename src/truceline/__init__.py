"""Truceline keeps the picture of a ceasefire line.

The same as the command line, from Python; the time is given, never read:

    mission = Path("my-mission")
    truceline.run(mission, datetime.now(UTC))
    truceline.table(mission, "incidents")  # a pyarrow.Table
"""

import importlib
from typing import Any

__version__ = "0.1.0"

#: Public names and where they live; loaded when first asked for, so that the command line starts at once.
_PUBLIC = {
    "run": "truceline.desk",
    "table": "truceline.desk",
    "export": "truceline.desk",
    "verdict": "truceline.desk",
    "verify": "truceline.desk",
    "ingest": "truceline.intake",
    "settle": "truceline.pipeline",
    "rebuild": "truceline.pipeline",
    "report": "truceline.daily",
    "explain": "truceline.explain",
    "Mission": "truceline.mission",
    "Agreement": "truceline.agreement",
    "Frame": "truceline.frame",
    "Line": "truceline.line",
    "Gazetteer": "truceline.places",
    "TrucelineError": "truceline.errors",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'truceline' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
