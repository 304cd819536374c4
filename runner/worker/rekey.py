"""Changing a party's key: a new secret, and every model that the old one protects is protected by the new one.

A model's part is encrypted with a key of its own, and only that key is encrypted anew; part and manifest stay as they
are. The old key signs the new one, so that parties which know the old one recognise the new one.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

from runner.bundle.manifest import read_manifest
from runner.bundle.part import read_part, rekey_part
from runner.errors import BundleError, SpecError
from runner.files import write_json
from runner.keys.keyring import SECRET_BYTES, Former, Keyring, successor
from runner.keys.store import FORMER_KEYS, home_of, load_secret, open_keyring, write_secret
from runner.spec.parse import parse


def rekey(order: dict[str, Any]) -> dict[str, Any]:
    """Give the party a new key. Killed at any moment, it is finished by typing the command again.

    Args:
        order: ``party``, ``spec`` (plain values), ``bundles`` (the party's bundle folders), ``passphrase_env``.

    Returns:
        ``models``: how many bundles are protected by the new key; ``old``: where the old key file is kept.

    Raises:
        SpecError: where the key is in the environment.
        BundleError: where a bundle opens with neither key; the old key then stays in use.
    """
    spec, party = parse(order["spec"]), order["party"]
    settings = spec.parties[party]
    if settings.key_env is not None:
        raise SpecError(
            f"{party}'s key is in the environment",
            where=f"parties.{party}.key_env",
            why="the runner changes key files only",
            fix="put the key into a file with mode 0600 first",
        )
    old = open_keyring(party, settings)
    path, new_path = Path(settings.key_file), Path(f"{settings.key_file}.new")
    passphrase_env = order["passphrase_env"] or settings.passphrase_env
    new = _new_keys(party, new_path, passphrase_env, old)
    for folder in map(Path, order["bundles"]):
        _rekey_bundle(folder, party, old, new)
    write_json(home_of(settings) / FORMER_KEYS, [link._asdict() for link in new.former])
    kept = path.with_name(f"{path.name}.former-{len(new.former)}")
    if not kept.exists():
        os.link(path, kept)  # not renamed: a party without a key file would be given a new one
    new_path.replace(path)
    return {"models": len(order["bundles"]), "old": str(kept), "public": new.public}


def _new_keys(party: str, path: Path, passphrase_env: str | None, old: Keyring) -> Keyring:
    if not path.exists():
        passphrase = None if passphrase_env is None else os.environ.get(passphrase_env)
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
