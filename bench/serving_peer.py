"""Plain PostGIS inserts under the same load, each committed to disk before it is answered; as a ratio."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import _service_load as load

ROOT = Path(__file__).parents[1]


def missing() -> str | None:
    """Why there is no PostGIS to compare with; None: there is."""
    programs = _programs()
    if programs is None:
        return "PostgreSQL is not installed (apt-get install postgresql-15-postgis-3)"
    if not list(Path("/usr/share/postgresql").glob("*/extension/postgis.control")):
        return "PostGIS is not installed (apt-get install postgresql-15-postgis-3)"
    if importlib.util.find_spec("asyncpg") is None:
        return "asyncpg is not installed (pip install asyncpg)"
    return None


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return found[-1] if found else None


@contextmanager
def served() -> Iterator[load.Service]:
    """PostgreSQL with its defaults (synchronous_commit on) in a folder of its own, and the web server before it."""
    programs = _programs()
    assert programs is not None
    folder = Path(tempfile.mkdtemp(prefix="postgis-"))
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to be run by root
    if user:
        shutil.chown(folder, user)
    quiet = {"user": user, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
    subprocess.run([programs / "initdb", "-D", folder / "kept", "-U", "postgres", "-A", "trust"], check=True, **quiet)
    options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}"]
    database = subprocess.Popen([programs / "postgres", "-D", folder / "kept", *options], **quiet)
    web = None
    try:
        while subprocess.run([programs / "pg_isready", "-h", folder], **quiet).returncode:
            time.sleep(0.1)
        command = [sys.executable, "-m", "bench._postgis_child", str(folder)]
        web = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert web.stdout is not None
        yield load.Service(int(web.stdout.readline()), 135_981_372.0, "none", [])
    finally:
        for process in (web, database):
            if process is not None:
                process.terminate()
                process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def measure(seconds: float) -> dict[str, float]:
    """Single posts a second, and rows a second in batches of 2,000."""
    out = {}
    with served() as service:
        load.posting(service, "single", 16, 1, None, 1.0)
        for name, what, connections, rows in (("posts", "single", 64, 1), ("batches", "fixes", 4, 2000)):
            took_s, _ = load.posting(service, what, connections, rows, None, seconds)
            out[name] = len(took_s) * rows / seconds
            print(f"  PostGIS, {name}: {out[name]:,.0f}/s", flush=True)
    return out


def beside(figures: dict[str, float], seconds: float) -> None:
    """Say how many times as much the whole service takes; `figures` are its own, of this run."""
    if why := missing():
        print(f"  not held against PostGIS: {why}")
        return
    for name, found in measure(seconds).items():
        if name in figures:
            print(f"  {name}: {figures[name] / found:.2f} times PostGIS, picture and tracks drawn beside it")
