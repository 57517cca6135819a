"""What the service's processes answer: the provisional picture, what moves, the settling of editions."""

import time
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from truceline import startup
from truceline.daily import report
from truceline.errors import NotFoundError
from truceline.inputs import MOVING, OF_MOVING
from truceline.intake import JOURNAL, Record
from truceline.mission import Mission
from truceline.observation import TIME
from truceline.pipeline import BOOK, settle
from truceline.serve.child import Answer, all_packed, packed, unpacked
from truceline.serve.moving_now import MovingNow
from truceline.serve.window import AHEAD, Undrawn, Window, reaches
from truceline.store import Book, Edition, Journal

#: Fixes of the last while that the tracker is given when it begins: longer than a ship without a name is silent for.
_WARM_S = 7200.0
#: Movements are worked out anew so that they take no more than this share of the process, and so what drawings leave
#: as it was: while records pour in that is looked at every few seconds.
_MOVEMENTS_SHARE, _DUE_SHARE = 0.1, 0.05


def picture(folder: Path, _record: Record) -> Answer:
    """Answers "begin", "take", "settled": each with what is otherwise then, as `window.Drawn` with packed tables.

    "take" without rows asks for what was left for when nothing comes in. Where there is nothing to draw, it is answered
    with `window.Undrawn`.
    """
    startup.prepare()
    window = Window(folder)
    moved, looked = _Share(_MOVEMENTS_SHARE), _Share(_DUE_SHARE)

    def answer(what: str, now: datetime, limit: float, watched: Sequence[bytes], rows: bytes = b"") -> Any:
        anew = what != "take"
        if anew:
            (window.begin if what == "begin" else window.settled)(now)
        told = bool(rows) and window.take(unpacked(rows), now)
        moves = window.has_new_fixes and (anew or moved.may())
        due = window.loose and (not rows or looked.may())
        if not (anew or told or moves or due):
            return Undrawn(window.follows, window.has_new_fixes or window.loose)
        begun = time.monotonic()
        out = window.draw(now, limit, watched, movements=moves, anew=anew, due=due)
        took_s = time.monotonic() - begun
        if moves:
            moved.took(took_s)
        if due or anew:
            looked.took(took_s)
        out.unread = window.has_new_fixes or window.loose
        out.tables, out.candidates = all_packed(out.tables), packed(out.candidates)
        return out

    return answer


class _Share:
    """Whether something that takes long may be done again, if it is to take no more than this share of the time."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._took_s = self._at = 0.0

    def may(self) -> bool:
        return time.monotonic() - self._at >= self._took_s / self._share

    def took(self, seconds: float) -> None:
        """It has been done just now, and took so long."""
        self._took_s, self._at = seconds, time.monotonic()


def tracks(folder: Path, _record: Record) -> Answer:
    """Answers "begin" (warm up from the journal), "take", "frames" and "table"."""
    startup.prepare()
    moving = MovingNow(Mission.load(folder).frame())

    def begin(now: datetime) -> None:
        since = pa.scalar(datetime.fromtimestamp(now.timestamp() - _WARM_S, now.tzinfo), TIME)
        soon = pa.scalar(now + AHEAD, TIME)

        def recent(rows: pa.Table) -> pa.Table:
            lately = pc.and_(pc.greater_equal(rows["at"], since), pc.less_equal(rows["at"], soon))
            return rows.filter(pc.fill_null(pc.and_(lately, pc.is_in(rows["kind"], value_set=OF_MOVING)), False))

        with Journal(folder / JOURNAL) as journal:
            moving.begin(recent(rows) for rows in journal.pieces("observation", MOVING.names))
        startup.give_back()

    def answer(what: str, *given: Any) -> Any:
        if what == "begin":
            return begin(*given)
        if what == "take":
            return moving.take(unpacked(given[0]))
        if what == "frames":
            return tuple(moving.frames(given[0]))
        return packed(moving.table())

    return answer


def settling(folder: Path, record: Record) -> Answer:
    """Answers "settle" with the edition, "report" with what the daily report of the newest one says."""
    startup.prepare()

    def answer(what: str, now: datetime, day: date | None = None) -> Edition | dict[str, Any]:
        if what == "report":
            return report(folder, now, day=day).to_dict()
        edition = settle(folder, now, until=_until(folder, now), record=record)
        startup.give_back()
        return edition

    return answer


def _until(folder: Path, now: datetime) -> datetime | None:
    """The cut-off: none, unless a source speaks of times that are still to come."""
    with Journal(folder / JOURNAL) as journal:
        if not journal.rows("observation"):
            raise NotFoundError(f"{folder}: the journal has no observations yet")
        ends = (pc.max(rows["at"]).as_py() for rows in journal.blocks("observation", ["at"]))
        last = max((one for one in ends if one is not None), default=None)
    if last is None or Mission.load(folder).exercise:
        return None
    book = Book(folder / BOOK)
    settled = pc.max(book.table("events")["at_until"]).as_py() if book.latest() is not None else None
    soon = reaches(now, settled)
    return soon if last > soon else None
