"""Certificates of a run: one authority, one identity per party, and nothing on the disk."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from runner.cluster.tls import Identity, make_identities
from runner.keys.pki import host_name

PARTIES = ("alice", "bob")


@pytest.fixture(scope="module")
def identities() -> dict[str, Identity]:
    return make_identities(PARTIES)


def certificate(text: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(text.encode())


def test_each_party_has_a_certificate_of_the_one_authority(identities: dict[str, Identity]) -> None:
    assert tuple(identities) == PARTIES
    assert len({identity.authority for identity in identities.values()}) == 1
    for identity in identities.values():
        certificate(identity.certificate).verify_directly_issued_by(certificate(identity.authority))


def test_certificate_names_its_party_and_no_other(identities: dict[str, Identity]) -> None:
    for party, identity in identities.items():
        names = certificate(identity.certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == [host_name(party)]


def test_private_key_fits_its_certificate_alone(identities: dict[str, Identity]) -> None:
    publics = set()
    for identity in identities.values():
        key = serialization.load_pem_private_key(identity.private_key.encode(), None)
        assert key.public_key() == certificate(identity.certificate).public_key()
        publics.add(identity.private_key)
    assert len(publics) == len(PARTIES)


def test_party_cannot_issue_certificates(identities: dict[str, Identity]) -> None:
    def constraints(text: str) -> x509.BasicConstraints:
        return certificate(text).extensions.get_extension_for_class(x509.BasicConstraints).value

    for identity in identities.values():
        assert not constraints(identity.certificate).ca
        assert constraints(identity.authority).ca
        assert constraints(identity.authority).path_length == 0


def test_certificate_serves_both_ends(identities: dict[str, Identity]) -> None:
    usage = certificate(identities["alice"].certificate).extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


def test_certificate_is_valid_now_and_not_for_long(identities: dict[str, Identity]) -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    for text in (identities["alice"].certificate, identities["alice"].authority):
        found = certificate(text)
        assert found.not_valid_before_utc < now < found.not_valid_after_utc < now + datetime.timedelta(days=8)


def test_every_run_has_an_authority_of_its_own(identities: dict[str, Identity]) -> None:
    other = make_identities(PARTIES)["alice"]
    assert other.authority != identities["alice"].authority
    with pytest.raises(InvalidSignature):
        certificate(other.certificate).verify_directly_issued_by(certificate(identities["alice"].authority))


def test_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_identities(PARTIES)
    assert list(tmp_path.iterdir()) == []


def test_any_party_name_gets_a_name_of_its_own() -> None:
    parties = ["a", "a_", "a__", "a_b", "a__b", "ab", "a" * 31, "z9_" * 10]
    assert len({host_name(party) for party in parties}) == len(parties)
    assert set(make_identities(parties)) == set(parties)
