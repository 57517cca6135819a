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
from bench.serving_whole import children, processor_s

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
def served() -> Iterator[tuple[load.Service, list[int]]]:
    """PostgreSQL with its defaults (synchronous_commit on) in a folder of its own, the web server before it; and the
    processes of both."""
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
        yield load.Service(int(web.stdout.readline()), 135_981_372.0, "none", []), [web.pid, database.pid]
    finally:
        for process in (web, database):
            if process is not None:
                process.terminate()
                process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def measure(seconds: float) -> dict[str, float]:
    """Single posts a second, and rows a second in batches of 2,000; and either for a second of processor time."""
    out = {}
    with served() as (service, processes):
        load.posting(service, "single", 16, 1, None, 1.0)
        for name, what, connections, rows in (("posts", "single", 64, 1), ("batches", "fixes", 4, 2000)):
            before = _used(processes)
            took_s, _ = load.posting(service, what, connections, rows, None, seconds)
            out[name] = len(took_s) * rows / seconds
            out[f"{name} by processor"] = len(took_s) * rows / (_used(processes) - before)
            told = f"{out[f'{name} by processor']:,.0f} for a second of processor of web server and database"
            print(f"  PostGIS, {name}: {out[name]:,.0f}/s, {told}", flush=True)
    return out


def _used(processes: list[int]) -> float:
    return sum(processor_s(one) for process in processes for one in children(process))


def beside(figures: dict[str, float], seconds: float) -> None:
    """Say how many times as much the whole service takes; `figures` are its own, of this run.

    Where other work has the machine, a second of processor time says more: the database's many processes are given
    more of it than one.
    """
    if why := missing():
        print(f"  not held against PostGIS: {why}")
        return
    for name, found in measure(seconds).items():
        if name in figures:
            beside = "the service's own process" if "processor" in name else "picture and tracks drawn beside it"
            print(f"  {name}: {figures[name] / found:.2f} times PostGIS, {beside}")
