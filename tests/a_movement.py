"""Scenes of moving objects: their tracks, points and fixes."""

import math
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from a_picture import named
from truceline.frame import Frame
from truceline.observation import CORE
from truceline.picture import TRACK_POINTS, TRACKS

FRAME = Frame(31.0, 46.0)
START = datetime(2031, 3, 1, tzinfo=UTC)
HOURS = range(0, 14_400, 30)
LATER = range(0, 7_200, 60)
LATER_STILL = range(0, 18_000, 60)


def tables(paths, what="vessel", sensor="station", sigma_m=20.0, unheard=(), **told):
    """Tracks, points and observations of {identity: [(second, east_m, north_m)]}.

    Rows of `unheard`, (identity, second, east, north), were sent but no track took them.
    """
    tracks, points, seen = [], [], []

    def sent(identity, second, east, north):
        lon, lat = FRAME.to_degrees(east, north)
        row = {
            "observation_id": named(identity, second, east),
            "at": START + timedelta(seconds=second),
            "lon": float(lon),
            "lat": float(lat),
            "major_m": sigma_m,
            "minor_m": sigma_m,
            "tilt_deg": 0.0,
        }
        kind = {"source": "s", "record": 0, "kind": "fix", "what": what, "sensor": sensor, "leaf": b"0" * 32}
        seen.append(row | kind | {"identity": identity})
        return row

    for identity, rows in paths.items():
        track = {"track_id": named(identity), "what": what, "confidence": 0.95, "identity": identity}
        track |= {"identities": [identity], "observations": len(rows), "sources": ["s"], "sensors": [sensor]}
        tracks.append(track | {"release": "mission"} | told)
        points += [{"track_id": named(identity)} | sent(identity, *row) for row in rows]
    for row in unheard:
        sent(*row)
    return tuple(
        pa.table({f.name: pa.array([row.get(f.name) for row in rows], f.type) for f in schema}, schema)
        for rows, schema in ((tracks, TRACKS), (points, TRACK_POINTS), (seen, CORE))
    )


def eastward(seconds, north_m=0.0, begin_m=0.0, speed_mps=5.0):
    """[(second, east, north)] of one that goes east."""
    return [(s, begin_m + speed_mps * s, north_m) for s in seconds]


def silent(rows, begin, end):
    return [row for row in rows if not begin <= row[0] < end]


def gathered(count, spot=(500_000.0, 200_000.0)):
    """Ships kilometres apart that all state one point for half an hour."""
    return {
        f"mmsi:{k}": [(s, 4_000 * k + 5 * s, 1_000.0 * k) if not 3_000 <= s < 5_000 else (s, *spot) for s in LATER]
        for k in range(count)
    }


def waiting(hours, east_m=0.0, north_m=0.0):
    """One that drifts about a place."""
    return [(s, east_m + 50 * math.sin(s / 300), north_m) for s in range(0, int(hours * 3_600), 120)]


def meeting(apart_m=200.0):
    """Two that come together from afar, lie two hours and part."""
    way = [(s, -30_000 + 6 * s if s < 5_000 else 0 if s < 12_000 else 6 * (s - 12_000)) for s in range(0, 18_000, 60)]
    return {"mmsi:1": [(s, float(v), 0.0) for s, v in way], "mmsi:2": [(s, 0.0, float(v) + apart_m) for s, v in way]}


def crowded(rng):
    """{identity: rows} of a day at sea in which everything happens that tracks tell, somewhat differently each time."""
    scene = gathered(int(rng.integers(6, 9)))  # jumps, one point, a disturbance
    scene |= {f"m:{k}": rows for k, rows in meeting(float(rng.uniform(50, 450))).items()}
    scene |= {f"w:{k}": waiting(float(rng.uniform(4, 9)), 90_000 + 1_500.0 * k, 3_000.0) for k in range(3)}
    lane = eastward(HOURS, -40_000.0)
    begin = float(rng.uniform(2_000, 5_000))
    scene["dark"] = silent(lane, begin, begin + 3_600)
    scene |= {f"near:{k}": eastward(HOURS, -42_000.0 - 2_000.0 * k) for k in range(3)}
    scene["gone"] = silent(eastward(HOURS, -44_500.0), begin, 14_400)
    scene["far"] = silent(eastward(HOURS, 310_000.0), begin, begin + 2_400)
    scene["stop"] = [(s, min(5.0 * s, 20_000.0) + max(0.0, 5.0 * (s - 10_000)), -60_000.0) for s in LATER_STILL]
    scene["round"] = [(s, 9e4 + 3e3 * math.sin(s / 500), -9e4 + 3e3 * math.cos(s / 500)) for s in range(0, 9_000, 60)]
    twin = [(s, 5.0 * s + (80_000 if k % 2 and 30 < k < 60 else 0), 120_000.0) for k, s in enumerate(LATER)]
    scene["twin"] = twin
    walk = rng.normal(0, 900, (60, 2)).cumsum(axis=0)
    scene["walk"] = [(60 * k, float(e), float(n)) for k, (e, n) in enumerate(walk)]
    names = list(scene)
    rng.shuffle(names)
    return {name: scene[name] for name in names}
