"""One transmission heard, stored or relayed more than once: one object, one track.

Every network of receivers gives such rows: three stations hear one AIS message; a state vector repeats the last
position until a new one comes; times written to the minute put six positions of one ship into one instant.
"""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from truceline import observation
from truceline.frame import Frame
from truceline.fuse.tracking import track

FRAME = Frame(31.0, 46.0, 400_000)
START = datetime(2031, 3, 14, 6, tzinfo=UTC)


def fixes(rows, at_sigma_s):
    """(second, east_m, sensor) of one ship sailing east, as observations."""
    made = []
    for number, (second, east_m, sensor) in enumerate(rows):
        lon, lat = FRAME.to_degrees(east_m, 0.0)
        made.append(
            {
                "observation_id": number.to_bytes(16),
                "leaf": number.to_bytes(32),
                "source": "ais",
                "record": number + 1,
                "sensor": sensor,
                "kind": "fix",
                "what": "vessel.cargo",
                "at": START + timedelta(seconds=second),
                "at_sigma_s": at_sigma_s,
                "lon": float(lon),
                "lat": float(lat),
                "major_m": 10.0,
                "minor_m": 10.0,
                "tilt_deg": 0.0,
                "identity": "mmsi:211234560",
                "release": "mission",
            }
        )
    return pa.Table.from_pylist(made, schema=observation.CORE)


@pytest.mark.parametrize(
    ("rows", "at_sigma_s"),
    [
        pytest.param(
            [(10 * i, 60.0 * i, f"station-{k}") for i in range(30) for k in range(3)], 1.0, id="three stations"
        ),
        pytest.param([(10 * i, 60.0 * i, "net") for i in range(30) for _ in range(3)], 1.0, id="stored three times"),
        pytest.param([(60 * (i // 6), 60.0 * i, "net") for i in range(60)], 30.0, id="times cut to the minute"),
        pytest.param(
            [(10 * (i // 4), 60.0 * (i // 4), "net") for i in range(120)], 1.0, id="repeated until a new one comes"
        ),
    ],
)
def test_repeats_of_one_identity_are_one_track(rows, at_sigma_s):
    """What a time may be off is stated: six positions of one second, stated to the second, are not one ship's."""
    tracked = track(fixes(rows, at_sigma_s), FRAME)
    assert tracked.tracks.num_rows == 1
    assert tracked.points.num_rows + sum(tracked.left_out.values()) == len(rows)
    assert tracked.points.num_rows >= len(rows) - 6  # of the first minute: nothing is confirmed before it moves
