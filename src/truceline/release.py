"""Who may see what: the one place that decides, for every channel. What is not allowed is denied.

A *label* says how far a row may go; a *principal* is whoever asks. The role says what one may do (`serve.access`), the
label what one may see.
"""

from datetime import datetime, timedelta

import msgspec

from truceline.observation import RELEASES

#: What nobody but the mission sees, whatever its label: tracks are of parties' units and of monitors, and the rest
#: leads back to precise places and to people.
MISSION_ONLY = frozenset(
    {
        *("observations", "duplicates", "rejections", "associations", "tracks", "track_points", "movements"),
        *("lineage", "cases"),
    }
)

#: Labels below which nothing is told as it is: a day late, coarse, and of findings what was released alone.
COARSE = ("public", "parties")

#: What the agreement and the mission's line files say has no label of its own. The parties signed it and stand on it;
#: the public is told by those who publish it.
GROUND = {"zones": "parties", "sites": "parties", "line": "parties"}

#: How long what happened is kept back from parties and public, at least; assumption: by then it guides no fire.
DELAY_H = 24


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
    return principal.label in RELEASES and sees(label_of(principal), label)


def _rank(label: str | None) -> int:
    return RELEASES.index(label) if label in RELEASES else len(RELEASES) - 1


def label_of(principal: Principal) -> str:
    """How far the principal sees: its label, and for whoever speaks for a party never more than "parties"."""
    label = principal.label if principal.label in RELEASES else "public"
    if principal.party is not None and _rank(label) > _rank("parties"):
        return "parties"
    return label


def sees(label: str, rows: str | None) -> bool:
    """Whether who sees `label` sees rows labelled `rows`; a missing or unknown one is "mission"."""
    return label in RELEASES and _rank(rows) <= _rank(label)


def horizon(now: datetime) -> datetime:
    """Up to when parties and public are told: `DELAY_H` ago, on the hour, so that the moment tells nothing either."""
    return now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=DELAY_H)
