"""Keys, requests and certificates of organisations, and what is said of those that do not fit."""

from __future__ import annotations

import datetime
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from runner.errors import DataError
from runner.keys.pki import (
    AUTHORITY_KEY,
    CERTIFICATE,
    REQUEST,
    TLS_KEY,
    common_name,
    faults_of,
    host_name,
    make_authority,
    make_request,
    names_in,
    pin_of,
    read_certificate,
    sign_request,
)


@pytest.fixture
def authority(tmp_path: Path) -> x509.Certificate:
    return make_authority(tmp_path / "ca")


@pytest.fixture
def alice(tmp_path: Path, authority: x509.Certificate) -> x509.Certificate:
    make_request("alice", tmp_path / "alice", ["alice.example", "127.0.0.1"])
    return sign_request(tmp_path / "ca", tmp_path / "alice" / REQUEST, days=30)


def pin(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return pin_of(key)


def test_signed_request_stands_for_its_party(
    tmp_path: Path, authority: x509.Certificate, alice: x509.Certificate
) -> None:
    assert faults_of(alice, authority, "alice", pin(alice)) == []
    assert names_in(alice) == [host_name("alice"), "alice.example"]
    assert read_certificate(tmp_path / "alice" / CERTIFICATE) == alice


def test_private_keys_are_for_their_owner_alone(tmp_path: Path, alice: x509.Certificate) -> None:
    for path in (tmp_path / "alice" / TLS_KEY, tmp_path / "ca" / AUTHORITY_KEY):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_renewed_certificate_keeps_its_pin(tmp_path: Path, alice: x509.Certificate) -> None:
    make_request("alice", tmp_path / "alice")
    renewed = sign_request(tmp_path / "ca", tmp_path / "alice" / REQUEST, days=30)
    assert renewed.serial_number != alice.serial_number
    assert pin(renewed) == pin(alice)


def test_another_partys_certificate_is_told(authority: x509.Certificate, alice: x509.Certificate) -> None:
    (fault,) = faults_of(alice, authority, "bob")
    assert fault == "it is for alice.party.internal, alice.example, not for bob.party.internal"


def test_another_authority_is_told(tmp_path: Path, alice: x509.Certificate) -> None:
    (fault,) = faults_of(alice, make_authority(tmp_path / "other"), "alice")
    assert fault.startswith("it is signed by ")


def test_another_key_is_told(authority: x509.Certificate, alice: x509.Certificate) -> None:
    (fault,) = faults_of(alice, authority, "alice", "0" * 64)
    assert fault == f"its key has the pin {pin(alice)}, not {'0' * 64}"


@pytest.mark.parametrize(("days", "said"), [(31, "it expired on"), (-1, "it is not valid before")])
def test_wrong_time_is_told(authority: x509.Certificate, alice: x509.Certificate, days: int, said: str) -> None:
    now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    (fault,) = faults_of(alice, authority, "alice", now=now)
    assert fault.startswith(said)


def test_request_for_anothers_name_is_not_signed(tmp_path: Path, authority: x509.Certificate) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(common_name("mallory"))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host_name("alice"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "mallory.csr"
    path.write_bytes(request.public_bytes(serialization.Encoding.PEM))
    with pytest.raises(DataError, match="asks for another party's name"):
        sign_request(tmp_path / "ca", path, days=30)
    assert not path.with_suffix(".crt").exists()


def test_open_key_file_is_refused(tmp_path: Path, alice: x509.Certificate) -> None:
    (tmp_path / "alice" / TLS_KEY).chmod(0o644)
    with pytest.raises(DataError, match="can be read by others"):
        make_request("alice", tmp_path / "alice")


@pytest.mark.parametrize("content", [b"", b"not PEM", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"])
def test_what_is_no_request_is_refused(tmp_path: Path, authority: x509.Certificate, content: bytes) -> None:
    path = tmp_path / "broken.csr"
    path.write_bytes(content)
    with pytest.raises(DataError, match="certificate request cannot be read"):
        sign_request(tmp_path / "ca", path, days=30)
