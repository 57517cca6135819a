"""How fast one may ask, and how often one may guess a password. All of it is in memory: a restart forgives."""

import time
from collections.abc import Callable

Tick = Callable[[], float]

#: Keys kept at most; beyond, those that have nothing against them any more go, then all.
KEYS = 20_000

#: Wrong passwords for one account from one address before one waits: people mistype.
TRIES = 5
#: Wrong ones from one address, whatever the name: an office behind one address has several people.
TRIES_ADDRESS = 30
#: Wrong ones for one account from anywhere: many machines guessing together.
TRIES_NAME = 100
#: One never waits longer, so that nobody is kept out for good by somebody else's guesses.
LONGEST_S = 60.0
#: So long after the last wrong one it is forgotten.
FORGOTTEN_S = 900.0


class Buckets:
    """A token bucket for each key: `per_s` on average, `burst` at once."""

    def __init__(self, per_s: float, burst: float, tick: Tick = time.monotonic) -> None:
        self.per_s, self.burst, self._tick = per_s, burst, tick
        self._left: dict[str, tuple[float, float]] = {}  # what is left, and when that was

    def take(self, key: str) -> float:
        """0.0 when it may; else in how many seconds it may."""
        now = self._tick()
        left, at = self._left.get(key, (self.burst, now))
        left = min(self.burst, left + (now - at) * self.per_s)
        if len(self._left) > KEYS:
            full_after_s = self.burst / self.per_s
            self._left = {one: entry for one, entry in self._left.items() if now - entry[1] < full_after_s}
            if len(self._left) > KEYS:
                self._left = {}
        if left < 1:
            self._left[key] = (left, now)
            return (1 - left) / self.per_s
        self._left[key] = (left - 1, now)
        return 0.0


class Throttle:
    """Waiting after wrong passwords: by account and address, by address, by account.

    After some free tries each wrong one doubles the wait, up to a minute. Guesses from elsewhere do not hold up an
    address that has signed in to the account before: a duty officer's own desk is never closed by an attacker.
    """

    def __init__(self, tick: Tick = time.monotonic) -> None:
        self._tick = tick
        self._wrong: dict[tuple[str, str], tuple[int, float]] = {}  # how many, and when the last
        self._good: set[tuple[str, str]] = set()

    def wait_s(self, name: str, address: str) -> float:
        """How long this one has to wait before a password is looked at; 0.0: now."""
        now, name = self._tick(), name.lower()
        waits = [0.0]
        for key, free in self._keys(name, address):
            count, last = self._wrong.get(key, (0, now))
            if now - last > FORGOTTEN_S:
                self._wrong.pop(key, None)
            elif count >= free:
                waits.append(last + min(2.0 ** min(count - free, 10), LONGEST_S) - now)
        return max(waits)

    def wrong(self, name: str, address: str) -> None:
        """A wrong password."""
        now, name = self._tick(), name.lower()
        if len(self._wrong) > KEYS:
            self._wrong = {key: entry for key, entry in self._wrong.items() if now - entry[1] < LONGEST_S}
        for key, _ in self._keys(name, address):
            self._wrong[key] = (self._wrong.get(key, (0, now))[0] + 1, now)

    def right(self, name: str, address: str) -> None:
        """The right one: what was held against this account at this address is forgotten."""
        name = name.lower()
        self._wrong.pop((name, address), None)
        if len(self._good) > KEYS:
            self._good.clear()
        self._good.add((name, address))

    def _keys(self, name: str, address: str) -> list[tuple[tuple[str, str], int]]:
        keys = [((name, address), TRIES)]
        if (name, address) not in self._good:
            keys += [(("", address), TRIES_ADDRESS), ((name, ""), TRIES_NAME)]
        return keys
