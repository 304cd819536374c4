"""Certificates of organisations that meet over a network: keys, requests, a small authority, and what is wrong.

Each party makes a key of its own for TLS and a certificate request (PKCS #10, RFC 2986); a certificate authority that
all parties trust signs it. The pin of a party (after RFC 7469: SHA-256 of its public key, DER SubjectPublicKeyInfo)
stays the same when its certificate is renewed, and no certificate of another key passes for it, whoever signed that.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import ipaddress
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from runner.errors import DataError
from runner.files import make_private_dir, write_bytes

TLS_KEY = "tls.key"
REQUEST = "tls.csr"
CERTIFICATE = "tls.crt"
AUTHORITY = "ca.crt"
AUTHORITY_KEY = "ca.key"
AUTHORITY_YEARS = 5
SKEW = datetime.timedelta(minutes=5)  # how far the parties' clocks may be apart when a certificate is new
FEW_DAYS = 30  # of a certificate: time to renew it


def host_name(party: str) -> str:
    """The name in a party's certificate, which a peer must find there before it sends anything."""
    return f"{party.replace('_', '-')}.party.internal"


def make_request(party: str, folder: Path, hosts: Iterable[str] = ()) -> x509.CertificateSigningRequest:
    """A party's TLS key (made at first use, mode 0600) and a new request for a certificate, both in ``folder``.

    Args:
        hosts: names and addresses of the party's machine, besides the name that stands for the party.

    Raises:
        DataError: where the key file that is there is none, or can be read by others.
    """
    make_private_dir(folder)
    path = folder / TLS_KEY
    if not path.exists():
        write_bytes(path, private_pem(ec.generate_private_key(ec.SECP256R1())))
    key = read_key(path)
    names = [x509.DNSName(host_name(party)), *(_alternative(host) for host in hosts)]
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(common_name(party))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_bytes(folder / REQUEST, request.public_bytes(serialization.Encoding.PEM))
    return request


def make_authority(folder: Path) -> x509.Certificate:
    """The certificate authority in ``folder``, made at first use: its certificate is for all, its key (0600) for none.

    Raises:
        DataError: where one of its two files is missing, or not readable.
    """
    make_private_dir(folder)
    key_path, path = folder / AUTHORITY_KEY, folder / AUTHORITY
    if not key_path.exists() and not path.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        subject = common_name("sgb-runner trial authority")
        lifetime = datetime.timedelta(days=365 * AUTHORITY_YEARS)
        certificate = (
            builder(subject, subject, key.public_key(), lifetime)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_bytes(key_path, private_pem(key))
        write_bytes(path, certificate.public_bytes(serialization.Encoding.PEM))
    read_key(key_path)
    return read_certificate(path)


def sign_request(folder: Path, request_path: Path, days: int) -> x509.Certificate:
    """A party's certificate, signed by the authority in ``folder``, written beside the party's request.

    The authority vouches for the names in the request: look at them before.

    Raises:
        DataError: where the request is none, or asks for another party's name than its subject says.
    """
    authority, key = make_authority(folder), read_key(folder / AUTHORITY_KEY)
    request = _read_request(request_path)
    certificate = (
        builder(request.subject, authority.subject, request.public_key(), datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_names_of(request), critical=False)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    write_bytes(request_path.with_suffix(".crt"), certificate.public_bytes(serialization.Encoding.PEM))
    return certificate


def pin_of(public_key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of a public key, in hexadecimal digits."""
    encoded = public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(encoded).hexdigest()


@functools.cache
def pin_of_pem(certificate: bytes) -> str:
    """The pin of the key in a certificate (PEM)."""
    return pin_of(x509.load_pem_x509_certificate(certificate).public_key())  # type: ignore[arg-type]


def faults_of(
    certificate: x509.Certificate,
    authority: x509.Certificate,
    party: str,
    pin: str | None = None,
    now: datetime.datetime | None = None,
) -> list[str]:
    """What keeps a certificate from standing for ``party``: each fault says what was expected; empty: nothing."""
    now = now or datetime.datetime.now(datetime.timezone.utc)
    faults = []
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        faults.append(f"it is signed by {described(certificate.issuer)}, not by {described(authority.subject)}")
    if host_name(party) not in names_in(certificate):
        named = ", ".join(names_in(certificate)) or "nobody"
        faults.append(f"it is for {named}, not for {host_name(party)}")
    if now > certificate.not_valid_after_utc:
        faults.append(f"it expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    if now < certificate.not_valid_before_utc:
        faults.append(f"it is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC")
    found = pin_of(certificate.public_key())  # type: ignore[arg-type]
    if pin is not None and found != pin:
        faults.append(f"its key has the pin {found}, not {pin}")
    return faults


def days_left(certificate: x509.Certificate, now: datetime.datetime | None = None) -> int:
    """Whole days for which a certificate is still valid."""
    return (certificate.not_valid_after_utc - (now or datetime.datetime.now(datetime.timezone.utc))).days


def names_in(certificate: x509.Certificate) -> list[str]:
    """The host names that a certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return list(names.get_values_for_type(x509.DNSName))


def read_certificate(path: Path) -> x509.Certificate:
    """A certificate from a PEM file.

    Raises:
        DataError: where there is none.
    """
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _unreadable("certificate", path, error) from None


def read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """A private key from a PEM file that nobody else can read.

    Raises:
        DataError: where there is none, or the file's permissions let others in.
    """
    try:
        mode = path.stat().st_mode
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise _unreadable("private key", path, error) from None
    if mode & 0o077:
        raise DataError(
            "a private key can be read by others",
            where=str(path),
            why="its permissions let other users of this machine in",
            fix=f"chmod 600 {path}",
        )
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _unreadable("private key", path, ValueError("it is no key on an elliptic curve"))
    return key


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key as PEM (PKCS #8), not locked."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def builder(
    subject: x509.Name, issuer: x509.Name, key: object, lifetime: datetime.timedelta
) -> x509.CertificateBuilder:
    """A certificate of ``key`` from now on (and a few minutes back, for clocks that are behind)."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)  # type: ignore[arg-type]
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + lifetime)
    )


def common_name(text: str) -> x509.Name:
    """A distinguished name of one part."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def described(name: x509.Name) -> str:
    """A distinguished name, to be read."""
    return f"{name.rfc4514_string()!r}"


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _read_request(path: Path) -> x509.CertificateSigningRequest:
    try:
        request = x509.load_pem_x509_csr(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _unreadable("certificate request", path, error) from None
    if not request.is_signature_valid:
        raise _unreadable("certificate request", path, ValueError("its signature is not that of its key"))
    party = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    names = _names_of(request).get_values_for_type(x509.DNSName)
    own = [host_name(str(party[0].value))] if party else []
    if others := sorted(name for name in names if name.endswith(".party.internal") and name not in own):
        raise DataError(
            "a certificate request asks for another party's name",
            where=str(path),
            why=f"its subject is {described(request.subject)}, and it asks for {', '.join(others)}",
            fix="do not sign it; ask whoever sent it for a request of task=keygen",
        )
    return request


def _names_of(request: x509.CertificateSigningRequest) -> x509.SubjectAlternativeName:
    try:
        return request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])


def _unreadable(what: str, path: Path, error: Exception) -> DataError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).partition("\n")[0]
    return DataError(
        f"a {what} cannot be read",
        where=str(path),
        why=reason or type(error).__name__,
        fix="make it with task=keygen or task=pki, or restore it from your backup",
    )
