"""What the types of Cursor on Target say: kind of record and term of the taxonomy.

    a-f-G-U-C      an atom: affiliation, dimension (A air, G ground, S sea, U below it, P space), then MIL-STD-2525
    b-...          bits: alarms, detections, map points, chat
    t-, u-, ...    tasks, drawings, replies

A type's letters are what its sender says. The affiliation (friend, hostile, ...) is nobody's finding: it stays in
`cot_type` and nowhere else.
"""

import re
from collections.abc import Mapping
from typing import Final, TypeVar

T = TypeVar("T")

#: Terms by what follows the affiliation; the longest that fits counts.
ATOMS: Final = {
    "A": "air",
    "A-C": "aircraft",
    "A-M": "aircraft",
    **dict.fromkeys(("A-C-F", "A-M-F"), "aircraft.fixed_wing"),
    **dict.fromkeys(("A-C-H", "A-M-H"), "aircraft.rotary"),
    **dict.fromkeys(("A-C-L", "A-M-L"), "aircraft.balloon"),
    **dict.fromkeys(("A-C-F-q", "A-C-H-q", "A-M-F-Q", "A-M-H-Q"), "uav"),
    "A-W": "projectile",
    "G": "ground",
    "G-E-V": "ground.vehicle",
    "G-E-V-A": "weapon.armour",
    "G-E-V-A-T": "weapon.tank",
    "G-E-V-U-R": "vessel",
    "G-E-W": "weapon",
    **dict.fromkeys(("G-E-W-D", "G-E-W-G", "G-E-W-H"), "weapon.artillery"),
    "G-E-W-M": "weapon.missile",
    "G-E-W-O": "weapon.mortar",
    "G-E-W-X": "weapon.mlrs",
    "G-E-X-M": "ground.mine",
    "G-I": "report",
    "S": "vessel",
    **dict.fromkeys(("S-C", "S-G", "S-N", "S-S"), "vessel.military"),
    "S-N-M": "vessel.medical",
    "S-X-F": "vessel.fishing",
    "S-X-H": "vessel.high_speed",
    "S-X-L": "vessel.law_enforcement",
    "S-X-M-C": "vessel.cargo",
    "S-X-M-F": "vessel.passenger",
    "S-X-M-O": "vessel.tanker",
    "S-X-M-P": "vessel.passenger",
    "S-X-M-T": "vessel.tug",
    "S-X-R": "vessel.pleasure",
    "U": "vessel",
    "U-N-D": "report",
    "U-W": "projectile",
    "U-W-M": "ground.mine",
}

#: Of everything else, kind and term; the longest that fits counts. What is planned, drawn or configured is `status`:
#: it tells of nothing that was seen.
OTHERS: Final = {
    "b-a": ("alert", "report"),
    "b-l": ("alert", "report"),
    "b-l-f": ("alert", "fire"),
    "b-d": ("sighting", "report"),
    "b-d-i": ("sighting", "explosion.impact"),
    "b-d-l": ("sighting", "explosion.outgoing"),
    "b-d-l-b": ("sighting", "shot"),
    "b-i": ("sighting", "report"),
    "b-m-p-s-m": ("sighting", "report"),
    "b-r": ("sighting", "report"),
    "b-t-f": ("sighting", "report"),
    # receipts of chat: delivered, read
    "b-t-f-d": ("status", "report"),
    "b-t-f-r": ("status", "report"),
}

_STATUS = ("status", "report")


def meaning(kind: str, how: str | None) -> tuple[str, str]:
    """Kind and term of an event by its type and by how its place was found.

    An atom is a `fix` where a machine placed it, a `sighting` where a person did, and `status` where it is simulated
    or a building, which does not move.
    """
    atom = re.fullmatch(r"a-[^-]*-(.+)", kind)
    if atom is None:
        return _longest(kind, OTHERS) or _STATUS
    term = _longest(atom[1], ATOMS) or "report"
    if term == "report" or _is(how, "m-s"):
        return "status", term
    return ("sighting" if _is(how, "h") else "fix"), term


def _is(how: str | None, prefix: str) -> bool:
    return how is not None and (how == prefix or how.startswith(prefix + "-"))


def _longest(kind: str, table: Mapping[str, T]) -> T | None:
    while kind:
        if kind in table:
            return table[kind]
        kind = kind.rpartition("-")[0]
    return None
