"""Findings, cases and verdicts: what was held against which clause, and what people say of it.

A finding is one incident, track, site or duty held against one clause in one party's reading. A case is
what people do about it; it binds to clause and observations, so it survives re-fusion.
"""

import hashlib
from collections.abc import Iterable

import pyarrow as pa

from truceline.observation import ID, LIKELIHOODS, TIME

SCHEMA_VERSION = 1

FACTOR = pa.struct(
    [
        ("name", pa.string()),  # "inside the security zone"
        ("value", pa.float32()),  # the probability it multiplies in
        ("source", pa.string()),  # where the number comes from, "assumption" included
        ("confidence", pa.string()),  # low, medium, high
    ]
)

FINDINGS = pa.schema(
    [
        pa.field("finding_id", ID, nullable=False),  # of clause, reading and subject
        pa.field("clause", pa.string(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("reading", pa.string(), nullable=False),  # whose reading: a party's id
        pa.field("subject_kind", pa.string(), nullable=False),  # incident, track, site, duty
        pa.field("subject_id", ID, nullable=False),
        ("in_force", pa.bool_()),  # was the clause in force then, in this reading; null: cannot be said
        ("illustrative", pa.bool_()),  # the agreement as a whole was not in force at that time
        ("p_breach", pa.float32()),  # product of the factors; null where nothing can be said
        ("factors", pa.list_(FACTOR)),
        ("calibrated", pa.bool_()),
        ("first_breach_from", TIME),
        ("first_breach_until", TIME),
        ("attribution", LIKELIHOODS),  # over parties and "undetermined"; sums to 1
        ("severity", pa.string()),  # minor, serious, grave
        ("coverage", pa.string()),  # what could be seen then and there; "not assessed" until it exists
        ("exemption", pa.string()),  # the notice or exemption that covers it
        ("release", pa.string()),
        ("sentence", pa.string()),
    ]
)

#: States of a case, in the order work usually goes. A signed verdict whose evidence changed is reopened.
STATES = (
    "alleged",
    "triaged",
    "investigating",
    "verified",
    "not verified",
    "insufficient",
    "exempt",
    "attributed",
    "notified",
    "disputed",
    "reviewed",
    "closed",
)

#: What a person can sign. The rest of the states are set by doing, not by deciding.
VERDICTS = ("verified", "not verified", "insufficient", "exempt")

CASES = pa.schema(
    [
        pa.field("case_id", ID, nullable=False),
        pa.field("clause", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        ("reopened", pa.bool_()),  # the evidence is no longer what was signed
        ("findings", pa.list_(ID)),
        ("subject_id", ID),
        ("opened_at", TIME),  # first breach, earliest reading
        ("p_breach", pa.float32()),  # greatest over the readings
        ("severity", pa.string()),
        ("verdict_by", pa.string()),
        ("verdict_at", TIME),
        ("verdict_reason", pa.string()),
        ("observations_digest", pa.string()),  # SHA-256 over the sorted observation ids behind it
        ("release", pa.string()),
    ]
)

#: A person's signed verdict, as the journal keeps it. `signature` is Ed25519 over `signed` (canonical JSON).
VERDICT = pa.schema(
    [
        pa.field("case_id", ID, nullable=False),
        pa.field("clause", pa.string(), nullable=False),
        pa.field("verdict", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("by", pa.string(), nullable=False),
        ("received_at", TIME),
        ("observations", pa.list_(ID)),
        ("observations_digest", pa.string()),
        ("finding_id", ID),
        ("edition", pa.int64()),
        ("signed", pa.string()),
        ("public_key", pa.binary(32)),
        ("signature", pa.binary(64)),
        ("release", pa.string()),
        pa.field("leaf", pa.binary(32), nullable=False),
    ]
)

#: What people did about a case, beside signing verdicts; in the order in which they did it.
ACTION = pa.schema(
    [
        pa.field("action_id", ID, nullable=False),  # chosen by the sender: the same one twice is one action
        pa.field("case_id", ID, nullable=False),
        (
            "clause",
            pa.string(),
        ),  # and the finding it was done on: where late data gives the case another id, it is found
        ("finding_id", ID),
        pa.field("what", pa.string(), nullable=False),  # casework.ACTIONS
        pa.field("by", pa.string(), nullable=False),
        pa.field("role", pa.string(), nullable=False),
        ("party", pa.string()),  # of whom it was done for, where it was a party's
        ("text", pa.string()),
        ("assignee", pa.string()),
        ("label", pa.string()),  # how far it is to be released
        ("about", ID),  # the action that this one answers: a release that is approved
        ("attachment_sha256", pa.string()),
        ("attachment_name", pa.string()),
        ("attachment_type", pa.string()),  # media type
        ("attachment_bytes", pa.int64()),
        ("received_at", TIME),
        ("release", pa.string()),
        pa.field("leaf", pa.binary(32), nullable=False),
    ]
)

#: What the watch was told, when, and when it was taken back.
ALERT = pa.schema(
    [
        pa.field("alert_id", ID, nullable=False),  # of what it is about; the same through all its states
        pa.field("state", pa.string(), nullable=False),  # raised, changed, withdrawn, acknowledged
        pa.field("what", pa.string(), nullable=False),  # finding, silence, source
        ("finding_id", ID),
        ("case_id", ID),
        ("source", pa.string()),
        ("clause", pa.string()),
        ("severity", pa.string()),
        ("p_breach", pa.float32()),
        ("lon", pa.float64()),
        ("lat", pa.float64()),
        ("at", TIME),  # of what it is about, event time
        pa.field("sentence", pa.string(), nullable=False),
        ("reason", pa.string()),  # why it was changed or taken back
        ("by", pa.string()),  # who acknowledged it
        ("received_at", TIME),
        ("release", pa.string()),
        pa.field("leaf", pa.binary(32), nullable=False),
    ]
)


def observations_digest(observation_ids: Iterable[bytes]) -> str:
    """SHA-256 over observation ids in their order, hexadecimal: which evidence a verdict was signed on."""
    return hashlib.sha256(b"".join(sorted(observation_ids))).hexdigest()
