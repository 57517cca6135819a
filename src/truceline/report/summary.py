"""The report's sentences."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from truceline.places import listed
from truceline.report.model import (
    Account,
    Casualty,
    ClauseTally,
    Duty,
    Erratum,
    Fires,
    Report,
    Source,
    Tally,
)
from truceline.report.saying import LIKELY, day_of, minute, moment, number, people, plural, share, stated

#: Regions that get a sentence of their own; the others are summed up in one.
REGIONS_TOLD = 6

#: Refusals of access and interferences named in the summary.
HINDRANCES_TOLD = 4

#: A source with less than this share of its median day is told of, though it was not silent. Assumption.
THIN = 0.25

NOT_NONE = "This does not mean that none occurred: what sources could have seen in this period has not been assessed."


# ---- the summary ---------------------------------------------------------------------------------------------------


def bullets(report: Report) -> list[str]:
    """The summary, as the duty officer reads it out."""
    rule = report.counting.rule
    said = []
    if not report.incidents:
        said.append(f"No violations were recorded in this period. {NOT_NONE}")
    counted = [tally for tally in report.regions if tally.counted or tally.previous]
    said += [f"{_where(tally.region)}: {_counted(tally, rule)}" for tally in counted[:REGIONS_TOLD]]
    said += _elsewhere(counted[REGIONS_TOLD:], rule)
    said += _caveats(report.totals, rule)
    said += _not_counted([tally for tally in report.regions if not (tally.counted or tally.previous)], rule)
    said += _casualties(report)
    said += _likely(report)
    if report.movement:
        said.append(movement(report.movement))
    said += report.objects
    said.append(fires(report.fires))
    said += [silence(source, ZoneInfo(report.zone)) for source in report.sources if source.silent and not source.never][
        :3
    ]
    said.append("Coverage is not assessed: fewer records do not mean fewer violations.")
    return said


def _where(region: str) -> str:
    return f"In {region}" if region else "Where no region is known"


def _counted(tally: Tally, rule: str) -> str:
    incidents = plural(tally.previous_incidents, "incident")
    earlier = f"at least {tally.previous:,}, in {incidents}" if tally.previous_incidents else "none"
    if not tally.incidents:
        return f"no incident was recorded; in the previous reporting period {earlier}."
    text = f"{bounds(tally)} possible ceasefire {'violation' if tally.counted == tally.most == 1 else 'violations'}"
    if tally.explosions:
        text += f", {plural(tally.explosions, 'explosion')} among them"
    text += f" ({rule}), in {plural(tally.incidents, 'incident')}; in the previous reporting period {earlier}."
    return text


def _caveats(totals: Tally, rule: str) -> list[str]:
    """What the counts leave out, once for all regions."""
    said = []
    if totals.unnumbered:
        said.append(f"{plural(totals.unnumbered, 'event')} whose number no source gives, counted as one each")
    if totals.not_countable and totals.counted:
        said.append(f"{plural(totals.not_countable, 'event')} of kinds that the rule {rule} does not count")
    return [f"In all regions: {'; '.join(said)}."] if said else []


def bounds(tally: Tally) -> str:
    """A count as its sources bound it: "12", "12 to 20", "at least 12"."""
    if tally.most is None:
        return f"at least {tally.counted:,}"
    return f"{tally.counted:,}" if tally.most == tally.counted else f"{tally.counted:,} to {tally.most:,}"


def _elsewhere(tallies: Sequence[Tally], rule: str) -> list[str]:
    """Many regions' counts in one sentence."""
    if not tallies:
        return []
    counted, incidents = sum(t.counted for t in tallies), sum(t.incidents for t in tallies)
    previous, before = sum(t.previous for t in tallies), sum(t.previous_incidents for t in tallies)
    return [
        f"Elsewhere ({plural(len(tallies), 'region')}): at least {counted:,} ({rule}), in "
        f"{plural(incidents, 'incident')}; in the previous reporting period at least {previous:,}, in "
        f"{plural(before, 'incident')}."
    ]


