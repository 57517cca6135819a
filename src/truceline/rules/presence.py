"""What must not be in a zone: forces, build-up, exercises, raids, assaults, mines.

| seen within the zone                      | concluded                                                    |
|-------------------------------------------|--------------------------------------------------------------|
| an assault, raid, build-up, exercise      | breach as likely as it was that, within the zone             |
| mines                                     | the same; when they were laid is not known                   |
| a claim that control of a place changed   | nothing, unless the clause gives such claims a weight        |
| a weapon, where the clause names weapons  | the same as for `withdrawal`                                 |
| an explosion                              | nothing: that is `cessation`                                 |

Whose forces they were stays undetermined: where the clause binds one party of several, the breach is that much less
likely.
"""

from collections.abc import Mapping

from truceline.agreement import Assumption
from truceline.rules.factors import Factor, Held, kind, weapon
from truceline.rules.subjects import incidents

WHAT = ("ground",)
WEIGHT: Mapping[str, Assumption] = {
    "ground.control": Assumption(value=0.0, source="a claim of control says nothing of how it came about"),
}
WHO = "Whose it was is undetermined."
subjects = incidents


def factors(held: Held) -> list[Factor]:
    """Kind and, where the clause names weapons, whether it is one of them."""
    return [kind(held), weapon(held)] if held.clause.weapons else [kind(held)]
