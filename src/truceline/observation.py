"""The observation: one accepted record of one source, as a row of an Arrow table.

Missing is an Arrow null. `to_numpy` is the one way from a column to a kernel's array.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

SCHEMA_VERSION = 1

ID = pa.binary(16)
TIME = pa.timestamp("us", tz="UTC")
LIKELIHOODS = pa.map_(pa.string(), pa.float32())

#: Who may see a row, from the widest to the narrowest. Derived rows take the narrowest of their
#: parts; an unknown or missing label counts as the narrowest (default deny).
RELEASES = ("public", "parties", "sending_states", "mission")

#: What kind of record: an object was here, an impulse reached a station, a direction, a satellite
#: fire pixel, a person's account, a warning, the state of a sensor, site or access.
KINDS = ("fix", "onset", "bearing", "hotspot", "sighting", "alert", "status")


class Term(NamedTuple):
    """A term of the taxonomy.

    `family` groups what can be the same physical thing; `osce` is the word of the violations table.
    """

    family: str
    osce: str
    meaning: str


#: Dotted terms, most general first. A term not listed here is judged by its longest listed prefix.
TAXONOMY: dict[str, Term] = {
    "explosion": Term("impulse", "explosion", "an explosion, undetermined"),
    "explosion.impact": Term("impulse", "explosion", "a round or munition going off where it fell"),
    "explosion.outgoing": Term("impulse", "explosion", "a gun, mortar or launcher firing"),
    "explosion.airburst": Term("impulse", "explosion", "a munition or interceptor going off in the air"),
    "burst": Term("impulse", "burst", "automatic fire"),
    "shot": Term("impulse", "shot", "a single shot"),
    "projectile": Term("impulse", "projectile", "a projectile in flight"),
    "muzzle_flash": Term("impulse", "muzzle flash", "a muzzle flash"),
    "flare": Term("impulse", "illumination flare", "an illumination flare"),
    "fire": Term("fire", "fire", "something burning; says nothing of why"),
    "uav": Term("air", "UAV", "an unmanned aircraft"),
    "uav.reconnaissance": Term("air", "UAV", "an unmanned aircraft looking"),
    "uav.one_way": Term("air", "UAV", "an unmanned aircraft meant to strike"),
    "uav.fpv": Term("air", "UAV", "a small piloted drone meant to strike"),
    "air": Term("air", "aircraft", "something in the air, undetermined"),
    "aircraft": Term("air", "aircraft", "a crewed aircraft"),
    "aircraft.fixed_wing": Term("air", "aircraft", "an aeroplane"),
    "aircraft.rotary": Term("air", "aircraft", "a helicopter"),
    "aircraft.high_performance": Term("air", "aircraft", "an aeroplane over 5 g and 400 knots, by its own statement"),
    "aircraft.glider": Term("air", "aircraft", "a glider"),
    "aircraft.balloon": Term("air", "aircraft", "a balloon or airship"),
    "aircraft.light": Term("air", "aircraft", "an ultralight, hang-glider, paraglider or parachutist"),
    "aircraft.search_rescue": Term("air", "aircraft", "a search and rescue aircraft"),
    "weapon": Term("weapon", "weapon", "a weapon present, not firing"),
    "weapon.artillery": Term("weapon", "weapon", "a gun or howitzer present"),
    "weapon.mlrs": Term("weapon", "weapon", "a multiple launch rocket system present"),
    "weapon.mortar": Term("weapon", "weapon", "a mortar present"),
    "weapon.tank": Term("weapon", "weapon", "a tank present"),
    "weapon.armour": Term("weapon", "weapon", "an armoured vehicle present"),
    "weapon.missile": Term("weapon", "weapon", "a missile system present"),
    "ground": Term("ground", "forces", "forces on the ground"),
    "ground.assault": Term("ground", "forces", "an attempt to change positions"),
    "ground.raid": Term("ground", "forces", "a reconnaissance or sabotage raid"),
    "ground.build_up": Term("ground", "forces", "forces gathering"),
    "ground.exercise": Term("ground", "forces", "a live-fire exercise"),
    "ground.control": Term("ground", "forces", "a claim that control of a place changed"),
    "ground.vehicle": Term("ground", "vehicle", "a vehicle on the ground, of whatever kind"),
    "ground.mine": Term("ground", "mines", "mines or other explosive objects"),
    "vessel": Term("sea", "vessel", "a vessel"),
    "vessel.cargo": Term("sea", "vessel", "a cargo vessel"),
    "vessel.tanker": Term("sea", "vessel", "a tanker"),
    "vessel.passenger": Term("sea", "vessel", "a passenger vessel"),
    "vessel.high_speed": Term("sea", "vessel", "a high-speed craft"),
    "vessel.fishing": Term("sea", "vessel", "a fishing vessel"),
    "vessel.tug": Term("sea", "vessel", "a tug, or a vessel towing"),
    "vessel.service": Term("sea", "vessel", "a pilot, tender, dredger or diving vessel"),
    "vessel.pleasure": Term("sea", "vessel", "a sailing or pleasure craft"),
    "vessel.military": Term("sea", "vessel", "a vessel engaged in military operations, by its own statement"),
    "vessel.law_enforcement": Term("sea", "vessel", "a vessel of law enforcement"),
    "vessel.search_rescue": Term("sea", "vessel", "a search and rescue vessel"),
    "vessel.medical": Term("sea", "vessel", "a medical transport"),
    "vessel.distress": Term("sea", "vessel", "a distress beacon: search transponder, man overboard, EPIRB"),
    "navigation_aid": Term("notice", "report", "a mark, buoy, lamp or shore station that says where it is"),
    "air_alert": Term("notice", "alert", "an air-raid warning; not an attack"),
    "jamming": Term("notice", "interference", "interference with navigation or radio"),
    "jamming.position": Term("notice", "interference", "several objects stated positions that cannot be, at once"),
    "movement": Term("notice", "movement", "what a track tells; in words in its own table, never why"),
    "movement.enter": Term("notice", "movement", "came into a zone"),
    "movement.exit": Term("notice", "movement", "left a zone"),
    "movement.inside": Term("notice", "movement", "was in a zone"),
    "movement.outside": Term("notice", "movement", "passed near a zone and stayed outside"),
    "movement.cross": Term("notice", "movement", "passed through a zone between two fixes"),
    "movement.dark": Term("notice", "movement", "not heard where others were: may have stopped sending"),
    "movement.gap": Term("notice", "movement", "not heard where nothing says that it would have been"),
    "movement.outage": Term("notice", "movement", "not heard because the receiver heard nothing"),
    "movement.impossible": Term("notice", "movement", "a position that could not be reached from the one before"),
    "movement.twice": Term("notice", "movement", "one identity at two places in turn"),
    "movement.one_point": Term("notice", "movement", "many identities on one point"),
    "movement.on_land": Term("notice", "movement", "a vessel on land"),
    "movement.circle": Term("notice", "movement", "a vessel round and round one circle"),
    "movement.loiter": Term("notice", "movement", "stayed about one place"),
    "movement.stop": Term("notice", "movement", "stood still in a lane"),
    "movement.rendezvous": Term("notice", "movement", "two vessels together and slow"),
    "access": Term("notice", "freedom of movement", "access given, delayed or denied"),
    "detention": Term("notice", "report", "persons detained"),
    "duty": Term("notice", "report", "a party did, or reported, what it had to do by a date"),
    "report": Term("notice", "report", "an account of something else, or of nothing physical"),
}


def term(what: str) -> Term:
    """The taxonomy entry of `what`, or of its longest listed prefix; `report` when there is none."""
    while what not in TAXONOMY and "." in what:
        what = what.rpartition(".")[0]
    return TAXONOMY.get(what, TAXONOMY["report"])


#: The journal keeps these for every observation, then the feed's own columns.
CORE = pa.schema(
    [
        pa.field("observation_id", ID, nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("record", pa.int64(), nullable=False),
        ("sensor", pa.string()),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("what", pa.string(), nullable=False),
        ("confidence", pa.float32()),
        ("alternatives", LIKELIHOODS),
        ("means", pa.string()),
        ("description", pa.string()),
        ("weapon", pa.string()),
        ("at", TIME),
        ("at_sigma_s", pa.float32()),
        ("until", TIME),
        ("received_at", TIME),
        ("lon", pa.float64()),
        ("lat", pa.float64()),
        ("alt_m", pa.float32()),
        ("major_m", pa.float32()),
        ("minor_m", pa.float32()),
        ("tilt_deg", pa.float32()),
        ("bearing_deg", pa.float32()),
        ("bearing_sigma_deg", pa.float32()),
        ("range_m", pa.float32()),
        ("range_sigma_m", pa.float32()),
        ("speed_mps", pa.float32()),
        ("course_deg", pa.float32()),
        ("identity", pa.string()),
        ("count", pa.int32()),
        ("count_max", pa.int32()),
        ("killed", pa.int32()),
        ("injured", pa.int32()),
        ("party", pa.string()),
        ("text", pa.string()),
        ("release", pa.string()),
        ("licence", pa.string()),
        # the evidence itself: the record's bytes as read, and their SHA-256 with source and occurrence
        ("file", pa.string()),
        ("raw", pa.large_binary()),
        pa.field("leaf", pa.binary(32), nullable=False),
    ]
)

#: A record that could not be accepted. `reason` is a sentence; `field` and `value` say where.
REJECTION = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("record", pa.int64(), nullable=False),
        ("field", pa.string()),
        ("value", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
        ("received_at", TIME),
        ("release", pa.string()),
        ("licence", pa.string()),
        ("file", pa.string()),
        ("raw", pa.large_binary()),
        pa.field("leaf", pa.binary(32), nullable=False),
    ]
)

#: A record whose bytes the source has already given: `observation_id` is the original's.
DUPLICATE = pa.schema(
    [
        pa.field("observation_id", ID, nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("record", pa.int64(), nullable=False),
        ("received_at", TIME),
        ("release", pa.string()),
        ("licence", pa.string()),
        ("file", pa.string()),
        pa.field("leaf", pa.binary(32), nullable=False),
    ]
)


def leaves(source: str, raws: Iterable[bytes], occurrences: Sequence[int] | None = None) -> list[bytes]:
    """SHA-256 of each record of `source`: the Merkle leaf; its first 16 bytes are the observation id.

    Parameters
    ----------
    source
        The source's id in the mission file.
    raws
        The records' bytes, without their line end.
    occurrences
        For records that carry no time of their own: the how-manieth such record this is, so that
        untimed repeats stay apart. None for timed records.

    Returns
    -------
    list of 32 bytes each. The leading zero byte keeps a leaf from passing for an inner node (RFC 6962).
    """
    name = source.encode()
    prefix = hashlib.sha256(b"\x00" + len(name).to_bytes(2, "big") + name)
    out = []
    if occurrences is None:
        raws = list(raws)
        if len(raws) >= _MANY:
            return _side_by_side(b"\x00" + len(name).to_bytes(2, "big") + name, raws)
        for raw in raws:
            h = prefix.copy()
            h.update(raw)
            out.append(h.digest())
        return out
    for raw, n in zip(raws, occurrences, strict=True):
        h = prefix.copy()
        h.update(raw)
        h.update(b"\x00occurrence %d" % n)
        out.append(h.digest())
    return out


#: From so many records on they are hashed side by side.
_MANY = 1024


def _side_by_side(prefix: bytes, raws: Sequence[bytes]) -> list[bytes]:
    """SHA-256 of each of many records, with a prefix."""
    from truceline.kernels.sha256 import digests  # numba takes half a second, and who only reads needs none of it

    offsets = np.concatenate([[0], np.cumsum(np.fromiter(map(len, raws), np.int64, len(raws)))])
    content = np.frombuffer(bytearray(b"".join(raws)), np.uint8)
    hashes = digests(np.frombuffer(bytearray(prefix), np.uint8), content, offsets).tobytes()
    return [hashes[at : at + 32] for at in range(0, len(hashes), 32)]


def table(columns: Mapping[str, Any], rows: int, schema: pa.Schema = CORE) -> pa.Table:
    """A table of `schema` with the given columns, every other column null.

    Scalars are repeated; numpy arrays, lists and Arrow arrays are taken as they are (NaN stays NaN:
    use `nullable` to turn NaN into null). Columns not in `schema` are appended (a feed's own).

    Raises
    ------
    pyarrow.ArrowInvalid
        When a column has another length than `rows` or does not fit its type.
    """
    arrays: list[Any] = []
    fields: list[pa.Field] = []
    for field in schema:
        value = columns.get(field.name)
        fields.append(field)
        arrays.append(_column(value, rows, field.type))
    for name, value in columns.items():
        if name not in schema.names:
            array = value if isinstance(value, pa.Array | pa.ChunkedArray) else pa.array(value)
            fields.append(pa.field(name, array.type))
            arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _column(value: Any, rows: int, kind: pa.DataType) -> Any:
    if value is None:
        return pa.nulls(rows, kind)
    if isinstance(value, str | int | float | bytes | bool):
        return pa.repeat(pa.scalar(value, kind), rows)
    if isinstance(value, pa.Array | pa.ChunkedArray):
        return value if value.type == kind else value.cast(kind)
    return pa.array(value, kind)


def nullable(values: npt.NDArray[np.floating[Any]]) -> pa.Array:
    """A float array as Arrow, NaN become null."""
    return pa.array(values, mask=np.isnan(values))


def to_numpy(column: pa.ChunkedArray | pa.Array) -> npt.NDArray[Any]:
    """A column as the array a kernel takes.

    Floats keep their width, null becomes NaN. Timestamps become float64 seconds since 1970 (UTC, exact
    to a microsecond until 2242), null NaN. Integers without nulls stay integers, with nulls become
    float64 with NaN. Booleans need to be without nulls.
    """
    if pa.types.is_timestamp(column.type):
        micros = column.cast(pa.int64())
        seconds = micros.fill_null(0).to_numpy().astype(np.float64) / 1e6
        if micros.null_count:
            seconds[micros.is_null().to_numpy(zero_copy_only=False)] = np.nan
        return np.asarray(seconds)
    if pa.types.is_integer(column.type) and column.null_count:
        column = column.cast(pa.float64())
    if isinstance(column, pa.ChunkedArray):
        return np.asarray(column.to_numpy())
    return np.asarray(column.to_numpy(zero_copy_only=False))


def ids(column: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.uint64]:
    """A 16-byte id column without nulls as (n, 2) uint64: row order by the pair is order by the bytes."""
    parts = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    rows = [
        np.frombuffer(part.buffers()[1], ">u8", count=len(part) * 2, offset=part.offset * 16)
        for part in parts
        if len(part)
    ]
    flat = np.concatenate(rows) if rows else np.empty(0, ">u8")
    return flat.astype(np.uint64).reshape(-1, 2)


def id_order(column: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.int64]:
    """The order of rows by their ids' bytes; of equal ids the first row first."""
    pairs = ids(column)
    first = np.ascontiguousarray(pairs[:, 0])
    order = np.argsort(
        first
    )  # eight bytes of a hash nearly always differ, and sorting by them alone is ten times as fast
    if len(order) > 1 and (np.diff(first[order]) == 0).any():
        order = np.lexsort((pairs[:, 1], first))
    return np.asarray(order)


def bytes_of(column: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.uint8]:
    """A column of bytes of one length, without nulls, as rows of bytes: (n, length) uint8."""
    width = column.type.byte_width
    parts = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    rows = [
        np.frombuffer(part.buffers()[1], np.uint8, len(part) * width, part.offset * width)
        for part in parts
        if len(part)
    ]
    return (np.concatenate(rows) if rows else np.empty(0, np.uint8)).reshape(-1, width)


def one_array(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column as one array, however many pieces it comes in."""
    if isinstance(column, pa.ChunkedArray):
        return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    return column


def id_column(pairs: npt.NDArray[np.uint64]) -> pa.Array:
    """The inverse of `ids`."""
    data = np.ascontiguousarray(pairs).astype(">u8").tobytes()
    return pa.Array.from_buffers(ID, len(pairs), [None, pa.py_buffer(data)])


def narrowest(labels: Iterable[str | None]) -> str:
    """The most restrictive of release labels; `mission` when any is missing or unknown, or none is given."""
    ranks = [RELEASES.index(label) if label in RELEASES else len(RELEASES) - 1 for label in labels]
    return RELEASES[max(ranks, default=len(RELEASES) - 1)]
