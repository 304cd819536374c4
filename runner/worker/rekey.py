"""Changing a party's key: a new secret, and every model that the old one protects is protected by the new one.

A model's part is encrypted with a key of its own, and only that key is encrypted anew; part and manifest stay as they
are. The old key signs the new one, so that parties which know the old one recognise the new one.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from runner.bundle.manifest import read_manifest
from runner.bundle.part import read_part, rekey_part
from runner.errors import BundleError, SpecError
from runner.files import write_json
from runner.keys.keyring import SECRET_BYTES, Former, Keyring, successor
from runner.keys.store import FORMER_KEYS, home_of, load_secret, open_keyring, read_variable, write_secret
from runner.privacy.draws import require_draws_open, reseal_draws
from runner.privacy.ledger_file import LedgerFile, require_open
from runner.spec.model import Party


def rekey(order: dict[str, Any]) -> dict[str, Any]:
    """Give the party a new key. Killed at any moment, it is finished by typing the command again.

    Args:
        order: ``party``, ``settings`` (where its key is, as plain values), ``bundles`` (the party's bundle folders),
            ``passphrase_env``.

    Returns:
        ``models``: how many bundles are protected by the new key; ``ledger``: whether the party's privacy ledger is;
        ``old``: where the old key file is kept; ``public``: the new public key.

    Raises:
        SpecError: where the key is in the environment.
        DataError: where the environment lacks a passphrase.
        BundleError: where a bundle opens with neither key, or there is no key; everything then is as it was.
        SecurityError: the same for the privacy ledger.
    """
    settings, party = msgspec.convert(order["settings"], Party), order["party"]
    if settings.key_env is not None:
        raise SpecError(
            f"{party}'s key is in the environment",
            where=f"parties.{party}.key_env",
            why="the runner changes key files only",
            fix="put the key into a file with mode 0600 first",
        )
    old = open_keyring(party, settings, make=False)
    path, new_path = settings.key_path(), Path(f"{settings.key_path()}.new")
    passphrase_env = order["passphrase_env"] or settings.passphrase_env
    folders = [Path(folder) for folder in order["bundles"]]
    known = [old, *_begun(party, new_path, passphrase_env)]
    _require_all_open(folders, party, known)
    require_open(home_of(settings), known)
    require_draws_open(home_of(settings), known)
    new = _new_keys(party, new_path, passphrase_env, old)
    for folder in folders:
        _rekey_bundle(folder, party, old, new)
    reseal_draws(home_of(settings), old, new)
    ledger = LedgerFile(home_of(settings), old).reseal(new)
    write_json(home_of(settings) / FORMER_KEYS, [link._asdict() for link in new.former])
    kept = _keep(path, len(new.former))
    new_path.replace(path)
    return {"models": len(folders), "ledger": ledger, "old": str(kept), "public": new.public}


def _begun(party: str, path: Path, passphrase_env: str | None) -> list[Keyring]:
    """The new key of a change that was interrupted."""
    return [Keyring(party, load_secret(party, path, passphrase_env))] if path.exists() else []


def _require_all_open(folders: Sequence[Path], party: str, keys: Sequence[Keyring]) -> None:
    """Look at every model before the first is changed."""
    for folder in folders:
        failures = []
        manifest = read_manifest(folder, party)
        for keyring in keys:
            try:
                read_part(folder, party, manifest, keyring)
            except BundleError as error:
                failures.append(error)
        if len(failures) == len(keys):
            raise BundleError(
                f"a model of {party} does not open with {party}'s present key",
                where=failures[0].where,
                why=failures[0].why,
                fix="restore it, or move its run folder out of outputs; the key and all models are as they were",
            )


def _keep(path: Path, number: int) -> Path:
    """Give the old key file a second name, and never one that another key has."""
    while True:
        kept = path.with_name(f"{path.name}.former-{number}")
        if not kept.exists():
            os.link(path, kept)  # not renamed: a party without a key file would be given a new one
        if kept.samefile(path):
            return kept
        number += 1


def _new_keys(party: str, path: Path, passphrase_env: str | None, old: Keyring) -> Keyring:
    if not path.exists():
        passphrase = None
        if passphrase_env is not None:
            passphrase = read_variable(passphrase_env, party, f"rekey.passphrase_env = {passphrase_env}")
        write_secret(path, secrets.token_bytes(SECRET_BYTES), passphrase)
    secret = load_secret(party, path, passphrase_env)
    link = Former(old.public, old.sign(successor(Keyring(party, secret).public)))
    earlier = [former for former in old.former if former.key != old.public]  # noted before an interruption
    return Keyring(party, secret, former=[*earlier, link])


def _rekey_bundle(folder: Path, party: str, old: Keyring, new: Keyring) -> None:
    manifest = read_manifest(folder, party)
    try:
        rekey_part(folder, party, manifest, old, new)
    except BundleError:
        read_part(folder, party, manifest, new)  # it may have been done before the command was interrupted
