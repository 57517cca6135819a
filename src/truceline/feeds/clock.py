"""Times as people write them, to intervals of UTC: what a day, a week, a local time without a zone means."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR_US = 3_600_000_000
#: In arrays of microseconds: there is no time.
NO_TIME = -(2**63)
#: What monitors could have written down; a year outside is a mistake.
_YEARS = range(1900, 2101)
#: A time written to the minute.
MINUTE_SIGMA_S = 30.0

_ISO = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)"
    r"(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?"
    r"\s?(Z|[+-]\d\d:?\d\d)?",
    re.ASCII,
)


class When(NamedTuple):
    """When something happened: microseconds since 1970, UTC; `until_us` None for a moment."""

    at_us: int
    until_us: int | None
    sigma_s: float


@dataclass(frozen=True)
class Clock:
    """How one column of times is written.

    A text without a zone is local time of `zone`. A local time that the clocks go through twice is the first
    of the two with an hour's error; one that they leave out counts by the offset before. A date is the local
    day, 23 to 25 hours long; so is a time of exactly midnight where `midnight_is_day`.
    """

    zone: tzinfo
    formats: tuple[str, ...] = ("iso",)
    midnight_is_day: bool = False

    def read(self, text: str, span: str | None = None) -> When | str:
        """The interval of `text`, or why there is none.

        Parameters
        ----------
        span
            The stated precision, one of `columns.SPANS`: a week is the seven days round the date, a month or
            year the calendar's. None: a day for a date, a moment for a time.
        """
        for written in self.formats:
            try:
                found = self._parse(text.strip(), written)
            except (ValueError, OverflowError):
                continue
            if found is None:
                continue
            moment, is_day = found
            if moment.year not in _YEARS:
                return f"is outside the years {_YEARS[0]}..{_YEARS[-1]}"
            return self._interval(moment, span or ("day" if is_day else "instant"))
        shape = " or ".join(f"{f!r}" for f in self.formats if f != "iso")
        iso = "YYYY-MM-DD, with or without HH:MM[:SS] and zone" if "iso" in self.formats else ""
        return f"is not a time like {' or '.join(part for part in (iso, shape) if part)}"

    def _parse(self, text: str, written: str) -> tuple[datetime, bool] | None:
        """The moment, aware, and whether it stands for a day."""
        if written in ("unix_s", "unix_ms"):
            if not re.fullmatch(r"-?\d{1,15}(\.\d+)?", text, re.ASCII):
                return None
            seconds = float(text) / (1000 if written == "unix_ms" else 1)
            return _EPOCH + timedelta(seconds=seconds), False
        if written == "iso":
            match = _ISO.fullmatch(text)
            if match is None:
                return None
            day = date(int(match[1]), int(match[2]), int(match[3]))
            has_time = match[4] is not None
            micros = int(match[7].ljust(6, "0")[:6]) if match[7] else 0
            clock = time(int(match[4]), int(match[5]), int(match[6] or 0), micros) if has_time else time(0)
            moment = datetime.combine(day, clock, self._offset(match[8]))
        else:
            parsed = datetime.strptime(text, written)  # noqa: DTZ007 the zone is set below
            moment = parsed if parsed.tzinfo else parsed.replace(tzinfo=self.zone)
            has_time = any(code in written for code in ("%H", "%I", "%X", "%c", "%T", "%R"))
        return moment, not has_time or (self.midnight_is_day and moment.time() == time(0))

    def _offset(self, written: str | None) -> tzinfo:
        if written is None:
            return self.zone
        if written == "Z":
            return UTC
        minutes = int(written[1:3]) * 60 + int(written[-2:])
        return timezone(timedelta(minutes=-minutes if written[0] == "-" else minutes))

    def _interval(self, moment: datetime, span: str) -> When:
        if span == "instant":
            twice = _offset(moment) > _offset(moment.replace(fold=1))
            return When(_micros(moment), None, 3600.0 if twice else MINUTE_SIGMA_S)
        if span == "hour":
            return When(_micros(moment), _micros(moment) + _HOUR_US, MINUTE_SIGMA_S)
        day = moment.date()
        first, behind = {
            "day": (day, day + timedelta(days=1)),
            "week": (day - timedelta(days=3), day + timedelta(days=4)),
            "month": (day.replace(day=1), (day.replace(day=1) + timedelta(days=32)).replace(day=1)),
            "year": (date(day.year, 1, 1), date(day.year + 1, 1, 1)),
        }[span]
        begin, end = (datetime.combine(d, time(0), moment.tzinfo) for d in (first, behind))
        return When(_micros(begin), _micros(end), 0.0)


def _offset(moment: datetime) -> timedelta:
    return moment.utcoffset() or timedelta(0)


def _micros(moment: datetime) -> int:
    since = moment.replace(tzinfo=None) - _EPOCH.replace(tzinfo=None) - _offset(moment)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
