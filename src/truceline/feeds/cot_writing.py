"""Cursor on Target, written: what a team-awareness client draws, what it is to forget, and answers to its pings.

What may be told to whom is not judged here.
"""

import math
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple

from truceline.feeds.cot import event, quoted

#: A mark on the map and a drawing: neither says friend or foe, and nothing else is ever written.
SPOT, DRAWING = "b-m-p-s-m", "u-d-f"
#: Fused by a machine.
_HOW = "m-f"

Point = tuple[float, float]


class Mark(NamedTuple):
    """One thing on a client's map. Two that are equal look the same."""

    uid: str
    lon: float
    lat: float
    ce_m: float | None  # radius that holds the place; None: of a drawing
    name: str
    words: str
    colour: int = -1  # ARGB, as a signed number: white
    outline: tuple[Point, ...] = ()  # (lon, lat) of a drawing's corners; none: a spot


def mark(one: Mark, now: datetime, stale: datetime) -> bytes:
    """A mark as an event: sent `now`, to be forgotten at `stale` unless it is sent again."""
    if one.outline:
        links = "".join(f'<link point="{lat:.6f},{lon:.6f}"/>' for lon, lat in (*one.outline, one.outline[0]))
        more = f'{links}<strokeColor value="{one.colour}"/><strokeWeight value="2.0"/><fillColor value="0"/>'
        more += '<labels_on value="true"/>'
    else:
        more = f'<color argb="{one.colour}"/><usericon iconsetpath="COT_MAPPING_SPOTMAP/{SPOT}/{one.colour}"/>'
    return event(
        one.uid, DRAWING if one.outline else SPOT, now, stale, one.lon, one.lat,
        how=_HOW, ce_m=math.nan if one.ce_m is None else one.ce_m, callsign=one.name, remarks=one.words, more=more,
    )  # fmt: skip


def forget(uid: str, now: datetime, stale: datetime) -> bytes:
    """Tells a client that what it has under `uid` is no more."""
    of = sha256(uid.encode()).hexdigest()[:16]
    more = f'<link uid="{quoted(uid)}" relation="none" type="none"/><__forcedelete/>'
    return event(f"truceline-forget-{of}", "t-x-d-d", now, stale, 0.0, 0.0, how=_HOW, ce_m=math.nan, more=more)


def pong(now: datetime, stale: datetime) -> bytes:
    """The answer to a ping (`t-x-c-t`)."""
    return event("takPong", "t-x-c-t-r", now, stale, 0.0, 0.0, how="h-g-i-g-o")


def joined(events: Sequence[bytes]) -> bytes:
    """Events as they go over a stream."""
    return b"\n".join(events) + b"\n" if events else b""
