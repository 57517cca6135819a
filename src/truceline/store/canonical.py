"""One text for one value: what is hashed and signed must not depend on who wrote it down."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def canonical(row: Mapping[str, Any]) -> str:
    """JSON of a row in its one canonical form.

    Keys are sorted, nothing is spaced, text is UTF-8 as it is; bytes are hexadecimal, times ISO 8601 in UTC
    with Z and with microseconds where there are any, and what is null is left out, so that a column added
    later changes no old text.

    Examples
    --------
    >>> canonical({"by": "Анна", "id": b"\\x01\\xff", "note": None})
    '{"by":"Анна","id":"01ff"}'
    """
    return json.dumps(_plain(row), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def row_leaf(row: Mapping[str, Any]) -> bytes:
    """The Merkle leaf of a row that is no source's record (a verdict, a notice, a redaction ...).

    SHA-256 of a zero byte, which keeps a leaf from passing for an inner node, and the canonical text of
    every column but `leaf` itself.
    """
    text = canonical({name: value for name, value in row.items() if name != "leaf"})
    return hashlib.sha256(b"\x00" + text.encode()).digest()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value
