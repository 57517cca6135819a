"""Weapons of a class or calibre that must be behind a line: a gun seen within the band is a breach.

| seen within the band                        | concluded                                                     |
|---------------------------------------------|---------------------------------------------------------------|
| a weapon of the class and calibre           | breach as likely as its ellipse lies within the band          |
| of the class, calibre not stated            | the same, times how usual such a calibre is (assumption)      |
| of another class, or below the calibre      | nothing: no finding                                           |
| a weapon of no stated class                 | null: it cannot be said                                       |
| an explosion there, whatever fired it       | nothing: a round's place is not the gun's                     |

Whose weapon it is stays undetermined, whichever side it stands on.
"""

from collections.abc import Mapping

from truceline.agreement import Assumption
from truceline.rules.factors import Factor, Held, kind, weapon
from truceline.rules.subjects import incidents

WHAT = ("weapon",)
WEIGHT: Mapping[str, Assumption] = {}
WHO = "Whose it was is undetermined."
subjects = incidents


def factors(held: Held) -> list[Factor]:
    """Kind, and whether the weapon is of the classes and calibres spoken of."""
    return [kind(held), weapon(held)]
