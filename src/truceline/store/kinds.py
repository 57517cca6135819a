"""The kinds of row a journal keeps: their schemas, their versions, and how a table is made to fit one."""

from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from truceline import finding, observation
from truceline.errors import StoreError
from truceline.observation import ID, TIME
from truceline.store.canonical import row_leaf

LEAF = pa.binary(32)

#: What a party notified, or a duty it reported done: the agreement's notices, and those that come in later.
NOTICE = pa.schema(
    [
        pa.field("clause", pa.string(), nullable=False),
        pa.field("party", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        ("starts", TIME),
        ("ends", TIME),
        ("what", pa.list_(pa.string())),
        ("zone", pa.string()),
        ("received_at", TIME),
        ("release", pa.string()),
        ("licence", pa.string()),
        pa.field("leaf", LEAF, nullable=False),
    ]
)

#: What the picture was made with: "files", the hashes and texts of the mission's files; "edition", one was made.
CONFIGURATION = pa.schema(
    [
        pa.field("what", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),  # JSON
        ("received_at", TIME),
        ("release", pa.string()),
        pa.field("leaf", LEAF, nullable=False),
    ]
)

#: One reading of one file. `records` and what became of them are null in the row that says reading began.
FILE = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),  # as the mission names it
        pa.field("sha256", pa.string(), nullable=False),  # hexadecimal
        ("bytes", pa.int64()),
        ("records", pa.int64()),
        ("accepted", pa.int64()),
        ("duplicates", pa.int64()),
        ("rejected", pa.int64()),
        ("reader", pa.string()),  # hash of how it was read, where a changed column map must read it again
        ("received_at", TIME),
        ("release", pa.string()),
        pa.field("leaf", LEAF, nullable=False),
    ]
)

#: A payload was removed. The digests tie the rewritten frame to the one that was appended.
REDACTION = pa.schema(
    [
        pa.field("observation_id", ID, nullable=False),  # the first 16 bytes of `record_leaf`
        pa.field("kind", pa.string(), nullable=False),  # observation, rejection
        pa.field("frame", pa.int64(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("by", pa.string(), nullable=False),
        pa.field("received_at", TIME, nullable=False),
        ("kept", pa.list_(pa.string())),  # columns that stayed though they held payload
        pa.field("body_before", LEAF, nullable=False),  # SHA-256 of the frame's body
        pa.field("body_after", LEAF, nullable=False),
        pa.field("record_leaf", LEAF, nullable=False),
        ("release", pa.string()),
        pa.field("leaf", LEAF, nullable=False),
    ]
)

#: Who came in, who looked at evidence, who let something out; who tried to.
ACCESS = pa.schema(
    [
        pa.field("what", pa.string(), nullable=False),  # sign-in, refused, evidence, export, release, account
        pa.field("by", pa.string(), nullable=False),
        ("role", pa.string()),
        ("via", pa.string()),  # session, token, certificate
        ("address", pa.string()),  # where the connection came from
        ("subject", pa.string()),  # what it was done to: an id, a table, an account
        ("text", pa.string()),
        ("received_at", TIME),
        ("release", pa.string()),
        pa.field("leaf", LEAF, nullable=False),
    ]
)


class Kind(NamedTuple):
    """A kind's schema and version; `records`: its rows are sources' records and bring their own leaf."""

    schema: pa.Schema
    version: int
    records: bool


KINDS: dict[str, Kind] = {
    "observation": Kind(observation.CORE, observation.SCHEMA_VERSION, records=True),
    "duplicate": Kind(observation.DUPLICATE, observation.SCHEMA_VERSION, records=True),
    "rejection": Kind(observation.REJECTION, observation.SCHEMA_VERSION, records=True),
    "notice": Kind(NOTICE, 1, records=False),
    "verdict": Kind(finding.VERDICT, finding.SCHEMA_VERSION, records=False),
    "configuration": Kind(CONFIGURATION, 1, records=False),
    "file": Kind(FILE, 1, records=False),
    "redaction": Kind(REDACTION, 1, records=False),
    "action": Kind(finding.ACTION, 1, records=False),
    "alert": Kind(finding.ALERT, 1, records=False),
    "access": Kind(ACCESS, 1, records=False),
}


def kind_of(name: str) -> Kind:
    """The kind of that name.

    Raises
    ------
    StoreError
        When there is none.
    """
    if name not in KINDS:
        raise StoreError(f"a journal has no rows of kind {name!r}; it has {', '.join(KINDS)}")
    return KINDS[name]


def appendable(name: str) -> None:
    """Raise StoreError where rows of a kind come in by another way than being appended."""
    if kind_of(name).records or name == "redaction":
        raise StoreError(f"{name} rows are not appended: use {'redact' if name == 'redaction' else 'ingest'}")


def conform(name: str, rows: pa.Table) -> pa.Table:
    """`rows` as the journal keeps them: the kind's columns in its order and types, then a feed's own by name.

    Columns that may be null and are missing, or null in every row, are left out: `Journal.table` gives them
    back as nulls. The leaf of a row that is no source's record is computed here, whatever came in.

    Raises
    ------
    StoreError
        Naming the kind, the column and the row where something is missing, of another type or not known.
    """
    kind = kind_of(name)
    if not rows.num_rows:
        return kind.schema.empty_table()
    known, given = set(kind.schema.names), set(rows.column_names)  # each makes its names anew whenever it is asked
    own = sorted(given - known)
    if own and name != "observation":
        raise StoreError(f"{name} rows have no column {own[0]!r}; they have {', '.join(kind.schema.names)}")
    columns: dict[str, Any] = {}
    fields = []
    for field in kind.schema:
        if field.name == "leaf" and not kind.records:
            continue
        values = rows[field.name] if field.name in given else None
        if values is None or values.null_count == len(values):
            if not field.nullable:
                raise StoreError(f"{name} rows: {field.name} is missing")
            continue
        columns[field.name] = _cast(name, field, values)
        fields.append(field)
    if not kind.records:
        made = pa.Table.from_arrays(list(columns.values()), schema=pa.schema(fields))
        columns["leaf"] = pa.array([row_leaf(row) for row in made.to_pylist()], LEAF)
        fields.append(kind.schema.field("leaf"))
    for column in own:
        values = rows[column]
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        columns[column] = values
        fields.append(pa.field(column, values.type))
    return pa.Table.from_arrays(list(columns.values()), schema=pa.schema(fields))


def _cast(name: str, field: pa.Field, values: pa.ChunkedArray) -> pa.ChunkedArray:
    if values.type != field.type:
        try:
            values = values.cast(field.type)
        except pa.ArrowException as error:
            raise StoreError(f"{name} rows: {field.name} is {values.type}, not {field.type}: {error}") from error
    if not field.nullable and values.null_count:
        row = pc.index(values.is_null(), True).as_py()
        raise StoreError(f"{name} rows: {field.name} is missing in row {row}")
    return values
