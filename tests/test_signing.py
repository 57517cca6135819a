"""Signed verdicts: what a person put their name to, and nothing else."""

import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from truceline.errors import StoreError
from truceline.finding import VERDICT
from truceline.store import Journal, signing
from truceline.store.canonical import canonical

AT = datetime(2023, 4, 2, 6, 0, tzinfo=UTC)


def verdict(key: Ed25519PrivateKey, **changes: Any) -> dict[str, Any]:
    given = {
        "case_id": b"c" * 16,
        "clause": "fire",
        "verdict": "verified",
        "reason": "two patrols heard it; почули двоє",
        "by": "A. Officer",
        "at": AT,
        "observations": [b"b" * 16, b"a" * 16],
        "finding_id": b"f" * 16,
        "edition": 3,
    }
    table = signing.sign_verdict(key, **{**given, **changes})
    assert table.schema == VERDICT
    row: dict[str, Any] = table.to_pylist()[0]
    return row


@pytest.fixture(scope="module")
def key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def test_a_signed_verdict_holds(key: Ed25519PrivateKey) -> None:
    assert signing.check_verdict(verdict(key)) == []


def test_what_is_signed_is_one_text_for_one_verdict(key: Ed25519PrivateKey) -> None:
    """Sorted keys, no spaces, ids in hexadecimal, times in UTC, nothing for what was not given: and the same
    whatever the order of the observations, or the time zone of the clock."""
    row = verdict(key, finding_id=None)
    assert row["signed"] == (
        '{"by":"A. Officer","case_id":"63636363636363636363636363636363","clause":"fire","edition":3,'
        '"format":"truceline verdict 1",'
        '"observations":["61616161616161616161616161616161","62626262626262626262626262626262"],'
        f'"observations_digest":"{row["observations_digest"]}","reason":"two patrols heard it; почули двоє",'
        '"received_at":"2023-04-02T06:00:00Z","release":"mission","verdict":"verified"}'
    )
    assert verdict(key, observations=[b"a" * 16, b"b" * 16])["signature"] == verdict(key)["signature"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("verdict", "not verified"),
        ("reason", "none"),
        ("by", "B. Officer"),
        ("received_at", datetime(2023, 4, 3, 6, 0, tzinfo=UTC)),
        ("observations", [b"a" * 16]),
        ("observations_digest", "0" * 64),
        ("case_id", b"d" * 16),
        ("finding_id", None),
        ("edition", 4),
        ("release", "public"),
        ("signature", bytes(64)),
        ("signature", None),
        ("public_key", bytes(32)),
        ("public_key", b"short"),
        ("signed", "{}"),
        ("signed", None),
    ],
)
def test_no_column_can_be_changed(key: Ed25519PrivateKey, column: str, value: object) -> None:
    assert signing.check_verdict({**verdict(key), column: value}) != []


def test_another_key_cannot_take_the_verdict_over(key: Ed25519PrivateKey) -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    row = {**verdict(key), "public_key": signing.public_bytes(other)}
    assert signing.check_verdict(row) == ["its signature does not hold"]


def test_columns_changed_together_with_the_text_do_not_pass(key: Ed25519PrivateKey) -> None:
    row = verdict(key)
    row |= {"reason": "none", "signed": row["signed"].replace("two patrols heard it; почули двоє", "none")}
    assert signing.check_verdict(row) == ["its signature does not hold"]


def test_a_verdict_comes_back_from_the_journal_as_it_was_signed(key: Ed25519PrivateKey, tmp_path: Path) -> None:
    row = verdict(key)
    with Journal(tmp_path) as journal:
        journal.append("verdict", signing.sign_verdict(key, **arguments(row)))
        kept = journal.table("verdict").to_pylist()
        assert journal.verify() == []
    assert kept == [row]
    assert signing.check_verdict(kept[0]) == []


def arguments(row: dict[str, Any]) -> dict[str, Any]:
    names = ("case_id", "clause", "verdict", "reason", "by", "observations", "finding_id", "edition", "release")
    return {name: row[name] for name in names} | {"at": row["received_at"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [({"verdict": "guilty"}, "'guilty' is no verdict"), ({"reason": " "}, "its reason"), ({"by": ""}, "its by")],
)
def test_a_verdict_needs_a_word_a_reason_and_a_name(
    key: Ed25519PrivateKey, change: dict[str, str], message: str
) -> None:
    with pytest.raises(StoreError, match=message):
        verdict(key, **change)


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "officer.pem"
    made = signing.load_or_create_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert signing.public_bytes(signing.load_or_create_key(path)) == signing.public_bytes(made)
    assert path.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert len(signing.fingerprint(signing.public_bytes(made)).split()) == 8


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "officer.pem"
    signing.load_or_create_key(path)
    os.chmod(path, mode)
    with pytest.raises(StoreError, match=rf"others may read this key \(mode {mode:o}\); run: chmod 600"):
        signing.load_or_create_key(path)


def test_what_is_no_ed25519_key_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "officer.pem"
    pkcs8 = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    others = {
        "not a private key in PEM form": b"hello",
        "not an Ed25519 key": ec.generate_private_key(ec.SECP256R1()).private_bytes(
            *pkcs8, serialization.NoEncryption()
        ),
        "the key is encrypted": Ed25519PrivateKey.generate().private_bytes(
            *pkcs8, serialization.BestAvailableEncryption(b"secret")
        ),
    }
    for message, pem in others.items():
        path.write_bytes(pem)
        os.chmod(path, 0o600)
        with pytest.raises(StoreError, match=message):
            signing.load_or_create_key(path)
    with pytest.raises(StoreError, match="cannot be read or made: "):
        signing.load_or_create_key(path / "below.pem")


def test_a_canonical_text_leaves_out_what_is_null() -> None:
    """So a column that is added later, and null in old rows, changes no old leaf and no old signature."""
    assert canonical({"b": None, "a": [{"d": None, "c": b"\x00"}]}) == '{"a":[{"c":"00"}]}'
