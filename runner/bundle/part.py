"""A party's part of a model: its own splits, at the label holder the leaf weights too. Encrypted on the disk.

The part is encrypted with a key of its own, and that key with the party's. Both are bound to the model's id and to the
party's name (as associated data of AES-GCM), so that no part passes for that of another model or party.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from runner.bundle.layout import PART, PART_KEY, damaged, read_file
from runner.bundle.manifest import Manifest
from runner.files import make_private_dir, write_bytes
from runner.keys.keyring import NONCE_BYTES, Keyring, unseal


def part_bytes(part: Mapping[str, Any]) -> bytes:
    """A part as it is before encryption; equal models give equal bytes."""
    return json.dumps(part, sort_keys=True, allow_nan=True).encode()


def content_digest(content: bytes, keys: Keyring) -> str:
    """The digest of a part before encryption, under the party's key."""
    return hmac.new(keys.derive("bundle"), content, hashlib.sha256).hexdigest()


def columns_digest(names: Sequence[str], dtypes: Sequence[str], keys: Keyring) -> str:
    """The digest of the features' names and of the table's dtypes in order, under the party's key.

    Nobody else can test a guess.
    """
    columns = json.dumps([list(names), list(dtypes)]).encode()
    return hmac.new(keys.derive("columns"), columns, hashlib.sha256).hexdigest()


def write_part(folder: Path, party: str, manifest: Manifest, keys: Keyring, content: bytes) -> str:
    """Encrypt and write a party's part; return the SHA-256 of what was written."""
    make_private_dir(folder)
    part_key, nonce = AESGCM.generate_key(256), secrets.token_bytes(NONCE_BYTES)
    context = _context(manifest, party)
    sealed = nonce + AESGCM(part_key).encrypt(nonce, content, context)
    write_bytes(folder / PART_KEY, keys.seal(part_key, context))
    write_bytes(folder / PART, sealed)
    return hashlib.sha256(sealed).hexdigest()


def read_part(folder: Path, party: str, manifest: Manifest, keys: Keyring) -> dict[str, Any]:
    """Read a party's part. ``party`` is its name in the model.

    Raises:
        BundleError: where it is missing, altered, encrypted with another key, or of another party or model.
    """
    path = folder / PART
    sealed = read_file(path, party)
    if party not in manifest.parties:
        raise damaged(path, party, f"the model has no party {party!r}")
    if hashlib.sha256(sealed).hexdigest() != manifest.parties[party].sealed:
        raise damaged(path, party, "it is not the part that the manifest names")
    context = _context(manifest, party)
    part_key = _part_key(folder, party, manifest, keys)
    try:
        part: dict[str, Any] = json.loads(unseal(AESGCM(part_key), sealed, context))
    except ValueError as error:
        raise damaged(path, party, str(error)) from None
    return part


def rekey_part(folder: Path, party: str, manifest: Manifest, old: Keyring, new: Keyring) -> None:
    """Encrypt the part's key with the party's new key; the part itself stays as it is.

    Raises:
        BundleError: where it was not encrypted with the old one.
    """
    part_key = _part_key(folder, party, manifest, old)
    write_bytes(folder / PART_KEY, new.seal(part_key, _context(manifest, party)))


def _part_key(folder: Path, party: str, manifest: Manifest, keys: Keyring) -> bytes:
    path = folder / PART_KEY
    sealed = read_file(path, party)
    try:
        return keys.unseal(sealed, _context(manifest, party))
    except ValueError:
        why = f"the key of {keys.party} does not open it: it was encrypted with another key, or altered"
        raise damaged(path, party, why) from None


def _context(manifest: Manifest, party: str) -> bytes:
    return f"sgb-runner part\n{manifest.bundle}\n{party}".encode()
