"""What a person reads in a terminal: the intake, the picture, the evidence."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from truceline import yearly
from truceline.daily import Written
from truceline.intake import Ingested
from truceline.report.saying import share
from truceline.store import Edition

_MOST_REASONS = 6
_MOST_OBSERVATIONS = 12
_MOST_RAW = 300

_PEACE = (
    "near: within 10 km of the mission's line laid over the year. outside: outside the places at war then. Each year "
    "is judged by a background of the others. Seasons: all years together."
)
_BEYOND = (
    "p: mean probability, settled. beyond: share of the fires beyond what the background expects, which says little "
    "where fires are few, and far from the line, where other years' farming is all there is."
)


def _console() -> Console:
    return Console(highlight=False, soft_wrap=False)


def ingested(done: Ingested) -> None:
    """Records read = accepted + duplicates + rejected, by source; the most frequent reasons of refusal."""
    console = _console()
    table = Table(title="Records read", title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("source")
    for name in ("files", "read", "accepted", "duplicates", "rejected"):
        table.add_column(name, justify="right")
    sources: dict[str, list[int]] = {}
    unchanged = 0
    for row in done.files:
        if row.unchanged:
            unchanged += 1
            continue
        counts = sources.setdefault(row.source, [0] * 5)
        for place, value in enumerate((1, row.read, row.accepted, row.duplicates, row.rejected)):
            counts[place] += value
    total = [sum(column) for column in zip(*sources.values(), strict=True)] if sources else [0] * 5
    for source, counts in sources.items():
        table.add_row(escape(source), *(f"{n:,}" for n in counts))
    if len(sources) > 1:
        table.add_row("all", *(f"{n:,}" for n in total), style="bold")
    if sources:
        console.print(table)
    if unchanged:
        console.print(f"{unchanged} {'file' if unchanged == 1 else 'files'} unchanged since read whole: not read again")
    for source, count, reason in done.reasons[:_MOST_REASONS]:
        others = f" (and {count - 1:,} more like it)" if count > 1 else ""
        console.print(f"  rejected of {escape(source)}: {escape(reason)}{others}", style="yellow")
    if len(done.reasons) > _MOST_REASONS:
        console.print(
            f"  and {len(done.reasons) - _MOST_REASONS} more reasons: truceline export DIR --table rejections -o -"
        )
    for note in done.notes:
        console.print(f"  note: {escape(note)}", style="yellow")
    for problem in done.problems:
        console.print(f"  not read: {escape(problem)}", style="red")


def picture(folder: Path, edition: Edition, written: Written) -> None:
    """The edition, the day's main findings, where the report and the map are."""
    console = _console()
    console.print()
    console.print(edition_sentence(edition), style="bold")
    if edition.note:
        console.print(edition.note)
    console.print()
    for line in written.bullets:
        console.print(f"• {escape(line)}")
    if written.top:
        console.print("\nFindings most likely to be breaches:", style="bold")
        for finding in written.top:
            console.print(
                f"  {finding['id'][:10]}  p {share(finding['p'])}  {escape(finding['sentence'])}", soft_wrap=True
            )
        first = written.top[0]["id"][:10]
        console.print(f"\nEvidence, down to the raw record:  truceline explain {folder} {first}", soft_wrap=True)
    report(written)
    console.print(f"Map:     {folder / 'picture.gpkg'} (opens in QGIS)", soft_wrap=True)


def report(written: Written) -> None:
    """Where the report lies, and what it corrects."""
    console = _console()
    for change in written.erratum:
        console.print(f"Erratum: {escape(change)}", style="yellow")
    for path in written.paths:
        console.print(f"Report:  {path}", soft_wrap=True)


def year(written: yearly.Written) -> None:
    """What the page of a year's fires says, and where it lies."""
    console = _console()
    for line in written.bullets:
        console.print(f"• {escape(line)}")
    for path in written.paths:
        console.print(f"Report:  {path}", soft_wrap=True)


def edition_sentence(edition: Edition) -> str:
    """One line on an edition."""
    until = f", up to {edition.cutoff:%Y-%m-%d %H:%M} UTC" if edition.cutoff else ""
    return f"Edition {edition.number}{until}: {edition.journal_rows:,} observations, digest {edition.digest[:16]}"


