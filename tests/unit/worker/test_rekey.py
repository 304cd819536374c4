"""Changing a party's key: at every model or at none, and an interruption is mended by typing the command again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import runner.worker.rekey
from runner.bundle.manifest import FORMAT, Manifest, PartyEntry, read_manifest, sign, write_manifest
from runner.bundle.part import content_digest, part_bytes, read_part, write_part
from runner.errors import BundleError, DataError, RunnerError, SecurityError, SpecError
from runner.keys.keyring import Keyring, follows
from runner.keys.store import open_keyring, write_secret
from runner.privacy.accounting import Charge
from runner.privacy.ledger import Ledger
from runner.privacy.ledger_file import LedgerFile
from runner.spec.model import Party
from runner.worker.rekey import rekey

PART: dict[str, Any] = {"party": "alice", "features": ["x"], "trees": []}
ENV = "PASS_OF_ALICE"


def save(folder: Path, keys: Keyring, spec: str) -> Path:
    """A bundle of alice's."""
    content = part_bytes(PART)
    manifest = Manifest(
        format=FORMAT,
        bundle="",
        engine="sgb",
        spec=spec,
        objective="logistic",
        base_score=0.0,
        trees=0,
        label_holder="alice",
        recipients=(),
        parties={"alice": PartyEntry(features=1, columns="", content=content_digest(content, keys))},
        scheme="ou",
        key_bits=2048,
        versions={},
    ).identified()
    manifest = manifest.sealed({"alice": write_part(folder, "alice", manifest, keys, content)})
    write_manifest(folder, manifest, {"alice": sign(manifest, keys)})
    return folder


class Place:
    """alice's key and two models that it protects."""

    def __init__(self, folder: Path) -> None:
        self.settings = Party(key_file=str(folder / "keys" / "secret.key"))
        self.first = self.keys()
        self.bundles = [save(folder / name, self.first, name * 64) for name in "ab"]

    def keys(self, settings: Party | None = None) -> Keyring:
        return open_keyring("alice", settings or self.settings)

    def order(self, **changes: Any) -> dict[str, Any]:
        settings = {"key_file": self.settings.key_file}
        bundles = [str(folder) for folder in self.bundles]
        return {"party": "alice", "settings": settings, "bundles": bundles, "passphrase_env": None, **changes}

    def keys_on_disk(self) -> list[Keyring]:
        """Every key file that is there: the present one, a new one, and former ones."""
        files = Path(self.settings.key_file).parent.glob("secret.key*")
        return [self.keys(Party(key_file=str(path))) for path in files]

    def opens(self, keys: Keyring) -> list[bool]:
        """Whether each model opens with ``keys``."""
        return [self._opens(folder, keys) for folder in self.bundles]

    def content(self) -> dict[Path, bytes]:
        """Every file below the place."""
        root = Path(self.settings.key_file).parent.parent
        return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}

    def _opens(self, folder: Path, keys: Keyring) -> bool:
        try:
            return read_part(folder, "alice", read_manifest(folder, "alice"), keys) == PART
        except BundleError:
            return False


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """alice with two models."""
    return Place(tmp_path)


def test_new_key_opens_all_models_and_the_old_one_none(place: Place) -> None:
    answer = rekey(place.order())
    new = place.keys()
    assert answer["public"] == new.public != place.first.public
    assert answer["models"] == 2
    assert place.opens(new) == [True, True]
    assert place.opens(place.first) == [False, False]
    assert follows(new.public, new.former, place.first.public)
    old = open_keyring("alice", Party(key_file=answer["old"]))
    assert old.public == place.first.public


def test_a_key_is_changed_as_often_as_one_likes_and_none_is_lost(place: Place) -> None:
    rings = [place.first]
    kept = []
    for _ in range(3):
        kept.append(rekey(place.order())["old"])
        rings.append(place.keys())
    assert len(set(kept)) == 3
    assert [open_keyring("alice", Party(key_file=path)).public for path in kept] == [r.public for r in rings[:3]]
    assert all(follows(rings[3].public, rings[3].former, ring.public) for ring in rings)
    assert place.opens(rings[3]) == [True, True]


def test_old_key_is_kept_even_where_its_place_is_taken(place: Place) -> None:
    """As after former_keys.json was lost."""
    taken = Path(f"{place.settings.key_file}.former-1")
    taken.write_text("another key")
    kept = rekey(place.order())["old"]
    assert taken.read_text() == "another key"
    assert open_keyring("alice", Party(key_file=kept)).public == place.first.public


class Killed(BaseException):
    """The process ends here."""


