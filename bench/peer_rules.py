"""The peer's judgement: incidents and duties against every clause in every party's reading, with pandas."""

from datetime import UTC, tzinfo
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from bench.peer_factors import Factor, Held, Picture, Terms, share, stamp
from bench.peer_said import kinds, leads, sentences
from bench.peer_zones import Zones

from truceline.agreement import Agreement, Clause
from truceline.observation import RELEASES
from truceline.rules import REGISTRY
from truceline.rules.holding import _HEAVY_MM, FLOOR, SEVERITIES
from truceline.weapons import read

YES, NO, UNSAID = 1, 0, -1


class Holding(NamedTuple):
    """What came of a clause in one reading: a table of its findings, their factors, and which rows those are."""

    table: pd.DataFrame
    factors: list[Factor]
    row: np.ndarray
    texts: list[str]
    best: np.ndarray


def judge(
    events: pd.DataFrame,
    incidents: pd.DataFrame,
    agreement: Agreement,
    zones: Zones,
    until: float,
    zone: tzinfo = UTC,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Findings, and their factors: one row a factor, as a database would have them."""
    picture = Picture(events, incidents)
    zones.known.clear()  # of other rows
    names = {party.id: party.name for party in agreement.party}
    place = incidents.set_index("incident_id")["place"].loc[picture.incidents["incident_id"]].to_numpy()[picture.of]
    lead = leads(picture.begin, picture.end, zone, place)
    out, parts = [], []
    total = 0
    for clause in agreement.clause:
        rule = REGISTRY[clause.type]
        readings = {party.id: Terms(clause, party.id, rule.WHAT) for party in agreement.party}
        held = {terms.key: Held(agreement, clause, rule, terms, picture, zones, until) for terms in readings.values()}
        tables = hold(agreement, clause, held)
        said: dict[Any, tuple[Any, ...]] = {}  # what parties that read alike share
        for party in agreement.party:
            key = readings[party.id].key
            one, own = tables[key], held[key]
            if key not in said:
                if own.duty:
                    words = leads(own.begin, own.end, zone, None, [names[bearer] for bearer in own.parties])
                    said[key] = None, words[one.row], None
                else:
                    said[key] = (
                        kinds(picture, own.weights, one.row),
                        lead[one.row],
                        zones.nearest_site(own.terms.zone, picture.events, one.row),
                    )
            table = one.table.assign(clause=clause.id, reading=party.id, rule=clause.type)
            words = sentences(clause, party.name, rule.WHO, own.terms, one, *said[key])
            table["sentence"] = np.array(words, object)
            table["finding_id"] = ids(clause.id, party.id, table["subject_id"])
            out.append(table)
            parts += [(factor, k, total) for k, factor in enumerate(one.factors)]
            total += len(table)
    findings = pd.concat([table for table in out if len(table)], ignore_index=True)
    return findings, factor_table(parts, findings["finding_id"])


def ids(clause: str, party: str, subjects: pd.Series) -> list[bytes]:
    """The first 16 bytes of SHA-256 over "finding", clause, reading, subject, each with its length before it."""
    begun = sha256(b"".join(len(x.encode()).to_bytes(2, "big") + x.encode() for x in ("finding", clause, party)))
    begun.update((16).to_bytes(2, "big"))
    out = []
    for subject in subjects:
        whole = begun.copy()
        whole.update(subject)
        out.append(whole.digest()[:16])
    return out


def factor_table(parts: list[tuple[Factor, int, int]], findings: pd.Series) -> pd.DataFrame:
    """Of factors of a run of findings each, with their place in the product and the first finding's number."""
    codes: dict[str, dict[str, int]] = {"name": {}, "source": {}, "confidence": {}}
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("of", "at", "value", *codes)}
    for factor, k, first in parts:
        n = len(factor.value)
        choice = np.zeros(n, int) if factor.choice is None else factor.choice
        columns["of"].append(np.arange(first, first + n))
        columns["at"].append(np.full(n, k, np.int8))
        columns["value"].append(factor.value.astype(np.float32))
        for name, words in (("name", (factor.name,)), ("source", factor.sources), ("confidence", factor.confidence)):
            known = codes[name]
            numbers = np.array([known.setdefault(word, len(known)) for word in words])
            columns[name].append(numbers[choice] if len(words) > 1 else np.full(n, numbers[0]))
    table = pd.DataFrame({name: np.concatenate(arrays) for name, arrays in columns.items()})
    for name, known in codes.items():
        table[name] = pd.Categorical.from_codes(table[name], list(known))
    table = table.sort_values(["of", "at"], ignore_index=True)
    table["finding_id"] = findings.to_numpy()[table.pop("of")]
    return table