def _not_counted(tallies: Sequence[Tally], rule: str) -> list[str]:
    """Regions that have only what the rule does not count, in one sentence: their incidents, now and before."""
    if not tallies:
        return []
    parts = [
        f"{tally.region or 'no region known'} {tally.incidents:,} ({tally.previous_incidents:,})"
        for tally in tallies[:REGIONS_TOLD]
    ]
    rest = tallies[REGIONS_TOLD:]
    if rest:
        now, before = sum(t.incidents for t in rest), sum(t.previous_incidents for t in rest)
        parts.append(f"{plural(len(rest), 'other region')} {now:,} ({before:,})")
    total = plural(sum(tally.incidents for tally in tallies), "incident")
    return [
        f"{total} of kinds that the rule {rule} does not count (in brackets, the previous reporting period): "
        f"{listed(parts)}."
    ]


def _casualties(report: Report) -> list[str]:
    said = []
    for confirmed in (True, False):
        rows = [row for row in report.casualties if row.confirmed == confirmed]
        killed, injured = sum(row.killed for row in rows), sum(row.injured for row in rows)
        if rows:
            word = "Confirmed" if confirmed else "Reported by sources, not confirmed"
            differ = sum(row.disputed() for row in rows)
            but = f"; sources differ on {differ:,} of them" if differ else ""
            hurt = [(n, how) for n, how in ((killed, "killed"), (injured, "injured")) if n]
            told = [f"{people(n) if not i else f'{n:,}'} {how}" for i, (n, how) in enumerate(hurt)]
            up_to = "up to " if differ else ""
            said.append(f"{word}: {up_to}{' and '.join(told)}, in {plural(len(rows), 'incident')}{but}.")
    return said


def disagreement(row: Casualty, of: str) -> str:
    """Who states how many `of` ("killed", "injured"), where sources differ: "liaison 1, civil none"; else nothing."""
    pairs = [(one.source, pair) for one in row.stated if (pair := getattr(one, of)) is not None]
    if len({n for _, pair in pairs for n in pair}) < 2:
        return ""
    pairs.sort(key=lambda item: (-item[1][1], -item[1][0], item[0]))
    return ", ".join(f"{source} {stated(*pair) if pair[1] else 'none'}" for source, pair in pairs)


def _likely(report: Report) -> list[str]:
    """Every clause that an incident more likely than not breaches, protected sites apart; every duty so missed."""
    likely = [tally for tally in report.clauses if tally.likely]
    said = []
    for head, tallies in (
        (
            "At protected sites, incidents more likely than not a breach",
            [t for t in likely if t.rule == "protected_site"],
        ),
        ("By clause, incidents more likely than not a breach", [t for t in likely if t.rule != "protected_site"]),
    ):
        parts = [_tallied(tally) for tally in tallies]
        if parts:
            said.append(f"{head} (uncalibrated): {'; '.join(parts)}.")
    missed = [duty for duty in report.duties if (duty.p_breach or 0.0) > LIKELY]
    if missed:
        zone = ZoneInfo(report.zone)
        parts = [f"{owed(duty, zone)} ({share(duty.p_breach)}, {duty.reading})" for duty in missed]
        said.append(f"Duties more likely than not missed (uncalibrated): {'; '.join(parts)}.")
    return said


def _tallied(tally: ClauseTally) -> str:
    up_to = "up to " if tally.likely > 1 else ""
    return f"{tally.clause} {tally.title}, {tally.likely:,} ({up_to}{share(tally.greatest)})"


def owed(duty: Duty, zone: ZoneInfo) -> str:
    """ "6.1 Orders on discipline notified, Party A, due 14 Mar, 18:00"; of a track or a site its clause."""
    text = f"{duty.clause} {duty.title}" + (f", {duty.owed_by}" if duty.owed_by else "")
    if duty.due_at is None:
        return text
    due = minute(duty.due_at.astimezone(zone))
    return f"{text}, due {day_of(due)},\u00a0{due:%H:%M}"


def movement(rows: Sequence[Account]) -> str:
    """What hindered the mission, in one sentence."""
    if not rows:
        return "No source told of access refused or of interference with signals."
    parts = [f"{words(row)} {row.place} ({', '.join(row.sources)})" for row in rows[:HINDRANCES_TOLD]] + (
        [f"{len(rows) - HINDRANCES_TOLD:,} more"] if len(rows) > HINDRANCES_TOLD else []
    )
    return f"Freedom of movement and interference: {'; '.join(parts)}."


def words(row: Account) -> str:
    """What an account is of: "access denied", "interference"."""
    if row.what.startswith("access"):
        return f"access {row.kind}" if row.kind != "not stated" else "access, how is not stated"
    return "interference with signals" + ("" if row.kind == "not stated" else f" ({row.kind})")


