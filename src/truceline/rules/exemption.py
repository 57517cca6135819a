"""The last factor of a probability of breach: that no exemption and no party's notice covers the act."""

import numpy as np

from truceline.agreement import Assumption, Clause, Exemption
from truceline.rules.factors import Factor, Held, seconds, share_of_interval
from truceline.rules.subjects import Floats, Ints, matching

#: That the party whose notice fits an act's kind, place and time is the one that acted. For the exemption alone: it
#: attributes nothing.
NOTIFIER_ACTED = Assumption(
    value=0.95, source="whose notice fits an act's kind, place and time most probably did it", confidence="low"
)

#: The factor of `exemption`.
NOT_EXEMPT = "not exempt"
#: An exemption that covers less of an act is not named: the tail of an error ellipse at the far end of the zone.
_NAMED = 0.05


def exemption(held: Held, rows: Ints) -> tuple[Factor, list[str], Ints] | None:
    """How likely no exemption covers the rows; None where the clause has none.

    An act is exempt as far as its kind, place and time are those of an exemption. Where that needs a party's
    notice, it exempts that party's acts alone, and where the clause binds others too, one of them may have acted:
    `NOTIFIER_ACTED`.

    Returns
    -------
    The factor, the exemptions and notices in words, and for each row which of them covers most (-1: none does,
    or too little to be named).
    """
    if not held.clause.exemption:
        return None
    covered, best = np.zeros(len(rows)), np.full(len(rows), -1, np.int64)
    texts: list[str] = []
    by_notice: list[int] = []  # 0: no notice needed, 1: of the only party bound, 2: of one of several
    for one in held.clause.exemption:
        shares = _shares(held, rows, one)
        if not shares:
            continue
        total = _whoever_acted(held.clause, shares)
        fits = np.stack([share for *_, share in shares])
        best = np.where(total > covered, len(texts) + np.argmax(fits, axis=0), best)
        covered = np.fmax(covered, total)
        texts += [text for _, text, _ in shares]
        by_notice += [(1 + (len(set(held.clause.parties)) > 1)) if party else 0 for party, *_ in shares]
    factor = Factor(
        NOT_EXEMPT,
        1.0 - np.clip(covered, 0.0, 1.0),
        (
            "no exemption or notice covers it",
            "kind, place and time of the exemption",
            "kind, place and time of the notice",
            f"kind, place and time of the notice; {NOTIFIER_ACTED.value:g}, assumption: {NOTIFIER_ACTED.source}",
        ),
        ("medium", "medium", "medium", NOTIFIER_ACTED.confidence),
        np.where(best < 0, 0, 1 + np.array([*by_notice, 0])[best]),
    )
    return factor, texts, np.where(covered >= _NAMED, best, -1)


def _shares(held: Held, rows: Ints, one: Exemption) -> list[tuple[str, str, Floats]]:
    """Who is exempt ("": everybody), by what in words, and how much of each row it covers; a list of every notice."""
    if not one.notice:
        return [("", one.text, _covered(held, rows, [one.what], [one.zone], -np.inf, np.inf))]
    names = {party.id: party.name for party in held.agreement.party}
    out = []
    for notice in held.agreement.notice:
        if notice.clause == held.clause.id and notice.party in held.clause.parties:
            starts, ends = seconds(notice.starts, -np.inf), seconds(notice.ends, np.inf)
            share = _covered(held, rows, [one.what, notice.what], [one.zone, notice.zone], starts, ends)
            out.append((notice.party, f"notice of {names[notice.party]} ({notice.text or one.text})", share))
    return out


def _whoever_acted(clause: Clause, shares: list[tuple[str, str, Floats]]) -> Floats:
    """How much of each row is covered, over the parties that may have acted.

    That whose notice fits best, by `NOTIFIER_ACTED`; else any other that the clause binds, each as likely.
    """
    by_party: dict[str, Floats] = {}
    for party, _, share in shares:
        by_party[party] = np.fmax(by_party.get(party, 0.0), share)
    ordered = np.sort([by_party[party] for party in sorted(by_party)], axis=0)
    best, others = ordered[-1], len(set(clause.parties)) - 1
    if "" in by_party or not others:
        return np.asarray(best)
    return np.asarray(NOTIFIER_ACTED.value * best + (1 - NOTIFIER_ACTED.value) * ordered[:-1].sum(axis=0) / others)


def _covered(
    held: Held, rows: Ints, what: list[list[str]], zones: list[str | None], starts_s: float, ends_s: float
) -> Floats:
    """Share of kind, place and time of the clause's act that lies within an exemption."""
    weights = held.weights
    for terms in what:
        if terms:
            weights = {term: weights[term] for term in matching(list(weights), tuple(terms))}
    whole = held.kind_mass[rows]
    share = held.picture.kinds.mass(weights)[rows] / np.where(whole > 0, whole, np.nan)
    share = np.nan_to_num(share, nan=0.0)
    if np.isfinite(starts_s) or np.isfinite(ends_s):
        share = share * np.nan_to_num(share_of_interval(held.subjects, starts_s, ends_s)[rows])
    named = tuple(zone for zone in zones if zone is not None)
    if named and share.any():
        both, _ = held.inside((*named, held.terms.zone), rows)
        whole, _ = held.inside((held.terms.zone,), rows)
        # an exemption that cannot be placed exempts nothing: the doubt is shown by the text, not taken as cover
        share = share * np.nan_to_num(np.clip(both / np.where(whole > 0, whole, np.nan), 0.0, 1.0))
    return share
