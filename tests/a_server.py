"""A service of invented rows on a loopback port, for clients that need a process of their own.

python a_server.py FOLDER READER     prints the port, then serves until its input ends
"""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import uvicorn

import a_service
from a_shown import NOW, PUBLIC, a_finding, a_mission, a_track, an_event, an_incident, shown, tables
from truceline.serve.app import application
from truceline.serve.guard import Limits

#: Incidents, one an hour, each a hundredth of a degree further east.
N = 250
READERS = {"officer": a_service.OFFICER, "party": a_service.PARTY_A, "public": PUBLIC}


def rows() -> dict[str, list[dict[str, object]]]:
    """What the server shows."""
    incidents = [an_incident(i, hours_ago=300 - i, lon=38.0 + 0.01 * i, lat=49.4) for i in range(N)]
    return {
        "incidents": incidents,
        "events": [an_event(i, hours_ago=300 - i, lon=38.0 + 0.01 * i, lat=49.4) for i in range(N)],
        "findings": [a_finding(i, incident) for i, incident in enumerate(incidents[:7])],
        "tracks": [a_track(i, lon=38.1 + i, first_at=NOW - timedelta(days=3)) for i in range(2)],
    }


@contextmanager
def a_server(folder: Path, reader: str) -> Iterator[str]:
    """The address of a server in a process of its own, which asks as that reader."""
    command = [sys.executable, __file__, str(folder), reader]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        assert port, "the server did not begin"
        yield f"http://127.0.0.1:{port}"
        process.communicate()


def main() -> None:
    folder, reader = Path(sys.argv[1]), READERS[sys.argv[2]]
    service = shown(folder if folder.exists() else a_mission(folder), tables(**rows()))  # type: ignore[arg-type]
    service.principal_of = lambda _: reader
    listening = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    app = application(service, Limits(requests_per_s=1e6, burst=1e6))
    # clients keep connections open; nobody waits for these at the end
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))

    def until_input_ends() -> None:
        sys.stdin.read()
        server.should_exit = True

    threading.Thread(target=until_input_ends, daemon=True).start()
    server.run(sockets=[listening])


if __name__ == "__main__":
    main()
