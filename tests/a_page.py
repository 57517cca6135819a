"""The page in a browser: a running mission on a loopback port, accounts to sign in with, and Debian's Chromium.

`Running` serves an application from a thread of its own and can be stopped and started again on the same port: the
simple parts of `a_service`, or the real ones. `a_browser()` gives a browser, or skips with the reason.
"""

import asyncio
import shutil
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from argon2 import PasswordHasher

from a_service import NOW, a_service, an_example
from truceline.serve.accounts import Accounts
from truceline.serve.app import application
from truceline.serve.door import Door
from truceline.serve.guard import Limits
from truceline.serve.running import running
from truceline.serve.service import Service

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
#: Drawn by the processor: CI has no other. No sandbox, as a container's root has none.
FLAGS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--mute-audio")
PASSWORD = "four words of a test"
#: Who signs in: name, role, label, party.
PEOPLE = (
    ("adam", "administrator", "mission", None),
    ("olena", "duty officer", "mission", None),
    ("ove", "duty officer", "mission", None),
    ("vera", "verifier", "mission", None),
    ("ana", "viewer", "mission", None),
    ("party-b", "viewer", "parties", "party-b"),
)


def with_accounts(folder: Path) -> Accounts:
    """The mission's accounts, `PEOPLE` among them."""
    # argon2 at its least: what it costs is measured elsewhere
    accounts = Accounts(folder, lambda: NOW, PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    known = {one.name for one in accounts.accounts()}
    for name, role, label, party in PEOPLE:
        if name not in known:
            note = {"what": "account", "by": "test", "subject": name, "received_at": NOW.isoformat()}
            accounts.add(name, role, label, party, PASSWORD, note)
    return accounts


@dataclass
class Running:
    """An application that is served until it is stopped; `make` opens its service each time that it is started."""

    make: Callable[[], AbstractAsyncContextManager[Service]]
    port: int = 0
    service: Any = field(default=None, repr=False)
    _server: Any = field(default=None, repr=False)
    _thread: Any = field(default=None, repr=False)
    _loop: Any = field(default=None, repr=False)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Serve; on the port it had, when it had one."""
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        ready = threading.Event()

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            async with self.make() as self.service:
                freely = Limits(requests_per_s=1e6, burst=1e6, streams=10_000)
                config = uvicorn.Config(
                    application(self.service, freely), log_level="error", lifespan="off", timeout_graceful_shutdown=1
                )
                self._server = uvicorn.Server(config)
                task = asyncio.create_task(self._server.serve(sockets=[listening]))
                while not self._server.started and not task.done():
                    await asyncio.sleep(0.01)
                ready.set()
                await task

        self._thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        self._thread.start()
        assert ready.wait(60), "the service did not start"

    def stop(self) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(30)

    def do(self, coroutine: Any) -> Any:
        """Run something in the service's own loop, and give what comes of it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)


def a_running_mission(folder: Path) -> Running:
    """The example mission, with accounts and the simple parts, served."""
    if not (folder / "mission.toml").exists():
        an_example(folder)
    service = a_service(folder)
    door = Door(with_accounts(folder))
    service.kept["door"] = door
    service.principal_of = door.principal_of

    @asynccontextmanager
    async def make() -> AsyncIterator[Service]:
        yield service

    found = Running(make)
    found.start()
    return found


def a_live_mission(folder: Path) -> Running:
    """The mission in `folder` as `truceline serve` runs it, from the evening of its second day on."""
    with_accounts(folder).close()
    begun = time.monotonic()

    def clock() -> datetime:
        return NOW + timedelta(seconds=time.monotonic() - begun)

    found = Running(lambda: running(folder, clock, clock))
    found.start()
    return found


@contextmanager
def a_browser() -> Iterator[Any]:
    """Chromium, headless; skips where there is none."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()