def product(values: list[np.ndarray], n: int) -> tuple[np.ndarray, np.ndarray]:
    rest, unknown = np.ones(n), np.zeros(n, bool)
    for value in values:
        missing = np.isnan(value)
        rest = rest * np.where(missing, 1.0, value)
        unknown |= missing
    return np.where(unknown & (rest > 0), np.nan, rest), rest


def in_time(agreement: Agreement, held: dict[Any, Held]) -> dict[Any, tuple[Factor, np.ndarray, np.ndarray]]:
    """By reading: the share of each row's time that counts, whether the clause was in force, and the agreement not."""
    starts, ends = stamp(agreement.in_force_from, -np.inf), stamp(agreement.in_force_until, np.inf)
    own = {key: share(one.begin, one.end, one.terms.starts, one.terms.ends) for key, one in held.items()}
    best = np.max([np.nan_to_num(own[key]) * (not one.terms.denies) for key, one in held.items()], axis=0)
    out = {}
    for key, one in held.items():
        n = len(one.begin)
        whole = np.zeros(n) if agreement.illustrative else share(one.begin, one.end, starts, ends)
        whole = np.where(np.isnan(own[key]) & (not agreement.illustrative), np.nan, whole)
        both = share(one.begin, one.end, max(starts, one.terms.starts), min(ends, one.terms.ends))
        as_if = np.where(best > 0, own[key], np.where(np.isnan(own[key]), np.nan, 1.0))
        value = np.where(whole == 0, as_if, both)
        told = np.where(value >= 1, YES, np.where(value == 0, NO, UNSAID))
        factor = Factor(
            "within its time",
            value,
            ("share of the event's interval in force", "held as if in force: the agreement was not"),
            ("medium", "low"),
            (whole == 0).astype(int),
            ("", "nothing says when it was"),
            np.isnan(value).astype(int),
        )
        illustrative = np.where(np.isnan(whole), UNSAID, np.where(whole == 0, YES, NO))
        out[key] = factor, np.where((whole == 0) | one.terms.denies, NO, told), illustrative
    return out


def hold(agreement: Agreement, clause: Clause, held: dict[Any, Held]) -> dict[Any, Holding]:
    """The findings of a clause by reading: the strongest event of every incident that makes rows."""
    force = in_time(agreement, held)
    worth = []
    for key, one in held.items():
        rest = product([factor.value for factor in one.cheap], len(one.begin))[1]
        rest = rest * np.nan_to_num(force[key][0].value, nan=1.0)
        hit = np.bincount(one.of, (rest >= FLOOR) | one.duty) > 0
        worth.append(np.flatnonzero(hit[one.of]))
    rows = np.unique(np.concatenate(worth))
    some = next(iter(held.values()))
    of = some.of[rows]
    worked, tops = {}, []
    for key, one in held.items():
        time, in_force, illustrative = force[key]
        parts = [factor.take(rows) for factor in (*one.cheap, time)]
        if not one.duty and not one.zones.everywhere(one.terms.zone):
            parts.append(one.place(rows))
        bare = product([part.value for part in parts], len(rows))[1]
        exempt = None if one.duty else one.exempt(rows)
        texts, best = exempt[1:] if exempt is not None else ([], np.full(len(rows), -1))
        if exempt is not None:
            parts.append(exempt[0])
        p, rest = product([part.value for part in parts], len(rows))
        ranks = [3 + np.nan_to_num(p), 2 + rest / 2, 1 + rest]
        rank = np.select([np.nan_to_num(p) >= FLOOR, np.isnan(p) & (rest >= FLOOR), bare >= FLOOR], ranks, bare / 2)
        rank = np.where((rank >= 1) & (illustrative[rows] != YES), rank + 4, rank)
        table = pd.DataFrame(
            {"p_breach": p, "rank": rank, "in_force": in_force[rows], "illustrative": illustrative[rows]}
        )
        worked[key] = Holding(table, parts, rows, texts, best)
        tops.append(table["rank"].groupby(of).max())
    keep = (np.max(tops, axis=0) >= 1) | some.duty if len(rows) else np.empty(0, bool)
    return {key: strongest(held[key], worked[key], of, keep) for key in held}


