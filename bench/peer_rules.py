"""The peer's judgement: incidents and duties against every clause in every party's reading, with pandas."""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd
from bench.peer_place import Zones

from truceline.agreement import Agreement, Clause, in_force
from truceline.observation import term
from truceline.rules import REGISTRY, exemption, factors
from truceline.rules.holding import _HEAVY_MM, FLOOR, SEVERITIES
from truceline.rules.sentences import noun
from truceline.rules.subjects import UNSTATED
from truceline.weapons import Weapon, read

NOTIFIER_ACTED = exemption.NOTIFIER_ACTED.value
YES, NO, UNSAID = 1, 0, -1


class Picture:
    """Events in the order of incident and event ids, and their likelihoods, one entry for every (row, term)."""

    def __init__(self, events: pd.DataFrame, incidents: pd.DataFrame) -> None:
        order = np.lexsort((events["event_id"].to_numpy(), events["incident_id"].to_numpy()))
        self.events = events.iloc[order].reset_index(drop=True)
        self.of = pd.factorize(self.events["incident_id"])[0]
        ids = self.events["incident_id"].drop_duplicates()
        self.incidents = incidents.set_index("incident_id").loc[ids].reset_index()
        at = self.events["at"].to_numpy()
        begin, end = (self.events[c].to_numpy() for c in ("from", "until"))
        self.begin = np.where(np.isnan(begin), at, begin)
        self.end = np.maximum(self.begin, np.where(np.isnan(end), np.where(np.isnan(at), self.begin, at), end))
        self.events["when"] = np.where(np.isnan(at), (self.begin + self.end) / 2, at)
        lists = [row if isinstance(row, list) else [] for row in self.events["alternatives"]]
        row = np.repeat(np.arange(len(lists)), [len(one) for one in lists])
        word = np.array([k for one in lists for k, _ in one], object)
        p = np.array([v for one in lists for _, v in one], np.float32).astype(float)
        n = len(lists)
        confidence = self.events["confidence"].to_numpy(np.float64)
        rest = np.bincount(row, p, n)
        first = np.where(np.isnan(confidence), np.minimum(UNSTATED.value, np.maximum(1 - rest, 0)), confidence)
        self.row = np.concatenate([np.arange(n), row])
        self.code, self.terms = pd.factorize(np.concatenate([self.events["what"].to_numpy(object), word]))
        p = np.concatenate([first, p])
        self.p = p / np.maximum(np.bincount(self.row, p, n), 1.0)[self.row]

    def mass(self, weight: dict[str, float]) -> np.ndarray:
        by_code = np.array([weight.get(name, 0.0) for name in self.terms])
        return np.minimum(np.bincount(self.row, self.p * by_code[self.code], len(self.events)), 1.0)


class Terms:
    """A clause as a party reads it."""

    def __init__(self, clause: Clause, party: str, default: tuple[str, ...]) -> None:
        starts, ends = in_force(clause, party)
        reading = next((r for r in clause.reading if r.party == party), None)
        self.what = tuple(reading.what) if reading and reading.what is not None else tuple(clause.what) or default
        self.zone = reading.zone if reading and reading.zone else clause.zone
        self.denies = reading is not None and reading.denies
        self.starts, self.ends = stamp(starts, -np.inf), stamp(ends, np.inf)
        self.key = (self.what, self.zone, self.denies, self.starts, self.ends)


def stamp(time: datetime | None, otherwise: float) -> float:
    return otherwise if time is None else time.timestamp()


def share(begin, end, starts: float, ends: float) -> np.ndarray:
    """The share of intervals within [starts, ends)."""
    length = end - begin
    overlap = np.clip(np.minimum(end, ends) - np.maximum(begin, starts), 0, None)
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where(length > 0, overlap / length, ((begin >= starts) & (begin < ends)).astype(float))
    return np.where(np.isnan(begin), np.nan, np.clip(part, 0, 1))


def product(values: list[np.ndarray], n: int) -> tuple[np.ndarray, np.ndarray]:
    rest, unknown = np.ones(n), np.zeros(n, bool)
    for value in values:
        missing = np.isnan(value)
        rest = rest * np.where(missing, 1.0, value)
        unknown |= missing
    return np.where(unknown & (rest > 0), np.nan, rest), rest


