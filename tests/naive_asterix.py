"""Slow and obvious twins of the kernels that cut captures and ASTERIX: one at a time, in plain Python."""

from asterix import generated
from asterix.base import Bits, ParsingMode

EDITIONS = {category: of[-1] for category, of in generated.manifest["CATS"].items()}


def records(category: int, content: bytes) -> tuple[list[bytes], bool]:
    """The records of a block's content as libasterix parses them, and whether it comes to the end.

    A record without any item is where we stop and libasterix goes on.
    """
    found, rest = [], Bits.from_bytes(content)
    while len(rest):
        try:
            parsed = EDITIONS[category].cv_uap.cv_record._parse(ParsingMode.StrictParsing, rest)
        except TypeError:  # it falls over an FSPEC that goes on behind the last item of its category
            return found, False
        if isinstance(parsed, ValueError):
            return found, False
        record, rest = parsed
        if not record.items_regular and not any(record.items_rfs):
            return found, False
        found.append(record.unparse().to_bytes())
    return found, True


def blocks(stream: bytes, known: set[int]) -> list[tuple[bytes, bool]]:
    """The blocks of a whole stream, and between them, marked False, the bytes that are none."""

    def end(at: int) -> int | None:
        if at + 3 > len(stream) or stream[at] not in known:
            return None
        length = int.from_bytes(stream[at + 1 : at + 3], "big")
        return at + length if length > 3 else None

    def believed(at: int, then: int) -> bool:
        return then == len(stream) or end(then) is not None or records(stream[at], stream[at + 3 : then])[1]

    found, at = [], 0
    while at < len(stream):
        behind = end(at)
        good = behind is not None and behind <= len(stream)
        if not good:
            behind = at + 1
            while behind < len(stream):
                then = end(behind)
                if then is not None and then <= len(stream) and believed(behind, then):
                    break
                behind += 1
        found.append((stream[at:behind], good))
        at = behind
    return found


def bits(item: bytes, bit: int, size: int, signed: bool) -> int | None:
    """Some bits of an item as a number; None where it is too short."""
    if (bit + size + 7) // 8 > len(item):
        return None
    text = "".join(f"{byte:08b}" for byte in item)[bit : bit + size]
    value = int(text, 2)
    return value - 2**size if signed and text[0] == "1" else value
