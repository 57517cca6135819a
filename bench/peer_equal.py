"""What of two pictures is not the same: those of `truceline run` and of the peer, held against each other."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyogrio
import shapely
from bench import peer_equal_report
from bench.peer_words import words

from truceline.counting import count
from truceline.mission import Mission
from truceline.observation import to_numpy
from truceline.places import Gazetteer
from truceline.store import Book, Journal, merkle

#: How far a number may be off. Positions of single events agree to rounding; distances come from geometries that were
#: projected, joined and cut by two versions of the same steps; probabilities of ours are within 1e-6 of the integral.
TOLERANCES = {
    "lon": 5e-9,
    "lat": 5e-9,
    "major_m": 0.01,
    "minor_m": 0.01,
    "tilt_deg": 0.01,
    "confidence": 1e-5,
    "at": 1e-5,
    "from": 1e-5,
    "until": 1e-5,
    "count": 0,
    "count_max": 0,
    "killed": 0,
    "injured": 0,
    "frp_mw": 1e-3,
    "p_conflict": 1e-6,
    "log_ratio": 1e-4,
    "observations": 0,
    "events": 0,
    "line_distance_m": 1.0,
    "chainage_m": 1.0,
    "p_inside": 1e-5,
    "p_breach": 1e-4,
    "length_km": 0.01,
    "tolerance_m": 0,
}
EXACT = ("what", "means", "description", "weapon", "release", "line_date", "p_conflict_model")
#: Columns of findings that are compared as they are.
FINDING = (
    "clause",
    "rule",
    "reading",
    "subject_kind",
    "subject_id",
    "calibrated",
    "severity",
    "coverage",
    "exemption",
    "release",
)
TRI_STATE = ("in_force", "illustrative")


def differences(mission: Path, ours: Path, tables: dict[str, pd.DataFrame]) -> list[str]:
    """What is not the same in the two pictures; empty when nothing is."""
    wrong: list[str] = []

    def same(what: str, mine: Any, theirs: Any) -> None:
        if mine != theirs:
            wrong.append(f"{what}: ours {mine}, the peer's {theirs}")

    with Journal(ours / "journal") as journal:
        for kind in ("observation", "duplicate", "rejection"):
            rows = journal.table(kind, ["source", "file", "leaf"])
            mine = rows["source"].to_pandas().value_counts().to_dict()
            same(f"{kind}s by source", mine, tables[f"{kind}s"]["source"].value_counts().to_dict())
            same(f"{kind}s' Merkle roots by file", roots(rows), peer_roots(tables["chain"], kind))
        ids = set(journal.table("observation", ["observation_id"])["observation_id"].to_pylist())
        same("observations' ids", len(ids), len(ids & set(tables["observations"]["observation_id"])))
    with Book(ours / "book.sqlite") as book:
        book_tables = {name: book.table(name) for name in book.names()}
    events, incidents = book_tables["events"], book_tables["incidents"]
    ties = book_tables["associations"].to_pandas().set_index("observation_id")
    theirs = tables["associations"].set_index("observation_id").reindex(ties.index)
    _partition(wrong, "observations in events", ties["event_id"], theirs["event_id"])
    _numbers(wrong, "associations", "log_ratio", ties["log_ratio"].to_numpy(float), theirs["log_ratio"].to_numpy(float))
    peers = tables["events"].set_index("event_id").reindex(events["event_id"].to_pylist())
    _partition(wrong, "events in incidents", pd.Series(events["incident_id"].to_pylist()), peers["incident_id"])
    _table(wrong, "events", events, peers, {"at_from": "from", "at_until": "until"})
    peers = tables["incidents"].set_index("incident_id").reindex(incidents["incident_id"].to_pylist())
    _table(wrong, "incidents", incidents, peers, {"first_at": "first", "last_at": "last"})
    _places(wrong, mission, incidents["place"].to_pylist(), peers)
    told = {}  # where ours tells a place in other words
    for subject, one, other in zip(peers.index, incidents["place"].to_pylist(), peers["place"], strict=True):
        if one != other and isinstance(other, str):
            told[subject] = (other, one)
    _findings(wrong, book_tables["findings"], tables["findings"], tables["factors"], told)
    _cases(wrong, book_tables["cases"], tables["cases"])
    _line(wrong, book_tables["line"], tables["line"])
    _zones(wrong, book_tables["zones"], tables["zones"])
    same("rows of lineage", book_tables["lineage"].num_rows, len(tables["lineage"]))
    _layers(wrong, ours / "picture.gpkg", tables["gpkg"])
    wrong += peer_equal_report.differences(ours, tables["report"])
    _days(wrong, Mission.load(mission), events, tables["daily"])
    return wrong


def _partition(wrong: list[str], what: str, mine: pd.Series, theirs: pd.Series) -> None:
    a, b = pd.factorize(mine.to_numpy())[0], pd.factorize(theirs.to_numpy())[0]
    pairs = len(set(zip(a.tolist(), b.tolist(), strict=True)))
    if not pairs == len(set(a.tolist())) == len(set(b.tolist())) or (b < 0).any():
        wrong.append(f"{what}: {len(set(a.tolist()))} of ours and {len(set(b.tolist()))} of the peer's meet in {pairs}")


def _numbers(wrong: list[str], what: str, name: str, mine: Any, theirs: Any) -> None:
    absent = np.isnan(mine) != np.isnan(theirs)
    off = np.abs(mine - theirs)
    if name == "tilt_deg":
        off = np.minimum(off, 180 - off)
    if absent.any() or np.nanmax(off, initial=0.0) > TOLERANCES[name]:
        worst = np.nanmax(off, initial=0.0)
        apart = np.sum(off > TOLERANCES[name])
        wrong.append(f"{what}, {name}: {absent.sum()} known to one alone, {apart} apart, by up to {worst:g}")


def _table(wrong: list[str], what: str, mine: Any, theirs: pd.DataFrame, named: dict[str, str]) -> None:
    round_ = np.isclose(to_numpy(mine["major_m"]), to_numpy(mine["minor_m"]), rtol=1e-4)
    for name in mine.column_names:
        other = named.get(name, name)
        if other in ("first", "last") or (other in TOLERANCES and other in theirs):
            values = to_numpy(mine[name]).astype(float)
            others = theirs[other].to_numpy(float, na_value=np.nan)
            if other == "tilt_deg":  # of a circle there is none
                values, others = np.where(round_, 0, values), np.where(round_, 0, others)
            _numbers(wrong, what, "at" if other in ("first", "last") else other, values, others)
        elif name == "alternatives":
            _likelihoods(wrong, f"{what}, {name}", mine[name], theirs[name])
        elif name in ("sources", "sensors"):
            differ = sum(a != b for a, b in zip(mine[name].to_pylist(), theirs[name], strict=True))
            if differ:
                wrong.append(f"{what}, {name}: {differ} differ")
        elif name in EXACT and name in theirs:
            others = [one if isinstance(one, str) else None for one in theirs[name]]
            differ = sum(a != b for a, b in zip(mine[name].to_pylist(), others, strict=True))
            if differ:
                wrong.append(f"{what}, {name}: {differ} differ")


#: A point between two settlements may be told from either: words are those of a point this many degrees away.
BESIDE_DEG = 1e-7


def _places(wrong: list[str], mission: Path, mine: list[str], theirs: pd.DataFrame) -> None:
    rows = [i for i, (a, b) in enumerate(zip(mine, theirs["place"], strict=True)) if a != b]
    if not rows:
        return
    said = Mission.load(mission)
    gazetteer = Gazetteer.load(mission / said.gazetteer if said.gazetteer else None)
    lon, lat = (theirs[name].to_numpy(float)[rows] for name in ("lon", "lat"))
    beside = [
        words(gazetteer, lon + east * BESIDE_DEG, lat + north * BESIDE_DEG) for east in (-1, 1) for north in (-1, 1)
    ]
    for i, *near in zip(rows, *beside, strict=True):
        if mine[i] not in near:
            wrong.append(f"incidents' places: ours {mine[i]!r}, the peer's {theirs['place'].iloc[i]!r}")


def _likelihoods(wrong: list[str], what: str, mine: pa.ChunkedArray, theirs: pd.Series) -> None:
    """The other terms of a kind and their probabilities; where two are equal to rounding either may come first."""
    off, differ = 0.0, 0
    for a, b in zip(mine.to_pylist(), theirs, strict=True):
        one, other = dict(a or ()), dict(b if isinstance(b, list) else ())
        if one.keys() != other.keys():
            differ += 1
        elif one:
            off = max(off, *(abs(one[name] - other[name]) for name in one))
    if differ or off > TOLERANCES["confidence"]:
        wrong.append(f"{what}: {differ} name other terms, probabilities are apart by up to {off:g}")


def roots(rows: pa.Table) -> dict[tuple[str, str], str]:
    """The Merkle root over the records of each file, by source and name, as ours makes it."""
    out: dict[tuple[str, str], list[bytes]] = {}
    for source, file, leaf in zip(*(rows[name].to_pylist() for name in ("source", "file", "leaf")), strict=True):
        out.setdefault((source, Path(file).name), []).append(leaf)
    return {key: merkle.root(b"".join(leaves)).hex() for key, leaves in out.items()}


def peer_roots(chain: pd.DataFrame, kind: str) -> dict[tuple[str, str], str]:
    rows = chain[chain["kind"] == kind]
    return dict(zip(zip(rows["source"], rows["file"], strict=True), rows["root"], strict=True)) if len(rows) else {}


def _findings(
    wrong: list[str], mine: pa.Table, theirs: pd.DataFrame, factors: pd.DataFrame, told: dict[bytes, tuple[str, str]]
) -> None:
    """Every column of the findings, and every factor of each."""
    ids = mine["finding_id"].to_pylist()
    where = pd.Series(np.arange(len(theirs)), theirs["finding_id"]).reindex(ids)
    alone = where.isna().sum() + len(theirs) - where.notna().sum()
    if alone:  # what is within rounding of the floor may be a row of the one and not of the other
        wrong.append(f"findings: {alone} of one alone among {len(ids)}")
    known = where.notna().to_numpy()
    mine, peers = mine.filter(pa.array(known)), theirs.iloc[where[known].to_numpy(int)]
    _numbers(wrong, "findings", "p_breach", to_numpy(mine["p_breach"]).astype(float), peers["p_breach"].to_numpy(float))
    for name, other in (("first_breach_from", "breach_from"), ("first_breach_until", "breach_until")):
        _numbers(wrong, "findings", "at", to_numpy(mine[name]).astype(float), peers[other].to_numpy(float))
    columns = {name: mine[name].to_pylist() for name in FINDING}
    columns |= {name: [-1 if x is None else int(x) for x in mine[name].to_pylist()] for name in TRI_STATE}
    borne = [next(iter(dict(row)), None) if len(row) == 1 else None for row in mine["attribution"].to_pylist()]
    columns["attribution"] = borne
    for name, values in columns.items():
        others = peers[name].astype(object).where(peers[name].notna(), None)
        differ = sum(a != b for a, b in zip(values, others, strict=True))
        if differ:
            wrong.append(f"findings, {name}: {differ} differ")
    words = [
        text.replace(*told[subject]) if subject in told else text
        for text, subject in zip(peers["sentence"].tolist(), peers["subject_id"], strict=True)
    ]
    _sentences(wrong, "findings", mine["sentence"].to_pylist(), words)
    _factors(wrong, mine, factors)


def _factors(wrong: list[str], mine: pa.Table, theirs: pd.DataFrame) -> None:
    lists = mine["factors"].combine_chunks()
    flat = lists.flatten()
    size = pc.list_value_length(lists).to_numpy()
    of = np.repeat(np.arange(len(size)), size)
    row = pd.Series(np.arange(len(size)), mine["finding_id"].to_pylist()).reindex(theirs["finding_id"])
    theirs = theirs[row.notna().to_numpy()].assign(row=row.dropna().to_numpy(int)).sort_values(["row", "at"])
    if not np.array_equal(of, theirs["row"].to_numpy()):
        wrong.append(f"factors: {len(of)} of ours and {len(theirs)} of the peer's, or of other findings")
        return
    for name in ("name", "source", "confidence"):
        differ = (flat.field(name).to_pandas().to_numpy(object) != theirs[name].to_numpy(object)).sum()
        if differ:
            wrong.append(f"factors, {name}: {differ} differ")
    _numbers(wrong, "factors", "p_breach", to_numpy(flat.field("value")).astype(float), theirs["value"].to_numpy(float))


#: Probabilities as sentences have them; a last digit may be rounded otherwise where the number lies between two.
_SAID = re.compile(r"[<>]?\b[01]\.\d\d\b")


def _sentences(wrong: list[str], what: str, mine: list[str], theirs: list[str]) -> None:
    differ = 0
    for a, b in zip(mine, theirs, strict=True):
        if a != b:
            one, other = (np.array([float(x.lstrip("<>")) for x in _SAID.findall(text)]) for text in (a, b))
            differ += _SAID.sub("#", a) != _SAID.sub("#", b) or np.abs(one - other).max() > 0.0101
    if differ:
        pair = next((a, b) for a, b in zip(mine, theirs, strict=True) if a != b)
        wrong.append(f"{what}, sentence: {differ} differ, as {pair[0]!r} and {pair[1]!r}")


def _cases(wrong: list[str], mine: pa.Table, theirs: pd.DataFrame) -> None:
    ids = mine["case_id"].to_pylist()
    if ids != theirs["case_id"].tolist():
        wrong.append(f"cases: {len(set(ids) ^ set(theirs['case_id']))} of one alone among {len(ids)}")
        return
    for name in ("clause", "subject_id", "state", "reopened", "findings", "severity", "observations_digest", "release"):
        differ = sum(a != b for a, b in zip(mine[name].to_pylist(), theirs[name], strict=True))
        if differ:
            wrong.append(f"cases, {name}: {differ} differ")
    _numbers(wrong, "cases", "p_breach", to_numpy(mine["p_breach"]).astype(float), theirs["p_breach"].to_numpy(float))
    _numbers(wrong, "cases", "at", to_numpy(mine["opened_at"]).astype(float), theirs["opened_at"].to_numpy(float))


#: How far a drawn line may be off anywhere, degrees (2 m); and the share of a drawn zone that one drawing has and the
#: other has not: ours widens lines piece by piece and draws circles with as many corners as the map shows.
LINE_DEG, ZONE_SHARE = 2e-5, 0.01


def _line(wrong: list[str], mine: pa.Table, theirs: pd.DataFrame) -> None:
    if mine["date"].to_pylist() != list(theirs.get("date", [])):
        wrong.append("line: other dates")
    elif mine.num_rows:
        if mine["file"].to_pylist() != theirs["file"].tolist():
            wrong.append("line: other files")
        for name in ("length_km", "tolerance_m"):
            _numbers(wrong, "line", name, to_numpy(mine[name]), theirs[name].to_numpy(float))
        _drawn(wrong, "line", mine["date"].to_pylist(), mine["geometry"], theirs.geometry)


def _zones(wrong: list[str], mine: pa.Table, theirs: pd.DataFrame) -> None:
    for name in ("id", "name", "kind"):
        if mine[name].to_pylist() != theirs[name].tolist():
            wrong.append(f"zones, {name}: ours {mine[name].to_pylist()}, the peer's {theirs[name].tolist()}")
            return
    _drawn(wrong, "zone", mine["id"].to_pylist(), mine["geometry"], theirs.geometry)


def _drawn(wrong: list[str], what: str, names: list[str], mine: pa.ChunkedArray, theirs: pd.Series) -> None:
    """How far the corners of each drawing of a line are from the other; what of a zone is in one drawing alone."""
    for name, one, other in zip(names, shapely.from_wkb(mine.to_pylist()), theirs, strict=True):
        if what == "line":
            away = max(distances(one, other), distances(other, one))
            if away > LINE_DEG:
                wrong.append(f"line {name}: drawn up to {away:g} degrees apart")
        else:
            share = shapely.symmetric_difference(one, other).area / other.area
            if share > ZONE_SHARE:
                wrong.append(f"zone {name}: {100 * share:.2f} % of it is in one drawing alone")


def distances(corners_of: Any, to: Any) -> float:
    """The greatest distance of a shape's corners from a line."""
    tree = shapely.STRtree(shapely.get_parts(to))
    found = tree.query_nearest(shapely.points(shapely.get_coordinates(corners_of)), return_distance=True)[1]
    return float(found.max(initial=0.0))


