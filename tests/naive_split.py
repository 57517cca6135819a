"""Slow and obvious twins of `kernels.split`: regular expressions and the standard library."""

import csv
import io
import json
import re

#: A field, its quotes closed or running to the end of the text; possessive, so that "" is never half a pair.
_ACROSS = re.compile(rb'(?P<quoted>"(?:[^"]|"")*+)(?P<closed>"[^,\r\n]*)?|[^,\r\n]*', re.DOTALL)
_ON_ONE_LINE = re.compile(rb'(?P<quoted>"(?:[^"\r\n]|"")*+)(?P<closed>"[^,\r\n]*)?|[^,\r\n]*', re.DOTALL)


def records(text: bytes, fields: int, limit: int) -> list[tuple[bytes, str]]:
    """Each record's bytes and what is wrong with it ("" for nothing), comma and double quote."""
    found = []
    at, lines_until = 0, 0
    while at < len(text):
        if text[at : at + 1] in (b"\r", b"\n"):
            at += 1
            continue
        end, count, is_open, rough = _record(text, at, _ACROSS if at >= lines_until else _ON_ONE_LINE)
        taken = text[at:end]
        broken = re.search(rb"[\r\n]", taken)
        first_line = broken.start() if broken else len(taken)
        fault = ""
        if broken and len(taken) > limit:
            lines_until, fault = at + max(limit, first_line) + 1, "quote"
        elif broken and (is_open or rough or (fields and count != fields)):
            lines_until, fault = end, "quote"
        elif is_open:
            fault = "quote"
        elif len(taken) > limit:
            fault = "long"
        elif b"\0" in taken:
            fault = "nul"
        elif fields and count != fields:
            fault = "count"
        if broken and fault == "quote":
            taken = taken[:first_line]
        found.append((taken, fault))
        at += len(taken)
    return found


def _record(text: bytes, at: int, field: re.Pattern[bytes]) -> tuple[int, int, bool, bool]:
    """Where a record ends, how many fields it has, whether a quote is open at its end or text follows a closed one."""
    count, rough = 1, False
    while True:
        match = field.match(text, at)
        assert match is not None
        at = match.end()
        if match["quoted"] is not None and match["closed"] is None:
            return at, count, True, rough
        rough = rough or len(match["closed"] or b"") > 1
        if text[at : at + 1] != b",":
            return at, count, False, rough
        at += 1
        count += 1


def fields(record: bytes) -> list[str]:
    """The fields of one record in order."""
    return next(csv.reader(io.StringIO(record.decode(), newline="")))


def elements(text: str) -> list[str]:
    """The elements of a JSON array, each as it stands in the text."""
    decoder, at, found = json.JSONDecoder(), 1, []
    while True:
        at = re.compile(r"[\s,]*").match(text, at).end()
        if text[at] == "]":
            return found
        _, end = decoder.raw_decode(text, at)
        found.append(text[at:end])
        at = end
