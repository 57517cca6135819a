"""The peer's report as data: what the day adds up to, in the words of the report's JSON."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from bench.peer_day import Day, family, iso, plain, regions_of, rounded, told, told_p
from bench.peer_fuse import seconds
from bench.peer_told import share
from bench.peer_words import words

from truceline import counting, places
from truceline.observation import term
from truceline.places import listed
from truceline.report.tally import AT_ALL, MOVEMENT, NEAR_KM

LIKELY = 0.5


def model(about: Day, observations: pd.DataFrame, journal, edition: dict) -> dict:
    """Every number and word of the report but the map's drawing."""
    mission, agreement, day = about.mission, about.agreement, about.day
    begins, ends = mission.day(day)
    regions, totals = tallies(about)
    order = {tally["region"]: i for i, tally in enumerate(regions)}
    kinds = {row["incident_id"]: term(row["what"]).family for row in about.rows}
    fires = numbered([row for row in about.rows if kinds[row["incident_id"]] == "fire"], order)
    others = numbered([row for row in about.rows if kinds[row["incident_id"]] not in ("fire", "notice")], order)
    accounts = movement(about)
    notices = {name for name, kind in kinds.items() if kind == "notice"}
    line = about.line
    in_force = agreement.in_force_at(begins) and agreement.in_force_at(ends - timedelta(microseconds=1))
    drawn = about.tables["line"]
    length_km = float(drawn.loc[drawn["date"] == line.day.isoformat(), "length_km"].iloc[0]) if line else None
    owed = [source.licence for source in mission.source] + [mission.line.licence if mission.line else None]
    return {
        "schema": 1,
        "number": f"{day.timetuple().tm_yday}/{day.year}",
        "mission": mission.name,
        "day": day.isoformat(),
        "begins": iso(about.begins),
        "ends": iso(about.ends),
        "zone": mission.report_day.zone,
        "release": "mission",
        "exercise": mission.exercise,
        "illustrative": not in_force or any(h["illustrative"] for held in about.held.values() for h in held),
        "agreement": agreement.title,
        "counting": {"rule": mission.counting, "sentence": counting.RULES[mission.counting].sentence},
        "totals": totals,
        "regions": regions,
        "incidents": others,
        "fires": of_fires(fires, about),
        "notices": len(notices - {row["incident_id"] for row in accounts}),
        "wide_intervals": sum(span(row) >= timedelta(hours=12) for row in others),
        "beyond_period": sum(reaches(row, begins, ends) for row in others),
        "casualties": casualties([*others, *fires], about, observations),
        "duties": duties(about),
        "clauses": clauses(about, [*others, *fires]),
        "sources": sources(mission, observations, about.begins, about.ends),
        "journal": counts(mission, journal),
        "line_date": line.day.isoformat() if line else None,
        "line_length_km": length_km,
        "line_tolerance_m": line.tolerance_m if line else None,
        "attributions": [*dict.fromkeys(x.rstrip(".") for x in owed if x), places.ATTRIBUTION.rstrip(".")],
        "movement": accounts,
        "objects": [],  # the bench's missions have no fixes
        "exempt": exempt(about, [*others, *fires]),
        "readers": {party.id: party.name for party in agreement.party},
    }


