"""The report as one HTML file that asks nothing of any network."""

import base64
import hashlib
from functools import cache
from importlib.resources import files

import jinja2
from markupsafe import Markup

from truceline.report.document import Document
from truceline.report.model import Map


def html(page: Document, figure: Map) -> str:
    """The page; text is escaped, style and drawing are inline, scripts there are none.

    The content security policy allows this one style sheet, by its hash, and nothing else: whatever a source's
    words contain, the page can neither run nor fetch anything.
    """
    style = _template("report.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            page=page,
            figure=figure,
            style=Markup(style),  # noqa: S704 - our own file
            style_hash=digest,
            drawing=Markup(figure.svg),  # noqa: S704 - drawn by svg.py, which escapes every word
        )
    )


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


@cache
def _template(name: str) -> str:
    return (files("truceline.report") / "templates" / name).read_text("utf-8")
