"""The peer's events: pixels to fires, accounts to occurrences."""

import math
from heapq import heapify, heappop, heappush

import numpy as np
import pandas as pd
from bench.peer_fuse import Said, likelihoods
from bench.peer_pairs import linked, ratios
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from truceline.fuse import assumptions as assumed

GATE_M, TOUCHING, WIDER, PASS_S, UNNAMED = 3.0, 3.6, 2.0, 300.0, 0.02


def events(table: pd.DataFrame, s: Said, terms: tuple[str, ...]):
    """The event of each observation (a code in the order of first observations), the ties, and each event's state."""
    pixel = (table["kind"] == "hotspot").to_numpy()
    pixels, accounts = np.flatnonzero(pixel), np.flatnonzero(~pixel)
    label, tie = np.arange(len(table)), np.full(len(table), np.nan)
    wide = s._replace(
        ee=s.ee * WIDER**2,
        en=s.en * WIDER**2,
        nn=s.nn * WIDER**2,
        var=np.where(np.isinf(s.var), s.var, np.maximum(s.var, PASS_S**2)),
    )
    sensor = table["sensor"].fillna("").to_numpy()
    for name in np.unique(sensor[pixels].astype(str)):
        rows = pixels[sensor[pixels] == name]
        i, j, value = linked(wide.take(rows), TOUCHING / WIDER, -np.inf)
        graph = coo_matrix((np.ones(len(i)), (i, j)), shape=(len(rows), len(rows)))
        _, fire = connected_components(graph, directed=False)
        label[rows] = pd.Series(rows).groupby(fire).transform("min").to_numpy()
        for end in (i, j):
            np.fmax.at(tie, rows[end], value)
    states = [fire_state(s.take(pixels), label[pixels])]
    if len(accounts):
        root, ties, joint = merge_accounts(table.iloc[accounts], s.take(accounts), terms)
        label[accounts], tie[accounts] = accounts[root], ties
        joint.index = accounts[joint.index]
        states.append(joint)
    whole = pd.concat(states).sort_index()
    first = whole.index.to_numpy()
    event = np.searchsorted(first, label)
    whole["rate"] = pd.Series(s.rate).groupby(event).mean().to_numpy()
    tie[first] = np.nan
    return event, tie, first, whole.reset_index(drop=True)


def fire_state(s: Said, label: np.ndarray) -> pd.DataFrame:
    frame = pd.DataFrame({"e": s.e, "n": s.n})
    mean = frame.groupby(label).transform("mean")
    de, dn = (frame["e"] - mean["e"]).to_numpy(), (frame["n"] - mean["n"]).to_numpy()
    sigma = np.where(np.isinf(s.var), 0.0, np.sqrt(np.where(np.isinf(s.var), 0.0, s.var)))
    low, high = np.where(np.isinf(s.var), s.begins, s.at), np.where(np.isinf(s.var), s.ends, s.at)
    columns = {"e": s.e, "n": s.n, "ee": s.ee + de**2, "en": s.en + de * dn, "nn": s.nn + dn**2, "at": s.at}
    grouped = pd.DataFrame(columns).groupby(label).mean()
    edges = {"from": low - 2 * sigma, "until": high + 2 * sigma}
    edges |= {"begins": low - 3**0.5 * sigma, "ends": high + 3**0.5 * sigma}
    for name, values in edges.items():
        by = pd.Series(values).groupby(label)
        grouped[name] = by.min() if name in ("from", "begins") else by.max()
    return grouped


