"""One verb a command; the only module, beside the service, that reads the clock, arguments and terminal.

Everything heavy is imported inside the command that needs it, so that `--help` answers at once.
"""

import os
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.exceptions import CycloptsError

from truceline import __version__, accounts_cli, serving_cli, startup
from truceline.command import DONE, FOUND, PARTLY, WRONG, Json, Mission, builtins, examples, now, out
from truceline.errors import TrucelineError
from truceline.progress import progress

if TYPE_CHECKING:
    from truceline.intake import Ingested

EXIT_CODES = """Exit codes: 0 done; 1 --check, fires, rebuild or verify found something; 2 the command or a file is
wrong, nothing was done; 3 done in part (a source could not be read; the rest was)."""

app = App(
    name="truceline",
    version=__version__,
    help="Keeps the picture of a ceasefire line: what was seen, what it means, what could not be seen.",
    help_epilogue=EXIT_CODES,
    help_format="markdown",
    suppress_keyboard_interrupt=False,  # `main` says what an interruption leaves behind
)
app.command(accounts_cli.app)

Table = Literal[
    "observations",
    "duplicates",
    "rejections",
    "associations",
    "tracks",
    "track_points",
    "movements",
    "events",
    "incidents",
    "findings",
    "cases",
    "lineage",
    "line",
    "zones",
]


@app.command(
    help_epilogue=examples("truceline init my-mission", "truceline init my-mission --agreement line-and-sites")
)
def init(
    folder: Mission,
    /,
    *,
    agreement: Annotated[str, Parameter(help="Which of the shipped agreements to begin with.")] = "measures-2020-07-22",
) -> int:
    """Make a new mission: a commented mission.toml, an agreement, and the folders its sources are put in."""
    from truceline import examples as shipped

    for path in shipped.new_mission(folder, agreement):
        print(path)
    print(f"\nPut your files where {folder / 'mission.toml'} says, then: truceline run {folder}")
    return DONE


@app.command(help_epilogue=examples("truceline ingest my-mission", "truceline ingest my-mission --source viirs --json"))
def ingest(
    folder: Mission,
    /,
    *,
    source: Annotated[list[str] | None, Parameter(help="Only these sources of the mission.", negative="")] = None,
    as_json: Json = False,
) -> int:
    """Read the mission's sources into its journal: every record is accepted, a duplicate, or rejected and why."""
    from truceline import intake

    with progress() as tell:
        done = intake.ingest(folder, now(), sources=source, progress=tell)
    show_ingested(done, as_json)
    return PARTLY if done.problems else DONE


@app.command(help_epilogue=examples("truceline run my-mission", "truceline run my-mission --day 2023-10-05 --check"))
def run(
    folder: Mission,
    /,
    *,
    day: Annotated[date | None, Parameter(help="Report this day; else the last with an event.")] = None,
    pdf: Annotated[bool, Parameter(negative="", help="Write the report as PDF too (extra `pdf`).")] = False,
    check: Annotated[bool, Parameter(negative="", help="Exit 1 when that day has a likely breach.")] = False,
    as_json: Json = False,
) -> int:
    """Ingest, fuse, judge, settle and report: files in, a judged picture and a daily report out."""
    from truceline import desk, terminal

    with progress() as tell:
        ingested, edition, written = desk.run(folder, now(), day=day, formats=formats(pdf), progress=tell)
    if as_json:
        out({"ingested": ingested.to_dict(), "edition": builtins(edition), "report": written.to_dict()})
    else:
        show_ingested(ingested, as_json=False)
        terminal.picture(folder, edition, written)
    if ingested.problems:
        return PARTLY
    return FOUND if check and written.likely else DONE


@app.command(
    help_epilogue=examples("truceline settle my-mission", "truceline settle my-mission --until 2023-10-06T00:00Z")
)
def settle(
    folder: Mission,
    /,
    *,
    until: Annotated[
        datetime | None, Parameter(help="Only what happened before this time (UTC unless it says).")
    ] = None,
    as_json: Json = False,
) -> int:
    """Make a numbered edition of the picture from the journal; the same inputs always give the same digest."""
    from truceline import pipeline, terminal

    with progress() as tell:
        edition = pipeline.settle(folder, now(), until=aware(until), progress=tell)
    out(builtins(edition)) if as_json else print(terminal.edition_sentence(edition))
    return DONE