def matching(names, what: tuple[str, ...]) -> list[str]:
    return [name for name in names if any((name + ".").startswith(wanted + ".") for wanted in what)]


def longest(weights: dict[str, float], what: str) -> float:
    while what not in weights and "." in what:
        what = what.rpartition(".")[0]
    return weights.get(what, 1.0)


def judge(
    events: pd.DataFrame, incidents: pd.DataFrame, agreement: Agreement, zones: Zones, until: float
) -> pd.DataFrame:
    picture = Picture(events, incidents)
    out = []
    for clause in agreement.clause:
        rule = REGISTRY[clause.type]
        readings = {party.id: Terms(clause, party.id, rule.WHAT) for party in agreement.party}
        held = {terms.key: Held(agreement, clause, rule, terms, picture, zones, until) for terms in readings.values()}
        tables = hold(agreement, clause, held)
        for party in agreement.party:
            table = tables[readings[party.id].key].copy()
            table["clause"], table["reading"], table["rule"] = clause.id, party.id, clause.type
            said(table, clause, party.name, rule.WHO)
            out.append(table)
    findings = pd.concat([table for table in out if len(table)], ignore_index=True)
    findings["finding_id"] = [
        sha256(f"{c}\0{r}\0".encode() + s).digest()[:16]
        for c, r, s in zip(findings["clause"], findings["reading"], findings["subject_id"], strict=True)
    ]
    return findings


