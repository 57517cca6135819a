"""Judging one event at a time, slowly and obviously: what `rules.judge` must agree with."""

from datetime import UTC, datetime
from typing import Any

from a_picture import FRAME, named
from truceline.agreement import Agreement, Clause, Exemption, Reading
from truceline.rules import FLOOR, REGISTRY
from truceline.rules.exemption import NOTIFIER_ACTED
from truceline.rules.subjects import UNSTATED
from truceline.rules.zones_at import Zones
from truceline.weapons import read

EVER, NEVER = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
FIRES = ("fire",)


def share(row: dict[str, Any], starts: datetime | None, ends: datetime | None) -> float | None:
    begin, end = row["at_from"], row["at_until"]
    if begin is None:
        return None
    low, high = starts or EVER, ends or NEVER
    if begin == end:
        return float(low <= begin < high)
    return max(0.0, (min(end, high) - max(begin, low)).total_seconds()) / (end - begin).total_seconds()


def likelihoods(row: dict[str, Any]) -> dict[str, float]:
    others = row["alternatives"] or {}
    said = row["confidence"] if row["confidence"] is not None else min(UNSTATED.value, 1 - sum(others.values()))
    return {row["what"]: said, **others}


def naive_judge(
    rows: list[dict[str, Any]], agreement: Agreement, clause: Clause
) -> dict[tuple[str, bytes], tuple[float | None, bool | None, bool | None]]:
    """p_breach, in_force and illustrative by (reading, incident id), for those that make rows."""
    rule = REGISTRY[clause.type]
    readings = {
        p.id: next((r for r in clause.reading if r.party == p.id), Reading(party=p.id)) for p in agreement.party
    }
    judged: dict[bytes, dict[str, list[tuple[Any, ...]]]] = {}
    for number, row in enumerate(rows):
        own = {party: share(row, r.effective, None) for party, r in readings.items()}
        whole = share(row, agreement.in_force_from, agreement.in_force_until)
        best = max([own[p] or 0.0 for p, r in readings.items() if not r.denies], default=0.0)
        for party, reading in readings.items():
            factors: list[float | None] = []
            terms = {k: p for k, p in likelihoods(row).items() if any(f"{k}.".startswith(f"{w}.") for w in rule.WHAT)}
            if clause.type == "presence":
                terms.pop("ground.control", None)
            mass = sum(terms.values())
            factors.append(min(mass, 1.0))
            if clause.type in ("cessation", "protected_site"):
                burning = sum(p for k, p in terms.items() if k in FIRES) / mass if mass else 0.0
                unsaid = None if burning > 0.5 else 1 - burning
                factors.append(row["p_conflict"] if row["p_conflict"] is not None else unsaid)
            if clause.type == "withdrawal" or (clause.type == "presence" and clause.weapons):
                mortar = any(k == "weapon.mortar" for k in likelihoods(row))
                factors.append(1.0 if not clause.weapons or mortar else None)
                assert not read(row.get("weapon") or "")
            if len(clause.parties) < len(agreement.party):
                theirs = len(clause.parties) / len(agreement.party)
                factors.append(clause.whose.value if clause.whose else theirs)
            if reading.denies:
                factors.append(0.0)
            illustrative = None if whole is None else whole == 0
            if whole is None:
                factors.append(None)
            elif illustrative:
                factors.append(own[party] if best > 0 else 1.0)
            else:
                later = max(agreement.in_force_from or EVER, reading.effective or EVER)
                factors.append(share(row, later, agreement.in_force_until))
            time = factors[-1]
            if reading.denies or illustrative:
                in_force: bool | None = False
            else:
                in_force = None if time is None or 0 < time < 1 else time == 1
            if clause.zone != "everywhere":
                east, north = FRAME.to_local(row["lon"], row["lat"])
                cov = FRAME.covariance(row["lon"], row["lat"], row["major_m"], row["minor_m"], row["tilt_deg"])
                drawn = Zones(agreement, None, FRAME, None, None).draw(clause.zone, None)  # type: ignore[arg-type]
                factors.append(float(drawn.index.probability_in(0, east, north, *cov)[0]))
            bare = product(factors)
            factors.append(
                1 - max((covered(row, agreement, clause, one, terms) for one in clause.exemption), default=0)
            )
            rest = product(factors)
            p = None if None in factors and rest > 0 else rest
            part = judged.setdefault(named("incident", row["incident"]), {})
            part.setdefault(party, []).append((p, rest, bare, in_force, illustrative, named("event", number)))
    out = {}
    for incident, by_party in judged.items():
        worth = any(bare >= FLOOR for part in by_party.values() for _, _, bare, *_ in part)
        if worth:
            for party, part in by_party.items():
                p, _, _, in_force, illustrative, *_ = max(part, key=rank)
                out[party, incident] = (p, in_force, illustrative)
    return out


def product(factors: list[float | None]) -> float:
    out = 1.0
    for factor in factors:
        out *= 1.0 if factor is None else factor
    return out


def covered(
    row: dict[str, Any], agreement: Agreement, clause: Clause, one: Exemption, terms: dict[str, float]
) -> float:
    """How much of the clause's act, as kinds and times go, is exempt."""
    of_kind = sum(p for k, p in terms.items() if any(f"{k}.".startswith(f"{w}.") for w in one.what))
    of_kind /= sum(terms.values()) or 1.0
    if not one.notice:
        return of_kind
    by_party = dict.fromkeys(clause.parties, 0.0)
    for notice in (one for one in agreement.notice if one.party in by_party):
        fit = of_kind * (share(row, notice.starts, notice.ends) or 0.0)
        by_party[notice.party] = max(by_party[notice.party], fit)
    if len(by_party) == 1:
        return max(by_party.values())
    best = max(by_party, key=lambda party: by_party[party])
    rest = [fit for party, fit in by_party.items() if party != best]
    return NOTIFIER_ACTED.value * by_party[best] + (1 - NOTIFIER_ACTED.value) * sum(rest) / len(rest)


def rank(event: tuple[Any, ...]) -> tuple[float, float, int]:
    """The strongest: under the agreement first; at the floor, then perhaps, then but for an exemption."""
    p, rest, bare, _, illustrative, event_id = event
    kind = 3 if p is not None and p >= FLOOR else 2 if p is None and rest >= FLOOR else 1 if bare >= FLOOR else 0
    return kind + 3 * (kind > 0 and illustrative is not True), rest if kind else bare, -int.from_bytes(event_id)