@app.command(
    help_epilogue=examples("truceline report my-mission --day 2023-10-05", "truceline report my-mission --year 2023")
)
def report(
    folder: Mission,
    /,
    *,
    day: Annotated[date | None, Parameter(help="The day; else the last with an event.")] = None,
    year: Annotated[int | None, Parameter(help="Instead of a day: the map and calendar of a year's fires.")] = None,
    pdf: Annotated[bool, Parameter(negative="", help="Write it as PDF too (extra `pdf`).")] = False,
    as_json: Json = False,
) -> int:
    """Write the daily report of the newest edition: HTML, CSV, GeoJSON, JSON; or the page of a year's fires."""
    from truceline import daily, terminal, yearly

    if year is not None:
        if day is not None or pdf:
            raise TrucelineError("--year writes a page of its own: give it without --day and --pdf")
        with progress() as tell:
            page = yearly.report(folder, year, progress=tell)
        out(page.to_dict()) if as_json else terminal.year(page)
        return DONE
    with progress() as tell:
        written = daily.report(folder, now(), day=day, formats=formats(pdf), progress=tell)
    out(written.to_dict()) if as_json else terminal.report(written)
    return DONE


@app.command(
    help_epilogue=examples("truceline explain my-mission 3f2a9c01d4", "truceline explain my-mission 3f2a9c01d4 --json")
)
def explain(
    folder: Mission,
    identifier: Annotated[
        str, Parameter(help="Id of a finding, case, incident, event or observation; its first digits.")
    ],
    /,
    *,
    as_json: Json = False,
) -> int:
    """Show the evidence: finding, incident, events, observations, the bytes of each record and their hash."""
    from truceline import explain as explaining
    from truceline import terminal

    told = explaining.explain(folder, identifier)
    out(told) if as_json else terminal.explanation(told)
    return DONE


@app.command(
    help_epilogue=examples(
        'truceline verdict mine 3f2a9c01 verified --by A.Officer --reason "seen twice"',
        "truceline verdict mine 3f2a9c01 exempt --by B.Head --reason drill --key b.pem",
    )
)
def verdict(
    folder: Mission,
    identifier: Annotated[str, Parameter(help="Id of a finding or a case; its first digits.")],
    decision: Annotated[
        Literal["verified", "not verified", "insufficient", "exempt"], Parameter(help="What you sign.")
    ],
    /,
    *,
    reason: Annotated[str, Parameter(help="Why, in words; it stands in the journal for good.")],
    by: Annotated[str, Parameter(help="Who signs.")],
    key: Annotated[Path | None, Parameter(help="The signer's private key; made on first use, in keys/.")] = None,
    as_json: Json = False,
) -> int:
    """Sign a verdict on the case of a finding; the picture's cases follow it, also when evidence is fused anew."""
    from truceline import desk

    signed = desk.verdict(folder, identifier, decision, reason=reason, by=by, at=now(), key=key)
    out(signed) if as_json else print(signed["sentence"])
    return DONE


@app.command(
    help_epilogue=examples(
        "truceline export my-mission --table findings --format csv -o findings.csv",
        "truceline export my-mission --table incidents --format geojson -o - | head",
    )
)
def export(
    folder: Mission,
    /,
    *,
    table: Annotated[Table, Parameter(help="Which table; docs/tables.md describes their columns.")],
    format: Annotated[Literal["csv", "parquet", "geojson", "arrow"], Parameter(help="How to write it.")] = "csv",
    output: Annotated[
        Path, Parameter(name=["--output", "-o"], allow_leading_hyphen=True, help="The file; - is standard output.")
    ],
    edition: Annotated[int | None, Parameter(help="Of which edition; else the newest.")] = None,
) -> int:
    """Write one table of the picture or of the journal to a file."""
    from truceline import desk

    rows = desk.export(folder, table, format, output, edition)
    print(f"{rows:,} rows of {table} in {output}", file=sys.stderr)
    return DONE


@app.command(help_epilogue=examples("truceline fires my-mission", "truceline fires my-mission --json"))
def fires(folder: Mission, /, *, as_json: Json = False) -> int:
    """Check the model of conflict fires where no truth is needed: peaceful years, and excess over the background.

    Each year of the mission's `[baseline]` is judged by a background of the others, with the mission's line laid over
    it; the mission's own fires are held against what burns without a conflict. Exit 1 when a limit is exceeded.
    """
    from truceline import desk, terminal

    with progress() as tell:
        checked = desk.fires(folder, progress=tell)
    out(checked) if as_json else terminal.fires(checked)
    return DONE if checked["held"] else FOUND