def merge_accounts(table: pd.DataFrame, s: Said, terms):
    """Accounts to occurrences: the likeliest merger first, each judged by all that its clusters hold."""
    kinds = likelihoods(table["what"], table["confidence"].to_numpy(np.float64), table["alternatives"], terms)
    agreement = assumed.agreement_of_kinds(tuple(terms))
    expected = kinds @ agreement
    area = 2 * np.pi * np.sqrt(s.ee * s.nn - s.en**2) / 1e6
    span = np.where(np.isinf(s.var), s.ends - s.begins, np.sqrt(2 * np.pi * np.where(np.isinf(s.var), 1, s.var)))

    def code(*names: str) -> np.ndarray:
        return table.groupby([*names], dropna=False).ngroup().to_numpy()

    place = pd.DataFrame(np.column_stack(s[:5])).groupby([*range(5)], dropna=False).ngroup().to_numpy()
    moment = pd.DataFrame(np.column_stack([s.at, s.var])).groupby([0, 1], dropna=False).ngroup().to_numpy()
    account = np.where(table["text"].isna(), -1, code("source", "text"))
    sensor = np.where(table["sensor"].isna(), -1, code("source", "sensor"))
    same = (place, moment, account, code("source", "sensor"), code("source"), sensor)
    # copies of one account begin as one cluster, where one occurrence explains two of them better than two do
    rows = np.arange(len(table))
    own = ratios(s, rows, rows, np.einsum("ij,ij->i", kinds, expected))[0]
    alone = np.where((own > 0) & (sensor < 0), -1, rows)
    told = pd.util.hash_array(
        np.ascontiguousarray(kinds.round(9)).view(f"V{8 * kinds.shape[1]}").ravel().astype(object)
    )
    copies = pd.DataFrame(
        {"a": alone, "b": place, "c": moment, "d": same[4], "e": s.begins, "f": s.ends, "g": s.rate, "h": told}
    )
    begun = pd.Series(rows).groupby([copies[c] for c in copies], dropna=False).transform("min").to_numpy()
    worth = np.flatnonzero((-np.log(area * span / 3600.0) - s.rate > 0) & (begun == rows))
    i, j, value = linked(s.take(worth), GATE_M, 0.0, kinds[worth], expected[worth])
    i, j = worth[i], worth[j]
    clusters = Clusters(s, kinds, expected, agreement, same)
    root = clusters.merge(begun, i, j)
    ties = np.where(np.bincount(begun, minlength=len(rows)) > 1, own, np.nan)
    kept = root[i] == root[j]
    for end in (i[kept], j[kept]):
        np.fmax.at(ties, end, value[kept])
    ties = np.fmax(ties[begun], np.where(begun != rows, own, np.nan))
    heads = np.unique(root)
    joint = pd.DataFrame(
        [clusters.said[h][:9] for h in heads.tolist()], heads, [*"en", "ee", "en2", "nn", "at", "var", "begins", "ends"]
    )
    sigma, interval = np.sqrt(joint["var"]), np.isinf(joint["var"])
    low, high = joint["begins"], joint["ends"]
    at = np.where(
        interval, np.where(interval, low, 0) / 2 + np.where(interval, high, 0) / 2, joint["at"].clip(low, high)
    )
    out = joint[["e", "n", "ee", "en2", "nn"]].rename(columns={"en2": "en"}).assign(at=at)
    for (a, b), k in {("from", "until"): 2.0, ("begins", "ends"): 3**0.5}.items():
        out[a] = np.maximum(low, np.where(interval, low, at - k * sigma))
        out[b] = np.minimum(high, np.where(interval, high, at + k * sigma))
    return root, ties, out


