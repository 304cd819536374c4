"""Certificates for one run: a certificate authority that lives as long as the call, and one identity per party.

Keys are handed to the parties' processes in memory and are never written to a disk.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = datetime.timedelta(days=7)  # longer than any run; a certificate is worth nothing after its run


class Identity(NamedTuple):
    """PEM texts of one party: who it is, how it proves that, and whom it trusts."""

    certificate: str
    private_key: str
    authority: str


def host_name(party: str) -> str:
    """The name in a party's certificate, which a peer must find there before it sends anything."""
    return f"{party.replace('_', '-')}.party.internal"


def make_identities(parties: Iterable[str]) -> dict[str, Identity]:
    """A fresh certificate authority and one certificate per party, signed by it (ECDSA, P-256)."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority_name = _name("sgb-runner run authority")
    authority = (
        _builder(authority_name, authority_name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    identities = {}
    for party in parties:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(_name(party), authority_name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host_name(party))]), critical=False)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .sign(authority_key, hashes.SHA256())
        )
        identities[party] = Identity(
            certificate=_pem(certificate),
            private_key=key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ).decode(),
            authority=_pem(authority),
        )
    return identities


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
