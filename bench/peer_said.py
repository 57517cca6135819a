"""The peer's sentences: what a finding says to a person; each distinct part is worded once and joined row by row."""

from datetime import UTC, datetime, tzinfo

import numpy as np
import pandas as pd

from truceline.rules.sentences import noun

SPOKEN = np.array([*(f"{i / 100:.2f}" for i in range(101)), "<0.01", ">0.99", "unknown"], object)


def spoken(p: np.ndarray) -> list[str]:
    """Two decimals; what is not certain is never rounded to 0 or 1."""
    code = np.rint(np.nan_to_num(p) * 100).astype(int)
    code = np.select([np.isnan(p), (p > 0) & (p < 0.005), (p < 1) & (p >= 0.995)], [103, 101, 102], code)
    return SPOKEN[code].tolist()


def interval(begin: float, end: float, zone: tzinfo) -> str:
    """Whole minutes of two instants as people say them."""
    city = "UTC" if zone is UTC else getattr(zone, "key", "").rpartition("/")[2].replace("_", " ")
    mark = " UTC" if city == "UTC" else f" {city} time" if city else ""
    first, last = (datetime.fromtimestamp(s, UTC).astimezone(zone).replace(tzinfo=None) for s in (begin, end))
    day, end_day = (f"{one.day} {one:%B} {one.year}" for one in (first, last))
    minutes = (last - first).total_seconds() / 60
    if (first.hour, first.minute) == (0, 0) and minutes in (1440, 1439):
        return f"on {day}"
    if minutes == 0:
        return f"at {first:%H:%M}{mark} on {day}"
    if first.date() == last.date():
        return f"between {first:%H:%M} and {last:%H:%M}{mark} on {day}"
    return f"between {first:%H:%M} on {first.day} {first:%B} and {last:%H:%M}{mark} on {end_day}"


def when(begin: np.ndarray, end: np.ndarray, zone: tzinfo) -> np.ndarray:
    first, last = (np.floor(time / 60) * 60 for time in (begin, end))
    pairs, which = np.unique(np.nan_to_num(np.column_stack([first, last]), nan=-1.0), axis=0, return_inverse=True)
    texts = ["at an unknown time" if a == -1 else interval(a, b, zone) for a, b in pairs.tolist()]
    return np.array(texts, object)[which.ravel()]


def leads(begin, end, zone: tzinfo, place: np.ndarray | None, bearers: list[str] | None = None) -> np.ndarray:
    """Where and when of every row; of a duty, whose it is and when it is due."""
    time = when(begin, end, zone)
    if bearers is not None:
        due = np.where(np.isnan(begin), "", " due " + time)
        return np.array([f"the duty of {name}" for name in bearers], object) + due
    places = pd.Series(place).fillna("at an undetermined place").to_numpy(object)
    return places + " " + time


def kinds(picture, weights: dict[str, float], rows: np.ndarray) -> np.ndarray:
    """What an event was; where the clause speaks of another of its kinds, "a fire, perhaps a burst,"."""
    own, other = picture.events["what"].to_numpy(object)[rows], picture.likeliest(weights, rows)
    nouns = {what: noun(what) for what in picture.terms}
    words = {
        (a, b): nouns[a] if b is None or nouns[a] == nouns[b] else f"{nouns[a]}, perhaps {nouns[b]},"
        for a, b in set(zip(own.tolist(), other.tolist(), strict=True))
    }
    return np.array([words[pair] for pair in zip(own.tolist(), other.tolist(), strict=True)], object)


def sentences(clause, party: str, who: str, terms, one, kind, lead, site) -> list[str]:
    """A sentence for every finding of a clause in a party's reading."""
    table, n = one.table, len(one.table)
    if not n:
        return []
    p = table["p_breach"].to_numpy(float)
    known = ~np.isnan(p)
    # text columns of pandas are slow to walk: all that is joined here is a list
    columns = [[f"Clause {clause.id} ({clause.title}), as {party} reads it: "] * n]
    if kind is not None:
        columns += [kind.tolist(), [" "] * n]
    columns += [lead.tolist(), [", probability of breach "] * n, spoken(p), [" (uncalibrated): "] * n]
    for i, factor in enumerate(one.factors):
        columns += [[f"{', ' if i else ''}{factor.name} "] * n, spoken(factor.value)]
    columns.append(ending(party, who, terms, one, site))
    out = list(map("".join, zip(*columns, strict=True)))
    reasons = unknown(one.factors, n) if not known.all() else ()
    for i in np.flatnonzero(~known):  # few, or none
        head = columns[0][i] + ("" if kind is None else kind[i] + " ") + lead[i]
        out[i] = f"{head}, no probability of breach can be given: {reasons[i]}{columns[-1][i]}"
    return out


def ending(party: str, who: str, terms, one, site) -> list[str]:
    """What follows the factors: exemption, force, the nearest site, attribution."""
    table = one.table
    rather = np.any([f.value < 0.5 for f in one.factors if f.name == "not exempt"], axis=0)
    covers = [f"{may}xempt: {text}. " for may in ("May be e", "E") for text in one.texts]
    which = np.where(one.best < 0, len(covers), one.best + len(one.texts) * rather)
    in_force, whole = table["in_force"].to_numpy(), table["illustrative"].to_numpy()
    unsure = (in_force == -1) & table["p_breach"].notna().to_numpy()
    force = np.select([whole == 1, in_force == 0, unsure], [1, 2, 3], 0)
    endings = [
        "",
        "Illustrative: the agreement was not in force. ",
        f"{party} holds that the clause binds nobody. "
        if terms.denies
        else f"Not in force then, as {party} reads it. ",
        "Whether the clause was in force then cannot be said. ",
    ]
    if terms.denies:
        endings[1] = endings[2] + endings[1]
    exempt, told = np.array([*covers, ""], object)[which], np.array(endings, object)[force]
    sites = np.full(len(table), "", object) if site is None else "Nearest site: " + site + ". "
    tails, code = {}, []
    for parts in zip(exempt.tolist(), told.tolist(), sites.tolist(), strict=True):
        if parts not in tails:
            tails[parts] = (". " + "".join(parts) + who).rstrip()
        code.append(tails[parts])
    return code


def unknown(factors, n: int) -> np.ndarray:
    """Of each row, why its first factor that cannot be said cannot."""
    out = np.full(n, "", object)
    for factor in reversed(factors):
        missing = np.isnan(factor.value)
        if missing.any():
            why = np.ones(n, int) if factor.why is None else factor.why
            out = np.where(missing, np.array(factor.reasons, object)[why], out)
    return out
