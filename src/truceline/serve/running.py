"""A mission's service from its start to its end: the parts made, joined and let go in order."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import uvicorn

from truceline.errors import MissionError
from truceline.intake import JOURNAL
from truceline.mission import Mission
from truceline.release import ANYBODY, Principal
from truceline.serve import audit, inputs, tls
from truceline.serve.accounts import Accounts, is_loopback
from truceline.serve.addresses import unheard
from truceline.serve.alerts import Alerts
from truceline.serve.app import application
from truceline.serve.bus import Numbers, Ring
from truceline.serve.door import Door
from truceline.serve.gate import Gate
from truceline.serve.guard import LOOPBACK, UVICORN, Limits
from truceline.serve.live import LivePicture
from truceline.serve.service import Service
from truceline.serve.tak import TakServer
from truceline.store import Journal

log = logging.getLogger(__name__)

#: In the mission's folder: where the numbers of messages go on.
NUMBERS = Path("serve") / "numbers"
#: Whoever starts the service on this machine while nobody has an account: the folder is theirs to read anyway.
LOCAL = Principal("local", "duty officer", "mission", via="session")


#: The event loop waits so long for a thread that computes, each time it comes back: the default, 5 ms, is most of what
#: a post takes.
_SWITCH_S = 0.0005


class Listening(NamedTuple):
    """Where the service is reached."""

    host: str = "127.0.0.1"
    port: int = 8000  # 0: any that is free
    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None  # that has signed the certificates of TAK clients and devices
    tak_ports: Sequence[int] = ()
    tak_source: str | None = None  # takes what TAK clients send


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run what serves to its end, on uvloop where there is one: half the price of a request is the loop's."""
    with asyncio.Runner(loop_factory=_loop) as runner:
        runner.run(main)


def _loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


@contextlib.asynccontextmanager
async def running(
    folder: Path,
    clock: Callable[[], datetime],
    wall: Callable[[], datetime],
    *,
    listening: Listening | None = None,
    settle_every_s: float | None = None,
) -> AsyncIterator[Service]:
    """A running mission, without its web server. When the block is left everything acknowledged is in the journal.

    Parameters
    ----------
    clock
        The mission's time: of receipt, of silence, of editions.
    wall
        The time by which sessions and tokens end; the same, but where a mission is replayed.

    Raises
    ------
    MissionError, StoreError, DeniedError
        When it cannot be started: nothing is running then.
    """
    at = listening or Listening()
    sys.setswitchinterval(_SWITCH_S)
    mission = Mission.load(folder)
    async with contextlib.AsyncExitStack() as ending:
        accounts = Accounts(folder, wall)
        ending.callback(accounts.close)
        accounts.check_binding(at.host)
        context = tls.server_context(at.certificate, at.key, at.authority) if at.certificate and at.key else None
        live: LivePicture | None = None

        async def committed(rows: pa.Table) -> None:
            if live is not None:  # before that the picture reads the journal itself
                await live.feed(rows)

        gate = Gate(folder, mission, clock, committed)
        await gate.start()
        ending.push_async_callback(gate.stop)
        bus = Ring(Numbers(folder / NUMBERS))
        ending.callback(bus.close)
        with Journal(folder / JOURNAL) as journal:
            told = journal.table("alert")
        alerts = Alerts(gate, bus, clock, told, mission.serve.alert_from)
        live = LivePicture(folder, mission, clock, gate, bus, alerts, settle_every_s)
        ending.push_async_callback(live.stop)
        await live.start()
        door = Door(accounts)
        service = Service(folder, mission, clock, gate, live, bus, door.principal_of, alerts, {"door": door})
        taken = await inputs.start(service, tls=context)
        ending.push_async_callback(taken.stop)
        service.kept["inputs"] = taken
        kept = asyncio.create_task(audit.keep(door, service))
        ending.push_async_callback(_ended, kept)
        plain = LOCAL if is_loopback(at.host) and not accounts.has_administrator() else ANYBODY
        taks = service.kept["tak"] = [
            TakServer(
                service, principal_of_certificate=door.principal_of_certificate, plain=plain, source=at.tak_source
            )
            for _ in at.tak_ports
        ]
        for tak, port in zip(taks, at.tak_ports, strict=True):
            ending.push_async_callback(tak.stop)
            await tak.start(at.host, port, context)
        yield service


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def listen(
    service: Service,
    at: Listening,
    started: Callable[[str], Awaitable[None] | None],
) -> None:
    """Serve HTTP until told to stop (Ctrl-C, SIGTERM).

    Parameters
    ----------
    started
        Is told the address, once there is somebody at it.

    Raises
    ------
    MissionError
        When the port is taken.
    """
    hosts = LOOPBACK if is_loopback(at.host) else None
    secure = {"ssl_certfile": at.certificate, "ssl_keyfile": at.key} if at.certificate and at.key else {}
    # packed numbers do not get smaller, and a megabyte takes the loop 20 ms to find that out
    quick = {"log_level": "warning", "lifespan": "off", "ws_per_message_deflate": False}
    config = uvicorn.Config(application(service, Limits(hosts=hosts)), **UVICORN | secure | quick)
    server = uvicorn.Server(config)
    loop = asyncio.get_running_loop()
    stop = server.handle_exit

    def stopping(sig: int, frame: object) -> None:
        """Streams have no end of their own: they are let go first."""
        loop.call_soon_threadsafe(service.bus.close)  # type: ignore[attr-defined]
        loop.call_soon_threadsafe(service.live.close)  # type: ignore[attr-defined]
        stop(sig, frame)  # type: ignore[arg-type]

    server.handle_exit = stopping  # type: ignore[method-assign]
    with _bound(at) as bound, _heard_once():
        host, port = bound.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        task = asyncio.create_task(server.serve(sockets=[bound]))
        while not server.started and not task.done():
            await asyncio.sleep(0.01)
        if not task.done():
            told = started(f"{'https' if secure else 'http'}://{shown}:{port}")
            if told is not None:
                await told
        await task


@contextlib.contextmanager
def _heard_once() -> Iterator[None]:
    """uvicorn raises again what it was stopped by: that would end the process before the parts are let go."""
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {one: signal.signal(one, lambda *_: None) for one in signals}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _bound(at: Listening) -> socket.socket:
    try:
        return socket.create_server((at.host, at.port), family=socket.AF_INET6 if ":" in at.host else socket.AF_INET)
    except OSError as error:
        raise MissionError(f"{at.host}:{at.port}: cannot be listened on: {unheard(error)}") from error


def entrance(service: Service, address: str) -> str:
    """Where one goes in: where nobody has an account yet, a link that signs in once on this machine."""
    door = service.kept["door"]
    if door.accounts.has_administrator():
        return address
    return f"{address}/api/session/link?token={door.local_session(LOCAL)}"
