"""What became of an edition's ids: told by the observations they share."""

import hashlib
import sys
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from truceline import picture
from truceline.fuse import lineage


def an_id(name: str) -> bytes:
    return name.encode().ljust(16, b".")


def edition(**events: str) -> dict[str, pa.Table]:
    """Events by name, each "incident: observations", one letter an observation."""
    rows, ties = [], []
    for name, said in events.items():
        incident, _, observations = said.partition(": ")
        rows.append({"event_id": an_id(name), "incident_id": an_id(incident), "what": "explosion"})
        ties += [{"observation_id": an_id(o), "event_id": an_id(name)} for o in observations]
    return {
        "events": pa.Table.from_pylist(rows, schema=picture.EVENTS),
        "associations": pa.Table.from_pylist(ties, schema=picture.ASSOCIATIONS),
    }


def told(before: dict[str, pa.Table], after: dict[str, pa.Table], kind: str = "event") -> set[tuple[Any, ...]]:
    def name(value: bytes | None) -> str | None:
        return None if value is None else value.decode().rstrip(".")

    rows = lineage(before, after)
    assert rows.schema == picture.LINEAGE
    return {
        (name(row["from_id"]), row["relation"], name(row["to_id"])) for row in rows.to_pylist() if row["kind"] == kind
    }


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        pytest.param({"e": "i: ab"}, {"e": "i: ab"}, {("e", "same", "e")}, id="nothing changed"),
        pytest.param(
            {"e": "i: b"}, {"f": "i: ab"}, {("e", "same", "f")}, id="an earlier report: same under another id"
        ),
        pytest.param(
            {"e": "i: ab"}, {"e": "i: a", "f": "i: b"}, {("e", "split", "e"), ("e", "split", "f")}, id="split"
        ),
        pytest.param(
            {"e": "i: a", "f": "i: b"}, {"e": "i: ab"}, {("e", "merged", "e"), ("f", "merged", "e")}, id="merged"
        ),
        pytest.param({"e": "i: a"}, {"f": "i: b"}, {("e", "gone", None), (None, "new", "f")}, id="gone and new"),
        pytest.param({}, {"e": "i: a"}, {(None, "new", "e")}, id="from nothing"),
        pytest.param({"e": "i: a"}, {}, {("e", "gone", None)}, id="to nothing"),
        pytest.param(
            {"e": "i: ab", "f": "i: c"},
            {"e": "i: a", "f": "i: bc"},
            {("e", "split", "e"), ("e", "split", "f"), ("f", "merged", "f")},
            id="split and merged",
        ),
    ],
)
def test_events_are_related_when_they_share_an_observation(before, after, said):
    assert told(edition(**before), edition(**after)) == said


def test_incidents_are_related_through_their_events():
    """Two incidents become one, though their events stay as they were."""
    before, after = edition(e="i: a", f="j: b"), edition(e="i: a", f="i: b")
    assert told(before, after) == {("e", "same", "e"), ("f", "same", "f")}
    assert told(before, after, "incident") == {("i", "merged", "i"), ("j", "merged", "i")}


def test_tracks_are_related_when_they_share_an_observation():
    """A late fix that ties two tracks together merges them; what events are made of has no part in it."""

    def tracked(**tracks: str) -> dict[str, pa.Table]:
        ties = [{"observation_id": an_id(o), "track_id": an_id(t)} for t, seen in tracks.items() for o in seen]
        return edition() | {"associations": pa.Table.from_pylist(ties, schema=picture.ASSOCIATIONS)}

    before, after = tracked(t="ab", u="cd"), tracked(t="abecd")
    assert told(before, after, "track") == {("t", "merged", "t"), ("u", "merged", "t")}
    assert not told(before, after)


def test_the_order_of_rows_does_not_matter():
    before, after = edition(e="i: ab", f="j: cd", g="j: e"), edition(e="i: ac", f="i: bd", h="k: f")
    turned = {name: rows.take(pa.array(range(rows.num_rows)[::-1])) for name, rows in after.items()}
    assert told(before, after) == told(before, turned)
    assert told(before, after, "incident") == told(before, turned, "incident")


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=30),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=30),
)
def test_many_associations_are_looked_at_in_shares_with_the_same_result(
    old: list[tuple[int, int]], new: list[tuple[int, int]]
) -> None:
    def of(ties: list[tuple[int, int]]) -> dict[str, pa.Table]:
        ties = sorted(dict(ties).items())
        ids = [hashlib.sha256(bytes([seen])).digest()[:16] for seen, _ in ties]
        rows = [{"observation_id": i, "track_id": an_id(str(t))} for i, (_, t) in zip(ids, ties, strict=True)]
        return edition() | {"associations": pa.Table.from_pylist(rows, schema=picture.ASSOCIATIONS)}

    whole = lineage(of(old), of(new))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["truceline.fuse.lineage"], "_AT_ONCE", 4)
        assert lineage(of(old), of(new)) == whole
