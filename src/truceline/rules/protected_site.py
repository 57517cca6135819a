"""A site or zone that must not be struck, fired from or flown into: plants, ports, hospitals.

| seen at the site                   | concluded                                                           |
|------------------------------------|---------------------------------------------------------------------|
| an explosion, burst or shot        | breach as likely as its ellipse lies within the circle              |
| a fire                             | the same, times the probability that the conflict caused it         |
| an unmanned or crewed aircraft     | breach as likely as it was that, within the circle                  |
| a weapon or forces at rest         | nothing: that is `withdrawal` or `presence`                         |

An outgoing round within the circle counts too ("no attack from or against"); who fired stays undetermined.
"""

from collections.abc import Mapping

from truceline.agreement import Assumption
from truceline.rules.factors import Factor, Held, cause, kind
from truceline.rules.subjects import incidents

WHAT = ("explosion", "burst", "shot", "projectile", "muzzle_flash", "fire", "uav", "aircraft")
WEIGHT: Mapping[str, Assumption] = {}
WHO = "Who did it is undetermined."
subjects = incidents


def factors(held: Held) -> list[Factor]:
    """Kind, and whether the conflict caused it."""
    return [kind(held), cause(held)]
