"""The manifest of a bundle: what all parties know of a model, signed by each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from runner.bundle.layout import MANIFEST, SIGNATURES, damaged, read_file
from runner.errors import BundleError
from runner.files import canonical_json, make_private_dir, write_bytes
from runner.keys.keyring import Keyring, signed_by

FORMAT = 3
Known = TypeVar("Known")


class PartyEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the manifest says of one party.

    Attributes:
        features: how many it has.
        columns: digest of its features' names and its columns' dtypes in order, under its own key.
        content: digest of its part before encryption, under its own key: equal for equal models.
        sealed: SHA-256 of its encrypted part; empty before it is encrypted.
    """

    features: int
    columns: str
    content: str
    sealed: str = ""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What all parties know of a model. It holds no feature name, split value, leaf weight, row count or class name.

    ``bundle`` is the model's id: the digest of all the rest but the encrypted parts, so that a repeated training has it
    again. ``recipients`` are the parties that the training's policy let see predictions. ``classes`` has the number of
    trees of each class of a multiclass model, and is left out of others'. ``base_score`` is 0 where it was made of the
    label's mean (``sgb.base_score=auto``): then the label holder's leaf weights have it.
    """

    format: int
    bundle: str
    engine: str
    spec: str
    objective: str
    base_score: float
    trees: int
    label_holder: str
    recipients: tuple[str, ...]
    parties: dict[str, PartyEntry]
    scheme: str
    key_bits: int
    versions: dict[str, str]
    classes: tuple[int, ...] = ()

    def identified(self) -> Manifest:
        """The same manifest with its ``bundle`` id."""
        plain = {party: msgspec.structs.replace(entry, sealed="") for party, entry in self.parties.items()}
        rest = msgspec.to_builtins(msgspec.structs.replace(self, bundle="", parties=plain))
        return msgspec.structs.replace(self, bundle=hashlib.sha256(canonical_json(rest)).hexdigest()[:32])

    def sealed(self, digests: Mapping[str, str]) -> Manifest:
        """The same manifest with the digest of each party's encrypted part."""
        entries = {p: msgspec.structs.replace(entry, sealed=digests[p]) for p, entry in self.parties.items()}
        return msgspec.structs.replace(self, parties=entries)

    def rendered(self) -> bytes:
        """The one way in which this manifest is written."""
        return _render(self)

    def digest(self) -> str:
        """SHA-256 of the manifest as it is written."""
        return hashlib.sha256(self.rendered()).hexdigest()


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A party's signature (Ed25519) under the manifest, and the public key that checks it, in hexadecimal digits."""

    key: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    signature: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{128}\Z")]


def sign(manifest: Manifest, keys: Keyring) -> Signature:
    """This party's signature under a manifest."""
    return Signature(key=keys.public, signature=keys.sign(_signed_text(manifest)))


def is_signed(manifest: Manifest, signature: Signature) -> bool:
    """Whether the owner of the signature's key signed this manifest."""
    return signed_by(signature.key, signature.signature, _signed_text(manifest))


def _signed_text(manifest: Manifest) -> bytes:
    return b"sgb-runner: the manifest of our model\n" + manifest.rendered()


def write_manifest(folder: Path, manifest: Manifest, signatures: Mapping[str, Signature]) -> None:
    """Write the signatures and then the manifest; with it the bundle is complete."""
    make_private_dir(folder)
    write_signatures(folder, signatures)
    write_bytes(folder / MANIFEST, manifest.rendered())


def write_signatures(folder: Path, signatures: Mapping[str, Signature]) -> None:
    """Write every party's signature."""
    write_bytes(folder / SIGNATURES, _render(dict(signatures)))


def read_manifest(folder: Path, party: str) -> Manifest:
    """Read and check a bundle's manifest.

    Raises:
        BundleError: where it is missing, damaged, or of a format that this version does not know.
    """
    path = folder / MANIFEST
    content = read_file(path, party)
    _check_format(content, path, party)
    manifest = _read(content, Manifest, path, party)
    try:
        identity = manifest.identified().bundle
    except ValueError:  # NaN, infinity or half a character
        identity = ""
    if identity != manifest.bundle:
        raise damaged(path, party, "its content does not fit its id")
    return manifest


def read_signatures(folder: Path, party: str, manifest: Manifest) -> dict[str, Signature]:
    """Every party's signature; each is one under this manifest. Whose keys they are is not checked here.

    Raises:
        BundleError: where they are missing, damaged, or of another manifest.
    """
    path = folder / SIGNATURES
    signatures = _read(read_file(path, party), dict[str, Signature], path, party)
    if set(signatures) != set(manifest.parties):
        raise damaged(path, party, "it does not hold one signature for each party of the model")
    for signer, signature in signatures.items():
        if not is_signed(manifest, signature):
            raise damaged(path, party, f"{signer}'s signature is not one under this manifest")
    return signatures


def _check_format(content: bytes, path: Path, party: str) -> None:
    try:
        known = json.loads(content)["format"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise damaged(path, party, "it is not the JSON that the runner writes") from None
    if known != FORMAT or isinstance(known, float):
        raise BundleError(
            f"{party}'s bundle has format {known!r}",
            where=str(path.parent),
            why=f"this version of the runner reads format {FORMAT}",
            fix="use the version of the runner that saved the model",
        )


def _read(content: bytes, kind: type[Known], path: Path, party: str) -> Known:
    """Decode strictly: a file that differs by one byte from what the runner would write for it is refused."""
    try:
        found = msgspec.json.decode(content, type=kind)
        same = _render(found) == content
    except (ValueError, RecursionError) as error:
        raise damaged(path, party, str(error).splitlines()[0]) from None
    if not same:
        raise damaged(path, party, "it is not written as the runner writes it")
    return found


def _render(value: Any) -> bytes:
    plain = msgspec.to_builtins(value)
    return json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False).encode() + b"\n"
