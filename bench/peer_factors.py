"""The peer's factors: each a probability for every row, where it comes from and how sure that is."""

from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from truceline.agreement import Clause, in_force
from truceline.observation import term
from truceline.rules import duty, exemption, factors
from truceline.rules.subjects import UNSTATED
from truceline.weapons import Weapon, read

NOTIFIER_ACTED, NAMED = exemption.NOTIFIER_ACTED, exemption._NAMED


class Factor(NamedTuple):
    """`choice` says which of `sources` (and confidences) holds for a row, `why` which of `reasons` makes a NaN."""

    name: str
    value: np.ndarray
    sources: tuple[str, ...]
    confidence: tuple[str, ...]
    choice: np.ndarray | None = None
    reasons: tuple[str, ...] = ("", "it cannot be said")
    why: np.ndarray | None = None

    def take(self, rows: np.ndarray) -> "Factor":
        choice, why = (None if part is None else part[rows] for part in (self.choice, self.why))
        return self._replace(value=self.value[rows], choice=choice, why=why)


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
        left = np.maximum(1 - np.bincount(row, p, n), 0)
        first = np.where(np.isnan(confidence), np.minimum(UNSTATED.value, left), confidence)
        self.assumed = np.isnan(confidence) & (left >= UNSTATED.value)
        self.row = np.concatenate([np.arange(n), row])
        self.code, self.terms = pd.factorize(np.concatenate([self.events["what"].to_numpy(object), word]))
        p = np.concatenate([first, p])
        self.p = p / np.maximum(np.bincount(self.row, p, n), 1.0)[self.row]
        self._models = pd.factorize(self.events["p_conflict_model"])

    def mass(self, weight: dict[str, float]) -> np.ndarray:
        by_code = np.array([weight.get(name, 0.0) for name in self.terms])
        return np.minimum(np.bincount(self.row, self.p * by_code[self.code], len(self.events)), 1.0)

    def rests_on_assumed(self, weight: dict[str, float]) -> np.ndarray:
        by_code = np.array([weight.get(name, 0.0) for name in self.terms])
        return self.assumed & (by_code[self.code[: len(self.events)]] > 0)

    def likeliest(self, weight: dict[str, float], rows: np.ndarray) -> np.ndarray:
        """The likeliest of the weighted terms of each of `rows`, the first name of equals; None where it has none."""
        wanted = np.zeros(len(self.events), bool)
        wanted[rows] = True
        by_code = np.array([weight.get(name, 0.0) for name in self.terms])
        value = self.p * by_code[self.code]
        some = np.flatnonzero((value > 0) & wanted[self.row])
        name = np.argsort(np.argsort(self.terms))[self.code[some]]
        some = some[np.lexsort((-name, value[some]))]
        best = np.full(len(self.events), len(self.terms))
        best[self.row[some]] = self.code[some]
        return np.append(self.terms, None)[best[rows]]


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


def stamp(time: Any, otherwise: float) -> float:
    return otherwise if time is None else time.timestamp()


def share(begin, end, starts: float, ends: float) -> np.ndarray:
    """The share of intervals within [starts, ends)."""
    length = end - begin
    overlap = np.clip(np.minimum(end, ends) - np.maximum(begin, starts), 0, None)
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where(length > 0, overlap / length, ((begin >= starts) & (begin < ends)).astype(float))
    return np.where(np.isnan(begin), np.nan, np.clip(part, 0, 1))


def matching(names, what: tuple[str, ...]) -> list[str]:
    return [name for name in names if any((name + ".").startswith(wanted + ".") for wanted in what)]


def longest(weights: dict[str, float], what: str) -> float:
    while what not in weights and "." in what:
        what = what.rpartition(".")[0]
    return weights.get(what, 1.0)


def identity(*parts: str | bytes) -> bytes:
    """16 bytes of SHA-256 over parts, each with its length before it."""
    raw = [part.encode() if isinstance(part, str) else part for part in parts]
    return sha256(b"".join(len(x).to_bytes(2, "big") + x for x in raw)).digest()[:16]


