"""The picture's tables: events, incidents, what ties observations to them, what became of old ids.

An *event* is one physical occurrence, fused from one or more observations. An *incident* is an episode
of events close in place, time and kind. A *track* is a moving object, with its points; *movements* are what tracks
tell: zones entered, silence inside coverage, meetings, positions that cannot be.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from truceline.observation import ID, LIKELIHOODS, TIME
from truceline.pieces import Rows, pieces_of

SCHEMA_VERSION = 1

#: Which observation is behind which event or track, and how strongly: `log_ratio` is the log of
#: p(the data | same occurrence) / p(the data | another one); null for the observation an event began with.
ASSOCIATIONS = pa.schema(
    [
        pa.field("observation_id", ID, nullable=False),
        ("event_id", ID),
        ("track_id", ID),
        ("log_ratio", pa.float32()),
    ]
)

_WHERE_AND_WHEN = [
    ("lon", pa.float64()),
    ("lat", pa.float64()),
    ("major_m", pa.float32()),  # 1-sigma ellipse; tilt clockwise from true north
    ("minor_m", pa.float32()),
    ("tilt_deg", pa.float32()),
]

_AGAINST_THE_LINE = [
    ("line_date", pa.string()),  # of the line used, ISO; null when the mission has none for that time
    ("line_distance_m", pa.float32()),  # to the nearest point of the line; negative inside its areas
    ("chainage_m", pa.float32()),  # along the line, from its south-western end
    ("p_inside", pa.float32()),  # probability of being inside the line's areas, under ellipse and tolerance
]

_STATED = [
    ("count", pa.int32()),  # number of discharges stated by sources, least and most; null: none stated
    ("count_max", pa.int32()),
    ("killed", pa.int32()),  # the largest number stated by one source, not a sum over repeats
    ("injured", pa.int32()),
]

EVENTS = pa.schema(
    [
        pa.field("event_id", ID, nullable=False),  # of its earliest observation, so that late data rarely moves it
        pa.field("incident_id", ID, nullable=False),
        pa.field("what", pa.string(), nullable=False),
        ("confidence", pa.float32()),
        ("alternatives", LIKELIHOODS),
        ("at", TIME),  # best estimate
        ("at_from", TIME),  # the interval that holds it
        ("at_until", TIME),
        *_WHERE_AND_WHEN,
        *_AGAINST_THE_LINE,
        ("observations", pa.int32()),
        ("sources", pa.list_(pa.string())),
        ("sensors", pa.list_(pa.string())),
        ("means", pa.string()),
        ("description", pa.string()),
        ("weapon", pa.string()),
        *_STATED,
        ("frp_mw", pa.float32()),  # summed over the pixels of one overpass
        # probability that the conflict caused it, and as it could be said at the time; which model said so; its
        # factors (natural log of odds)
        ("p_conflict", pa.float32()),
        ("p_conflict_online", pa.float32()),
        ("p_conflict_model", pa.string()),
        ("p_conflict_factors", LIKELIHOODS),
        ("release", pa.string()),
    ]
)

INCIDENTS = pa.schema(
    [
        pa.field("incident_id", ID, nullable=False),  # of its earliest event
        pa.field("what", pa.string(), nullable=False),
        ("confidence", pa.float32()),
        ("alternatives", LIKELIHOODS),
        ("first_at", TIME),  # earliest begin and latest end of its events' intervals
        ("last_at", TIME),
        *_WHERE_AND_WHEN,
        *_AGAINST_THE_LINE,
        ("place", pa.string()),  # as people say it: "3 km NE of Avdiivka"
        ("events", pa.int32()),
        ("observations", pa.int32()),
        ("sources", pa.list_(pa.string())),
        ("means", pa.string()),
        ("description", pa.string()),
        ("weapon", pa.string()),
        *_STATED,
        ("p_conflict", pa.float32()),
        ("p_conflict_model", pa.string()),
        ("release", pa.string()),
    ]
)

#: Moving objects that were confirmed. Where, how fast: at `last_at`.
TRACKS = pa.schema(
    [
        pa.field("track_id", ID, nullable=False),  # of its earliest observation
        ("parent_id", ID),  # the track it split from
        ("merged_into", ID),  # the track that goes on for it
        pa.field("what", pa.string(), nullable=False),
        ("confidence", pa.float32()),
        ("alternatives", LIKELIHOODS),
        ("identity", pa.string()),  # the one that most of its observations state
        ("identities", pa.list_(pa.string())),  # all that were stated, sorted
        ("first_at", TIME),
        ("last_at", TIME),
        *_WHERE_AND_WHEN,
        ("alt_m", pa.float32()),
        ("speed_mps", pa.float32()),
        ("course_deg", pa.float32()),
        ("length_m", pa.float32()),  # of its path
        ("observations", pa.int32()),
        ("sources", pa.list_(pa.string())),
        ("sensors", pa.list_(pa.string())),
        ("release", pa.string()),
    ]
)

#: The state of a track after each of its observations, settled: in the order of track, time, observation.
TRACK_POINTS = pa.schema(
    [
        pa.field("track_id", ID, nullable=False),
        pa.field("observation_id", ID, nullable=False),  # the one behind this point
        ("at", TIME),
        *_WHERE_AND_WHEN,
        ("alt_m", pa.float32()),
        ("speed_mps", pa.float32()),
        ("course_deg", pa.float32()),
        ("p_manoeuvre", pa.float32()),  # probability of the manoeuvring model
    ]
)

#: What tracks tell: each an occurrence with a probability, what speaks for it and a sentence.
MOVEMENTS = pa.schema(
    [
        pa.field("event_id", ID, nullable=False),  # SHA-256 of track, term, zone and begin
        pa.field("track_id", ID, nullable=False),
        ("other_id", ID),  # the other track of a rendezvous, of two claims to one identity
        pa.field("what", pa.string(), nullable=False),  # movement.enter, movement.dark, jamming.position ...
        ("confidence", pa.float32()),  # its probability
        ("at_from", TIME),
        ("at_until", TIME),
        *_WHERE_AND_WHEN,
        ("zone", pa.string()),
        ("factors", LIKELIHOODS),  # natural log of odds
        ("text", pa.string()),
        ("release", pa.string()),
    ]
)

#: What became of the ids of the edition before: same, split, merged, gone, new.
LINEAGE = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),  # event, incident, track
        ("from_id", ID),
        ("to_id", ID),
        pa.field("relation", pa.string(), nullable=False),
    ]
)

#: The dated line as it was used: one row a date, WKB in WGS 84.
LINE = pa.schema(
    [
        pa.field("date", pa.string(), nullable=False),
        ("file", pa.string()),
        ("length_km", pa.float64()),
        ("tolerance_m", pa.float64()),
        ("problems", pa.list_(pa.string())),
        pa.field("geometry", pa.binary(), nullable=False),
    ]
)

#: Rounding steps of the digest: far above float noise, far below what matters.
_STEP = {"lon": 1e-7, "lat": 1e-7, "length_km": 1e-3}
_STEP_BY_ENDING = (("_m", 0.1), ("_deg", 0.01), ("_km", 1e-3), ("_mw", 0.01))
_STEP_ELSE = 1e-4
#: Not part of "the same picture": when and where in a file a record was received.
_LEFT_OUT = {"received_at", "record", "file"}


def digest(tables: Mapping[str, Rows]) -> str:
    """SHA-256 over the named tables' columns, rows in the order given, however the columns are cut in pieces.

    The picture's tables have an order of their own, which the order of arrival has no part in. Floats are rounded
    to the steps above (nulls and NaN stay apart from numbers), times to a microsecond; receipt times, record
    numbers and file names are left out.

    Returns
    -------
    64 hexadecimal digits.
    """
    whole = hashlib.sha256()
    for name in sorted(tables):
        schema = tables[name].schema
        columns = [column for column in schema.names if column not in _LEFT_OUT]
        whole.update(f"{name} {tables[name].num_rows} {columns}\n".encode())
        parts: dict[str, dict[str, hashlib._Hash]] = {column: {} for column in columns}
        for piece in pieces_of(tables[name]) if tables[name].num_rows else [schema.empty_table()]:
            for column in columns:
                for chunk in piece[column].chunks or [pa.nulls(0, piece[column].type)]:
                    _hash(parts[column], "", chunk, column)
        for column in columns:
            for path, part in sorted(parts[column].items()):  # the pieces decide which part comes up first
                whole.update(path.encode() + part.digest())
    return whole.hexdigest()


def rounding(column: str) -> float:
    """Below which step two values of a column are the same."""
    return _STEP.get(column) or next((s for end, s in _STEP_BY_ENDING if column.endswith(end)), _STEP_ELSE)


def _hash(parts: "dict[str, hashlib._Hash]", path: str, array: pa.Array, column: str) -> None:
    """Feed a piece of a column to hashes of its parts: which values are null, lengths, bytes, and so on inwards."""

    def feed(part: str, content: Any) -> None:
        parts.setdefault(f"{path}/{part}", hashlib.sha256()).update(content)

    kind = array.type
    feed("valid", array.is_valid().cast(pa.uint8()).to_numpy() if array.null_count else bytes([1]) * len(array))
    if pa.types.is_map(kind):
        array = array.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)])))
    if pa.types.is_list(array.type):
        feed("lengths", pc.fill_null(pc.list_value_length(array), 0).to_numpy())
        _hash(parts, f"{path}/items", array.flatten(), column)
    elif pa.types.is_struct(kind):
        for place, field in enumerate(kind):
            _hash(parts, f"{path}/{field.name}", array.field(place), field.name)
    elif pa.types.is_floating(kind):
        values = array.to_numpy(zero_copy_only=False).astype(np.float64)
        step = rounding(column)
        feed("nan", np.isnan(values))
        feed("values", np.rint(np.nan_to_num(values, nan=0.0, posinf=1e300, neginf=-1e300) / step + 0.0))
    elif pa.types.is_fixed_size_binary(kind):
        known = array.drop_null() if array.null_count else array
        content = known.buffers()[1]
        feed("bytes", content[known.offset * kind.byte_width :][: len(known) * kind.byte_width] if len(known) else b"")
    elif pa.types.is_string(kind) or pa.types.is_binary(kind):
        known = array.drop_null() if array.null_count else array
        if len(known):
            _, places, content = known.buffers()
            ends = np.frombuffer(places, np.int32, len(known) + 1, known.offset * 4)
            feed("lengths", np.diff(ends))
            feed("bytes", content[int(ends[0]) : int(ends[-1])] if content is not None else b"")
    elif pa.types.is_boolean(kind):
        feed("values", array.cast(pa.uint8()).fill_null(0).to_numpy())
    else:  # integers, timestamps
        integers = array.cast(pa.int64()).fill_null(0)
        feed("values", integers.to_numpy())
