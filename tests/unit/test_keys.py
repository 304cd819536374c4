"""A party's keys: made once, private, and the source of everything that only this party can repeat, read or sign."""

from __future__ import annotations

import itertools
import os
import threading
from pathlib import Path

import pytest

from runner.errors import BundleError, DataError, RunnerError
from runner.keys.keyring import Former, Keyring, derive, follows, signed_by, successor
from runner.keys.store import load_secret, open_keyring
from runner.keys.trust import recognise
from runner.spec.model import Party


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


PASSPHRASE = "ALICE_PASSPHRASE"


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Party:
    monkeypatch.setenv(PASSPHRASE, "correct horse")
    return Party(key_file=str(tmp_path / "secret.key"), passphrase_env=PASSPHRASE)


def test_a_passphrase_locks_the_key_file(locked: Party, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = open_keyring("alice", locked)
    assert open_keyring("alice", locked).run_secret == keys.run_secret
    monkeypatch.setenv(PASSPHRASE, "wrong horse")
    with pytest.raises(BundleError, match="passphrase of alice's key is wrong"):
        open_keyring("alice", locked)


@pytest.mark.parametrize("given", [None, ""])
def test_a_locked_key_needs_its_passphrase(locked: Party, monkeypatch: pytest.MonkeyPatch, given: str | None) -> None:
    open_keyring("alice", locked)
    with pytest.raises(DataError, match="locked with a passphrase"):
        open_keyring("alice", Party(key_file=locked.key_file))
    monkeypatch.delenv(PASSPHRASE) if given is None else monkeypatch.setenv(PASSPHRASE, given)
    with pytest.raises(DataError, match=PASSPHRASE):
        open_keyring("alice", locked)


def test_an_open_key_file_is_not_taken_for_a_locked_one(locked: Party) -> None:
    open_keyring("alice", Party(key_file=locked.key_file))
    with pytest.raises(DataError, match="has no passphrase"):
        open_keyring("alice", locked)


def test_no_altered_locked_key_opens(locked: Party) -> None:
    open_keyring("alice", locked)
    path = Path(locked.key_file)
    whole = path.read_bytes()
    for at in (2, 20, len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(RunnerError):
            open_keyring("alice", locked)


def test_the_key_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Party(key_file=str(tmp_path / "secret.key"), key_env="ALICE_KEY")
    with pytest.raises(DataError, match="ALICE_KEY"):
        open_keyring("alice", settings)
    monkeypatch.setenv("ALICE_KEY", "ab" * 32)
    assert open_keyring("alice", settings).run_secret == Keyring("alice", b"\xab" * 32).run_secret
    assert not (tmp_path / "secret.key").exists()
    monkeypatch.setenv("ALICE_KEY", "ab" * 31)
    with pytest.raises(DataError) as caught:
        open_keyring("alice", settings)
    assert "abab" not in str(caught.value)


def test_what_is_sealed_opens_with_the_same_secret_and_context_only() -> None:
    keys = Keyring("alice", b"a" * 32)
    sealed = keys.seal(b"content", b"bundle 1")
    assert b"content" not in sealed
    assert keys.seal(b"content", b"bundle 1") != sealed, "a nonce is used once"
    assert Keyring("alice", b"a" * 32, run_secret=b"r" * 32).unseal(sealed, b"bundle 1") == b"content"
    flipped = [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(len(sealed))]
    cut = [sealed[:length] for length in range(len(sealed))]
    for altered in (*flipped, *cut):
        with pytest.raises(ValueError, match="key does not fit"):
            keys.unseal(altered, b"bundle 1")
    with pytest.raises(ValueError, match="key does not fit"):
        keys.unseal(sealed, b"bundle 2")
    with pytest.raises(ValueError, match="key does not fit"):
        Keyring("alice", b"b" * 32).unseal(sealed, b"bundle 1")


def test_a_signature_is_one_partys_under_one_message() -> None:
    alice, bob = Keyring("alice", b"a" * 32), Keyring("bob", b"b" * 32)
    signature = alice.sign(b"message")
    assert signed_by(alice.public, signature, b"message")
    assert not signed_by(alice.public, signature, b"Message")
    assert not signed_by(bob.public, signature, b"message")
    assert not signed_by(alice.public, signature[:-2], b"message")
    assert not signed_by("no key", signature, b"message")


def test_a_run_secret_neither_reads_nor_signs() -> None:
    """Who repeats a party's run has its run secret, and not its keys."""
    alice = Keyring("alice", b"a" * 32)
    colleague = Keyring("alice", b"c" * 32, run_secret=alice.run_secret)
    assert colleague.derive("shuffle/1") == alice.derive("shuffle/1")
    assert colleague.public != alice.public
    with pytest.raises(ValueError, match="key does not fit"):
        colleague.unseal(alice.seal(b"content", b""), b"")
    assert Keyring("alice", alice.run_secret).public != alice.public


RINGS = [Keyring("alice", bytes([number]) * 32) for number in range(3)]


def links(*rings: Keyring) -> list[Former]:
    return [Former(old.public, old.sign(successor(new.public))) for old, new in itertools.pairwise([*rings])]


def test_a_new_key_follows_those_that_signed_the_way_to_it() -> None:
    first, second, third = RINGS
    chain = links(first, second, third)
    assert all(follows(third.public, chain, ring.public) for ring in RINGS)
    assert follows(first.public, [], first.public)
    assert not follows(third.public, [], first.public)
    assert not follows(second.public, chain, Keyring("eve", b"e" * 32).public)
    forged = [Former(first.public, third.sign(successor(second.public))), chain[1]]
    assert not follows(third.public, forged, first.public)
    assert follows(third.public, forged, second.public), "what was before the known key does not matter"


@pytest.fixture
def parties(tmp_path: Path) -> dict[str, Party]:
    return {party: Party(key_file=str(tmp_path / party / "secret.key")) for party in ("alice", "bob")}


def test_the_first_key_seen_is_believed_and_no_other_after_it(parties: dict[str, Party], tmp_path: Path) -> None:
    first, second, third = RINGS
    recognise("bob", parties, "alice", first.public)
    recognise("bob", parties, "alice", first.public)
    with pytest.raises(BundleError, match="bob knows another key of alice") as caught:
        recognise("bob", parties, "alice", second.public)
    assert "known_parties.json" in caught.value.where
    recognise("bob", parties, "alice", second.public, links(first, second))
    with pytest.raises(BundleError):
        recognise("bob", parties, "alice", first.public)
    recognise("bob", parties, "alice", third.public, links(first, second, third))
    assert (tmp_path / "bob" / "known_parties.json").stat().st_mode & 0o777 == 0o600


def test_a_pinned_key_is_the_only_one_believed(parties: dict[str, Party], tmp_path: Path) -> None:
    first, second, _ = RINGS
    pinned = {**parties, "alice": Party(key_file=parties["alice"].key_file, public_key=first.public)}
    recognise("bob", pinned, "alice", first.public)
    assert not (tmp_path / "bob" / "known_parties.json").exists()
    with pytest.raises(BundleError) as caught:
        recognise("bob", pinned, "alice", second.public)
    assert caught.value.where == "parties.alice.public_key"


def test_a_damaged_list_of_known_keys_is_refused(parties: dict[str, Party], tmp_path: Path) -> None:
    recognise("bob", parties, "alice", RINGS[0].public)
    (tmp_path / "bob" / "known_parties.json").write_text("[]")
    with pytest.raises(BundleError, match="keys that bob knows cannot be read"):
        recognise("bob", parties, "alice", RINGS[0].public)
