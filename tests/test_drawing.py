"""Drawn piece by piece the provisional picture is what one drawing makes of everything; only what must may lag."""

import shutil
from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import a_service
from truceline import pipeline
from truceline.finding import CASES, FINDINGS
from truceline.observation import id_column, ids
from truceline.picture import ASSOCIATIONS, EVENTS, INCIDENTS
from truceline.rules.cases import cases
from truceline.serve import child, picturing, window
from truceline.serve.changes import IDS, fingerprints
from truceline.serve.drawing import Patch
from truceline.serve.settled import Settled
from truceline.serve.window import FOLLOWED, Window

#: What depends on what is far away, in this way: the fires' model, and with it their findings; duties.
FIRES = "fire"


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Path:
    """The example mission with nothing read but its baseline: no edition, no observation."""
    settled = a_service.an_example(tmp_path_factory.mktemp("example") / "two-days")
    kept = shutil.ignore_patterns("journal", "book.sqlite*", "picture.gpkg", "reports")
    return shutil.copytree(settled, tmp_path_factory.mktemp("empty") / "two-days", ignore=kept)


@pytest.fixture(scope="module")
def rows(example, tmp_path_factory) -> pa.Table:
    """All that the example tells, fixes aside."""
    whole = Window(a_service.an_example(tmp_path_factory.mktemp("read") / "two-days"))
    whole.begin(a_service.NOW)
    return whole._rows.filter(pc.not_equal(whole._rows["kind"], "fix"))


def reports(count: int, seed: int) -> pa.Table:
    """Explosions, drones and fires within an hour or two in some 40 km, so that many are near each other."""
    rng = np.random.default_rng(seed)
    at = [a_service.NOW - timedelta(seconds=float(s)) for s in rng.uniform(0, 7200, count)]
    words = ["explosion.impact", "explosion.outgoing", "uav", "fire", "access.denied", "weapon.mlrs"]
    return window._columns(
        pa.table(
            {
                "observation_id": id_column(rng.integers(1, 2**62, (count, 2)).astype(np.uint64)),
                "source": pa.array([f"post-{k}" for k in rng.integers(0, 3, count)]),
                "sensor": pa.array([f"post {k}" for k in rng.integers(0, 9, count)]),
                "kind": pa.array(["sighting"] * count),
                "what": pa.array([words[k] for k in rng.choice(6, count, p=[0.5, 0.1, 0.15, 0.1, 0.05, 0.1])]),
                "at": pa.array(at, pa.timestamp("us", tz="UTC")),
                "lon": 38.2 + rng.uniform(0, 0.6, count),
                "lat": 48.4 + rng.uniform(0, 0.4, count),
                "count": pa.array(rng.integers(1, 5, count).astype(np.int32)),
                "release": pa.array(["mission"] * count),
            }
        )
    )


def begun(folder: Path) -> tuple[Window, dict[str, pa.Table]]:
    """A window of nothing, and its tables."""
    made = Window(folder)
    made.begin(a_service.NOW)
    return made, applied({}, made.draw(a_service.NOW, 0.5, anew=True))


def applied(tables: Mapping[str, pa.Table], drawn: Any) -> dict[str, pa.Table]:
    """As the service does it."""
    return Patch(drawn.tables, drawn.gone).applied(tables)


def at_once(made: Window) -> dict[str, pa.Table]:
    """All tables, of one drawing."""
    told, until = made._rows, window._speaks_until(made._rows)
    tables: Any = pipeline.draw(made.on, made.folder, told, until or a_service.NOW, conflict=made._conflict(told))
    tables["cases"] = cases(
        *(tables[name] for name in ("findings", "incidents", "events", "associations")), made._verdicts
    )
    return tables


def same(one: pa.Table, other: pa.Table, but: tuple[str, ...] = ()) -> bool:
    """Whether two tables have the same rows, in whatever order."""
    names = [name for name in other.column_names if name not in but]
    return sorted(fingerprints(one.select(names)).tolist()) == sorted(fingerprints(other.select(names)).tolist())