@app.command(
    help_epilogue=examples(
        "truceline score tracks track_points.csv --truth truth.csv",
        "truceline score tracks p.parquet --truth truth.csv --plot score.svg",
    )
)
def score(
    what: Annotated[Literal["tracks"], Parameter(help="What is scored.")],
    file: Annotated[Path, Parameter(help="Points of tracks: track_id, at, lon, lat; CSV, Parquet or Arrow.")],
    /,
    *,
    truth: Annotated[Path, Parameter(help="Where objects were: object, at, lon, lat; the same forms.")],
    cutoff_m: Annotated[float, Parameter(help="Farther off, a track follows no object.")] = 1000.0,
    order: Annotated[float, Parameter(help="Of GOSPA and OSPA: 1 for distances, 2 for their squares.")] = 2.0,
    step_s: Annotated[float | None, Parameter(help="Seconds between instants; else the truth's own step.")] = None,
    truth_gap_s: Annotated[float | None, Parameter(help="In longer gaps of truth nothing is known.")] = None,
    gap_s: Annotated[float | None, Parameter(help="In longer gaps of a track it says nothing.")] = None,
    plot: Annotated[Path | None, Parameter(help="Draw it: .svg, .html, or .png (extra `pdf`).")] = None,
    as_json: Json = False,
) -> int:
    """Score tracks against the truth: GOSPA, OSPA, completeness, switches, errors; docs/score.md has the formulas."""
    from truceline import score as scoring
    from truceline.score import files, saying
    from truceline.score import plot as plotting

    compared, step = scoring.compare(
        files.read(file, "track_id"),
        files.read(truth, "object"),
        cutoff_m,
        order,
        step_s,
        truth_gap_s=float("inf") if truth_gap_s is None else truth_gap_s,
        gap_s=float("inf") if gap_s is None else gap_s,
    )
    found = scoring.summed(compared, cutoff_m, order, step)
    out(builtins(found)) if as_json else print(saying.told(found))
    if plot is not None:
        plotting.write(plot, compared, found, f"Score of {what}")
        print(f"drawn in {plot}", file=sys.stderr)
    return DONE


@app.command(help_epilogue=examples("truceline rebuild my-mission", "truceline rebuild my-mission --json"))
def rebuild(folder: Mission, /, *, as_json: Json = False) -> int:
    """Throw the book away and make it again from the journal; says whether the digests agree."""
    from truceline import pipeline

    with progress() as tell:
        rebuilt = pipeline.rebuild(folder, progress=tell)
    out(rebuilt) if as_json else print("\n".join(rebuilt["sentences"]))
    return FOUND if rebuilt["differ"] else DONE


@app.command(help_epilogue=examples("truceline verify my-mission", "truceline verify my-mission --json"))
def verify(folder: Mission, /, *, as_json: Json = False) -> int:
    """Check the journal's chain of hashes and the signatures of its verdicts; exit 1 when something does not hold."""
    from truceline import desk

    checked = desk.verify(folder)
    out(checked) if as_json else print("\n".join(checked["sentences"]))
    return FOUND if checked["problems"] else DONE


app.command(
    help_epilogue=examples(
        "truceline serve my-mission", "truceline serve my-mission --host 0.0.0.0 --tls-cert c.pem --tls-key k.pem"
    )
)(serving_cli.serve)


@app.command(help_epilogue=examples("truceline demo", "truceline demo /tmp/two-days --no-replay"))
def demo(
    folder: Annotated[Path, Parameter(help="Where to put the example mission.")] = Path("demo"),
    /,
    *,
    replay: Annotated[bool | None, Parameter(help="Then replay it live; else only at a terminal.")] = None,
    speed: Annotated[float, Parameter(help="How many times as fast as it happened.")] = 720.0,
    port: serving_cli.Port = 0,
) -> int:
    """Run the example mission that ships with Truceline: two invented days on an invented line.

    At a terminal its two days then come in again, live and fast, and the page shows them.
    """
    from truceline import examples as shipped

    if not speed > 0:
        raise TrucelineError(f"--speed {speed:g}: time goes forwards")
    shipped.copy_example(folder)
    code = run(folder)
    if replay if replay is not None else serving_cli.watched():
        return serving_cli.replay(folder, speed, port)
    return code


def formats(pdf: bool) -> tuple[str, ...]:
    """What a report is written as."""
    return ("html", "csv", "geojson", "json", *(["pdf"] if pdf else []))


def aware(time: datetime | None) -> datetime | None:
    """A time without a zone is UTC."""
    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


def show_ingested(done: "Ingested", as_json: bool) -> None:
    """What was read, and what of it was refused and why."""
    from truceline import terminal

    out(done.to_dict()) if as_json else terminal.ingested(done)


def main(arguments: list[str] | None = None) -> None:
    """Run a command line; a user's mistake is a sentence and exit code 2, never a traceback."""
    if arguments is None:  # a process of our own, not a caller's
        startup.prepare()
    try:
        code = app(arguments, exit_on_error=False, print_error=True, result_action="return_value")
    except CycloptsError:
        code = WRONG
    except TrucelineError as error:
        print(f"truceline: {error}", file=sys.stderr)
        code = WRONG
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = DONE
    except KeyboardInterrupt:
        print(
            "\ntruceline: stopped; what was acknowledged is in the journal, run the same command again", file=sys.stderr
        )
        code = 130
    sys.exit(code if isinstance(code, int) else DONE)


if __name__ == "__main__":
    main()
