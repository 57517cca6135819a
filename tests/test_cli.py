"""The command line: help that helps, and what the reference says is what the code does."""

import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from truceline import cli, desk
from truceline.examples import new_mission
from truceline.store import Journal

ROOT = Path(__file__).parents[1]
COMMANDS = sorted(name for name in cli.app if not name.startswith("-"))


def page(command: str, capsys) -> str:
    with pytest.raises(SystemExit) as stopped:
        cli.main([command, "--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_page_ends_with_two_working_examples(command, capsys):
    """Working: the parser takes them as they stand."""
    shown = page(command, capsys).partition("Examples:")[2]
    lines = [line.strip().partition("|")[0] for line in shown.splitlines() if line.strip().startswith("truceline ")]
    assert len(lines) == 2, shown
    for line in lines:
        parsed, _, _ = cli.app.parse_args(shlex.split(line)[1:], exit_on_error=False)
        assert parsed is not None
        assert shlex.split(line)[1] == command


def test_help_loads_nothing_heavy():
    """That is what makes it answer at once."""
    code = (
        "import sys\nfrom truceline import cli\n"
        "try:\n    cli.main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'numpy', 'pyarrow', 'numba', 'shapely', 'pyproj', 'scipy'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "truceline" in done.stdout


@pytest.mark.parametrize(
    "wrong", [["frobnicate"], ["run"], ["export", ".", "--table", "gossip"], ["report", ".", "--day", "soon"]]
)
def test_a_wrong_command_line_is_exit_code_2(wrong, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(wrong)
    assert stopped.value.code == cli.WRONG
    assert "Traceback" not in capsys.readouterr().err


def test_an_interruption_says_what_it_leaves_behind(capsys, monkeypatch, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(desk, "run", interrupted)
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", str(tmp_path)])
    assert ended.value.code == 130
    assert "what was acknowledged is in the journal" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["--port", "99999"], "Must be <= 65535"),
        (["--port", "0", "--tak-port", "-1"], "Must be >= 0"),
        (["--tak-source", "team"], "--tak-source takes what TAK clients send: give their port too, --tak-port"),
        (["--tls-cert", "c.pem"], "--tls-cert and --tls-key go together"),
        (["--host", "0.0.0.0"], "no administrator who can sign in"),
        (["--port", "0", "--tls-cert", "c.pem", "--tls-key", "k.pem"], "c.pem: there is no such file"),
    ],
)
def test_a_service_that_cannot_be_meant_is_not_started(wrong, told, capsys, tmp_path):
    """A sentence and exit code 2; nothing is left running, and the journal is free."""
    new_mission(tmp_path / "m", "measures-2020-07-22")
    with pytest.raises(SystemExit) as ended:
        cli.main(["serve", str(tmp_path / "m"), *wrong])
    told_on = capsys.readouterr()
    assert ended.value.code == cli.WRONG
    assert told in " ".join((told_on.err + told_on.out).split())
    with Journal(tmp_path / "m" / "journal", write=True):
        pass


def test_the_reference_says_what_the_code_does():
    """`make docs` writes it; whoever changes a command, a table or a term runs it."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "reference.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wheel_brings_all_that_demo_and_init_copy():
    """What lies in examples/ for users is in the wheel's list; the makers of the data and their truth are not."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = [ROOT / name for name in project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]]
    wanted = [p for p in (ROOT / "examples").rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")]
    missing = [p for p in wanted if p.name != "expected.json" and not any(p.is_relative_to(one) for one in listed)]
    assert missing == []
    assert all(one.exists() for one in listed)