class Held:
    """A clause in one reading: its cheap factors for all rows."""

    def __init__(
        self, agreement, clause: Clause, rule: Any, terms: Terms, picture: Picture, zones, until: float
    ) -> None:
        self.agreement, self.clause, self.terms, self.picture, self.zones = agreement, clause, terms, picture, zones
        self.weight = {**rule.WEIGHT, **clause.weight}
        stated = {name: a.value for name, a in self.weight.items()}
        self.weights = {name: longest(stated, name) for name in matching(picture.terms, terms.what)}
        self.kind = picture.mass(self.weights)
        self.duty = clause.type == "duty"
        if self.duty:
            self._duties(until)
        else:
            self.begin, self.end, self.of = picture.begin, picture.end, picture.of
            self.cheap = [self._kind()]
            if clause.type in ("cessation", "protected_site"):
                self.cheap.append(self._cause())
            if clause.type == "withdrawal" or (clause.type == "presence" and clause.weapons):
                self.cheap.append(self._weapon())
            them = [p.name for p in agreement.party if p.id in clause.parties]
            if len(them) < len(agreement.party):
                told = clause.whose
                p, why, sure = len(them) / len(agreement.party), factors._ANY_PARTY, "low"
                if told is not None:
                    p, why, sure = told.value, told.source, told.confidence
                value = np.full(len(self.begin), p)
                self.cheap.append(Factor("by " + " or ".join(them), value, (f"assumption: {why}",), (sure,)))
        if terms.denies:
            nobody = np.zeros(len(self.begin))
            self.cheap.append(Factor("binds anybody, as this party holds", nobody, ("the party's reading",), ("high",)))

    def _kind(self) -> Factor:
        weighted = self.kind != self.picture.mass(dict.fromkeys(self.weights, 1.0))
        stated, unstated = "likelihoods of the fused event", f"assumption: {UNSTATED.source}"
        words = "weighted, assumption: " + "; ".join(sorted({a.source for a in self.weight.values()}))
        sources = (stated, unstated, f"{stated}, {words}", f"{unstated}; {words}")
        choice = self.picture.rests_on_assumed(self.weights) + 2 * weighted
        return Factor("kind", self.kind, sources, ("medium", UNSTATED.confidence, "low", "low"), choice)

    def _cause(self) -> Factor:
        stated = self.picture.events["p_conflict"].to_numpy(np.float64)
        fires = {name: w for name, w in self.weights.items() if term(name).family == "fire"}
        burning = self.picture.mass(fires) / np.where(self.kind > 0, self.kind, np.inf)
        value = np.where(np.isnan(stated), np.where(burning > 0.5, np.nan, 1 - burning), stated)
        code, models = self.picture._models
        return Factor(
            "caused by the conflict",
            value,
            ("taken as given for what is no fire", "the picture", *models),
            ("medium", "low", *["low"] * len(models)),
            np.where(np.isnan(stated), 0, code + 2),
            ("", "nobody says whether the conflict caused the fire"),
            np.isnan(value).astype(int),
        )

    def _weapon(self) -> Factor:
        clause, events = self.clause, self.picture.events
        sources, reasons = (
            ("as stated", factors._USUAL_CALIBRES),
            ("", "the weapon's class, name or calibre is not stated"),
        )
        if not (clause.weapons or clause.min_calibre_mm or clause.below_calibre_mm):
            value, guessed = np.ones(len(events)), np.zeros(len(events), int)
        else:
            shares = {w: weapon_share(clause, read(w)) for w in events["weapon"].dropna().unique()}
            by_words = events["weapon"].map({w: p for w, (p, _) in shares.items()}).to_numpy(np.float64)
            whats = {w for w in events["what"].unique() if w in self.weights and term(w).family == "weapon"}
            by_words = np.where(events["what"].isin(whats), by_words, np.nan)
            right = {
                name: 1.0
                if term(name).family != "weapon"
                else weapon_share(clause, [Weapon(name.partition(".")[2], "", None)])[0]
                for name in self.weights
            }
            known = {name: w for name, w in self.weights.items() if not np.isnan(right[name])}
            told = self.picture.mass(known)
            part = self.picture.mass({name: w * right[name] for name, w in known.items()})
            value = np.where(np.isnan(by_words), part / np.where(told > 0, told, np.nan), by_words)
            guess = events["weapon"].map({w: guess for w, (_, guess) in shares.items()}).fillna(1).to_numpy(int)
            guessed = np.where(np.isnan(by_words), 1, guess)
        return Factor("weapon", value, sources, ("medium", "low"), guessed, reasons, np.isnan(value).astype(int))

    def _duties(self, until: float) -> None:
        clause, self.parties = self.clause, sorted(self.clause.parties)
        due, done, late = [], [], []
        for party in self.parties:
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
                place = np.nan_to_num(self.zones.inside((self.terms.zone,), self.picture.events, rows)[0])
                time = np.nan_to_num(share(self.picture.begin, self.picture.end, -np.inf, when))[rows]
                strength = max((self.kind[rows] * place * time).max(initial=0.0), any(t <= when for t in told))
            due.append(when)
            done.append(float(strength))
            late.append(any(when < t <= until for t in told))
        due_s, done_p, late_ = np.array(due), np.array(done), np.array(late)
        spoken = bool(self.weights) or any(n.clause == clause.id for n in self.agreement.notice)
        why = np.select([np.isnan(due_s), due_s >= until, np.full(len(due_s), not spoken)], [1, 2, 3], 0)
        shown = (done_p > 0) | late_
        self.begin = self.end = due_s
        self.of = np.arange(len(self.parties))
        reasons = (
            "",
            "the agreement sets no time for it",
            "it is due only after the picture ends",
            "nothing in the picture speaks of this duty, and no notice",
        )
        kept = ("no notice or report of it in time", "notices and reports of it"), ("low", "medium")
        known = (f"assumption: {duty._REPORTED.source}", "it was made known"), ("low", "medium")
        choice = shown.astype(int)
        self.cheap = [
            Factor("not done in time", np.where(why > 0, np.nan, 1 - done_p), *kept, choice, reasons, why),
            Factor("would have been known", np.where(shown, 1.0, duty._REPORTED.value), *known, choice),
        ]
        self.ids = [identity("duty", clause.id, party) for party in self.parties]

    def place(self, rows: np.ndarray) -> Factor:
        zone = self.zones.by_id[self.terms.zone]
        value, why = self.zones.inside((zone.id,), self.picture.events, rows)
        source = "position error integrated over the zone" + ", the line's tolerance added" * (zone.kind == "band")
        reasons = ("", *self.zones.reasons)
        return Factor(f"inside {zone.name or zone.id}", value, (source,), ("medium",), None, reasons, why)

    def exempt(self, rows: np.ndarray) -> tuple[Factor, list[str], np.ndarray] | None:
        """1 less the share of rows that exemptions cover, these in words, the one that covers most (-1: none)."""
        if not self.clause.exemption:
            return None
        covered, best = np.zeros(len(rows)), np.full(len(rows), -1)
        texts: list[str] = []
        source: list[int] = []
        others, names = len(set(self.clause.parties)) - 1, {p.id: p.name for p in self.agreement.party}
        for one in self.clause.exemption:
            fits, by_party = [], {}
            if not one.notice:
                by_party[""] = self._covered(rows, [one.what], [one.zone], -np.inf, np.inf)
                fits, words = [by_party[""]], [one.text]
            else:
                words = []
                for notice in self.agreement.notice:
                    if notice.clause == self.clause.id and notice.party in self.clause.parties:
                        span = stamp(notice.starts, -np.inf), stamp(notice.ends, np.inf)
                        fits.append(self._covered(rows, [one.what, notice.what], [one.zone, notice.zone], *span))
                        by_party[notice.party] = np.fmax(by_party.get(notice.party, 0.0), fits[-1])
                        words.append(f"notice of {names[notice.party]} ({notice.text or one.text})")
            if not fits:
                continue
            ranked = np.sort([by_party[party] for party in sorted(by_party)], axis=0)
            total = ranked[-1]
            if "" not in by_party and others:
                total = NOTIFIER_ACTED.value * total + (1 - NOTIFIER_ACTED.value) * ranked[:-1].sum(axis=0) / others
            best = np.where(total > covered, len(texts) + np.argmax(fits, axis=0), best)
            covered = np.fmax(covered, total)
            texts += words
            source += [1 + one.notice * (1 + (others > 0))] * len(words)
        noticed = "kind, place and time of the notice"
        sources = (
            "no exemption or notice covers it",
            "kind, place and time of the exemption",
            noticed,
            f"{noticed}; {NOTIFIER_ACTED.value:g}, assumption: {NOTIFIER_ACTED.source}",
        )
        confidence = ("medium", "medium", "medium", NOTIFIER_ACTED.confidence)
        choice = np.array([*source, 0])[best]
        factor = Factor("not exempt", 1 - np.clip(covered, 0, 1), sources, confidence, choice)
        return factor, texts, np.where(covered >= NAMED, best, -1)

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
            both = self.zones.inside((*named, self.terms.zone), self.picture.events, rows)[0]
            one = self.zones.inside((self.terms.zone,), self.picture.events, rows)[0]
            part = part * np.nan_to_num(np.clip(both / np.where(one > 0, one, np.nan), 0, 1))
        return part