def strongest(held: Held, one: Holding, of: np.ndarray, keep: np.ndarray) -> Holding:
    """Of each subject kept, the first row of the highest rank, and when the first breach was."""
    table, rows = one.table, one.row
    if not len(rows):
        return one._replace(table=table.assign(subject_id=pd.Series(dtype=object)))
    top = table["rank"].groupby(of).transform("max")
    at = np.flatnonzero(table["rank"] == top)
    at = at[np.unique(of[at], return_index=True)[1]][keep]
    row, subject = rows[at], of[at]
    least = np.where(top >= 5, 5.0, 1.0)
    least = np.where(top >= least + 1, least + 1, least)
    counts = (table["rank"] >= least).to_numpy()
    begin = pd.Series(np.where(counts, held.begin[rows], np.nan)).groupby(of).min().to_numpy()[keep]
    end = pd.Series(np.where(counts, held.end[rows], np.nan)).groupby(of).min().to_numpy()[keep]
    begin, end = np.where(np.isnan(begin), held.begin[row], begin), np.where(np.isnan(end), held.end[row], end)
    starts = max(held.terms.starts, stamp(held.agreement.in_force_from, -np.inf))
    out = table.iloc[at].drop(columns="rank").reset_index(drop=True)
    partly = out["in_force"].to_numpy() == UNSAID
    out["breach_from"], out["breach_until"] = np.where(partly, np.clip(begin, starts, end), begin), end
    best = one.best[at]
    out["exemption"] = np.array([*one.texts, None], object)[best]
    out["calibrated"], out["coverage"], out["attribution"] = False, "not assessed", "undetermined"
    if held.duty:
        out["subject_id"], out["attribution"] = [held.ids[i] for i in subject], [held.parties[i] for i in subject]
        out["severity"], out["subject_kind"], out["release"] = held.clause.severity, "duty", "mission"
    else:
        incidents = held.picture.incidents
        out["subject_id"], out["subject_kind"] = incidents["incident_id"].to_numpy()[subject], "incident"
        release = incidents["release"].to_numpy()[subject]
        out["release"] = np.where(np.isin(release, RELEASES), release, RELEASES[-1])
        out["severity"] = severity(held, subject, row)
    return Holding(out, [factor.take(at) for factor in one.factors], row, one.texts, best)


def severity(held: Held, subject: np.ndarray, row: np.ndarray) -> np.ndarray:
    words = held.picture.events["weapon"].iloc[row]
    heavy = {
        w: any(one.kind in ("mlrs", "missile") or (one.calibre_mm or 0) >= _HEAVY_MM for one in read(w))
        for w in words.dropna().unique()
    }
    killed, injured = (held.picture.incidents[c].to_numpy(np.float64)[subject] for c in ("killed", "injured"))
    level = np.full(len(subject), SEVERITIES.index(held.clause.severity))
    serious = (injured > 0) | (words.map(heavy) == True).to_numpy(bool)  # noqa: E712 null is no
    if held.clause.type == "protected_site":
        air = {name: 1.0 for name in held.picture.terms if name.startswith(("uav", "aircraft"))}
        serious |= held.picture.mass(air)[row] < 0.5
    level = np.where(serious, np.maximum(level, 1), level)
    return np.array(SEVERITIES, object)[np.where(killed > 0, 2, level)]
