"""The peer in bench/ makes the same picture as Truceline: its speed may be compared only then.

It is an implementation of its own (pandas, scikit-learn, geopandas, scipy) of everything from the files to the
findings, so it is also a second opinion on all of them.
"""

import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOW = datetime(2031, 3, 16, tzinfo=UTC)

pytestmark = [
    pytest.mark.filterwarnings("default"),  # of libraries that only the peer uses
]


@pytest.fixture(scope="module")
def bench():
    """The bench, where its dependency group is installed."""
    for name in ("pandas", "sklearn", "geopandas"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install --group bench")
    sys.path.insert(0, str(ROOT))
    try:
        from bench import peer, run

        yield peer, run
    finally:
        sys.path.remove(str(ROOT))


def our_run(mission: Path, folder: Path) -> Path:
    """The whole of `truceline run` on a copy of a mission."""
    from truceline import daily, intake, pipeline

    shutil.copytree(mission, folder)
    intake.ingest(folder, NOW)
    pipeline.settle(folder, NOW)
    daily.report(folder, NOW)
    return folder


def both(bench, mission: Path, tmp_path: Path) -> list[str]:
    """What differs between the two pictures of a mission."""
    peer, run = bench
    ours = our_run(mission, tmp_path / "ours")
    tables, _ = peer.run(mission, tmp_path / "peer")
    return run.differences(mission, ours, tables)


def test_the_peer_makes_the_same_picture_of_the_example(bench, tmp_path):
    """From records and their Merkle roots to the cells of the daily report's tables."""
    _, run = bench
    run.example_mission(tmp_path / "mission")
    assert both(bench, tmp_path / "mission", tmp_path) == []


def test_the_peer_makes_the_same_picture_of_a_generated_mission(bench, tmp_path):
    """A year of 3,000 pixels and 1,000 reports with their copies, by the scale-up's generator."""
    _, run = bench
    run.scaled_mission(tmp_path / "mission", 3_000, 1_000)
    assert both(bench, tmp_path / "mission", tmp_path) == []


def one_off(tables) -> dict[str, str]:
    """Change one value in each part of the peer's picture; by what was changed, a part of what must be told."""
    tables["associations"].loc[0, "event_id"] = tables["associations"]["event_id"].iloc[-1]
    findings, factors = tables["findings"], tables["factors"]
    findings.loc[findings["p_breach"].idxmax(), "p_breach"] -= 0.01
    findings.loc[0, "sentence"] = findings.loc[0, "sentence"].replace("Clause", "Article")
    findings.loc[1, "severity"] = "unheard of"
    findings.loc[findings["attribution"] == "undetermined", "attribution"] = "somebody"
    findings.loc[findings["exemption"].first_valid_index(), "exemption"] = "another"
    findings.loc[findings["breach_from"].first_valid_index(), "breach_from"] -= 1.0
    factors.loc[factors["value"].idxmax(), "value"] -= 0.01
    factors["source"] = factors["source"].cat.rename_categories({"likelihoods of the fused event": "hearsay"})
    tables["cases"].loc[0, "observations_digest"] = "0" * 64
    tables["chain"].loc[0, "root"] = "0" * 64
    tables["line"].loc[0, "length_km"] += 0.1
    tables["zones"].loc[0, "geometry"] = tables["zones"].geometry[0].buffer(0.01)
    events, incidents = tables["events"], tables["incidents"]
    events["sources"] = [["elsewhere"], *events["sources"][1:]]
    events["sensors"] = [["a sundial"], *events["sensors"][1:]]
    incidents["alternatives"] = [[("flood", 0.5)], *incidents["alternatives"][1:]]
    report = tables["report"]
    report["report.json"] = report["report.json"].replace("Coverage is not assessed", "Coverage is assessed", 1)
    report["violations.csv"] = report["violations.csv"].replace("patrols", "passers-by", 1)
    report["incidents.geojson"] = report["incidents.geojson"].replace('"what":"fire"', '"what":"flood"', 1)
    report["report.html"] = report["report.html"].replace("<td>viirs</td>", "<td>modis</td>", 1)
    return {
        "a sentence of the summary": "report.json, summary",
        "a row of the violations": "violations.csv",
        "a feature of the incidents": "incidents.geojson",
        "a cell of the page's tables": "page, sources",
        "the evidence of a case": "cases, observations_digest",
        "a hash over records": "Merkle roots",
        "the length of a line": "line, length_km",
        "a border": "zone security-zone",
        "who told of an event": "events, sources",
        "what saw it": "events, sensors",
        "what else it may have been": "incidents, alternatives",
        "an observation in another event": "observations in events",
        "a probability": "findings, p_breach",
        "a sentence's words": "findings, sentence",
        "how bad it was": "findings, severity",
        "who did it": "findings, attribution",
        "the exemption named": "findings, exemption",
        "the first breach": "findings, at",
        "a factor's number": "factors, p_breach",
        "where a factor comes from": "factors, source",
    }


def test_what_was_read_before_adds_nothing_to_the_peer(bench, tmp_path):
    """The peer's intake is idempotent as ours is: a second run journals nothing and comes to the same edition."""
    peer, run = bench
    mission = tmp_path / "mission"
    run.example_mission(mission)
    first, _ = peer.run(mission, tmp_path / "peer")
    again, _ = peer.run(mission, tmp_path / "peer")
    assert len(again["chain"]) == len(first["chain"])
    for name in ("observations", "duplicates", "rejections", "events", "findings", "cases"):
        assert len(again[name]) == len(first[name]), name
    assert again["report"] == first["report"]


def test_a_difference_is_found(bench, tmp_path):
    """One observation moved to another event, one probability off by a hundredth, one word: each is told."""
    peer, run = bench
    mission = tmp_path / "mission"
    run.example_mission(mission)
    ours = our_run(mission, tmp_path / "ours")
    tables, _ = peer.run(mission, tmp_path / "peer")
    expected = one_off(tables)
    told = run.differences(mission, ours, tables)
    missed = [what for what, part in expected.items() if not any(part in one for one in told)]
    assert missed == []
