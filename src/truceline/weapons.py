"""Weapons as monitors name them: class, name and calibre read from a few words.

Classes are those of the violations table and of the withdrawal lists ("mortar 82", "122 mm artillery",
"MLRS BM-21 Grad"). Names are the public ones of agreements and monitors' reports; a name fixes its calibre.
"""

import re
from functools import lru_cache
from typing import NamedTuple


class Weapon(NamedTuple):
    """One weapon read from words; `name` is empty where only the class was given."""

    kind: str
    name: str
    calibre_mm: float | None


#: Class -> words that mean it. First match wins, so that "anti-tank" is not a tank.
_CLASSES = {
    "mlrs": r"mlrs|multiple[- ]launch|rocket system|rszo",
    "anti_tank": r"anti-?tank|atgm",
    "anti_aircraft": r"anti-?aircraft|surface-to-air|sam\b",
    "mortar": r"mortar",
    "artillery": r"artillery|howitzer|\bgun\b",
    "tank": r"\btanks?\b",
    "missile": r"missile|ballistic",
    "armour": r"\bbmp|\bbtr|armou?red|\bifv\b|\bapc\b",
    "grenade_launcher": r"grenade|\bagl\b|\brpg\b",
    "machine_gun": r"\bhmg\b|machine[- ]?gun",
    "small_arms": r"small[- ]arms|rifle|sniper",
}

#: Name -> class and calibre in millimetres (None: a missile).
_NAMES: dict[str, tuple[str, float | None]] = {
    "grad": ("mlrs", 122),
    "bm-21": ("mlrs", 122),
    "tornado-g": ("mlrs", 122),
    "uragan": ("mlrs", 220),
    "smerch": ("mlrs", 300),
    "tornado-s": ("mlrs", 300),
    "tochka": ("missile", None),
    "d-30": ("artillery", 122),
    "gvozdika": ("artillery", 122),
    "2s1": ("artillery", 122),
    "akatsiya": ("artillery", 152),
    "2s3": ("artillery", 152),
    "msta": ("artillery", 152),
    "d-20": ("artillery", 152),
    "mt-12": ("anti_tank", 100),
    "spg-9": ("grenade_launcher", 73),
    "zu-23": ("anti_aircraft", 23),
    "bmp-1": ("armour", 73),
    "bmp-2": ("armour", 30),
    "t-64": ("tank", 125),
    "t-72": ("tank", 125),
    "t-80": ("tank", 125),
}

#: Everything a clause may name in `weapons`.
KNOWN = frozenset({*_CLASSES, *_NAMES})

_CALIBRE = re.compile(r"(?<![\w.-])(\d{2,3}(?:\.\d+)?)\s*-?\s*(?:mm\b|(?![\w.-]))")


def read(words: str) -> list[Weapon]:
    """The weapons named in `words`, in order; parts are parted by commas, semicolons, slashes or "and".

    Words that name no weapon ("undetermined") give none; a calibre without a class is of the class before it
    ("mortar 82/120"), or of kind "".

    >>> read("mortar 120")
    [Weapon(kind='mortar', name='', calibre_mm=120.0)]
    >>> read("MLRS Uragan; undetermined")
    [Weapon(kind='mlrs', name='uragan', calibre_mm=220.0)]
    """
    return list(_read(words))


@lru_cache(4096)  # few words are said again and again, and a picture is drawn anew each second
def _read(words: str) -> tuple[Weapon, ...]:
    found: list[Weapon] = []
    for part in re.split(r"[,;/|]|\band\b", words.lower()):
        name = next((name for name in _NAMES if re.search(rf"\b{re.escape(name)}(?![\w])", part)), "")
        stated = _CALIBRE.search(part.replace(name, "") if name else part)
        calibre = float(stated[1]) if stated else None
        if name:
            kind, own = _NAMES[name]
            found.append(Weapon(kind, name, calibre or own))
            continue
        kind = next((kind for kind, pattern in _CLASSES.items() if re.search(pattern, part)), "")
        if kind or calibre is not None:
            found.append(Weapon(kind or (found[-1].kind if found else ""), "", calibre))
    return tuple(found)
