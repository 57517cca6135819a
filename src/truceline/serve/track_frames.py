"""Frames of live tracks for readers: each made once, whoever many there are; a slow reader gets the whole anew."""

import asyncio
import struct
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from truceline.serve.moving_now import RECORD

_MAGIC = b"TLT1"
#: Tracks told of in one text: some hundred kilobytes.
_NAMES = 4096


class TrackFrames:
    """The newest moment of the tracks, and what changed since the one before."""

    def __init__(self) -> None:
        self._number = 0
        self._epoch = 0
        self._kinds: list[str] = []
        self._names: dict[int, dict[str, Any]] = {}
        self._names_text: list[str] | None = None
        self._whole = self._changed = _frame(0.0, b"")
        self._told: list[str] = []  # texts that go before `_changed`
        self._more = asyncio.Event()
        self._closed = False

    def tell(self, at_s: float, kinds: list[str], names: list[dict[str, Any]], whole: bytes, changed: bytes) -> None:
        """A new moment; `moving_now.Frames`."""
        texts = []
        if kinds != self._kinds:
            self._kinds = kinds
            texts.append(_text({"kinds": kinds}))
        if names:
            self._names |= {one["serial"]: one for one in names}
            texts += _named(names)
            self._names_text = None
        if not texts and not changed and self._number:
            return
        if len(self._names) > 2 * (len(whole) // RECORD.itemsize) + _NAMES:  # most of them are gone
            alive = {int.from_bytes(whole[k : k + 4], "little") for k in range(0, len(whole), RECORD.itemsize)}
            self._names = {serial: one for serial, one in self._names.items() if serial in alive}
            self._names_text = None
        self._whole, self._changed, self._told = _frame(at_s, whole), _frame(at_s, changed), texts
        self._number += 1
        self._wake()

    def restart(self) -> None:
        """Serials begin anew: readers have to, if they were told of any."""
        if not self._number:
            return
        self._epoch += 1
        self._names, self._names_text, self._kinds = {}, None, []
        self._whole = self._changed = _frame(0.0, b"")
        self._wake()

    def close(self) -> None:
        """No more will come."""
        self._closed = True
        self._wake()

    async def read(self) -> AsyncIterator[str | bytes]:
        """For one reader: kinds, names and the whole, then what changes; ends when serials begin anew."""
        epoch, number = self._epoch, -2
        while self._epoch == epoch and not self._closed:
            if number == self._number:
                await self._more.wait()
                continue
            following = number == self._number - 1
            number, changed, whole = self._number, self._changed, self._whole
            texts = self._told if following else [_text({"kinds": self._kinds}), *self._all_names()]
            for text in texts:
                yield text
            yield changed if following else whole

    def _all_names(self) -> list[str]:
        if self._names_text is None:
            self._names_text = _named(list(self._names.values()))
        return self._names_text

    def _wake(self) -> None:
        self._more.set()
        self._more = asyncio.Event()


def _text(content: Any) -> str:
    return msgspec.json.encode(content).decode()


def _named(names: list[dict[str, Any]]) -> list[str]:
    return [_text({"tracks": names[at : at + _NAMES]}) for at in range(0, len(names), _NAMES)]


def _frame(at_s: float, records: bytes) -> bytes:
    return _MAGIC + struct.pack("<Id", len(records) // RECORD.itemsize, at_s) + records
