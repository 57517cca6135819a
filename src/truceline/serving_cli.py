"""`truceline serve` and `truceline demo`: a mission's live service, and the example's two days through it."""

import contextlib
import logging
import os
import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from truceline.command import DONE, Mission
from truceline.errors import MissionError

Host = Annotated[str, Parameter(help="The address to listen on; others than this machine's need an administrator.")]
_PORTS = Number(gte=0, lte=65535)
Port = Annotated[int, Parameter(help="The port; 0: any that is free.", validator=_PORTS)]


def serve(
    folder: Mission,
    /,
    *,
    host: Host = "127.0.0.1",
    port: Port = 8000,
    tls_cert: Annotated[Path | None, Parameter(help="The service's certificate, PEM.")] = None,
    tls_key: Annotated[Path | None, Parameter(help="Its key.")] = None,
    tls_ca: Annotated[Path | None, Parameter(help="Whose certificates TAK clients and devices show.")] = None,
    tak_port: Annotated[
        list[int] | None, Parameter(help="Listen for TAK clients; may be given again.", negative="", validator=_PORTS)
    ] = None,
    tak_source: Annotated[
        str | None, Parameter(help="Take what TAK clients send as records of this source of the feed cot.")
    ] = None,
    log: Annotated[bool, Parameter(negative="", help="A line for each request on standard error.")] = False,
) -> int:
    """Run the mission's live service: sources in, picture out, until Ctrl-C.

    It listens on this machine alone until there is an administrator (truceline account add).
    """
    from truceline.serve import serve as run
    from truceline.serve.running import Listening

    if (tls_cert is None) != (tls_key is None):
        raise MissionError("--tls-cert and --tls-key go together")
    if tak_source is not None and not tak_port:
        raise MissionError("--tak-source takes what TAK clients send: give their port too, --tak-port")
    if log:
        logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
        logging.getLogger("truceline").setLevel(logging.INFO)
    at = Listening(host, port, tls_cert, tls_key, tls_ca, tuple(tak_port or ()), tak_source)

    def tell(entrance: str) -> None:
        print(f"listening: open {entrance}", flush=True)

    run(folder, at, tell)
    print("stopped; everything acknowledged is in the journal", file=sys.stderr)
    return DONE


def watched() -> bool:
    """Whether a person is at a terminal, and no machine that waits for the end."""
    return sys.stdout.isatty() and os.environ.get("CI", "").lower() not in ("true", "1")


def replay(source: Path, speed: float, port: int) -> int:
    """Replay a mission that has been run through a live service of its own, until Ctrl-C."""
    from truceline.examples import copy_example
    from truceline.serve import replay as run
    from truceline.serve.running import Listening

    def tell(_address: str, entrance: str) -> None:
        print(f"\nThe same two days, {speed:g} times as fast, live: open {entrance}\nCtrl-C ends it.", flush=True)
        if watched():
            with contextlib.suppress(webbrowser.Error):
                webbrowser.open(entrance)

    with tempfile.TemporaryDirectory(prefix="truceline-demo-") as kept:
        folder = Path(kept) / "two-days"
        copy_example(folder)
        run(folder, source, speed, Listening(port=port), tell)
    return DONE