#: How far the corners of an error ellipse may be off, degrees: 1 m of some hundreds or thousands.
ELLIPSE_DEG = 1e-5


def _layers(wrong: list[str], mine: Path, theirs: Path) -> None:
    """Layers of the GeoPackages, their features, and the corners of the ellipses."""
    for layer in {*pyogrio.list_layers(theirs)[:, 0]} - {"layer_styles"}:
        counts = [pyogrio.read_info(path, layer=layer)["features"] for path in (mine, theirs)]
        if counts[0] != counts[1]:
            wrong.append(f"picture.gpkg, {layer}: ours has {counts[0]} features, the peer's {counts[1]}")
    drawn = [pyogrio.read_dataframe(path, layer="ellipses", columns=["incident_id"]) for path in (mine, theirs)]
    one, other = (shapes.set_index("incident_id").geometry.sort_index() for shapes in drawn)
    if not one.index.equals(other.index) or not np.array_equal(one.isna(), other.isna()):
        wrong.append("picture.gpkg, ellipses: of other incidents")
        return
    away = np.nanmax(shapely.hausdorff_distance(one.to_numpy(), other.to_numpy()), initial=0.0)
    if away > ELLIPSE_DEG:
        wrong.append(f"picture.gpkg, ellipses: drawn up to {away:g} degrees apart")


def _days(wrong: list[str], mission: Mission, events: Any, daily: pd.DataFrame) -> None:
    """Violations by the OSCE's rule, by reporting day: of all days when few, of thirty when many."""
    for day in daily.index[:: max(1, len(daily) // 30)]:
        counted = count("osce-smm", events, *mission.day(day.date())).number
        if counted != int(daily.loc[day, "counted"]):
            wrong.append(f"count of {day:%Y-%m-%d}: ours {counted}, the peer's {int(daily.loc[day, 'counted'])}")