def explanation(told: dict[str, Any]) -> None:
    """The evidence as a tree."""
    console = _console()
    root = Tree(f"[bold]{told['kind']} {told['id']}[/] (edition {told['edition']})")
    finding = told.get("finding")
    if finding:
        root.add(escape(finding["sentence"] or ""))
        _clause(root, told)
        factors = root.add("factors, multiplied:")
        for factor in finding["factors"] or []:
            value = "cannot be said" if factor["value"] is None else share(factor["value"])
            factors.add(f"{value}  {escape(factor['name'])}  [dim]{escape(factor['source'] or '')}[/]")
        if not finding["calibrated"]:
            factors.add("[yellow]uncalibrated: not yet compared with truth[/]")
    case = told.get("case")
    if case:
        text = f"case {case['case_id'][:10]}: {case['state']}"
        if case.get("verdict_by"):
            text += f" by {case['verdict_by']}, {case['verdict_at']}: {case['verdict_reason']}"
        if case.get("reopened"):
            text += " — REOPENED: the evidence has changed since it was signed"
        root.add(escape(text))
        if not finding:
            _clause(root, told)
    incident = told.get("incident")
    if incident:
        root.add(
            f"incident {incident['incident_id'][:10]}: {escape(incident['what'])},"
            f" {escape(incident['place'] or 'place unknown')},"
            f" {_clock(incident['first_at'])} to {_clock(incident['last_at'])},"
            f" {_some(incident['events'], 'event')}, {_some(incident['observations'], 'observation')}"
        )
    for row in told.get("findings", []):
        chance = "cannot be said" if row["p_breach"] is None else share(row["p_breach"])
        root.add(
            f"finding {row['finding_id'][:10]}: p {chance}, clause {escape(row['clause'])},"
            f" {escape(row['sentence'] or '')}"
        )
    for movement in filter(None, [told.get("movement"), *told.get("movements", [])]):
        root.add(f"movement {movement['event_id'][:10]}: p {share(movement['confidence'])}, {escape(movement['text'])}")
    track = told.get("track")
    if track:
        named = f" {escape(track['identity'])}" if track["identity"] else ""
        root.add(
            f"track {track['track_id'][:10]}: {escape(track['what'])}{named}, {_clock(track['first_at'])} to"
            f" {_clock(track['last_at'])}, {_some(track['observations'], 'observation')},"
            f" {(track['length_m'] or 0) / 1000:,.1f} km"
        )
    events = told.get("events", [])
    for event in events[:_MOST_OBSERVATIONS]:
        branch = root.add(
            f"event {event['event_id'][:10]}: {escape(event['what'])},"
            f" {_clock(event['at_from'])} to {_clock(event['at_until'])}, {_where(event)}"
        )
        if event["conflict"]:
            caused = branch.add("caused by the conflict?")
            for sentence in event["conflict"]:
                caused.add(escape(sentence))
        for observation in event["observations_behind"][:_MOST_OBSERVATIONS]:
            _observation(branch, observation)
        _left(branch, len(event["observations_behind"]), "observations")
    _left(root, len(events), "events")
    for observation in told.get("observations", [])[:_MOST_OBSERVATIONS]:
        _observation(root, observation)
    _left(root, len(told.get("observations", [])) + told.get("observations_left_out", 0), "observations")
    console.print(root)


def fires(checked: dict[str, Any]) -> None:
    """The checks of the fire model: peaceful years, bands of distance, seasons; and whether its limits hold."""
    console = _console()
    total = sum(checked["detections"].values())
    console.print(f"Baseline: {total:,} detections in {_some(len(checked['detections']), 'year')}")
    if checked["rejected"]:
        console.print(f"  {_some(checked['rejected'], 'record')} could not be read", style="yellow")
    console.print(_peace(checked["peace"]))
    console.print(_PEACE, style="dim")
    if checked["bands"]:
        console.print()
        console.print(_bands(checked["bands"]))
        console.print(_BEYOND, style="dim")
    else:
        console.print("No fires of the mission's own time: nothing to hold against the excess over the background")
    console.print()
    if checked["held"]:
        console.print("The limits hold in every year.", style="bold")
    for row in checked["exceeded"]:
        console.print(f"Limit exceeded: {escape(row)}", style="red")


