"""How a report says numbers, times, distances and probabilities."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from truceline.report.model import Account, Exempt, Held, Incident

#: Above this it is "more likely than not".
LIKELY = 0.5


def number(value: float | int | None) -> str:
    """1528 as "1,528"; an em dash for None."""
    if value is None:
        return "—"
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def share(value: float | None) -> str:
    """A probability with two decimals; never 0 or 1: nothing here is certain before it is calibrated."""
    if value is None:
        return "—"
    if value < 0.005:
        return "<0.01"
    return ">0.99" if value >= 0.995 else f"{value:.2f}"


def plural(n: int, one: str, many: str = "") -> str:
    """ "1 incident", "1,200 incidents"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def people(n: int) -> str:
    """ "1 person", "3 people"."""
    return plural(n, "person", "people")


def moment(at: datetime, zone: ZoneInfo) -> str:
    """ "19:30 4 October 2023 EEST"."""
    local = at.astimezone(zone)
    return f"{local:%H:%M} {local.day} {local:%B %Y} {local.tzname()}"


def time_of(row: Incident | Account | Exempt, zone: ZoneInfo) -> str:
    """When an incident was, as the tables say it: "15 Mar, 10:40", "15 Mar, about 12:15", "14 Mar, 23:23–23:37"."""
    return interval(row.told_from, row.told_until, zone, "about " if row.about else "")


def interval(first: datetime | None, last: datetime | None, zone: ZoneInfo, about: str = "") -> str:
    """When: "4 Oct, 14:05", "4 Oct, 14:00–16:30", "4 Oct, time not stated"; to the nearest minute.

    Day and time are held together by no-break spaces: a line may break only between begin and end.
    """
    if first is None or last is None:
        return "not stated"
    a, b = minute(first.astimezone(zone)), minute(last.astimezone(zone))
    about = about.replace(" ", "\u00a0")
    if a == b:
        return f"{day_of(a)},\u00a0{about}{a:%H:%M}"
    # A whole local day, whatever its length: sources that give a date alone.
    if a.hour == a.minute == 0 and timedelta(hours=22) < b - a <= timedelta(hours=26):
        return f"{day_of(a)}, time not stated"
    if a.date() == b.date():
        return f"{day_of(a)},\u00a0{about}{a:%H:%M}–{b:%H:%M}"
    return f"{day_of(a)},\u00a0{about}{a:%H:%M} – {day_of(b)},\u00a0{b:%H:%M}"


def minute(at: datetime) -> datetime:
    """The nearest minute."""
    return (at + timedelta(seconds=30)).replace(second=0, microsecond=0)


def day_of(at: datetime) -> str:
    """ "4 Oct"."""
    return f"{at.day}\u00a0{at:%b}"


def stated(count: int | None, most: int | None) -> str:
    """The number of rounds as the table says it: "15–20", "4", "not stated"."""
    if count is None and most is None:
        return "not stated"
    least = count if count is not None else most
    most = most if most is not None else least
    return number(least) if least == most else f"{number(least)}–{number(most)}"


def distance(metres: float | None, coarse: bool = False) -> str:
    """To the line of contact: "0.8 km", "14 km"; where `coarse`, "less than 1 km" or whole kilometres."""
    if metres is None:
        return "—"
    km = abs(metres) / 1000
    if coarse:
        return f"about {km:,.0f} km" if km >= 1 else "less than 1 km"
    return f"{km:.1f} km" if km < 10 else f"{km:,.0f} km"


def by_clause(held: Sequence[Held]) -> list[tuple[str, str]]:
    """The clauses an incident is held against and the probability of a breach, most probable first, each once.

    Where readings differ, the least and the greatest; readings in which the clause was not in force do not count.
    """
    given: dict[str, list[float]] = {}
    for one in held:
        found = given.setdefault(one.clause, [])
        p = one.p()
        if p is not None:
            found.append(p)
    said = []
    for clause, found in sorted(given.items(), key=lambda item: (-max(item[1], default=-1.0), item[0])):
        low, high = share(min(found, default=None)), share(max(found, default=None))
        said.append((clause, "not in force" if not found else high if low == high else f"{low}–{high}"))
    return said
