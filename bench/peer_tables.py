"""The peer's tables of events and incidents."""

from hashlib import sha256

import numpy as np
import pandas as pd
from bench.peer_fuse import Theatre, likelihoods

from truceline.fuse import assumptions as assumed
from truceline.fuse.assumptions import STREAMS, stream
from truceline.fuse.tables import PRIOR_MODEL
from truceline.observation import RELEASES

FIRE, UNNAMED = STREAMS.index("fire"), 0.02


def pooled(kinds: np.ndarray, terms, of: np.ndarray, count: int, sources: np.ndarray):
    """The kind of each group: likelihoods multiplied over sources, averaged as logs over accounts of one."""
    mean = lambda values: pd.DataFrame(values).groupby(of).mean().to_numpy()  # noqa: E731
    averaged = mean(kinds)
    kinds = kinds.copy()
    for i, general in enumerate(terms):
        special = [j for j, name in enumerate(terms) if name.startswith(general + ".")]
        if not special:
            continue
        weight = averaged[:, special]
        total = weight.sum(axis=1)
        gives = (averaged[:, i] > 0) & (total > 0) & (total >= 0.5 * averaged[:, i])
        share = np.where(gives[:, None], weight / np.where(total > 0, total, 1.0)[:, None], 0.0)[of]
        moved_ = kinds[:, i] * gives[of]
        kinds[:, i] -= moved_
        kinds[:, special] += moved_[:, None] * share
    named = mean(kinds) > 0
    named[:, -1] = True
    voices = pd.DataFrame({"of": of, "source": sources}).drop_duplicates()["of"].value_counts().sort_index().to_numpy()
    log = mean(np.log(np.maximum(kinds, UNNAMED))) * np.minimum(voices, 3)[:, None]
    log = np.where(named, log, -np.inf)
    chance = np.exp(log - log.max(axis=1, keepdims=True))
    chance /= chance.sum(axis=1, keepdims=True)
    listed = chance[:, :-1]
    depth = np.array([name.count(".") for name in terms])
    what = np.argmax(np.round(listed, 6) + 1e-7 * depth, axis=1)
    rest = listed.copy()
    rest[np.arange(count), what] = 0.0
    return np.array(terms, object)[what], listed[np.arange(count), what].astype(np.float32), several(rest, terms)


def several(table: np.ndarray, terms) -> np.ndarray:
    out = np.empty(len(table), object)
    rows, columns = np.nonzero(table >= 0.005)
    values = table[rows, columns].astype(np.float32).tolist()
    lists: dict[int, list] = {}
    for row, column, value in zip(rows.tolist(), columns.tolist(), values, strict=True):
        lists.setdefault(row, []).append((terms[column], value))
    for row, pairs in lists.items():
        out[row] = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
    return out


def most(values: pd.Series, of: np.ndarray, count: int, weight=None) -> np.ndarray:
    """The word with most rows (or weight) in each group, the first of equals; None where there is none."""
    frame = pd.DataFrame({"of": of, "word": values.to_numpy(), "weight": 1.0 if weight is None else weight})
    total = frame.dropna(subset=["word"]).groupby(["of", "word"], as_index=False)["weight"].sum()
    best = total.sort_values(["of", "weight", "word"], ascending=[True, False, True]).drop_duplicates("of")
    out = np.full(count, None, object)
    out[best["of"].to_numpy()] = best["word"].to_numpy()
    return out


def event_table(table, s, terms, event, first, v, theatre) -> pd.DataFrame:
    count = len(first)
    grouped = table.groupby(event)
    out = pd.DataFrame({"what": table["what"].to_numpy()[first], "confidence": grouped["confidence"].max().to_numpy()})
    out["alternatives"] = table["alternatives"].to_numpy()[first]
    size = np.bincount(event, minlength=count)
    many = (size > 1) & (table["kind"].to_numpy()[first] != "hotspot")
    if many.any():
        rows = np.flatnonzero(many[event])
        some = table.iloc[rows]
        kinds = likelihoods(some["what"], some["confidence"].to_numpy(np.float64), some["alternatives"], terms)
        of = (np.cumsum(many) - 1)[event[rows]]
        sources = pd.factorize(some["source"])[0]
        what, confidence, others = pooled(kinds, terms, of, int(many.sum()), sources)
        out.loc[many, "what"], out.loc[many, "confidence"] = what, confidence
        out.loc[many, "alternatives"] = pd.Series(others, out.index[many])
    for name in ("at", "from", "until"):
        out[name] = np.round(v[name] * 1e6) / 1e6
    place(out, v, theatre)
    out["observations"] = size
    out["sources"] = lists(table["source"], event, count)
    out["sensors"] = lists(table["sensor"], event, count)
    for name in ("means", "description", "weapon"):
        out[name] = most(table[name], event, count)
    low, high = np.fmin(table["count"], table["count_max"]), np.fmax(table["count"], table["count_max"])
    out["count"], out["count_max"] = low.groupby(event).min(), high.groupby(event).max()
    for name in ("killed", "injured"):
        out[name] = grouped[name].max().to_numpy()
    out["frp_mw"] = grouped["firms_frp"].sum(min_count=1).to_numpy(np.float32)
    rank = table["release"].map({name: i for i, name in enumerate(RELEASES)}).fillna(len(RELEASES) - 1)
    out["release"] = np.array(RELEASES, object)[rank.groupby(event).max().to_numpy(int)]
    out["stream"] = table["stream"].to_numpy()[first]
    anchors = table["observation_id"].to_numpy()[first]
    digests = [sha256(b"event" + anchor).digest() for anchor in anchors]
    out["event_id"], out["begins_id"] = [d[:16] for d in digests], [d[16:] for d in digests]
    return out


