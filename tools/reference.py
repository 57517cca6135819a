"""Write docs/reference/ from the code (commands, tables, terms), and into the README what the demo prints.

python tools/reference.py          write
python tools/reference.py --check  exit 1 when what is written is not what the code says
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa

from truceline import cli, finding, observation, picture
from truceline.columns import DESCRIPTIONS, TABLES

README = Path(__file__).parents[1] / "README.md"
FOLDER = README.parent / "docs" / "reference"
SCHEMAS = {
    "observations": observation.CORE,
    "duplicates": observation.DUPLICATE,
    "rejections": observation.REJECTION,
    "associations": picture.ASSOCIATIONS,
    "events": picture.EVENTS,
    "tracks": picture.TRACKS,
    "track_points": picture.TRACK_POINTS,
    "movements": picture.MOVEMENTS,
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
    names = [full for name in names for full in (name, *(f"{name} {part}" for part in _parts(name)))]
    for name in ["", *names]:
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            from rich.console import Console

            cli.app.help_print(name.split(), console=Console(file=text, width=100, no_color=True))
        shown = "\n".join(line.rstrip() for line in text.getvalue().strip().splitlines())
        pages.append(f"## truceline {name}\n\n```\n{shown}\n```\n".replace("## truceline \n", "## truceline\n"))
    return "\n".join(pages)


def _parts(name: str) -> list[str]:
    return sorted(part for part in cli.app[name] if not part.startswith("-"))


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


def readme() -> str:
    """The README with what `truceline demo` prints today; the digest, which any change of code changes, left out."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "truceline.cli", "demo", "demo"]
        environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1"}
        shown = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
    lines = [line.rstrip() for line in shown.splitlines()]
    first, rest = lines.index(next(x for x in lines if x.startswith("  rejected"))), lines.index("")
    lines[first:rest] = [*lines[first : first + 2], "  ..."]
    findings = next(i for i, line in enumerate(lines) if line.startswith("Findings most"))
    evidence = next(i for i, line in enumerate(lines) if line.startswith("Evidence"))
    lines[findings + 2 : evidence - 1] = ["  ..."]
    said = re.sub(r"digest [0-9a-f]{16}", "digest ...", "\n".join(lines))
    text = README.read_text()
    before, mark, after = text.partition("<!-- demo -->\n```\n")
    return before + mark + said + "\n" + after[after.index("```") :]


def _type(kind: pa.DataType) -> str:
    return str(kind).replace("|", "/").replace("fixed_size_binary", "bytes").replace("timestamp[us, tz=UTC]", "time")


def main() -> int:
    FOLDER.mkdir(parents=True, exist_ok=True)
    stale = []
    pages = {FOLDER / "commands.md": commands, FOLDER / "tables.md": tables, FOLDER / "terms.md": terms, README: readme}
    for path, page in pages.items():
        text = page()
        if not path.exists() or path.read_text() != text:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(text)
    print(f"{', '.join(stale) or 'nothing'} {'out of date' if '--check' in sys.argv else 'written'}")
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
