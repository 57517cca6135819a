"""`track`: from observations to the tables of tracks, points and associations."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from truceline import observation, picture
from truceline.frame import Frame
from truceline.fuse.tracking import track

FRAME = Frame(31.0, 46.0)
T0 = 1_700_000_000


def fixes(rows):
    """Observations of dictionaries: at (seconds), lon, lat and whatever else."""
    names = sorted({name for row in rows for name in row})
    columns = {name: [row.get(name) for row in rows] for name in names}
    for name in ("at", "until"):
        if name in columns:
            seconds = [None if v is None else round((T0 + v) * 1e6) for v in columns[name]]
            columns[name] = pa.array(seconds, pa.int64()).cast(observation.TIME)
    raw = [repr(sorted(row.items())).encode() for row in rows]
    ids = pa.array([hashlib.sha256(r).digest()[:16] for r in raw], observation.ID)
    columns |= {"observation_id": ids, "record": np.arange(len(rows)), "leaf": pa.array([b"0" * 32] * len(rows))}
    columns["what"] = [word or "vessel" for word in columns["what"]]
    columns = {"kind": "fix", "source": "s"} | columns
    return observation.table(columns, len(rows))


def a_ship(seconds=1200, every=60, lon=31.0, lat=46.0, mps=8.0, **more):
    """One that goes east."""
    return [
        {
            "at": float(s),
            "lon": lon + mps * s / 77_300.0,
            "lat": lat,
            "identity": "mmsi:1",
            "sensor": "a",
            "what": "vessel",
        }
        | more
        for s in range(0, seconds, every)
    ]


def test_the_tables_have_the_pictures_columns_and_every_fix_is_accounted_for():
    """Behind one point, or left out with the reason."""
    rows = [*a_ship(), {"at": None, "lon": 31.0, "lat": 46.0}, {"at": 5.0, "lon": None, "lat": 46.0}]
    rows += [{"at": 5.0, "lon": 120.0, "lat": 46.0}, {"at": 300.0, "lon": 33.0, "lat": 47.0}]
    out = track(fixes(rows), FRAME)
    assert out.tracks.schema == picture.TRACKS
    assert out.points.schema == picture.TRACK_POINTS
    assert out.associations.schema == picture.ASSOCIATIONS
    assert out.points.num_rows + sum(out.left_out.values()) == len(rows)
    assert dict(out.left_out) == {
        "no time": 1,
        "no position": 1,
        "outside the frame": 1,
        "never confirmed: fewer detections than a track takes": 1,
    }


def test_a_track_says_who_what_when_where_and_how_fast():
    """At its last fix; the path's length is that of its points."""
    out = track(fixes(a_ship(what="vessel.cargo", release="public")), FRAME).tracks.to_pylist()
    assert len(out) == 1
    row = out[0]
    assert (row["what"], row["identity"], row["identities"]) == ("vessel.cargo", "mmsi:1", ["mmsi:1"])
    assert (row["sources"], row["sensors"], row["release"], row["observations"]) == (["s"], ["a"], "public", 20)
    assert row["speed_mps"] == pytest.approx(8.0, abs=0.3)
    assert row["course_deg"] == pytest.approx(90.0, abs=3.0)
    assert row["length_m"] == pytest.approx(8.0 * 1140, rel=0.03)
    assert (row["last_at"] - row["first_at"]).total_seconds() == 1140
    assert row["major_m"] >= row["minor_m"] > 0


def test_one_ship_through_two_receivers_of_different_names_is_one_track():
    """AIS and a coastal radar that knows no names."""
    radar = a_ship(every=45, sensor="radar", identity=None)
    out = track(fixes(a_ship() + radar), FRAME)
    assert out.tracks.num_rows == 1
    assert out.tracks["sensors"].to_pylist() == [["a", "radar"]]


def test_an_aircraft_over_a_ship_is_another_track():
    """Classes that cannot be one object never share a track."""
    out = track(fixes(a_ship() + a_ship(what="aircraft", identity="icao:1", sensor="b")), FRAME)
    assert sorted(out.tracks["what"].to_pylist()) == ["aircraft", "vessel"]


def test_an_interval_is_its_middle_with_the_spread_of_its_length():
    """Ten minutes of uncertainty at 8 m/s widen the ellipse along the way."""
    sharp = track(fixes(a_ship()), FRAME).tracks.to_pylist()[0]
    blurred = track(fixes([row | {"at": row["at"] - 60, "until": row["at"] + 60} for row in a_ship()]), FRAME)
    row = blurred.tracks.to_pylist()[0]
    assert row["last_at"] == sharp["last_at"]
    assert row["major_m"] > 2 * sharp["major_m"]


def test_the_order_of_rows_does_not_matter():
    """Tables are equal, to the last bit."""
    rows = fixes(a_ship() + a_ship(lat=46.2, identity="mmsi:2", every=37) + a_ship(lat=46.1, identity=None, every=50))
    shuffled = rows.take(pa.array(np.random.default_rng(1).permutation(rows.num_rows)))
    a, b = track(rows, FRAME), track(shuffled, FRAME)
    assert a.tracks.equals(b.tracks)
    assert a.points.equals(b.points)
    assert a.associations.equals(b.associations)


def test_an_identity_at_two_places_is_an_anomaly_of_its_fixes():
    """Told by observation, with the track that carries the identity."""
    out = track(fixes(a_ship() + a_ship(lat=47.5, every=70)), FRAME)
    assert out.tracks.num_rows == 2
    assert set(out.anomalies["what"].to_pylist()) == {"identity.elsewhere"}
    assert set(out.anomalies["track_id"].to_pylist()) <= set(out.tracks["track_id"].to_pylist())


def test_nothing_makes_nothing():
    """No rows, or none that is a fix."""
    for rows in (fixes(a_ship())[:0], fixes([row | {"kind": "sighting"} for row in a_ship()])):
        out = track(rows, FRAME)
        assert (out.tracks.num_rows, out.points.num_rows, out.associations.num_rows) == (0, 0, 0)
        assert not out.left_out
