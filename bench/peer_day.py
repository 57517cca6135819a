"""The peer's reporting day: which events are of it, what its incidents are called, and the numbers of each."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
from bench.peer_rules import judge
from bench.peer_words import nearest, words

from truceline.observation import term
from truceline.places import FAR_KM
from truceline.report.gather import (
    COARSE_LAT_DEG,
    COARSE_LON_DEG,
    KNOWN,
    LEADING,
    ORIGINS,
    WELL_KNOWN,
    WIDE,
)

KNOWN_S, WELL_KNOWN_S, WIDE_S = (span.total_seconds() for span in (KNOWN, WELL_KNOWN, WIDE))


def iso(seconds: float) -> str | None:
    return None if pd.isna(seconds) else datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def rounded(value, digits: int) -> float | None:
    return None if pd.isna(value) else round(float(value), digits) + 0.0


def plain(value):
    """A number or text as JSON has it."""
    return None if value is None or value != value else value


def whole(value) -> int | None:
    return None if pd.isna(value) else int(value)


def family(what: pd.Series) -> pd.Series:
    return what.map({name: term(name).family for name in what.unique()})


def within(events: pd.DataFrame, begins: float, ends: float) -> pd.DataFrame:
    at = events["at"].fillna(events["from"])
    return events[(at >= begins) & (at < ends)]


class Day:
    """The events and incidents of a reporting day, as its report has them."""

    def __init__(self, mission, agreement, tables, held, zones, lines, gazetteer, day: date) -> None:
        self.mission, self.agreement, self.day, self.gazetteer = mission, agreement, day, gazetteer
        self.tables, self.line = tables, lines.at(day) if lines is not None else None
        spans = [[at.timestamp() for at in mission.day(day - timedelta(days=back))] for back in (0, 1)]
        (self.begins, self.ends), _ = spans
        self.now, self.past = (within(held, *span) for span in spans)
        judged = [
            self._findings(held, zones, part, span) for part, span in zip((self.now, self.past), spans, strict=True)
        ]
        self.findings, self.findings_before = judged
        incidents = tables["incidents"]
        incidents = incidents[incidents["incident_id"].isin(self.now["incident_id"].unique())]
        self.secret = self._secret(incidents, held)
        self.incidents = self._as_of_the_day(incidents, held)
        self.parts = self._parts()
        self.held = self._held()
        self.rows = self._rows()

    # ---- judged again on the day's events alone

    def _findings(self, held, zones, events: pd.DataFrame, span: list[float]) -> pd.DataFrame:
        """Findings on the day's incidents as its events carry them: those that span days are judged on these."""
        findings, incidents = self.tables["findings"], self.tables["incidents"]
        today = events["incident_id"].value_counts()
        findings = findings[findings["subject_id"].isin(today.index)]
        mine = incidents[incidents["incident_id"].isin(today.index)]
        spanning = mine[mine["events"].to_numpy() > today.loc[mine["incident_id"]].to_numpy()]
        if len(spanning):
            parts = events[events["incident_id"].isin(spanning["incident_id"])]
            again, _ = judge(parts, spanning, self.agreement, zones, span[1], self.mission.zone())
            new = again[again["subject_kind"] == "incident"]
            old = findings["subject_id"].isin(spanning["incident_id"])
            findings = pd.concat([findings[~old], new], ignore_index=True)
        return findings

    def _secret(self, incidents: pd.DataFrame, events: pd.DataFrame) -> set[bytes]:
        """Incidents of which any row tells where fire came from or a weapon stood."""
        behind = events[events["incident_id"].isin(incidents["incident_id"])]
        out: set[bytes] = set()
        for rows in (incidents, behind):
            stood = rows["what"].str.startswith(ORIGINS)
            fired = rows["description"].astype("str").str.contains("outgoing", case=False).fillna(False)
            out.update(rows.loc[stood | fired.astype(bool), "incident_id"])
        return out

    # ---- what an incident is called

    def _as_of_the_day(self, incidents: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
        today = self.now["incident_id"].value_counts()
        parted = incidents["events"].to_numpy() > today.loc[incidents["incident_id"]].to_numpy()
        incidents = incidents.assign(follows=None)
        if not parted.any():
            return incidents
        wanted = incidents.loc[parted, "incident_id"]
        mine, every = (
            dict(list(rows[rows["incident_id"].isin(wanted)].sort_values("event_id").groupby("incident_id")))
            for rows in (self.now, events)
        )
        rows = [
            self._renamed(row, mine[row["incident_id"]], every[row["incident_id"]])
            for row in incidents[parted].to_dict("records")
        ]
        return pd.concat([incidents[~parted], pd.DataFrame(rows, columns=incidents.columns)], ignore_index=True)

    def _renamed(self, incident: dict, today: pd.DataFrame, every: pd.DataFrame) -> dict:
        leaders, foremost = leading_rows(today)
        likeliest = today.assign(p=today["p_conflict"].fillna(0.0)).sort_values(["p", "event_id"]).iloc[-1]
        out = incident | {
            "what": incident["what"] if (leaders["what"] == incident["what"]).any() else most(leaders, "what"),
            "sources": sorted({source for row in today["sources"] for source in row}),
            **{name: most(leaders, name) for name in ("means", "description", "weapon")},
            **{name: likeliest[name] for name in ("p_conflict", "p_conflict_model")},
        }
        own = term(incident["what"]).family
        if foremost != own:
            sharpest = leaders.sort_values(["major_m", "event_id"], na_position="last").iloc[0]
            where = ("lon", "lat", "major_m", "minor_m", "tilt_deg", "line_date", "line_distance_m", "p_inside")
            out |= {name: sharpest[name] for name in where} | {"place": None}
        if foremost == "fire" and own != "fire":
            before = leading_rows(every)[0].assign(began=lambda rows: rows["at"].fillna(rows["from"]))
            before = before[before["began"] < today["at"].fillna(today["from"]).min()]
            if len(before):
                last = before.sort_values(["began", "event_id"]).iloc[-1]
                on = datetime.fromtimestamp(last["began"], UTC).astimezone(self.mission.zone())
                out["follows"] = f"{term(last['what']).osce} of {on.day} {on:%B}"
        return out

    # ---- numbers of the day

    def _parts(self) -> pd.DataFrame:
        events = self.now.assign(most=self.now["count_max"].fillna(self.now["count"]))
        events["frp_mw"] = events["frp_mw"].astype(float)
        names_it = leading(events)
        for name, values in told(events).items():
            events[name] = values.where(names_it)
        by = events.groupby("incident_id")
        out = by[["count", "most", "frp_mw", "observations"]].sum(min_count=1)
        out[["killed", "injured", "until", "at_max", "told_until", "vague"]] = (
            events.assign(at_max=events["at"])
            .groupby("incident_id")[["killed", "injured", "until", "at_max", "told_until", "vague"]]
            .max()
        )
        out[["from", "at_min", "told_from"]] = by[["from", "at", "told_from"]].min()
        out["events"] = by.size()
        return out

    def _held(self) -> dict[bytes, list[dict]]:
        """Findings on the day's incidents by incident, in order of clause and reading."""
        findings = self.findings[self.findings["subject_kind"] == "incident"]
        findings = findings[findings["subject_id"].isin(self.now["incident_id"].unique())]
        cases = self.tables["cases"]
        states = dict(zip(zip(cases["clause"], cases["subject_id"], strict=True), cases["state"], strict=True))
        out: dict[bytes, list[dict]] = {}
        for row in findings.sort_values(["clause", "reading", "finding_id"]).to_dict("records"):
            said = {
                "finding_id": row["finding_id"].hex(),
                "clause": row["clause"],
                "rule": row["rule"],
                "reading": row["reading"],
                "p_breach": rounded(np.float32(row["p_breach"]), 3),
                "in_force": None if row["in_force"] == -1 else bool(row["in_force"]),
                "illustrative": row["illustrative"] == 1,
                "exemption": plain(row["exemption"]),
                "severity": row["severity"],
                "state": states.get((row["clause"], row["subject_id"]), "alleged"),
                "calibrated": False,
            }
            out.setdefault(row["subject_id"], []).append(said)
        return out

    def _rows(self) -> list[dict]:
        incidents = self.incidents.sort_values("incident_id")
        lon, lat = (incidents[name].to_numpy(float) for name in ("lon", "lat"))
        regions, said = regions_of(self.gazetteer, lon, lat), words(self.gazetteer, lon, lat)
        town, away = nearest(self.gazetteer, lon, lat, districts=False)
        rows, parts = [], self.parts.to_dict("index")
        for i, row in enumerate(incidents.to_dict("records")):
            part = parts[row["incident_id"]]
            place, coarse = plain(row["place"]) or said[i], row["incident_id"] in self.secret
            if coarse:
                row = coarsened(row)
                known = np.isfinite(away[i]) and away[i] <= FAR_KM * 1000
                place = f"near {self.gazetteer.name[town[i]]}" if known else regions[i] or "undetermined place"
            # what an act of another day lit is no breach anew
            held = [] if plain(row["follows"]) else self.held.get(row["incident_id"], [])
            rows.append(
                {
                    "number": 0,
                    "incident_id": row["incident_id"].hex(),
                    "what": row["what"],
                    "observation": term(row["what"]).osce,
                    "place": place,
                    "region": regions[i],
                    "lon": rounded(row["lon"], 5),
                    "lat": rounded(row["lat"], 5),
                    "coarse": coarse,
                    **{name: rounded(row[name], 0) for name in ("major_m", "minor_m", "tilt_deg")},
                    "line_date": plain(row.get("line_date")),
                    "line_distance_m": rounded(row.get("line_distance_m", np.nan), 0),
                    "p_inside": rounded(row.get("p_inside", np.nan), 3),
                    "first_at": iso(part["at_min"] if pd.isna(part["from"]) else part["from"]),
                    "last_at": iso(part["at_max"] if pd.isna(part["until"]) else part["until"]),
                    "sources": sorted(row["sources"]),
                    "observations": int(part["observations"]),
                    "events": int(part["events"]),
                    **{name: plain(row[name]) for name in ("means", "description", "weapon")},
                    "count": whole(part["count"]),
                    "count_max": whole(part["most"]),
                    "killed": whole(part["killed"]),
                    "injured": whole(part["injured"]),
                    "frp_mw": rounded(part["frp_mw"], 1),
                    "p_conflict": rounded(row["p_conflict"], 3),
                    "p_conflict_model": plain(row["p_conflict_model"]),
                    "p_breach": max((p for p in map(told_p, held) if p is not None), default=None),
                    "held": held,
                    "told_from": iso(part["told_from"]),
                    "told_until": iso(part["told_until"]),
                    "about": bool(part["vague"] == 1),
                    "follows": plain(row["follows"]),
                }
            )
        return rows


def told_p(held: dict) -> float | None:
    """The probability, where it is to be told."""
    return held["p_breach"] if held["in_force"] is not False or held["illustrative"] else None


def regions_of(gazetteer, lon: np.ndarray, lat: np.ndarray) -> list[str]:
    at, away = nearest(gazetteer, lon, lat)
    near = np.nan_to_num(away, nan=np.inf) <= FAR_KM * 1000
    return np.where(near, gazetteer.region[at], "").tolist()


def coarsened(row: dict) -> dict:
    """To the nearest node of a grid of a kilometre; no ellipse."""
    nodes = {}
    for axis, step in (("lon", COARSE_LON_DEG), ("lat", COARSE_LAT_DEG)):
        nodes[axis] = np.nan if pd.isna(row[axis]) else round(row[axis] / step) * step
    metres = row.get("line_distance_m", np.nan)
    far = np.nan if pd.isna(metres) else round(float(metres) / 1000) * 1000.0
    return (
        row | nodes | {"line_distance_m": far} | dict.fromkeys(("major_m", "minor_m", "tilt_deg", "p_inside"), np.nan)
    )


def width(events: pd.DataFrame) -> pd.Series:
    return events["until"].fillna(events["at"]) - events["from"].fillna(events["at"])


def leading(events: pd.DataFrame) -> pd.Series:
    """Whether each event names its incident: of the foremost family, and not by the day alone where one is better."""
    ranks = {what: LEADING.index(term(what).family) for what in events["what"].unique()}
    rank = 2 * events["what"].map(ranks) + (width(events) >= WIDE_S)
    return rank == rank.groupby(events["incident_id"]).transform("min")


def leading_rows(events: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    rank = events["what"].map({what: LEADING.index(term(what).family) for what in events["what"].unique()})
    return events[rank == rank.min()], LEADING[rank.min()]


def told(events: pd.DataFrame) -> dict[str, pd.Series]:
    """Best time where it is known well, else the interval; and whether it is only about right."""
    at, begin, end, wide = events["at"], events["from"], events["until"], width(events)
    alone = at.notna() & ~(wide > KNOWN_S)
    return {
        "told_from": at.where(alone, begin.fillna(at)),
        "told_until": at.where(alone, end.fillna(at)),
        "vague": (alone & (wide > WELL_KNOWN_S)).astype(float),
    }


def most(rows: pd.DataFrame, name: str) -> str | None:
    """What most observations say; of equals the first by name."""
    weight = rows["observations"].groupby(rows[name]).sum()
    return min(weight.index, key=lambda word: (-weight[word], word), default=None)
