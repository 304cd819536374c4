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
from cryptography.x509.oid import ExtendedKeyUsageOID

from runner.keys.pki import builder, common_name, host_name, private_pem

LIFETIME = datetime.timedelta(days=7)  # longer than any run; a certificate is worth nothing after its run


class Identity(NamedTuple):
    """PEM texts of one party: who it is, how it proves that, and whom it trusts."""

    certificate: str
    private_key: str
    authority: str


def make_identities(parties: Iterable[str]) -> dict[str, Identity]:
    """A fresh certificate authority and one certificate per party, signed by it (ECDSA, P-256)."""
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority_name = common_name("sgb-runner run authority")
    authority = (
        builder(authority_name, authority_name, authority_key.public_key(), LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    identities = {}
    for party in parties:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            builder(common_name(party), authority_name, key.public_key(), LIFETIME)
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
            private_key=private_pem(key).decode(),
            authority=_pem(authority),
        )
    return identities


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
