"""Write docs/reference/ from the code: the commands, the tables and their columns, the terms.

python tools/reference.py          write
python tools/reference.py --check  exit 1 when what is written is not what the code says
"""

import sys
from pathlib import Path

import pyarrow as pa

from truceline import cli, finding, observation, picture
from truceline.columns import DESCRIPTIONS, TABLES

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
SCHEMAS = {
    "observations": observation.CORE,
    "duplicates": observation.DUPLICATE,
    "rejections": observation.REJECTION,
    "associations": picture.ASSOCIATIONS,
    "events": picture.EVENTS,
    "incidents": picture.INCIDENTS,
    "findings": finding.FINDINGS,
    "cases": finding.CASES,
    "lineage": picture.LINEAGE,
    "line": picture.LINE,
}


def commands() -> str:
    """Every command's help page."""
    import contextlib
    import io

    pages = ["# Commands\n\nGenerated from the code: `make docs`.\n"]
    names = sorted(name for name in cli.app if not name.startswith("-"))
    for name in ["", *names]:
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            from rich.console import Console

            cli.app.help_print([name] if name else [], console=Console(file=text, width=100, no_color=True))
        shown = "\n".join(line.rstrip() for line in text.getvalue().strip().splitlines())
        pages.append(f"## truceline {name}\n\n```\n{shown}\n```\n".replace("## truceline \n", "## truceline\n"))
    return "\n".join(pages)


def tables() -> str:
    """Every table's columns with type and meaning."""
    pages = ["# Tables\n\nGenerated from the code: `make docs`. Missing is null. Degrees are WGS 84, times UTC.\n"]
    for name, schema in SCHEMAS.items():
        rows = [f"## {name}\n\n{TABLES[name]}\n\n| column | type | meaning |\n|---|---|---|"]
        rows += [f"| `{f.name}` | {_type(f.type)} | {DESCRIPTIONS[name][f.name]} |" for f in schema]
        pages.append("\n".join(rows) + "\n")
    return "\n".join(pages)


def terms() -> str:
    """The taxonomy."""
    pages = ["# Terms\n\nGenerated from the code: `make docs`. What `what` can say.\n"]
    pages += ["| term | family | meaning |\n|---|---|---|"]
    pages += [f"| `{name}` | {term.family} | {term.meaning} |" for name, term in observation.TAXONOMY.items()]
    return "\n".join(pages) + "\n"


def _type(kind: pa.DataType) -> str:
    return str(kind).replace("|", "/").replace("fixed_size_binary", "bytes").replace("timestamp[us, tz=UTC]", "time")


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    stale = []
    for name, text in (("commands.md", commands()), ("tables.md", tables()), ("terms.md", terms())):
        path = FOLDER / name
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(text)
    print(f"{', '.join(stale) or 'nothing'} {'out of date' if '--check' in sys.argv else 'written'}")
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
