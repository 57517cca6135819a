"""The page of a year's fires, drawn from the newest edition."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from truceline.baseline import learn
from truceline.daily import newest
from truceline.intake import JOURNAL, Progress, silent
from truceline.mission import Mission
from truceline.pipeline import BOOK, REPORTS, gazetteer
from truceline.report import year as reporting
from truceline.report.model import Provenance
from truceline.store import Book, Journal


class Written(msgspec.Struct):
    """A page that was written."""

    year: int
    edition: int
    paths: list[str]
    bullets: list[str]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return dict(msgspec.to_builtins(self))


def report(folder: Path, year: int, *, progress: Progress = silent) -> Written:
    """Write the page of a year's fires: `reports/years/YEAR-edition-N/`.

    The same edition gives the same bytes; a later edition writes beside it.

    Raises
    ------
    NotFoundError, MissionError
        When there is no edition yet, or the mission's files are not those it was made of.
    TrucelineError
        When the edition holds no fire of that year.
    """
    mission = Mission.load(folder)
    with Journal(folder / JOURNAL) as journal, Book(folder / BOOK) as book:
        edition, file_hashes = newest(folder, mission, journal, book)
        tables = {name: book.table(name) for name in ("events", "line")}
    season, learned = None, ""
    if mission.baseline is not None:
        background, of = learn(folder, mission.baseline, mission.frame(), progress)
        learned = of.sentence().removeprefix("fires: ")
        if background is not None:
            season = np.asarray(background.rate[:, background.covered].sum(axis=1)).tolist()
    progress("drawing the year", 0, None)
    made = reporting.build(
        mission,
        year,
        tables,
        Provenance(
            edition=edition.number,
            digest=edition.digest,
            journal_head=edition.journal_head,
            code_version=edition.code_version,
            agreement_sha256=file_hashes["agreement"],
        ),
        gazetteer(folder, mission),
        season=season,
        learned=learned,
    )
    paths = reporting.write(made, folder / REPORTS / "years" / f"{year}-edition-{edition.number}")
    return Written(year, edition.number, [str(path) for path in paths], reporting.document(made).sections[0].bullets)