class Held:
    """A clause in one reading: its cheap factors for all rows."""

    def __init__(
        self, agreement, clause: Clause, rule: Any, terms: Terms, picture: Picture, zones, until: float
    ) -> None:
        self.agreement, self.clause, self.terms, self.picture, self.zones = agreement, clause, terms, picture, zones
        stated = {name: a.value for name, a in {**rule.WEIGHT, **clause.weight}.items()}
        self.weights = {name: longest(stated, name) for name in matching(picture.terms, terms.what)}
        self.kind = picture.mass(self.weights)
        self.duty = clause.type == "duty"
        if self.duty:
            self._duties(until)
            return
        self.begin, self.end, self.of = picture.begin, picture.end, picture.of
        self.cheap = {"kind": self.kind}
        if clause.type in ("cessation", "protected_site"):
            self.cheap["caused by the conflict"] = self._cause()
        if clause.type == "withdrawal" or (clause.type == "presence" and clause.weapons):
            self.cheap["weapon"] = self._weapon()
        if terms.denies:
            self.cheap["binds anybody"] = np.zeros(len(self.kind))

    def _cause(self) -> np.ndarray:
        stated = self.picture.events["p_conflict"].to_numpy(np.float64)
        fires = {name: w for name, w in self.weights.items() if term(name).family == "fire"}
        burning = self.picture.mass(fires) / np.where(self.kind > 0, self.kind, np.inf)
        return np.where(np.isnan(stated), np.where(burning > 0.5, np.nan, 1 - burning), stated)

    def _weapon(self) -> np.ndarray:
        clause, events = self.clause, self.picture.events
        if not (clause.weapons or clause.min_calibre_mm or clause.below_calibre_mm):
            return np.ones(len(events))
        words = events["weapon"].dropna().unique()
        by_words = events["weapon"].map({w: weapon_share(clause, read(w)) for w in words}).to_numpy(np.float64)
        whats = {w for w in events["what"].unique() if w in self.weights and term(w).family == "weapon"}
        by_words = np.where(events["what"].isin(whats), by_words, np.nan)
        right = {
            name: 1.0
            if term(name).family != "weapon"
            else weapon_share(clause, [Weapon(name.partition(".")[2], "", None)])
            for name in self.weights
        }
        known = {name: w for name, w in self.weights.items() if not np.isnan(right[name])}
        told = self.picture.mass(known)
        part = self.picture.mass({name: w * right[name] for name, w in known.items()})
        return np.where(np.isnan(by_words), part / np.where(told > 0, told, np.nan), by_words)

    def _duties(self, until: float) -> None:
        clause, parties = self.clause, sorted(self.clause.parties)
        due, done, late = [], [], []
        for party in parties:
            at = clause.due.get(party) or clause.due.get("")
            when = stamp(at, np.nan)
            if at is None and clause.due_within_h is not None and np.isfinite(self.terms.starts):
                when = self.terms.starts + clause.due_within_h * 3600
            told = [n.starts.timestamp() for n in self.agreement.notice if (n.clause, n.party) == (clause.id, party)]
            strength = 0.0
            if not np.isnan(when):
                rows = np.flatnonzero(self.kind > 0)
                said_ = self.picture.events["description"].iloc[rows].fillna("").str.lower()
                rows = rows[~said_.str.contains("denied|delayed|refused").to_numpy(bool)]
                place = np.nan_to_num(self.zones.inside((self.terms.zone,), self.picture.events, rows))
                time = np.nan_to_num(share(self.picture.begin, self.picture.end, -np.inf, when))[rows]
                strength = max((self.kind[rows] * place * time).max(initial=0.0), any(t <= when for t in told))
            due.append(when)
            done.append(float(strength))
            late.append(any(when < t <= until for t in told))
        due_s, done_p, late_ = np.array(due), np.array(done), np.array(late)
        spoken = bool(self.weights) or any(n.clause == clause.id for n in self.agreement.notice)
        unknown = np.isnan(due_s) | (due_s >= until) | (not spoken)
        shown = (done_p > 0) | late_
        self.begin = self.end = due_s
        self.of = np.arange(len(parties))
        self.cheap = {
            "not done in time": np.where(unknown, np.nan, 1 - done_p),
            "would have been known": np.where(shown, 1.0, 0.9),
        }
        self.ids = [
            sha256(
                b"".join(len(x.encode()).to_bytes(2, "big") + x.encode() for x in ("duty", clause.id, party))
            ).digest()[:16]
            for party in parties
        ]

    def exempt(self, rows: np.ndarray) -> np.ndarray | None:
        """1 less the share of rows that exemptions cover; None without exemptions."""
        if not self.clause.exemption:
            return None
        covered = np.zeros(len(rows))
        for one in self.clause.exemption:
            by_party: dict[str, np.ndarray] = {}
            if not one.notice:
                by_party[""] = self._covered(rows, [one.what], [one.zone], -np.inf, np.inf)
            for notice in self.agreement.notice if one.notice else []:
                if notice.clause == self.clause.id and notice.party in self.clause.parties:
                    span = stamp(notice.starts, -np.inf), stamp(notice.ends, np.inf)
                    part = self._covered(rows, [one.what, notice.what], [one.zone, notice.zone], *span)
                    by_party[notice.party] = np.fmax(by_party.get(notice.party, 0.0), part)
            if by_party:
                ranked = np.sort(list(by_party.values()), axis=0)
                others = len(set(self.clause.parties)) - 1
                total = ranked[-1]
                if "" not in by_party and others:
                    total = NOTIFIER_ACTED * total + (1 - NOTIFIER_ACTED) * ranked[:-1].sum(axis=0) / others
                covered = np.fmax(covered, total)
        return 1 - np.clip(covered, 0, 1)

    def _covered(self, rows, what, zones, starts, ends) -> np.ndarray:
        weights = self.weights
        for names in what:
            if names:
                weights = {name: weights[name] for name in matching(weights, tuple(names))}
        whole = self.kind[rows]
        part = np.nan_to_num(self.picture.mass(weights)[rows] / np.where(whole > 0, whole, np.nan))
        if np.isfinite(starts) or np.isfinite(ends):
            part = part * np.nan_to_num(share(self.begin, self.end, starts, ends)[rows])
        named = tuple(zone for zone in zones if zone is not None)
        if named and part.any():
            both = self.zones.inside((*named, self.terms.zone), self.picture.events, rows)
            one = self.zones.inside((self.terms.zone,), self.picture.events, rows)
            part = part * np.nan_to_num(np.clip(both / np.where(one > 0, one, np.nan), 0, 1))
        return part