def at(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def span(row: dict) -> timedelta:
    return at(row["last_at"]) - at(row["first_at"]) if row["first_at"] and row["last_at"] else timedelta(0)


def reaches(row: dict, begins: datetime, ends: datetime) -> bool:
    first, last = at(row["first_at"]), at(row["last_at"])
    return bool((first and first < begins) or (last and last > ends))


def numbered(rows: list[dict], order: dict[str, int]) -> list[dict]:
    key = lambda r: (order.get(r["region"], len(order)), r["told_from"] is None, r["told_from"] or "", r["incident_id"])  # noqa: E731
    return [row | {"number": i} for i, row in enumerate(sorted(rows, key=key), start=1)]


# ---- counts --------------------------------------------------------------------------------------------------------


def tallies(about: Day) -> tuple[list[dict], dict]:
    """Counts by region, the highest first, and over all."""
    both = pd.concat([about.now["incident_id"], about.past["incident_id"]]).unique()
    incidents = about.tables["incidents"]
    incidents = incidents[incidents["incident_id"].isin(both)]
    named = regions_of(about.gazetteer, incidents["lon"].to_numpy(float), incidents["lat"].to_numpy(float))
    of_incident = dict(zip(incidents["incident_id"], named, strict=True))
    here, there = (rows["incident_id"].map(of_incident).fillna("") for rows in (about.now, about.past))
    out = [tally(name, about.now[here == name], about.past[there == name]) for name in sorted(set(named))]
    out = [one for one in out if one["incidents"] or one["previous_incidents"]]
    out.sort(key=lambda t: (-t["counted"], -t["previous"], -t["incidents"], t["region"]))
    return out, tally("", about.now, about.past)


def tally(region: str, now: pd.DataFrame, past: pd.DataFrame) -> dict:
    violent, then = (rows[~family(rows["what"]).isin(["fire", "notice"])] for rows in (now, past))
    counted = osce(violent)
    loud = violent["what"].map({what: term(what).osce for what in violent["what"].unique()}) == "explosion"
    return {
        "region": region,
        **counted,
        "explosions": osce(violent[loud])["counted"],
        "incidents": int(violent["incident_id"].nunique()),
        "previous": osce(then)["counted"],
        "previous_incidents": int(then["incident_id"].nunique()),
    }


def osce(events: pd.DataFrame) -> dict:
    """As the OSCE counted: every explosion, burst, shot is one; a range counts with its lower end."""
    loud = events[family(events["what"]) == "impulse"]
    least = np.fmin(loud["count"], loud["count_max"]).fillna(1.0).clip(lower=1)
    most = np.fmax(loud["count"], loud["count_max"]).clip(lower=1)
    return {
        "counted": int(least.sum()),
        "most": None if most.isna().any() else int(most.sum()),
        "not_countable": len(events) - len(loud),
        "unnumbered": int((loud["count"].isna() & loud["count_max"].isna()).sum()),
    }


def of_fires(rows: list[dict], about: Day) -> dict:
    near = [r for r in rows if r["line_distance_m"] is not None and abs(r["line_distance_m"]) <= NEAR_KM * 1000]
    given = [row["p_conflict"] for row in rows if row["p_conflict"] is not None]
    return {
        "events": sum(row["events"] for row in rows),
        "previous": int((family(about.past["what"]) == "fire").sum()),
        "incidents": len(rows),
        "frp_mw": round(float(np.sum(np.sort([row["frp_mw"] or 0.0 for row in rows]))), 1),
        "near_line": len(near),
        "near_km": NEAR_KM,
        "expected_conflict": round(float(np.sum(np.sort(given))), 2) if given else None,
        "models": sorted({row["p_conflict_model"] for row in rows if row["p_conflict_model"]}),
        "rows": rows,
    }


def casualties(rows: list[dict], about: Day, observations: pd.DataFrame) -> list[dict]:
    """Incidents with people killed or injured, and what each source states of them."""
    said = observations[observations["killed"].notna() | observations["injured"].notna()]
    ties = about.tables["associations"]
    ties = ties[ties["observation_id"].isin(said["observation_id"])]
    said = said.merge(ties, on="observation_id").merge(about.now[["event_id", "incident_id"]], on="event_id")
    stated: dict[str, list[dict]] = {}
    for (incident, source), group in said.groupby(["incident_id", "source"]):
        pair = {
            n: [int(group[n].min()), int(group[n].max())] if group[n].notna().any() else None
            for n in ("killed", "injured")
        }
        stated.setdefault(incident.hex(), []).append({"source": source, **pair})
    out = [
        {
            "incident_id": row["incident_id"],
            "place": row["place"],
            "killed": row["killed"] or 0,
            "injured": row["injured"] or 0,
            "sources": [one["source"] for one in stated.get(row["incident_id"], [])] or row["sources"],
            "confirmed": any(held["state"] == "verified" for held in row["held"]),
            "stated": stated.get(row["incident_id"], []),
        }
        for row in rows
        if row["killed"] or row["injured"]
    ]
    return sorted(out, key=lambda r: (not r["confirmed"], -r["killed"], -r["injured"], r["incident_id"]))


def movement(about: Day) -> list[dict]:
    """What the day's events say of access and interference, by time."""
    events = about.now[about.now["what"].str.startswith(MOVEMENT)].sort_values("event_id")
    lon, lat = (events[name].to_numpy(float) for name in ("lon", "lat"))
    said, regions = words(about.gazetteer, lon, lat), regions_of(about.gazetteer, lon, lat)
    times = pd.DataFrame(told(events))
    out = [
        {
            "incident_id": row["incident_id"].hex(),
            "what": row["what"],
            "kind": plain(row["description"]) or row["what"].partition(".")[2] or "not stated",
            "place": place,
            "region": region,
            "means": plain(row["means"]),
            "told_from": iso(time["told_from"]),
            "told_until": iso(time["told_until"]),
            "about": time["vague"] == 1,
            "sources": sorted(row["sources"]),
        }
        for row, place, region, time in zip(
            events.to_dict("records"), said, regions, times.to_dict("records"), strict=True
        )
    ]
    return sorted(out, key=lambda row: (row["told_from"] is None, row["told_from"]))


# ---- findings ------------------------------------------------------------------------------------------------------


def clauses(about: Day, rows: list[dict]) -> list[dict]:
    names = {party.id: party.name for party in about.agreement.party}
    past = about.findings_before
    past = past[(past["subject_kind"] == "incident") & past["p_breach"].notna()]
    past = past[past["subject_id"].isin(about.past["incident_id"].unique())]
    previous = past.groupby("clause")["subject_id"].nunique().to_dict()
    out = []
    for clause in about.agreement.clause:
        held = [[h for h in row["held"] if h["clause"] == clause.id and h["p_breach"] is not None] for row in rows]
        held = [one for one in held if one]
        greatest = [max(told_p(h) or 0.0 for h in one) for one in held]
        if held or previous.get(clause.id):
            out.append(
                {
                    "clause": clause.id,
                    "rule": clause.type,
                    "title": clause.title,
                    "incidents": len(held),
                    "previous": previous.get(clause.id, 0),
                    "likely": sum(p > LIKELY for p in greatest),
                    "greatest": max(greatest, default=None),
                    "in_force": in_force([h for one in held for h in one], names),
                }
            )
    return out


def in_force(held: list[dict], names: dict[str, str]) -> str:
    said: dict[str, set] = {}
    for one in held:
        said.setdefault(one["reading"], set()).add(one["in_force"])
    meant = {
        reading: "yes" if found == {True} else "no" if found == {False} else "in part or not known"
        for reading, found in said.items()
    }
    if len(set(meant.values())) <= 1:
        return next(iter(meant.values()), "—")
    return "; ".join(f"{word} ({names.get(reading, reading)})" for reading, word in sorted(meant.items()))


def duties(about: Day) -> list[dict]:
    """Findings on other subjects than incidents, begun before the day's end, most probable first."""
    findings, factors = about.tables["findings"], about.tables["factors"]
    titles = {clause.id: clause.title for clause in about.agreement.clause}
    names = {party.id: party.name for party in about.agreement.party}
    rows = findings[(findings["subject_kind"] != "incident") & (findings["breach_from"] < about.ends)]
    p = rows["p_breach"].astype(np.float32)
    rows = rows.assign(p_breach=p)[(p >= np.float32(AT_ALL)) & (rows["in_force"] != 0)]
    rows = rows.assign(back=-rows["p_breach"]).sort_values(["back", "clause", "subject_id", "reading", "finding_id"])
    alike: dict[tuple, list[dict]] = {}
    for row in rows.to_dict("records"):
        alike.setdefault((row["clause"], row["subject_id"], round(row["p_breach"], 3)), []).append(row)
    out = []
    for (clause, _, p), same in alike.items():
        first = same[0]
        mine = factors[factors["finding_id"] == first["finding_id"]]
        known = [(n, v) for n, v in zip(mine["name"], mine["value"], strict=True) if not np.isnan(v)]
        shown = known[:1] + [(n, v) for n, v in known[1:] if v < 0.995]
        due = first["subject_kind"] == "duty"
        out.append(
            {
                "finding_id": first["finding_id"].hex(),
                "clause": clause,
                "title": titles.get(clause, clause),
                "reading": readings([names.get(row["reading"], row["reading"]) for row in same], len(names)),
                "p_breach": p,
                "owed_by": names.get(first["attribution"]),
                "due_at": iso(first["breach_from"]) if due else None,
                "why": [f"{n} {share(v)}" for n, v in shown] if due else [],
            }
        )
    return out


def readings(names: list[str], of: int) -> str:
    if len(names) == of > 1:
        return "in both readings" if of == 2 else "in all readings"
    return f"as {listed(names)} {'reads' if len(names) == 1 else 'read'} it"


def exempt(about: Day, rows: list[dict]) -> list[dict]:
    """What an exemption more likely than not makes no breach; readings that agree in one row."""
    titles = {clause.id: clause.title for clause in about.agreement.clause}
    names = {party.id: party.name for party in about.agreement.party}
    incidents = {row["incident_id"]: row for row in rows}
    findings = about.findings
    covered = findings[findings["exemption"].notna() & (findings["subject_kind"] == "incident")]
    covered = covered[np.array([name.hex() in incidents for name in covered["subject_id"]], bool)]
    alike: dict[tuple, list[dict]] = {}
    for row in covered.assign(p_breach=covered["p_breach"].astype(np.float32)).to_dict("records"):
        if row["p_breach"] <= LIKELY:
            key = (row["clause"], row["subject_id"].hex(), row["exemption"], share(row["p_breach"]))
            alike.setdefault(key, []).append(row)
    out = []
    for (clause, name, text, _), same in sorted(alike.items()):
        same.sort(key=lambda row: row["reading"])
        one, incident = same[0], incidents[name]
        mine = about.now[about.now["incident_id"] == one["subject_id"]].sort_values("event_id")
        fits = [overlap(row, one) for row in mine.to_dict("records")]
        event = mine.iloc[[int(np.argmax(fits))]]
        time = pd.DataFrame(told(event)).iloc[0]
        out.append(
            {
                "finding_id": one["finding_id"].hex(),
                "incident_id": name,
                "clause": clause,
                "title": titles.get(clause, clause),
                "observation": term(event["what"].iloc[0]).meaning,
                "place": incident["place"],
                "region": incident["region"],
                "told_from": iso(time["told_from"]),
                "told_until": iso(time["told_until"]),
                "about": bool(time["vague"] == 1),
                "exemption": text,
                "reading": readings([names.get(row["reading"], row["reading"]) for row in same], len(names)),
                "p_breach": rounded(one["p_breach"], 3),
            }
        )
    return out


def overlap(event: dict, finding: dict) -> float:
    """How well an event's interval fits that of a finding's first breach."""
    a, b = (event["at"] if np.isnan(event[name]) else event[name] for name in ("from", "until"))
    c, d = finding["breach_from"], finding["breach_until"]
    if np.isnan(a + b + c + d):
        return 0.0
    union = max(b, d) - min(a, c)
    return max(0.0, min(b, d) - max(a, c)) / union if union else 1.0


# ---- sources -------------------------------------------------------------------------------------------------------


def sources(mission, observations: pd.DataFrame, begins: float, ends: float) -> list[dict]:
    """How each source spoke in the period, against its median day up to then."""
    times = pd.Series(seconds(observations["at_us"]), observations["source"].to_numpy())
    times = times[times < ends]
    by = dict(list(times.groupby(level=0)))
    out = []
    for source in mission.source:
        mine = by.get(source.id, times.iloc[:0]).to_numpy()
        records = int((mine >= begins).sum())
        back = np.floor((ends - mine) / 86_400.0).astype(np.int64)
        out.append(
            {
                "source": source.id,
                "records": records,
                "median_per_day": float(np.median(np.bincount(back - back.min()))) if len(mine) else None,
                "last_at": iso(round(mine.max() * 1e6) / 1e6) if len(mine) else None,
                "silent": not records,
                "never": not len(mine),
                "licence": source.licence,
            }
        )
    return out


def counts(mission, journal) -> list[dict]:
    """What became of each source's records, over all that was read."""
    total = {source.id: dict.fromkeys(("accepted", "duplicates", "rejected"), 0) for source in mission.source}
    for entry in journal.of("file"):
        for name in total[entry["source"]]:
            total[entry["source"]][name] += entry[name]
    return [{"source": source, "read": sum(row.values()), **row} for source, row in total.items()]


def last_day(mission, events: pd.DataFrame):
    return mission.day_of(datetime.fromtimestamp(events["at"].max(), UTC))


def daily(mission, events: pd.DataFrame) -> pd.DataFrame:
    """By reporting day: events, violations counted as the OSCE did, fires."""
    when = pd.to_datetime(events["at"], unit="s", utc=True).dt.tz_convert(mission.zone())
    day = (when.dt.tz_localize(None) - mission.day_ends() + timedelta(days=1)).dt.normalize()
    kind = family(events["what"])
    least = np.fmin(events["count"], events["count_max"]).fillna(1.0).clip(lower=1)
    frame = pd.DataFrame({"day": day, "counted": least.where(kind == "impulse", 0.0), "fires": kind == "fire"})
    frame["events"] = 1
    return frame.dropna(subset=["day"]).groupby("day").sum()
