"""A party's secret: private, made once, and the source of everything that only this party can repeat."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.data.table import PreparedTable
from runner.engine.site import Site, derive, load_secret, open_site
from runner.errors import DataError
from runner.spec.parse import parse

TABLE = PreparedTable(ids=np.array(["a"]), features=np.zeros((1, 1)), names=("x",), label=None, test=np.array([False]))


def site(secret: bytes, folder: Path) -> Site:
    nothing: Any = None
    return Site("alice", folder, secret, nothing, nothing, TABLE)


def refusal(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        load_secret("alice", path)
    error = caught.value
    assert str(path) in error.where
    assert all((error.what, error.why, error.fix))
    return error


def test_secret_is_made_at_first_use_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "alice" / "secret.key"
    secret = load_secret("alice", path)
    assert len(secret) == 32
    assert load_secret("alice", path) == secret
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_secrets_differ(tmp_path: Path) -> None:
    assert len({load_secret(name, tmp_path / name) for name in ("alice", "bob", "carol")}) == 3


def test_key_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        load_secret("alice", tmp_path / "keys" / "secret.key")
    finally:
        os.umask(before)
    assert (tmp_path / "keys" / "secret.key").stat().st_mode & 0o777 == 0o600


def test_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    """`parties.alice.key_file=alice.key` must not lock the user's working folder, nor `/tmp/alice.key` everybody's."""
    tmp_path.chmod(0o755)
    load_secret("alice", tmp_path / "secret.key")
    assert tmp_path.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o644])
def test_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret.key"
    load_secret("alice", path)
    path.chmod(mode)
    assert refusal(path).fix == f"chmod 600 {path}"


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"ab" * 31, b"ab" * 33, b"zz" * 32, b"\xff" * 32, b"ab" * 32 + b"\n" + b"ab" * 32]
)
def test_garbage_is_refused_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret.key"
    path.write_bytes(content)
    path.chmod(0o600)
    error = refusal(path)
    assert path.read_bytes() == content, "a key that is made anew would change results without a word"
    assert "zz" not in str(error)
    assert "abab" not in str(error), "what may be half a key is not shown"


def test_key_may_end_without_a_line(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_text("ab" * 32)
    (tmp_path / "secret.key").chmod(0o600)
    assert load_secret("alice", tmp_path / "secret.key") == b"\xab" * 32


def test_folder_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "secret.key").mkdir(mode=0o700)
    refusal(tmp_path / "secret.key")


def test_secret_is_made_once_under_concurrent_first_use(tmp_path: Path) -> None:
    """Several runs start at once; no two of them may go on with different secrets."""
    for attempt in range(10):
        path = tmp_path / str(attempt) / "secret.key"
        found: list[bytes] = []
        start = threading.Barrier(8)

        def use(path: Path = path, found: list[bytes] = found, start: threading.Barrier = start) -> None:
            start.wait()
            found.append(load_secret("alice", path))

        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert len(set(found)) == 1
        assert list(path.parent.iterdir()) == [path]


def test_derived_keys_are_pinned_and_differ_by_purpose_and_secret() -> None:
    """Another derivation would change every model and every digest of old runs."""
    assert derive(b"s" * 32, "audit").hex().startswith("de045f7ab1f78f88")
    keys = {derive(secret, purpose) for secret in (b"s" * 32, b"t" * 32) for purpose in ("audit", "bundle", "table")}
    assert len(keys) == 6


def test_shuffle_seed_is_stable_and_differs_by_party_and_by_seed(tmp_path: Path) -> None:
    alice, bob = site(b"a" * 32, tmp_path), site(b"b" * 32, tmp_path)
    assert alice.shuffle_seed(1212) == alice.shuffle_seed(1212)
    assert len({alice.shuffle_seed(1), alice.shuffle_seed(2), bob.shuffle_seed(1), bob.shuffle_seed(2)}) == 4
    assert alice.shuffle_seed(1)[:2] == (362127703, 2206888570)


def test_shuffle_seed_is_256_bits_that_numpy_takes(tmp_path: Path) -> None:
    words = site(b"a" * 32, tmp_path).shuffle_seed(2**32 - 1)
    assert len(words) == 8
    assert all(0 <= word < 2**32 for word in words)
    first, again = (np.random.RandomState(words).permutation(50).tolist() for _ in range(2))
    assert first == again


def test_seeds_do_not_show_the_secret(tmp_path: Path) -> None:
    words = site(b"a" * 32, tmp_path).shuffle_seed(1)
    shown = b"".join(word.to_bytes(4, "big") for word in words)
    assert shown != b"a" * 32
    assert shown not in (derive(b"a" * 32, purpose) for purpose in ("audit", "bundle", "table"))


def test_party_without_a_table_has_none_to_ask_for(tmp_path: Path, changed: Any) -> None:
    spec = parse(changed({"parties.alice.key_file": str(tmp_path / "keys" / "secret.key")}))
    opened = open_site(spec, "alice", tmp_path / "run", None, lambda **event: None)
    assert opened.prepared is None
    with pytest.raises(AssertionError, match="alice brought no table"):
        _ = opened.table


def test_opened_site_has_a_private_folder_and_an_audit_log(tmp_path: Path, changed: Any) -> None:
    spec = parse(changed({"parties.alice.key_file": str(tmp_path / "keys" / "secret.key")}))
    opened = open_site(spec, "alice", tmp_path / "run", TABLE, lambda **event: None)
    assert opened.folder == tmp_path / "run" / "parties" / "alice"
    assert opened.folder.stat().st_mode & 0o777 == 0o700
    opened.audit.record("sent", {}, b"payload")
    assert (opened.folder / "audit.jsonl").exists()
    assert opened.table is opened.prepared is TABLE
    assert opened.derive("bundle") == derive(opened.secret, "bundle")
