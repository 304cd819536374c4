"""What a doctor says of a site's own keys, certificate and ports."""

from __future__ import annotations

import datetime
import socket
from pathlib import Path

import pytest
from support import make_spec

from runner.cluster.site import credentials_of, listen_of, peers_of
from runner.doctor.site import judge_certificate, look_at_certificate, look_at_key, look_at_ports
from runner.errors import SpecError
from runner.keys.pki import AUTHORITY, REQUEST, make_authority, make_request, read_certificate, sign_request
from runner.spec.model import Party, Spec


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with alice's certificate and what belongs to it."""
    make_request("alice", tmp_path / "alice", ["127.0.0.1"])
    make_authority(tmp_path / "ca")
    sign_request(tmp_path / "ca", tmp_path / "alice" / REQUEST, days=100)
    (tmp_path / "alice" / AUTHORITY).write_bytes((tmp_path / "ca" / AUTHORITY).read_bytes())
    return tmp_path / "alice"


def site(home: Path, *overrides: str) -> Spec:
    own = f"parties.alice.key_file={home}/secret.key"
    return make_spec("cluster=remote", "parties=sites", "self_party=alice", "site=alice", own, *overrides)


def test_good_certificate_passes_with_its_days(home: Path) -> None:
    finding = look_at_certificate(site(home))
    assert finding.state == "PASSED"
    assert "alice.party.internal, signed by CN=sgb-runner trial authority, 99 days left" in finding.found


def test_certificate_that_ends_soon_is_told(home: Path) -> None:
    spec = site(home)
    files = credentials_of(spec)
    certificate = read_certificate(files.certificate)
    soon = certificate.not_valid_after_utc - datetime.timedelta(days=29)
    assert judge_certificate(files, "alice", certificate, [], soon).state == "WARNING"
    early = certificate.not_valid_after_utc - datetime.timedelta(days=30)
    assert judge_certificate(files, "alice", certificate, [], early).state == "PASSED"


@pytest.mark.parametrize("fault", ["missing", "stranger", "other key", "other pin", "bob's", "open key"])
def test_bad_certificate_fails_and_says_why(home: Path, fault: str) -> None:
    spec, expected = site(home), ""
    if fault == "missing":
        (home / "tls.crt").unlink()
        expected = "a certificate cannot be read"
    elif fault == "stranger":
        make_authority(home / "other")
        (home / AUTHORITY).write_bytes((home / "other" / AUTHORITY).read_bytes())
        expected = "it is signed by"
    elif fault == "other key":
        (home / "tls.key").unlink()
        make_request("alice", home)
        expected = "it is of another key than"
    elif fault == "other pin":
        spec, expected = site(home, f"parties.alice.tls_pin={'ab' * 32}"), "its key has the pin"
    elif fault == "open key":
        (home / "tls.key").chmod(0o644)
        expected = "can be read by others"
    else:
        make_request("bob", home)
        sign_request(home.parent / "ca", home / REQUEST, days=100)
        expected = "it is for bob.party.internal, not for alice.party.internal"
    finding = look_at_certificate(spec)
    assert finding.state == "FAILED"
    assert expected in finding.found
    assert finding.fix


def test_key_must_be_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    settings = Party(key_file=str(path))
    assert "not there yet" in look_at_key("alice", settings).found
    path.write_text("ab" * 32)
    path.chmod(0o640)
    assert look_at_key("alice", settings).fix == f"chmod 600 {path}"
    path.chmod(0o600)
    assert look_at_key("alice", settings).state == "PASSED"
    assert "ALICE_KEY" in look_at_key("alice", Party(key_file=str(path), key_env="ALICE_KEY")).found


def test_all_three_ports_must_be_free(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (finding,) = look_at_ports(site(home, f"site.listen=127.0.0.1:{port - 2}"))
        assert finding.state == "FAILED"
        assert f"127.0.0.1:{port} cannot be bound" in finding.found or f"127.0.0.1:{port - 1}" in finding.found
    (finding,) = look_at_ports(site(home, "site.listen=127.0.0.1:0"))
    assert (finding.state, finding.found) == ("PASSED", "127.0.0.1, any: free")
    assert list(look_at_ports(make_spec())) == []


def test_site_is_where_its_settings_say(home: Path) -> None:
    spec = site(home, "parties.bob.address='[::1]:7200'", f"parties.bob.tls_pin={'ab' * 32}")
    assert listen_of(spec) == ("127.0.0.1", 7100)
    assert listen_of(site(home, "site.listen=0.0.0.0:9000")) == ("0.0.0.0", 9000)
    assert peers_of(spec) == {"carol": ("127.0.0.1", 7120, None), "bob": ("::1", 7200, "ab" * 32)}
    named = credentials_of(site(home, "site.certificate=a.pem", "site.private_key=b.pem", "site.authority=c.pem"))
    assert [str(path) for path in named] == ["a.pem", "b.pem", "c.pem"]
    with pytest.raises(SpecError):
        credentials_of(make_spec())