def fires(told: Fires) -> str:
    """What satellites saw burning."""
    text = f"Satellites recorded {plural(told.events, 'fire')}; in the previous period, {told.previous:,}."
    if told.events:
        text += (
            f" In {plural(told.incidents, 'group')}, {told.near_line:,} of them within {told.near_km:g} km of the line."
            " A fire says nothing of why it burns, and is counted by no rule."
        )
    return text


def silence(source: Source, zone: ZoneInfo) -> str:
    """That a source was silent, or thin, and when it last spoke."""
    usual = "" if source.median_per_day is None else f" (median day: {number(source.median_per_day)})"
    if source.never:
        return f"Source {source.source} has given no record up to the end of this period."
    if source.silent and source.last_at is not None:
        last = moment(source.last_at, zone)
        return f"Source {source.source} was silent in this period{usual}; its last record is of {last}."
    return f"Source {source.source} gave {plural(source.records, 'record')}{usual}."


def is_thin(source: Source) -> bool:
    """Whether a source that spoke said far less than it usually does."""
    return bool(not source.silent and source.median_per_day and source.records < THIN * source.median_per_day)


# ---- what could not be seen ----------------------------------------------------------------------------------------


def unseen(report: Report) -> list[str]:
    """The report's blind spots, as far as they are known."""
    said = [
        "Coverage is not assessed: which places satellites passed over, under which cloud, and where people could "
        "have heard or seen something is not part of this report. No record of a place means no record, not no event."
    ]
    said += [silence(source, ZoneInfo(report.zone)) for source in report.sources if source.silent or is_thin(source)]
    if not any(source.silent for source in report.sources):
        said.append("No source was silent in this period.")
    if report.line_date is None:
        said.append("There is no line of contact for this day; nothing is said of distances and sides.")
    else:
        age = (report.day - type(report.day).fromisoformat(report.line_date)).days
        said.append(
            f"The line of contact used is that of {report.line_date}, "
            + ("the day itself." if age == 0 else f"{plural(age, 'day')} old on the day of the report.")
        )
    if report.wide_intervals:
        said.append(
            f"Of {plural(len(report.incidents), 'incident')}, {report.wide_intervals:,} have a time known only to half "
            "a day or worse; they are counted in the period that holds the middle of their interval."
        )
    if report.beyond_period:
        said.append(f"The interval of {plural(report.beyond_period, 'incident')} reaches beyond this period.")
    rejected = [count for count in report.journal if count.rejected]
    if rejected:
        parts = listed([f"{count.rejected:,} of {count.source}" for count in rejected])
        said.append(f"Records that could not be read, in the mission as a whole: {parts}.")
    return said


def changes(now: Report, earlier: Report) -> Erratum | None:
    """What the earlier report of the day said otherwise; None where it is of the same picture."""
    same = (earlier.provenance.edition, earlier.provenance.digest) == (now.provenance.edition, now.provenance.digest)
    if same or earlier.day != now.day:
        return None
    pairs: list[tuple[str, object, object]] = [
        ("counting rule", earlier.counting.rule, now.counting.rule),
        ("possible ceasefire violations", earlier.totals.counted, now.totals.counted),
        ("in the previous reporting period", earlier.totals.previous, now.totals.previous),
        ("incidents", len(earlier.incidents), len(now.incidents)),
        ("satellite fires", earlier.fires.events, now.fires.events),
        ("killed", sum(r.killed for r in earlier.casualties), sum(r.killed for r in now.casualties)),
        ("injured", sum(r.injured for r in earlier.casualties), sum(r.injured for r in now.casualties)),
        ("line of contact", earlier.line_date or "none", now.line_date or "none"),
    ]
    before, after = ({tally.region: tally.counted for tally in report.regions} for report in (earlier, now))
    pairs += [(region, before.get(region, 0), after.get(region, 0)) for region in sorted({*before, *after}) if region]
    gone = {row.incident_id for row in earlier.incidents} - {row.incident_id for row in now.incidents}
    new = {row.incident_id for row in now.incidents} - {row.incident_id for row in earlier.incidents}
    said = [f"{name}: {_plain(old)}, now {_plain(value)}" for name, old, value in pairs if old != value]
    if gone or new:
        said.append(f"{plural(len(new), 'incident')} new, {len(gone):,} no longer there under the same id")
    return Erratum(earlier.provenance.edition, said or ["no number of this report has changed"])


def _plain(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
