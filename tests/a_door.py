"""A mission with accounts, for tests: its clock is set by hand, its argon2 is quick, nothing has been read into it."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from argon2 import PasswordHasher
from fastapi.testclient import TestClient

from a_service import SimpleGate
from truceline.examples import SHIPPED
from truceline.mission import Mission
from truceline.serve.accounts import Accounts
from truceline.serve.app import application
from truceline.serve.audit import row
from truceline.serve.door import Door
from truceline.serve.guard import Limits

PASSWORD = "three quiet words"
FREELY = Limits(requests_per_s=1e6, burst=1e6)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2031, 3, 15, 18, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


class CountingHasher(PasswordHasher):
    """Argon2 with the least work, that counts how often it was asked."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.asked = 0

    def verify(self, *given: Any) -> bool:
        self.asked += 1
        return bool(super().verify(*given))


def a_mission(folder: Path) -> Path:
    """The example mission as it ships."""
    shutil.copytree(SHIPPED / "two-days", folder, ignore=shutil.ignore_patterns("*.py"))
    return folder


def note() -> dict[str, Any]:
    return row("account", "tester", Clock()())


def a_door(folder: Path, clock: Clock) -> Door:
    return Door(Accounts(folder, clock, CountingHasher()))


def a_person(door: Door, name: str = "olena", role: str = "duty officer", label: str = "mission", party=None) -> str:
    """An account with `PASSWORD`; its name."""
    door.accounts.add(name, role, label, party, PASSWORD, note())
    return name


def a_running(folder: Path, door: Door, limits: Limits = FREELY, base_url: str = "http://testserver") -> TestClient:
    """The application with these accounts, and no picture; who asks is who signs in."""
    mission = Mission.load(folder)
    service = SimpleNamespace(folder=folder, mission=mission, clock=door.accounts.clock, kept={"door": door})
    service.gate, service.principal_of = SimpleGate(folder, mission, service.clock), door.principal_of
    return TestClient(application(service, limits), raise_server_exceptions=False, base_url=base_url)