def _peace(rows: list[dict[str, Any]]) -> Table:
    """Year by year, then season by season over all years."""
    table = _table("Detections of peaceful years called the conflict's", "", "near")
    for name in ("settled", "online", "outside", "settled", "online"):
        table.add_column(name, justify="right")
    for row in rows:
        if row["season"] == "the year":
            table.add_row(str(row["year"]), *_called([row]))
    for season in dict.fromkeys(row["season"] for row in rows):
        if season != "the year":
            table.add_row(_short(season), *_called([row for row in rows if row["season"] == season]))
    return table


def _called(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Of some rows together: how many detections, and the shares called the conflict's."""
    for where in ("near", "outside"):
        count = sum(row[f"{where}_detections"] for row in rows)
        yield f"{count:,}"
        for name in (where, f"{where}_online"):
            called = sum((row[name] or 0.0) * row[f"{where}_detections"] for row in rows)
            yield f"{100 * called / count:.1f} %" if count else "-"


def _bands(rows: list[dict[str, Any]]) -> Table:
    """Seasons down, bands of distance across."""
    table = _table("The mission's fires by distance from the line, km", "", "")
    for row in rows:
        if row["season"] == rows[0]["season"]:
            end = "" if row["to_km"] is None else f"{row['to_km']:.0f}"
            table.add_column(f"{row['from_km']:.0f}-{end}", justify="right")
    for season in dict.fromkeys(row["season"] for row in rows):
        mine = [row for row in rows if row["season"] == season]
        if not any(row["fires"] for row in mine):
            continue
        table.add_row(_short(season), "fires", *(f"{row['fires']:,.0f}" for row in mine))
        table.add_row("", "p", *(_decimals(row["mean_p"]) for row in mine))
        table.add_row("", "beyond", *(_decimals(row["excess"]) for row in mine))
    return table


def _table(title: str, *first: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in first:
        table.add_column(name, justify="right" if name else "left")
    return table


def _short(season: str) -> str:
    """ "March and April" as "Mar-Apr"."""
    words = season.split()
    return season if words[0] == "the" else f"{words[0][:3]}-{words[-1][:3]}"


def _decimals(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _clause(root: Tree, told: dict[str, Any]) -> None:
    clause = told.get("clause")
    if clause:
        root.add(f"clause {escape(clause['id'])}, {escape(clause['title'])}: {escape(clause.get('text', ''))}")


def _left(branch: Tree, count: int, what: str) -> None:
    if count > _MOST_OBSERVATIONS:
        branch.add(f"[dim]and {count - _MOST_OBSERVATIONS} more {what}: --json shows all[/]")


def _observation(branch: Tree, row: dict[str, Any]) -> None:
    at = row.get("file"), row.get("record")
    leaf = branch.add(
        f"observation {row['observation_id'][:10]}: {escape(row['source'])}, record {at[1]} of {escape(str(at[0]))}"
    )
    if row.get("raw") is None:
        leaf.add("[yellow]the record's bytes were redacted; their hash stands[/]")
    else:
        raw = row["raw"]
        leaf.add(escape(raw if len(raw) <= _MOST_RAW else raw[:_MOST_RAW] + f" ... ({len(raw):,} characters)"))
        leaf.add(f"[dim]SHA-256 {row['raw_sha256']}[/]")


def _some(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _clock(time: str | None) -> str:
    """A time of JSON to the second: nothing here is known better."""
    return "an unknown time" if time is None else f"{time[:19]}Z"


def _where(event: dict[str, Any]) -> str:
    """The position of an event with its error, or that it has none."""
    if event["lon"] is None:
        return "no position"
    return f"{event['lon']:.4f} E {event['lat']:.4f} N, 1-sigma {event['major_m']:.0f} x {event['minor_m']:.0f} m"
