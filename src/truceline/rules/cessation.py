"""No firing: explosions, bursts and shots, and fires as far as the conflict caused them.

| seen                                       | concluded                                         |
|--------------------------------------------|---------------------------------------------------|
| an explosion, burst, shot, flash, flare    | breach as likely as it was that, there and then   |
| a fire                                     | the same, times the probability that the conflict caused it |
| a fire of which nobody says who caused it  | nothing: the probability is null                  |
| an air-raid warning, a weapon at rest      | nothing: no finding                               |

Who fired stays undetermined: where something fell names nobody.
"""

from collections.abc import Mapping

from truceline.agreement import Assumption
from truceline.rules.factors import Factor, Held, cause, kind
from truceline.rules.subjects import incidents

WHAT = ("explosion", "burst", "shot", "projectile", "muzzle_flash", "flare", "fire")
WEIGHT: Mapping[str, Assumption] = {}
WHO = "Who fired is undetermined."
subjects = incidents


def factors(held: Held) -> list[Factor]:
    """Kind, and whether the conflict caused it."""
    return [kind(held), cause(held)]