def weapon_share(clause: Clause, weapons: list[Weapon]) -> float:
    """How likely one of `weapons` is what the clause speaks of; NaN: not said."""
    by_class: dict[str, list[float]] = {}
    for one in weapons:
        by_class.setdefault(one.kind, []).append(one_share(clause, one))
    shares = [float(np.mean(some)) for some in by_class.values()]
    known = [p for p in shares if not np.isnan(p)]
    return max(known) if any(p > 0 for p in known) or (known and len(known) == len(shares)) else np.nan


def one_share(clause: Clause, one: Weapon) -> float:
    low, high, named = clause.min_calibre_mm or 0.0, clause.below_calibre_mm or np.inf, set(clause.weapons)
    if named and not named & {one.kind, one.name}:
        classes = {weapon.kind for name in named for weapon in read(name)}
        return np.nan if not one.kind or (not one.name and one.kind in classes) else 0.0
    if low == 0 and high == np.inf:
        return 1.0
    if one.calibre_mm is not None:
        return float(low <= one.calibre_mm < high)
    usual = factors._CALIBRES_MM.get(one.kind)
    return np.nan if usual is None else sum(p for calibre, p in usual.items() if low <= calibre < high)


def hold(agreement: Agreement, clause: Clause, held: dict[Any, Held]) -> dict[Any, pd.DataFrame]:
    """The findings of a clause by reading: the strongest event of every incident that makes rows."""
    starts, ends = stamp(agreement.in_force_from, -np.inf), stamp(agreement.in_force_until, np.inf)
    own = {key: share(one.begin, one.end, one.terms.starts, one.terms.ends) for key, one in held.items()}
    best = np.max([np.nan_to_num(own[key]) * (not one.terms.denies) for key, one in held.items()], axis=0)
    force, worth = {}, []
    for key, one in held.items():
        n = len(one.begin)
        whole = np.zeros(n) if agreement.illustrative else share(one.begin, one.end, starts, ends)
        whole = np.where(np.isnan(own[key]) & (not agreement.illustrative), np.nan, whole)
        both = share(one.begin, one.end, max(starts, one.terms.starts), min(ends, one.terms.ends))
        as_if = np.where(best > 0, own[key], np.where(np.isnan(own[key]), np.nan, 1.0))
        value = np.where(whole == 0, as_if, both)
        told = np.where(value >= 1, YES, np.where(value == 0, NO, UNSAID))
        in_force_ = np.where((whole == 0) | one.terms.denies, NO, told)
        illustrative = np.where(np.isnan(whole), UNSAID, np.where(whole == 0, YES, NO))
        force[key] = value, in_force_, illustrative
        rest = product(list(one.cheap.values()), n)[1] * np.nan_to_num(value, nan=1.0)
        hit = np.bincount(one.of, (rest >= FLOOR) | one.duty) > 0
        worth.append(np.flatnonzero(hit[one.of]))
    rows = np.unique(np.concatenate(worth))
    some = next(iter(held.values()))
    of = some.of[rows]
    worked, tops = {}, []
    for key, one in held.items():
        value, in_force_, illustrative = force[key]
        parts = {name: part[rows] for name, part in one.cheap.items()} | {"within its time": value[rows]}
        if not one.duty and not one.zones.everywhere(one.terms.zone):
            parts["inside the zone"] = one.zones.inside((one.terms.zone,), one.picture.events, rows)
        bare = product(list(parts.values()), len(rows))[1]
        exempt = None if one.duty else one.exempt(rows)
        if exempt is not None:
            parts["not exempt"] = exempt
        p, rest = product(list(parts.values()), len(rows))
        ranks = [3 + np.nan_to_num(p), 2 + rest / 2, 1 + rest]
        rank = np.select([np.nan_to_num(p) >= FLOOR, np.isnan(p) & (rest >= FLOOR), bare >= FLOOR], ranks, bare / 2)
        rank = np.where((rank >= 1) & (illustrative[rows] != YES), rank + 4, rank)
        worked[key] = pd.DataFrame(
            parts | {"p_breach": p, "rank": rank, "in_force": in_force_[rows], "illustrative": illustrative[rows]}
        )
        tops.append(worked[key]["rank"].groupby(of).max())
    keep = (np.max(tops, axis=0) >= 1) | some.duty if len(rows) else np.empty(0, bool)
    return {key: strongest(held[key], worked[key], rows, of, keep) for key in held}


