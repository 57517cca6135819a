"""The peer's words: how its report says numbers and times, and its summary."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from truceline.places import listed
from truceline.report.summary import HINDRANCES_TOLD, NOT_NONE, REGIONS_TOLD, THIN


def number(value: float | None) -> str:
    if value is None:
        return "—"
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def share(value: float | None) -> str:
    if value is None:
        return "—"
    return "<0.01" if value < 0.005 else ">0.99" if value >= 0.995 else f"{value:.2f}"


def plural(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def moment(text: str, zone: ZoneInfo) -> str:
    local = datetime.fromisoformat(text).astimezone(zone)
    return f"{local:%H:%M} {local.day} {local:%B %Y} {local.tzname()}"


def minute(text: str, zone: ZoneInfo) -> datetime:
    at = datetime.fromisoformat(text).astimezone(zone) + timedelta(seconds=30)
    return at.replace(second=0, microsecond=0)


def day_of(at: datetime) -> str:
    return f"{at.day}\u00a0{at:%b}"


def time_of(row: dict, zone: ZoneInfo) -> str:
    """ "15 Mar, 10:40", "15 Mar, about 12:15", "14 Mar, 23:23–23:37"."""
    if row["told_from"] is None or row["told_until"] is None:
        return "not stated"
    a, b = minute(row["told_from"], zone), minute(row["told_until"], zone)
    about = "about\u00a0" if row["about"] else ""
    if a == b:
        return f"{day_of(a)},\u00a0{about}{a:%H:%M}"
    if a.hour == a.minute == 0 and timedelta(hours=22) < b - a <= timedelta(hours=26):
        return f"{day_of(a)}, time not stated"
    if a.date() == b.date():
        return f"{day_of(a)},\u00a0{about}{a:%H:%M}–{b:%H:%M}"
    return f"{day_of(a)},\u00a0{about}{a:%H:%M} – {day_of(b)},\u00a0{b:%H:%M}"


def stated(least: int | None, most: int | None) -> str:
    if least is None and most is None:
        return "not stated"
    least, most = (most if least is None else least), (least if most is None else most)
    return number(least) if least == most else f"{number(least)}–{number(most)}"


def distance(metres: float | None, coarse: bool = False) -> str:
    if metres is None:
        return "—"
    km = abs(metres) / 1000
    if coarse:
        return f"about {km:,.0f} km" if km >= 1 else "less than 1 km"
    return f"{km:.1f} km" if km < 10 else f"{km:,.0f} km"


def by_clause(held: list[dict]) -> list[tuple[str, str]]:
    """Clauses and the probability of a breach, most probable first; where readings differ the least and greatest."""
    given: dict[str, list[float]] = {}
    for one in held:
        found = given.setdefault(one["clause"], [])
        if one["p_breach"] is not None and (one["in_force"] is not False or one["illustrative"]):
            found.append(one["p_breach"])
    said = []
    for clause, found in sorted(given.items(), key=lambda item: (-max(item[1], default=-1.0), item[0])):
        low, high = share(min(found, default=None)), share(max(found, default=None))
        said.append((clause, "not in force" if not found else high if low == high else f"{low}–{high}"))
    return said


# ---- the summary ---------------------------------------------------------------------------------------------------


def bounds(tally: dict) -> str:
    if tally["most"] is None:
        return f"at least {tally['counted']:,}"
    return f"{tally['counted']:,}" + (f" to {tally['most']:,}" if tally["most"] != tally["counted"] else "")


def bullets(report: dict) -> list[str]:
    """The summary, as the duty officer reads it out."""
    rule, zone = report["counting"]["rule"], ZoneInfo(report["zone"])
    said = []
    if not report["incidents"]:
        said.append(f"No violations were recorded in this period. {NOT_NONE}")
    counted = [tally for tally in report["regions"] if tally["counted"] or tally["previous"]]
    for tally in counted[:REGIONS_TOLD]:
        where = f"In {tally['region']}" if tally["region"] else "Where no region is known"
        said.append(f"{where}: {in_region(tally, rule)}")
    if rest := counted[REGIONS_TOLD:]:
        total = {
            name: sum(t[name] for t in rest) for name in ("counted", "incidents", "previous", "previous_incidents")
        }
        said.append(
            f"Elsewhere ({plural(len(rest), 'region')}): at least {total['counted']:,} ({rule}), in "
            f"{plural(total['incidents'], 'incident')}; in the previous reporting period at least "
            f"{total['previous']:,}, in {plural(total['previous_incidents'], 'incident')}."
        )
    totals, but = report["totals"], []
    if totals["unnumbered"]:
        but.append(f"{plural(totals['unnumbered'], 'event')} whose number no source gives, counted as one each")
    if totals["not_countable"] and totals["counted"]:
        but.append(f"{plural(totals['not_countable'], 'event')} of kinds that the rule {rule} does not count")
    said += [f"In all regions: {'; '.join(but)}."] if but else []
    said += not_counted([t for t in report["regions"] if not (t["counted"] or t["previous"])], rule)
    said += hurt(report["casualties"])
    said += likely(report, zone)
    said += [hindrances(report["movement"])] if report["movement"] else []
    said.append(burning(report["fires"]))
    said += [silence(one, zone) for one in report["sources"] if one["silent"] and not one["never"]][:3]
    said.append("Coverage is not assessed: fewer records do not mean fewer violations.")
    return said


def in_region(tally: dict, rule: str) -> str:
    before = f"at least {tally['previous']:,}, in {plural(tally['previous_incidents'], 'incident')}"
    before = before if tally["previous_incidents"] else "none"
    if not tally["incidents"]:
        return f"no incident was recorded; in the previous reporting period {before}."
    one = tally["counted"] == tally["most"] == 1
    text = f"{bounds(tally)} possible ceasefire {'violation' if one else 'violations'}"
    text += f", {plural(tally['explosions'], 'explosion')} among them" if tally["explosions"] else ""
    incidents = plural(tally["incidents"], "incident")
    return f"{text} ({rule}), in {incidents}; in the previous reporting period {before}."


def not_counted(tallies: list[dict], rule: str) -> list[str]:
    if not tallies:
        return []
    parts = [
        f"{t['region'] or 'no region known'} {t['incidents']:,} ({t['previous_incidents']:,})"
        for t in tallies[:REGIONS_TOLD]
    ]
    if rest := tallies[REGIONS_TOLD:]:
        now, before = (sum(t[name] for t in rest) for name in ("incidents", "previous_incidents"))
        parts.append(f"{plural(len(rest), 'other region')} {now:,} ({before:,})")
    total = plural(sum(t["incidents"] for t in tallies), "incident")
    return [
        f"{total} of kinds that the rule {rule} does not count (in brackets, the previous reporting period): "
        f"{listed(parts)}."
    ]


def disputed(row: dict) -> bool:
    return any(len({n for one in row["stated"] for n in one[of] or ()}) > 1 for of in ("killed", "injured"))


def hurt(casualties: list[dict]) -> list[str]:
    said = []
    for confirmed, word in ((True, "Confirmed"), (False, "Reported by sources, not confirmed")):
        rows = [row for row in casualties if row["confirmed"] == confirmed]
        if not rows:
            continue
        differ = sum(map(disputed, rows))
        told = [(sum(row[how] for row in rows), how) for how in ("killed", "injured")]
        told = [(n, how) for n, how in told if n]
        parts = [f"{f'{n:,}' if i else plural(n, 'person', 'people')} {how}" for i, (n, how) in enumerate(told)]
        but = f"; sources differ on {differ:,} of them" if differ else ""
        up_to = "up to " if differ else ""
        said.append(f"{word}: {up_to}{' and '.join(parts)}, in {plural(len(rows), 'incident')}{but}.")
    return said


def likely(report: dict, zone: ZoneInfo) -> list[str]:
    said = []
    for head, at_sites in (
        ("At protected sites, incidents more likely than not a breach", True),
        ("By clause, incidents more likely than not a breach", False),
    ):
        mine = [t for t in report["clauses"] if t["likely"] and (t["rule"] == "protected_site") == at_sites]
        parts = [
            f"{t['clause']} {t['title']}, {t['likely']:,} ({'up to ' * (t['likely'] > 1)}{share(t['greatest'])})"
            for t in mine
        ]
        said += [f"{head} (uncalibrated): {'; '.join(parts)}."] if parts else []
    missed = [duty for duty in report["duties"] if (duty["p_breach"] or 0.0) > 0.5]
    parts = [f"{owed(duty, zone)} ({share(duty['p_breach'])}, {duty['reading']})" for duty in missed]
    return said + ([f"Duties more likely than not missed (uncalibrated): {'; '.join(parts)}."] if parts else [])


def owed(duty: dict, zone: ZoneInfo) -> str:
    text = f"{duty['clause']} {duty['title']}" + (f", {duty['owed_by']}" if duty["owed_by"] else "")
    if duty["due_at"] is None:
        return text
    due = minute(duty["due_at"], zone)
    return f"{text}, due {day_of(due)},\u00a0{due:%H:%M}"


def hindrances(rows: list[dict]) -> str:
    if not rows:
        return "No source told of access refused or of interference with signals."
    parts = [f"{hindered(row)} {row['place']} ({', '.join(row['sources'])})" for row in rows[:HINDRANCES_TOLD]]
    parts += [f"{len(rows) - HINDRANCES_TOLD:,} more"] if len(rows) > HINDRANCES_TOLD else []
    return f"Freedom of movement and interference: {'; '.join(parts)}."


def hindered(row: dict) -> str:
    if row["what"].startswith("access"):
        return f"access {row['kind']}" if row["kind"] != "not stated" else "access, how is not stated"
    return "interference with signals" + ("" if row["kind"] == "not stated" else f" ({row['kind']})")


def burning(fires: dict) -> str:
    text = f"Satellites recorded {plural(fires['events'], 'fire')}; in the previous period, {fires['previous']:,}."
    if fires["events"]:
        text += (
            f" In {plural(fires['incidents'], 'group')}, {fires['near_line']:,} of them within {fires['near_km']:g} km "
            "of the line. A fire says nothing of why it burns, and is counted by no rule."
        )
    return text


def silence(source: dict, zone: ZoneInfo) -> str:
    median = source["median_per_day"]
    usual = "" if median is None else f" (median day: {number(median)})"
    if source["never"]:
        return f"Source {source['source']} has given no record up to the end of this period."
    if source["silent"]:
        last = moment(source["last_at"], zone)
        return f"Source {source['source']} was silent in this period{usual}; its last record is of {last}."
    return f"Source {source['source']} gave {plural(source['records'], 'record')}{usual}."


def unseen(report: dict) -> list[str]:
    """The report's blind spots."""
    zone = ZoneInfo(report["zone"])
    said = [
        "Coverage is not assessed: which places satellites passed over, under which cloud, and where people could "
        "have heard or seen something is not part of this report. No record of a place means no record, not no event."
    ]
    for one in report["sources"]:
        thin = not one["silent"] and one["median_per_day"] and one["records"] < THIN * one["median_per_day"]
        said += [silence(one, zone)] if one["silent"] or thin else []
    if not any(one["silent"] for one in report["sources"]):
        said.append("No source was silent in this period.")
    if report["line_date"] is None:
        said.append("There is no line of contact for this day; nothing is said of distances and sides.")
    else:
        age = (datetime.fromisoformat(report["day"]) - datetime.fromisoformat(report["line_date"])).days
        old = "the day itself." if age == 0 else f"{plural(age, 'day')} old on the day of the report."
        said.append(f"The line of contact used is that of {report['line_date']}, {old}")
    if report["wide_intervals"]:
        said.append(
            f"Of {plural(len(report['incidents']), 'incident')}, {report['wide_intervals']:,} have a time known only "
            "to half a day or worse; they are counted in the period that holds the middle of their interval."
        )
    if report["beyond_period"]:
        said.append(f"The interval of {plural(report['beyond_period'], 'incident')} reaches beyond this period.")
    rejected = [f"{one['rejected']:,} of {one['source']}" for one in report["journal"] if one["rejected"]]
    if rejected:
        said.append(f"Records that could not be read, in the mission as a whole: {listed(rejected)}.")
    return said