def local(tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """What is a function of an incident's own observations: nothing of fires' causes, nothing of duties."""
    events, incidents, findings = (tables[name] for name in FOLLOWED)
    burning = ids(events.filter(pc.equal(pc.utf8_slice_codeunits(events["what"], 0, 4), FIRES))["incident_id"])
    of_fires = {row.tobytes() for row in burning}

    def kept(column: pa.ChunkedArray) -> pa.Array:
        return pa.array([row.tobytes() not in of_fires for row in ids(column)], pa.bool_())

    mine = pc.and_(kept(findings["subject_id"]), pc.not_equal(findings["subject_kind"], "duty").combine_chunks())
    return {
        "associations": tables["associations"],
        "events": events.drop_columns(
            [name for name in events.column_names if name.startswith("p_conflict")] if len(of_fires) else []
        ),
        "incidents": incidents.filter(kept(incidents["incident_id"])),
        "findings": findings.filter(mine),
    }


def draws(made: Window, tables: dict[str, pa.Table], batches: list[pa.Table], each: bool) -> dict[str, pa.Table]:
    """Take batches one after the other; with `each` what is local is held against one drawing of all every time."""
    for batch in batches:
        made.take(batch, a_service.NOW)
        drawn = made.draw(a_service.NOW, 0.5)
        before = tables
        tables = applied(tables, drawn)
        for name in FOLLOWED:
            key = IDS[name]
            was, now = (set(one[name][key].to_pylist()) for one in (before, tables))
            assert now - was <= set(drawn.upserted[name]) <= now
            assert set(drawn.removed[name]) == was - now
        if each:
            whole, now = local(at_once(made)), local(tables)
            for name in whole:
                assert same(now[name], whole[name]), name
    return tables


def cut(rows: pa.Table, seed: int, pieces: int) -> list[pa.Table]:
    """The rows in random order and batches of random size."""
    rng = np.random.default_rng(seed)
    mixed = rows.take(pa.array(rng.permutation(rows.num_rows)))
    at = np.unique(np.concatenate([[0, rows.num_rows], rng.integers(0, rows.num_rows + 1, pieces - 1)]))
    return [mixed.slice(a, b - a) for a, b in pairwise(at.tolist())]


def is_whole(made: Window, tables: dict[str, pa.Table]) -> None:
    """After what was left for later, the tables are those of one drawing, and nothing is left."""
    tables = applied(tables, made.draw(a_service.NOW, 0.5, due=True))
    assert not made.loose
    whole = at_once(made)
    for name in ("associations", *FOLLOWED, "cases"):
        assert same(tables[name], whole[name]), name


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**32), pieces=st.integers(1, 5))
def test_the_example_in_any_order_and_batches(example, rows, seed, pieces):
    """Hotspots, reports and alerts of two days: at every step what is local is right, at the end everything."""
    made, tables = begun(example)
    is_whole(made, draws(made, tables, cut(rows, seed, pieces), each=True))


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 150), pieces=st.integers(2, 5))
def test_crowded_reports_in_any_order_and_batches(example, seed, count, pieces):
    """A report joins events, parts them and moves the rates round it; none of it is missed."""
    made, tables = begun(example)
    is_whole(made, draws(made, tables, cut(reports(count, seed), seed, pieces), each=True))


def test_what_nothing_new_touches_is_not_drawn(example, rows):
    """A report far from all else changes its own incident; what was told of others is not told again."""
    made, tables = begun(example)
    tables = draws(made, tables, [rows], each=False)
    tables = applied(tables, made.draw(a_service.NOW, 0.5, due=True))
    far = reports(1, 5).set_column(0, "observation_id", pa.array([b"far from all els"], pa.binary(16)))
    for name, value in (("lon", 36.2), ("lat", 50.9), ("what", "explosion.impact")):
        kind = far.schema.field(name).type
        far = far.set_column(far.column_names.index(name), name, pa.array([value], kind))
    made.take(far, a_service.NOW)
    drawn = made.draw(a_service.NOW, 0.5)
    assert drawn.tables["incidents"].num_rows == 1
    assert drawn.upserted["incidents"] == drawn.tables["incidents"]["incident_id"].to_pylist()
    assert not any(drawn.removed.values())
    assert tables["incidents"].num_rows > 50


def test_fixes_that_are_too_many_are_not_wanted_any_more(example, monkeypatch):
    """It is answered also where they are all that comes in and nothing is drawn; what else comes in is."""
    monkeypatch.setattr(window, "MOST_FIXES", 10)
    asked = picturing.picture(example, None)
    asked("begin", a_service.NOW, 0.5, [])
    few = reports(8, 3)
    fixes = few.set_column(few.column_names.index("kind"), "kind", pa.array(["fix"] * 8))
    assert asked("take", a_service.NOW, 0.5, [], child.packed(fixes)).follows
    others = fixes.set_column(0, "observation_id", id_column(ids(fixes["observation_id"]) + np.uint64(1)))
    assert asked("take", a_service.NOW, 0.5, [], child.packed(others)) == (False, False)
    drawn = asked("take", a_service.NOW, 0.5, [], child.packed(reports(8, 4)))
    assert drawn.upserted["events"]
    assert not drawn.follows


def test_of_an_edition_of_duties_alone_nothing_stands():
    """A mission that has only fixes has duties and no incident: they are judged anew."""
    of = {"events": EVENTS, "incidents": INCIDENTS, "findings": FINDINGS, "cases": CASES, "associations": ASSOCIATIONS}
    tables = {name: schema.empty_table() for name, schema in of.items()}
    duty = {"finding_id": b"f" * 16, "subject_id": b"d" * 16, "subject_kind": "duty"}
    duty |= {"clause": "1", "rule": "duty", "reading": "a"}
    tables["findings"] = pa.Table.from_pylist([duty], FINDINGS)
    nothing = np.empty((0, 2), np.uint64)
    edition = Settled(tables, np.empty(0, np.bool_), {"tracks": 2}, {})
    assert {name: mask.tolist() for name, mask in edition.outside(nothing, True).items()} == {
        "incidents": [], "events": [], "findings": [False], "cases": [], "tracks": [True, True], "associations": [],
    }  # fmt: skip


def test_a_report_beside_a_fire_is_made_up_for(example, rows):
    """What the model says of fires near a new report may lag; looked at when due it is as one drawing has it."""
    made, tables = begun(example)
    hot = rows.filter(pc.equal(rows["kind"], "hotspot"))
    shelled = reports(hot.num_rows, 7).set_column(
        0, "observation_id", id_column(ids(hot["observation_id"]) + np.uint64(1))
    )
    for name, column in (("lon", hot["lon"]), ("lat", hot["lat"]), ("at", hot["at"])):
        shelled = shelled.set_column(shelled.column_names.index(name), name, column)
    impact = pa.repeat(pa.scalar("explosion.impact"), hot.num_rows)
    shelled = shelled.set_column(shelled.column_names.index("what"), "what", impact)
    tables = draws(made, tables, [hot, shelled], each=False)
    assert made.loose
    causes = ["event_id", "p_conflict"]
    assert not same(tables["events"].select(causes), at_once(made)["events"].select(causes))
    is_whole(made, tables)
