"""The report as PDF, by Typst: the same document as the HTML, on A4, with tags for screen readers."""

import tempfile
from importlib.resources import files
from pathlib import Path

import msgspec

from truceline.errors import TrucelineError
from truceline.report.document import Document
from truceline.report.model import Report


def pdf(page: Document, report: Report) -> bytes:
    """PDF bytes, the same for the same report: no clock, no fonts of the machine.

    Raises
    ------
    TrucelineError
        Without the extra `pdf`.
    """
    try:
        import typst
    except ImportError as error:
        raise TrucelineError("a PDF needs the extra 'pdf': pip install 'truceline[pdf]'") from error
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "document.json").write_bytes(msgspec.json.encode({"page": page, "caption": report.map.caption}))
        (root / "map.svg").write_text(report.map.svg, "utf-8")
        (root / "report.typ").write_text(
            (files("truceline.report") / "templates" / "report.typ").read_text("utf-8"), "utf-8"
        )
        made: bytes = typst.compile(
            str(root / "report.typ"),
            root=str(root),
            ignore_system_fonts=True,
            timestamp=int(report.ends.timestamp()),
            # For archives and for screen readers. Asked of Typst; not checked by a validator of our own.
            pdf_standards=["a-2a", "ua-1"],
        )
    return made
