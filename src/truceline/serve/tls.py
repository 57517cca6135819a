"""TLS: contexts for the service and for TAK's port, and a small authority of the mission's own for where there is none.

The authority lies in the mission's `certificates/`, its key readable by its owner alone. It signs client certificates
(whose holder is the account that `accounts.add_certificate` was told of, not whatever a name in them says) and, on a
network without another authority, the service's own certificate.
"""

import os
import re
import ssl
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from truceline.errors import MissionError, StoreError

FOLDER = "certificates"
_NAME = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")

#: A mission's. Whoever needs longer makes a new authority and gives out certificates anew.
AUTHORITY_DAYS = 5 * 365
#: Clocks of field devices go wrong by minutes: a certificate made now is valid since a moment ago.
BEFORE = timedelta(hours=1)


class Issued(NamedTuple):
    """What was made, and where it lies."""

    certificate: Path
    key: Path
    der: bytes
    expires_at: datetime


def server_context(certificate: Path, key: Path, authority: Path | None = None) -> ssl.SSLContext:
    """For listening: TLS 1.2 or newer. With `authority` a client must show a certificate it has signed.

    Raises
    ------
    StoreError
        When a file cannot be read, is not PEM, or key and certificate do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
        if authority is not None:
            context.load_verify_locations(authority)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        missing = next((one for one in (certificate, key, authority) if one is not None and not one.is_file()), None)
        if missing is not None:
            raise StoreError(f"{missing}: there is no such file") from error
        told = "cannot be read, is no PEM, or the key is not the certificate's"
        raise StoreError(f"{certificate}, {key}: no TLS with these: a file {told} ({error})") from error
    return context


def client_context(authority: Path, certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """For connecting to where `authority` has signed the server's certificate, showing our own if given."""
    try:
        context = ssl.create_default_context(cafile=str(authority))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate is not None:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise StoreError(f"{authority}: no TLS with this: {error}") from error
    return context


def authority_of(folder: Path, at: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """The mission's authority: `certificates/authority.pem` and `.key`, which are made when they are not there."""
    certificate, key = folder / FOLDER / "authority.pem", folder / FOLDER / "authority.key"
    if not certificate.exists():
        made = ec.generate_private_key(ec.SECP256R1())  # what every TAK client understands
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Truceline mission {folder.resolve().name}"[:64])])
        builder = _builder(name, name, made.public_key(), at, AUTHORITY_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs=True), critical=True)
        signed = builder.sign(made, hashes.SHA256())
        _write(key, _pem(made), 0o600)
        _write(certificate, signed.public_bytes(serialization.Encoding.PEM), 0o644)
    try:
        if key.stat().st_mode & 0o077:
            raise StoreError(f"{key}: others may read this key; run: chmod 600 {key}")
        loaded = serialization.load_pem_private_key(key.read_bytes(), password=None)
        authority = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"{certificate}, {key}: the mission's authority cannot be read: {error}") from error
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise StoreError(f"{key}: not a key that Truceline made")
    return authority, loaded


def issue(folder: Path, name: str, at: datetime, *, days: float, hosts: tuple[str, ...] = ()) -> Issued:
    """A certificate of the mission's authority, with a new key.

    A client's, in `certificates/clients/`; with `hosts` (names, addresses) a server's, in `certificates/`. The files of
    that name from before are replaced; the certificate that was in them holds until it is revoked or over.

    Raises
    ------
    MissionError
        When a host's name or the days are none that a certificate can have.
    StoreError
        When the authority cannot be read, would end before, or the files cannot be written.
    """
    authority, signing = authority_of(folder, at)
    if not 0 < days <= AUTHORITY_DAYS:
        raise MissionError(f"{days:g} days: a certificate ends, after {AUTHORITY_DAYS} days at the latest")
    ends = at + timedelta(days=days)
    if ends > authority.not_valid_after_utc:
        raise StoreError(f"the mission's authority ends on {authority.not_valid_after_utc:%Y-%m-%d}: give fewer --days")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
    builder = _builder(subject, authority.subject, key.public_key(), at, days)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
    signed = builder.sign(signing, hashes.SHA256())
    where = folder / FOLDER / ("." if hosts else "clients")  # an account may be called "authority"
    paths = where / f"{name}.pem", where / f"{name}.key"
    _write(paths[1], _pem(key), 0o600)
    _write(paths[0], signed.public_bytes(serialization.Encoding.PEM), 0o644)
    return Issued(*paths, signed.public_bytes(serialization.Encoding.DER), ends)


def read(certificate: Path) -> tuple[bytes, datetime]:
    """DER and end of a certificate (PEM) that another authority has signed."""
    try:
        loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    except OSError as error:
        raise StoreError(f"{certificate}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # what cryptography says of it is several lines, with an address
        raise StoreError(f"{certificate}: not a certificate in PEM form") from error
    return loaded.public_bytes(serialization.Encoding.DER), loaded.not_valid_after_utc


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, at: datetime, days: float
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - BEFORE)
        .not_valid_after(at + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(not signs, False, False, False, False, signs, signs, False, False)


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        if not _NAME.fullmatch(host):
            raise MissionError(f"{host!r}: neither the name of a host nor an address (names in ASCII)") from None
        return x509.DNSName(host)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror}") from error
