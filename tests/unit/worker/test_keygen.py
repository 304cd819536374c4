"""A party's first keys: made once, with a request that says for whom, and never made again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from runner.errors import DataError, SpecError
from runner.keys.pki import REQUEST, TLS_KEY, host_name, pin_of, read_key
from runner.keys.store import open_keyring
from runner.spec.model import Party
from runner.worker.keygen import keygen


def order(folder: Path, **settings: Any) -> dict[str, Any]:
    named = {"key_file": str(folder / "alice" / "secret.key"), **settings}
    return {"party": "alice", "settings": named, "hosts": ["alice.example.org", "10.0.0.7"]}


def test_keys_and_request_are_made_in_the_partys_own_folder(tmp_path: Path) -> None:
    answer = keygen(order(tmp_path))
    home = tmp_path / "alice"
    assert {path.name for path in home.iterdir()} == {"secret.key", TLS_KEY, REQUEST}
    assert home.stat().st_mode & 0o777 == 0o700
    assert {(home / name).stat().st_mode & 0o777 for name in ("secret.key", TLS_KEY)} == {0o600}
    assert answer["public"] == open_keyring("alice", Party(key_file=str(home / "secret.key"))).public
    assert answer["pin"] == pin_of(read_key(home / TLS_KEY).public_key())
    request = x509.load_pem_x509_csr((home / REQUEST).read_bytes())
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [host_name("alice"), "alice.example.org"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.7"]


def test_again_makes_the_request_only(tmp_path: Path) -> None:
    first = keygen(order(tmp_path))
    assert keygen(order(tmp_path)) == first


def test_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    keygen(order(tmp_path))
    (tmp_path / "alice" / TLS_KEY).chmod(0o644)
    with pytest.raises(DataError, match="can be read by others"):
        keygen(order(tmp_path))


def test_party_of_another_site_has_no_place_for_keys(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no key file"):
        keygen(order(tmp_path, key_file=None))
