"""Verdicts that a person has signed: Ed25519 over one canonical text.

What is checked is that the verdict is what the holder of a key signed. Whose key it is, is not in it: a
mission keeps the fingerprints of its officers.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from truceline.errors import StoreError
from truceline.finding import VERDICT, VERDICTS, observations_digest
from truceline.store.canonical import canonical, row_leaf
from truceline.store.durable import sync_folder

#: The first thing in every signed text, so that a signature made for something else is none on a verdict.
FORMAT = "truceline verdict 1"

#: The columns a signature covers; the rest is the signature itself.
SIGNED = tuple(name for name in VERDICT.names if name not in ("signed", "public_key", "signature", "leaf"))


def load_or_create_key(path: Path) -> Ed25519PrivateKey:
    """The signing key in `path` (PEM, PKCS #8), which is made, readable by its owner alone, when it is not there.

    Raises
    ------
    StoreError
        When others may read it, it is no Ed25519 key, is encrypted, or cannot be read or made.
    """
    try:
        if path.exists():
            return _load(path)
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"{path}: the key cannot be read or made: {error.strerror}") from error
    return key


def _load(path: Path) -> Ed25519PrivateKey:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise StoreError(f"{path}: others may read this key (mode {mode:o}); run: chmod 600 {path}")
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except TypeError as error:
        raise StoreError(f"{path}: the key is encrypted; Truceline takes one that is not") from error
    except ValueError as error:
        raise StoreError(f"{path}: this is not a private key in PEM form") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise StoreError(f"{path}: this is not an Ed25519 key")
    return key


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """The 32 bytes of the public key."""
    return key.public_key().public_bytes_raw()


def fingerprint(public_key: bytes) -> str:
    """What people compare: the first 16 bytes of the public key's SHA-256, hexadecimal, in groups of four."""
    digits = hashlib.sha256(public_key).hexdigest()[:32]
    return " ".join(digits[at : at + 4] for at in range(0, 32, 4))


def sign_verdict(
    key: Ed25519PrivateKey,
    *,
    case_id: bytes,
    clause: str,
    verdict: str,
    reason: str,
    by: str,
    at: datetime,
    observations: Iterable[bytes],
    finding_id: bytes | None = None,
    edition: int | None = None,
    release: str = "mission",
) -> pa.Table:
    """A signed verdict, one row of `finding.VERDICT`, to be appended to the journal.

    Parameters
    ----------
    observations
        Ids of the observations it rests on; when these are no longer what is behind the case, it is reopened.
    finding_id, edition
        What the person had before their eyes.

    Raises
    ------
    StoreError
        When the verdict is none that can be signed, or its reason or its author is empty.
    """
    if verdict not in VERDICTS:
        raise StoreError(f"{verdict!r} is no verdict; one of: {', '.join(VERDICTS)}")
    for name, text in (("reason", reason), ("by", by)):
        if not text.strip():
            raise StoreError(f"a verdict needs its {name}")
    ids = sorted(observations)
    row: dict[str, Any] = {
        "case_id": case_id,
        "clause": clause,
        "verdict": verdict,
        "reason": reason,
        "by": by,
        "received_at": at,
        "observations": ids,
        "observations_digest": observations_digest(ids),
        "finding_id": finding_id,
        "edition": edition,
        "release": release,
    }
    row["signed"] = _text(row)
    row["public_key"] = public_bytes(key)
    row["signature"] = key.sign(row["signed"].encode())
    return pa.Table.from_pylist([{**row, "leaf": row_leaf(row)}], schema=VERDICT)


def check_verdict(row: Mapping[str, Any]) -> list[str]:
    """What is wrong with a signed verdict (a row of `finding.VERDICT` as a dict), as sentences; empty: nothing."""
    problems = []
    if row.get("signed") != _text(row):
        problems.append("its columns are not what was signed")
    if row.get("observations_digest") != observations_digest(row.get("observations") or ()):
        problems.append("its observations do not give its digest")
    try:
        public_key = Ed25519PublicKey.from_public_bytes(row.get("public_key") or b"")
        public_key.verify(row.get("signature") or b"", str(row.get("signed")).encode())
    except (InvalidSignature, ValueError):
        problems.append("its signature does not hold")
    return problems


def _text(row: Mapping[str, Any]) -> str:
    return canonical({"format": FORMAT, **{name: row.get(name) for name in SIGNED}})