def lists(words: pd.Series, of: np.ndarray, count: int) -> np.ndarray:
    """The distinct words of each group, sorted."""
    pairs = pd.DataFrame({"of": of, "word": words.to_numpy()}).dropna().drop_duplicates().sort_values(["of", "word"])
    out = np.empty(count, object)
    out[:] = [[] for _ in range(count)]
    for row, word in zip(pairs["of"].to_numpy(), pairs["word"].to_numpy(), strict=True):
        out[row].append(word)
    return out


def place(out: pd.DataFrame, v: pd.DataFrame, theatre: Theatre) -> None:
    lon, lat = theatre.degrees(v["e"].to_numpy(), v["n"].to_numpy())
    major, minor, tilt = theatre.ellipse(lon, lat, v["ee"].to_numpy(), v["en"].to_numpy(), v["nn"].to_numpy())
    out["lon"], out["lat"] = lon, lat
    out["major_m"], out["minor_m"], out["tilt_deg"] = (x.astype(np.float32) for x in (major, minor, tilt))


def stated_cause(events_: pd.DataFrame, fire_prior: float) -> None:
    prior = {name: a.value for name, a in assumed.CONFLICT.items()} | {"fire": fire_prior}
    by_word = {w: prior.get(stream(w) or "", np.nan) for w in events_["what"].unique()}
    events_["p_conflict"] = events_["what"].map(by_word).astype(np.float32)
    events_["p_conflict_model"] = np.where(events_["p_conflict"].isna(), None, PRIOR_MODEL)


def incident_table(table, event, events_: pd.DataFrame, v: pd.DataFrame, incident, terms, theatre):
    """Incidents, and where their leading events were, as the mean weighted by sharpness."""
    count = int(incident.max()) + 1
    rank = np.array([assumed.LEADING.index(name) for name in STREAMS])[events_["stream"]]
    leading = rank == pd.Series(rank).groupby(incident).transform("min").to_numpy()
    led, of = v[leading], incident[leading]
    weight = 1.0 / np.sqrt(led["ee"] * led["nn"] - led["en"] ** 2)
    whole = weight.groupby(of).sum().to_numpy()
    mean = lambda x: (x * weight).groupby(of).sum().to_numpy() / whole  # noqa: E731
    e, n = mean(led["e"]), mean(led["n"])
    de, dn = led["e"] - e[of], led["n"] - n[of]
    covered = {"ee": mean(led["ee"] + de**2), "en": mean(led["en"] + de * dn), "nn": mean(led["nn"] + dn**2)}
    where = pd.DataFrame({"e": e, "n": n, **covered})
    where["at"] = v["at"].groupby(incident).min().to_numpy()
    heads = events_[leading]
    out = pd.DataFrame({"what": most(heads["what"], of, count, heads["observations"].to_numpy())})
    out["confidence"] = heads["confidence"].groupby(of).max().to_numpy()
    head = pd.Series(np.flatnonzero(leading)).groupby(of).first().to_numpy()
    out["alternatives"] = events_["alternatives"].to_numpy()[head]
    many = (np.bincount(of, minlength=count) > 1) & (events_["stream"].to_numpy()[head] != FIRE)
    if many.any():
        some = heads[many[of]]
        kinds = likelihoods(some["what"], some["confidence"].to_numpy(np.float64), some["alternatives"], terms)
        part = (np.cumsum(many) - 1)[of[many[of]]]
        what, confidence, others = pooled(kinds, terms, part, int(many.sum()), np.zeros(len(some), int))
        out.loc[many, "what"], out.loc[many, "confidence"] = what, confidence
        out.loc[many, "alternatives"] = pd.Series(others, out.index[many])
    by = events_.groupby(incident)
    out["first"], out["last"] = by["from"].min().to_numpy(), by["until"].max().to_numpy()
    place(out, where, theatre)
    out["events"], out["observations"] = by.size().to_numpy(), by["observations"].sum().to_numpy()
    out["sources"] = lists(table["source"], incident[event], count)
    for name in ("means", "description", "weapon"):
        out[name] = most(heads[name], of, count, heads["observations"].to_numpy())
    for name in ("count", "count_max"):
        out[name] = by[name].sum(min_count=1).to_numpy()
    for name in ("killed", "injured", "p_conflict"):
        out[name] = by[name].max().to_numpy()
    out["p_conflict_model"] = np.where(out["p_conflict"].isna(), None, PRIOR_MODEL)
    ranks = events_["release"].map({name: i for i, name in enumerate(RELEASES)})
    out["release"] = np.array(RELEASES, object)[ranks.groupby(incident).max().to_numpy(int)]
    anchor = pd.Series(np.arange(len(events_))).groupby(incident).first().to_numpy()
    return out, where, anchor