def weapon_share(clause: Clause, weapons: list[Weapon]) -> tuple[float, int]:
    """How likely one of `weapons` is what the clause speaks of (NaN: not said), and whether that is a guess."""
    by_class: dict[str, list[tuple[float, int]]] = {}
    for one in weapons:
        by_class.setdefault(one.kind, []).append(one_share(clause, one))
    shares = [(float(np.mean([p for p, _ in some])), max(guess for _, guess in some)) for some in by_class.values()]
    known = [one for one in shares if not np.isnan(one[0])]
    if any(p > 0 for p, _ in known) or (known and len(known) == len(shares)):
        return max(known, key=lambda one: (one[0], -one[1]))
    return np.nan, 0


def one_share(clause: Clause, one: Weapon) -> tuple[float, int]:
    low, high, named = clause.min_calibre_mm or 0.0, clause.below_calibre_mm or np.inf, set(clause.weapons)
    if named and not named & {one.kind, one.name}:
        classes = {weapon.kind for name in named for weapon in read(name)}
        return (np.nan if not one.kind or (not one.name and one.kind in classes) else 0.0), 0
    if low == 0 and high == np.inf:
        return 1.0, 0
    if one.calibre_mm is not None:
        return float(low <= one.calibre_mm < high), 0
    usual = factors._CALIBRES_MM.get(one.kind)
    if usual is None:
        return np.nan, 0
    return sum(p for calibre, p in usual.items() if low <= calibre < high), 1
