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
from truceline.inputs import FUSED
from truceline.intake import JOURNAL, Record
from truceline.mission import Mission
from truceline.observation import TIME
from truceline.pipeline import BOOK, settle
from truceline.serve.child import Answer, all_packed, packed, unpacked
from truceline.serve.moving_now import MovingNow
from truceline.serve.window import AHEAD, Drawn, Window, reaches
from truceline.store import Book, Edition, Journal

#: Fixes of the last while that the tracker is given when it begins: longer than a ship without a name is silent for.
_WARM_S = 7200.0
#: Movements are worked out anew so that they take no more than this share of the process.
_MOVEMENTS_SHARE = 0.1


def picture(folder: Path, _record: Record) -> Answer:
    """Answers "begin", "take", "settled": each with the picture as it is then, as `window.Drawn` with packed tables."""
    startup.prepare()
    window = Window(folder)
    moved_s, moved_at = 0.0, 0.0

    def is_due() -> bool:
        return window.has_new_fixes and time.monotonic() - moved_at >= moved_s / _MOVEMENTS_SHARE

    def drawn(now: datetime, limit: float, watched: Sequence[bytes], anew: bool) -> Any:
        nonlocal moved_s, moved_at
        begun = time.monotonic()
        due = is_due() or (anew and window.has_new_fixes)
        out = window.draw(now, limit, watched, movements=due, anew=anew)
        if due:
            moved_at = time.monotonic()
            moved_s = moved_at - begun
        out.unread = window.has_new_fixes
        return _packed(out)

    def answer(what: str, now: datetime, limit: float, watched: Sequence[bytes], rows: bytes = b"") -> Any:
        if what == "take":
            if not (rows and window.take(unpacked(rows), now)) and not is_due():
                return None
            return drawn(now, limit, watched, False)
        (window.begin if what == "begin" else window.settled)(now)
        return drawn(now, limit, watched, True)

    return answer


def _packed(out: Drawn) -> Drawn:
    out.tables = all_packed(out.tables)
    out.candidates = packed(out.candidates)
    return out


def tracks(folder: Path, _record: Record) -> Answer:
    """Answers "begin" (warm up from the journal), "take", "frames" and "table"."""
    startup.prepare()
    moving = MovingNow(Mission.load(folder).frame())

    def begin(now: datetime) -> None:
        with Journal(folder / JOURNAL) as journal:
            if not journal.rows("observation"):
                return
            kept = journal.columns("observation")
            rows = journal.table("observation", [name for name in FUSED if name in kept])
        since = pa.scalar(datetime.fromtimestamp(now.timestamp() - _WARM_S, now.tzinfo), TIME)
        soon = pa.scalar(now + AHEAD, TIME)
        recent = pc.and_(pc.greater_equal(rows["at"], since), pc.less_equal(rows["at"], soon))
        moving.take(rows.filter(pc.fill_null(recent, False)))

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
        return settle(folder, now, until=_until(folder, now), record=record)

    return answer


def _until(folder: Path, now: datetime) -> datetime | None:
    """The cut-off: none, unless a source speaks of times that are still to come."""
    with Journal(folder / JOURNAL) as journal:
        if not journal.rows("observation"):
            raise NotFoundError(f"{folder}: the journal has no observations yet")
        last = pc.max(journal.table("observation", ["at"])["at"]).as_py()
    if last is None or Mission.load(folder).exercise:
        return None
    book = Book(folder / BOOK)
    soon = reaches(now, book.table("events") if book.latest() is not None else None)
    return soon if last > soon else None