def kill_at(patch: pytest.MonkeyPatch, number: int, *, after: bool) -> Callable[[], int]:
    """Let the process die before (or right after) its ``number``-th change of the disk; returns a counter."""
    count = 0

    def dying(change: Callable[..., Any]) -> Callable[..., Any]:
        def die_or_do(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == number and not after:
                raise Killed
            result = change(*arguments, **options)
            if count == number:
                raise Killed
            return result

        return die_or_do

    patch.setattr(runner.worker.rekey.os, "link", dying(runner.worker.rekey.os.link))
    patch.setattr(Path, "replace", dying(Path.replace))
    return lambda: count


def changes_of_a_rekey(tmp_path: Path) -> int:
    """How often an undisturbed change of keys changes the disk: links and renames."""
    with pytest.MonkeyPatch.context() as patch:
        place = Place(tmp_path / "counted")
        counted = kill_at(patch, 0, after=False)
        rekey(place.order())
        return counted()


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_change_of_the_disk_and_typed_again_ends_well(tmp_path: Path, after: bool) -> None:
    total = changes_of_a_rekey(tmp_path)
    assert total == 6, "the new key, two models, the former keys, the old key's second name, the key"
    for number in range(1, total + 1):
        place = Place(tmp_path / f"{number}")
        with pytest.MonkeyPatch.context() as patch:
            kill_at(patch, number, after=after)
            with pytest.raises(Killed):
                rekey(place.order())
        assert [any(found) for found in zip(*map(place.opens, place.keys_on_disk()), strict=True)] == [True, True]
        answer = rekey(place.order())
        new = place.keys()
        assert new.public == answer["public"]
        assert place.opens(new) == [True, True]
        assert place.opens(place.first) == [False, False]
        assert follows(new.public, new.former, place.first.public)
        assert place.first.public in {keys.public for keys in place.keys_on_disk()}


def test_a_model_of_another_key_leaves_everything_as_it_was(place: Place, tmp_path: Path) -> None:
    place.bundles.append(save(tmp_path / "c", Keyring("alice", b"x" * 32), "c" * 64))
    before = place.content()
    with pytest.raises(BundleError) as caught:
        rekey(place.order())
    assert str(tmp_path / "c") in caught.value.where
    assert place.content() == before


def test_a_damaged_model_leaves_everything_as_it_was(place: Place) -> None:
    path = place.bundles[1] / "part.bin"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    before = place.content()
    with pytest.raises(BundleError):
        rekey(place.order())
    assert place.content() == before


def test_new_key_is_locked(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENV, "correct horse")
    rekey(place.order(passphrase_env=ENV))
    with pytest.raises(DataError, match="locked with a passphrase"):
        place.keys()
    new = place.keys(Party(key_file=place.settings.key_file, passphrase_env=ENV))
    assert place.opens(new) == [True, True]
    monkeypatch.setenv(ENV, "wrong")
    with pytest.raises(BundleError, match="passphrase of alice's key is wrong"):
        place.keys(Party(key_file=place.settings.key_file, passphrase_env=ENV))


@pytest.mark.parametrize("value", [None, ""])
def test_a_passphrase_that_is_not_there_leaves_everything_as_it_was(
    place: Place, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    """Above all, no open key is left that a second try would take for the new one."""
    monkeypatch.delenv(ENV, raising=False)
    if value is not None:
        monkeypatch.setenv(ENV, value)
    before = place.content()
    with pytest.raises(DataError, match=f"no {ENV}"):
        rekey(place.order(passphrase_env=ENV))
    assert place.content() == before
    monkeypatch.setenv(ENV, "correct horse")
    rekey(place.order(passphrase_env=ENV))


def test_no_key_is_made_for_a_party_that_has_none(place: Place, tmp_path: Path) -> None:
    nowhere = {"key_file": str(tmp_path / "nowhere" / "secret.key")}
    with pytest.raises(BundleError, match="no key of alice"):
        rekey(place.order(settings=nowhere))
    assert not (tmp_path / "nowhere").exists()


def test_a_key_in_the_environment_is_not_changed(place: Place) -> None:
    before = place.content()
    with pytest.raises(SpecError) as caught:
        rekey(place.order(settings={"key_file": place.settings.key_file, "key_env": "KEY"}))
    assert isinstance(caught.value, RunnerError)
    assert place.content() == before


@pytest.mark.parametrize("interrupted", [False, True])
def test_the_privacy_ledger_goes_over_to_the_new_key(tmp_path: Path, interrupted: bool) -> None:
    place = Place(tmp_path)
    home = Path(place.settings.key_file).parent
    spent = Charge(mechanism="counts", epsilon=1.0)
    Ledger(home, place.first, "loans", b"table").spend([spent], [], "one")
    if interrupted:  # after the ledger, and before the key file was replaced
        begun = home / "secret.key.new"
        write_secret(begun, b"\3" * 32)
        LedgerFile(home, place.first).reseal(Keyring("alice", b"\3" * 32))
    assert rekey(place.order())["ledger"]
    assert Ledger(home, place.keys(), "loans", b"table").spend([spent], [], "two").spent.epsilon == 2.0


def test_a_ledger_that_was_changed_stops_the_change_of_key(tmp_path: Path) -> None:
    place = Place(tmp_path)
    home = Path(place.settings.key_file).parent
    Ledger(home, place.first, "loans", b"table").spend([Charge(mechanism="counts", epsilon=1.0)], [], "one")
    (home / "ledger.jsonl").write_bytes(b"")
    with pytest.raises(SecurityError):
        rekey(place.order())
    assert place.keys().public == place.first.public
    assert place.opens(place.first) == [True, True]
