"""Sentences of AIS read plainly, with split and int: what the kernel's answers are held against."""

import re

from an_ais import checksum

WRONG = "wrong"


def whole(text: str, otherwise: int) -> int | None:
    """The whole number of a text of digits; None when it is none."""
    if not text:
        return otherwise
    return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else None


def sentence(line: str) -> dict[str, object] | str:
    """What a line holds, or `WRONG`; only what stands before a sentence and in its tag block, not behind it."""
    found = re.search(r"[\\!$]", line)
    if found is None:
        return WRONG
    rest, out = line[found.start() :], {"time": None, "station": None, "group": None}
    if rest[0] == "\\":
        block, closed, rest = rest[1:].partition("\\")
        codes, star, digits = block.partition("*")
        if not closed or not star or digits[:2].upper() != checksum(codes):
            return WRONG
        for code in codes.split(","):
            name, _, value = code.partition(":")
            if name == "c" and value:
                if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]*)?|[0-9]{13}", value):
                    return WRONG
                micros = value.ljust(16, "0") if len(value) == 13 and "." not in value else None
                seconds, _, fraction = value.partition(".")
                out["time"] = int(micros) if micros else int(seconds) * 10**6 + int(fraction.ljust(6, "0")[:6])
            if name == "s" and value:
                out["station"] = value
            if name == "g" and len(value.split("-")) >= 3:
                number, total, name = value.split("-", 2)
                out["group"] = tuple(whole(part, 0) if part else None for part in (number, total, name))
    body, star, digits = rest.partition("*")
    if not re.match(r"!..VD[MO],", body) or not star or digits[:2].upper() != checksum(body[1:]):
        return WRONG
    fields = body.split(",")
    if len(fields) != 7:
        return WRONG
    total, number, fill = whole(fields[1], -1), whole(fields[2], -1), whole(fields[6], 0)
    sequence = whole(fields[3], -1)
    if total is None or number is None or fill is None or sequence is None:
        return WRONG
    if not (1 <= total <= 9 and 1 <= number <= total and 0 <= fill <= 5):
        return WRONG
    if not re.fullmatch(r"[0-W`-w]+", fields[5]):
        return WRONG
    return out | {
        "total": total,
        "number": number,
        "sequence": sequence,
        "channel": fields[4][:1],
        "payload": fields[5],
        "fill": fill,
        "own": fields[0][-1] == "O",
    }
