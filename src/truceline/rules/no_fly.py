"""No flying: unmanned and crewed aircraft within a zone, or anywhere.

| seen within the zone               | concluded                                            |
|------------------------------------|------------------------------------------------------|
| an unmanned or crewed aircraft     | breach as likely as it was that, within the zone     |
| one that an exemption speaks of    | the same, times how likely no exemption covers it    |
| an air-raid warning                | nothing: a warning is no flight                      |
| an explosion                       | nothing: that is `cessation`                         |

Whose it was stays undetermined: where the clause binds one party of several, the breach is that much less likely.
"""

from collections.abc import Mapping

from truceline.agreement import Assumption
from truceline.rules.factors import Factor, Held, kind
from truceline.rules.subjects import incidents

WHAT = ("uav", "aircraft")
WEIGHT: Mapping[str, Assumption] = {}
WHO = "Whose it was is undetermined."
subjects = incidents


def factors(held: Held) -> list[Factor]:
    """Kind alone."""
    return [kind(held)]