class Clusters:
    """Clusters of accounts while they merge. Plain floats and lists: at two to thirty members arrays are slower."""

    def __init__(self, s: Said, kinds, expected, agreement, same) -> None:
        names = zip(*(column.tolist() for column in (*s[:9], s.rate)), strict=True)
        self.own = list(names)  # e n ee en nn at var begins ends rate
        self.said = list(self.own)
        self.kinds, self.expected = list(kinds), list(expected)
        self.own_kinds, self.own_rate = kinds, s.rate
        self.log_expected = np.log(np.maximum(expected, UNNAMED))
        self.agreement, self.real = agreement, np.diag(agreement) > 0
        self.place, self.moment, self.account, self.voice, self.source, self.sensor = (c.tolist() for c in same)
        self.members = [[row] for row in range(len(self.own))]
        self.log_repeat = float(np.log(assumed.REPEAT.value))

    def merge(self, begun: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """The least row of each row's cluster."""
        n = len(self.own)
        for k in np.flatnonzero(begun != np.arange(n)).tolist():
            self.members[begun[k]].append(k)
        for i in np.unique(begun[begun != np.arange(n)]).tolist():
            self.restate(i)
        others: dict[int, list[int]] = {}
        heap = []
        for i, j in zip(left.tolist(), right.tolist(), strict=True):
            others.setdefault(i, []).append(j)
            others.setdefault(j, []).append(i)
            ratio = self.ratio(i, j)
            if ratio > 0.0:
                heap.append((-ratio, i, j, 0, 0))
        heapify(heap)
        root, version = begun.tolist(), [0] * n
        while heap:
            _, i, j, version_i, version_j = heappop(heap)
            if root[i] != i or root[j] != j or version[i] != version_i or version[j] != version_j:
                continue
            for member in self.members[j]:
                root[member] = i
            self.members[i] += self.members[j]
            version[i] += 1
            self.restate(i)
            for r in {root[o] for member in self.members[i] for o in others.get(member, ())} - {i}:
                ratio = self.ratio(i, r)
                if ratio > 0.0:
                    a, b = min(i, r), max(i, r)
                    heappush(heap, (-ratio, a, b, version[a], version[b]))
        return np.array(root)

    def ratio(self, i: int, j: int) -> float:
        """Log ratio of two clusters by what each says jointly; -inf where something keeps them apart."""
        ea, na, eea, ena, nna, ata, va, ba, za, ra = self.said[i]
        eb, nb, eeb, enb, nnb, atb, vb, bb, zb, rb = self.said[j]
        ee, en, nn = eea + eeb, ena + enb, nna + nnb
        determinant = ee * nn - en * en
        e, n = ea - eb, na - nb
        d2 = (nn * e * e - 2.0 * en * e * n + ee * n * n) / determinant if determinant > 0 else math.nan
        if not d2 <= GATE_M * GATE_M:
            return -math.inf
        mine, theirs = self.members[i], self.members[j]
        own = self.own
        if max(max(own[m][7] for m in mine), max(own[m][7] for m in theirs)) >= min(
            min(own[m][8] for m in mine), min(own[m][8] for m in theirs)
        ):
            return -math.inf
        where = {self.account[m]: self.place[m] for m in mine if self.account[m] >= 0}
        if any(where.get(self.account[m], self.place[m]) != self.place[m] for m in theirs if self.account[m] >= 0):
            return -math.inf
        begins, ends = max(ba, bb), min(za, zb)
        alike = float(self.kinds[i] @ self.expected[j])
        if not (ends > begins and alike > 0.0):
            return -math.inf
        at, var, both = ata, va, 0.0
        if vb < math.inf:
            if va < math.inf:
                total, apart = va + vb, ata - atb
                both = -0.5 * (apart * apart / total + math.log(2.0 * math.pi * total))
                at, var = (ata * vb + atb * va) / total, va * vb / total
            else:
                at, var = atb, vb
        together, alone, other = inside(at, var, begins, ends), inside(ata, va, ba, za), inside(atb, vb, bb, zb)
        if not (together > 0.0 and alone > 0.0 and other > 0.0):
            return -math.inf
        time = both + math.log(together) - math.log(alone) - math.log(other) + math.log(3600.0)
        space = -0.5 * d2 - math.log(2.0 * math.pi) - 0.5 * math.log(determinant) + math.log(1e6)
        ratio = space + time + math.log(alike) - max(ra, rb)
        sensors = {self.sensor[m] for m in mine if self.sensor[m] >= 0}
        return ratio + self.log_repeat if any(self.sensor[m] in sensors for m in theirs) else ratio

    def restate(self, i: int) -> None:
        """The joint statement of a cluster's members."""
        members, own = self.members[i], self.own
        e0, n0, t0 = own[i][0], own[i][1], own[i][5]
        places, moments = {}, {}
        for m in members:
            places.setdefault(self.place[m], m)
            if own[m][6] < math.inf:
                moments.setdefault(self.moment[m], m)
        voices: dict[int, int] = {}
        for m in places.values():
            voices[self.voice[m]] = voices.get(self.voice[m], 0) + 1
        wee = wen = wnn = we = wn = wt = wta = 0.0
        for m in places.values():
            e, n, ee, en, nn = own[m][:5]
            share = 1.0 / (ee * nn - en**2) / voices[self.voice[m]]
            iee, ien, inn = nn * share, -en * share, ee * share
            wee, wen, wnn = wee + iee, wen + ien, wnn + inn
            we, wn = we + iee * (e - e0) + ien * (n - n0), wn + ien * (e - e0) + inn * (n - n0)
        voices = {}
        for m in moments.values():
            voices[self.voice[m]] = voices.get(self.voice[m], 0) + 1
        for m in moments.values():
            share = 1.0 / own[m][6] / voices[self.voice[m]]
            wt, wta = wt + share, wta + share * (own[m][5] - t0)
        determinant = wee * wnn - wen * wen
        ee, en, nn = wnn / determinant, -wen / determinant, wee / determinant
        at, var = (t0 + wta / wt, 1.0 / wt) if wt > 0 else (self.said[i][5], self.said[i][6])
        first: dict[int, tuple[float, float]] = {}
        for m in members:
            key = (own[m][8], -own[m][7])
            if self.source[m] not in first or key < first[self.source[m]]:
                first[self.source[m]] = key
        begins, ends = max(-b for _, b in first.values()), min(z for z, _ in first.values())
        rows = np.array(members)
        rate = sum(own[m][9] for m in members) / len(members)
        self.said[i] = (e0 + ee * we + en * wn, n0 + en * we + nn * wn, ee, en, nn, at, var, begins, ends, rate)
        named = (self.own_kinds[rows] > 0).any(axis=0) & self.real
        chance = np.where(named, np.exp(self.log_expected[rows].sum(axis=0) / len(rows)), 0.0)
        mass = self.own_kinds[rows][:, self.real].sum()
        self.kinds[i] = chance * (mass / len(rows) / chance.sum())
        self.expected[i] = self.kinds[i] @ self.agreement


def inside(at: float, var: float, begins: float, ends: float) -> float:
    if var == math.inf:
        return ends - begins
    scale = 1.0 / math.sqrt(2.0 * var)
    return 0.5 * (math.erf((ends - at) * scale) - math.erf((begins - at) * scale))