def strongest(held: Held, table: pd.DataFrame, rows: np.ndarray, of: np.ndarray, keep: np.ndarray) -> pd.DataFrame:
    if not len(rows):
        return table.assign(subject_id=[])
    top = table["rank"].groupby(of).transform("max")
    out = table[(table["rank"] == top).to_numpy()].assign(of=of[table["rank"] == top]).drop_duplicates("of")[keep]
    row = rows[out.index]
    least = np.where(top >= 5, 5.0, 1.0)
    least = np.where(top >= least + 1, least + 1, least)
    counts = (table["rank"] >= least).to_numpy()
    begin = pd.Series(np.where(counts, held.begin[rows], np.nan)).groupby(of).min().to_numpy()[keep]
    end = pd.Series(np.where(counts, held.end[rows], np.nan)).groupby(of).min().to_numpy()[keep]
    begin, end = np.where(np.isnan(begin), held.begin[row], begin), np.where(np.isnan(end), held.end[row], end)
    starts = max(held.terms.starts, stamp(held.agreement.in_force_from, -np.inf))
    partly = out["in_force"].to_numpy() == UNSAID
    out["breach_from"], out["breach_until"] = np.where(partly, np.clip(begin, starts, end), begin), end
    if held.duty:
        out["subject_id"], out["place"], out["what"] = [held.ids[i] for i in out["of"]], "", "duty"
        out["severity"], out["subject_kind"] = held.clause.severity, "duty"
        return out
    incidents, events = held.picture.incidents, held.picture.events
    out["subject_id"] = incidents["incident_id"].to_numpy()[out["of"]]
    out["place"], out["what"] = incidents["place"].to_numpy()[out["of"]], events["what"].to_numpy()[row]
    out["subject_kind"] = "incident"
    words = events["weapon"].iloc[row]
    heavy = {
        w: any(one.kind in ("mlrs", "missile") or (one.calibre_mm or 0) >= _HEAVY_MM for one in read(w))
        for w in words.dropna().unique()
    }
    killed, injured = (incidents[c].to_numpy(np.float64)[out["of"]] for c in ("killed", "injured"))
    level = np.full(len(out), SEVERITIES.index(held.clause.severity))
    serious = (injured > 0) | (words.map(heavy) == True).to_numpy(bool)  # noqa: E712 null is no
    if held.clause.type == "protected_site":
        air = {name: 1.0 for name in held.picture.terms if name.startswith(("uav", "aircraft"))}
        serious |= held.picture.mass(air)[row] < 0.5
    level = np.where(serious, np.maximum(level, 1), level)
    out["severity"] = np.array(SEVERITIES, object)[np.where(killed > 0, 2, level)]
    return out


def said(table: pd.DataFrame, clause: Clause, party: str, who: str) -> None:
    """A sentence for every finding."""
    names = list(table.columns[: list(table.columns).index("p_breach")]) if len(table) else []
    when = [
        "at an unknown time"
        if np.isnan(a)
        else f"between {datetime.fromtimestamp(a, UTC):%H:%M on %d %B %Y} and {datetime.fromtimestamp(b, UTC):%H:%M}"
        for a, b in zip(table.get("breach_from", []), table.get("breach_until", []), strict=True)
    ]
    nouns = {what: noun(what) for what in table["what"].unique()} if len(table) else {}
    values = table[[*names, "p_breach"]].to_numpy(float) if len(table) else []
    sentences = []
    for i, (what, place) in enumerate(zip(table.get("what", []), table.get("place", []), strict=True)):
        factors_ = ", ".join(f"{name} {value:.2f}" for name, value in zip(names, values[i], strict=False))
        sentences.append(
            f"Clause {clause.id} ({clause.title}), as {party} reads it: {nouns[what]} {place} {when[i]}, probability "
            f"of breach {values[i][-1]:.2f} (uncalibrated): {factors_}. {who}"
        )
    table["sentence"] = sentences
