"""Who may see what: the one place that decides, for every channel. What is not allowed is denied.

A *label* says how far a row may go; a *principal* is whoever asks. The role says what one may do (`serve.access`), the
label what one may see.
"""

import msgspec

from truceline.observation import RELEASES

#: What nobody but the mission sees, whatever its label: tracks are of parties' units and of monitors, and the rest
#: leads back to precise places and to people.
MISSION_ONLY = frozenset(
    {"observations", "duplicates", "rejections", "associations", "tracks", "track_points", "movements", "lineage"}
)


class Principal(msgspec.Struct, frozen=True):
    """Whoever asks: a person, a device, a party, the public."""

    name: str
    role: str = "viewer"  # serve.access.ROLES
    label: str = "public"  # the narrowest label it may see, of observation.RELEASES
    party: str | None = None  # speaks for this party of the agreement
    scopes: frozenset[str] | None = None  # of a token: privileges it is held to; None: all of its role
    via: str = "anonymous"  # session, token, certificate, anonymous


#: Somebody who has not said who they are.
ANYBODY = Principal("anybody")


def visible(label: str | None, principal: Principal) -> bool:
    """Whether a row of that label is the principal's to see; a label that is missing or unknown is "mission"."""
    return _rank(label) <= RELEASES.index(principal.label) if principal.label in RELEASES else False


def _rank(label: str | None) -> int:
    return RELEASES.index(label) if label in RELEASES else len(RELEASES) - 1
