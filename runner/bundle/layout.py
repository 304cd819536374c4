"""Where a bundle lies, and how its manifest and parts read. No secretflow: the driver looks at bundles too."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from runner.errors import BundleError
from runner.files import canonical_json, make_private_dir, write_bytes, write_json

FORMAT = 1
MANIFEST = "manifest.json"
PART = "part.json"


class PartyEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the manifest says of one party: how many features it has, and the digest of its part under its own key."""

    features: int
    part: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all parties know of a model. It holds no feature name, split value, leaf weight or row count."""

    format: int
    bundle: str
    engine: str
    spec: str
    objective: str
    base_score: float
    trees: int
    label_holder: str
    parties: dict[str, PartyEntry]
    scheme: str
    key_bits: int
    versions: dict[str, str]

    def identified(self) -> Manifest:
        """The same manifest with its ``bundle`` id: the digest of all the rest."""
        rest = msgspec.to_builtins(msgspec.structs.replace(self, bundle=""))
        return msgspec.structs.replace(self, bundle=hashlib.sha256(canonical_json(rest)).hexdigest()[:32])


def bundle_folder(run: Path, party: str) -> Path:
    """A party's own bundle in a run folder."""
    return run / "parties" / party / "bundle"


def find_run(model: str) -> Path:
    """The run folder that ``model`` names: the folder itself, or a party's bundle in it.

    Raises:
        BundleError: where there is no bundle.
    """
    path = Path(model)
    run = path.parent.parent.parent if path.name == "bundle" else path
    if not (run / "parties").is_dir():
        raise BundleError(
            "there is no model",
            where=f"model = {model}",
            why="it is neither a run folder nor a bundle in one",
            fix="give the run folder that the training printed, for instance model=outputs/<day>/<time>-<id>",
        )
    return run


def write_part(folder: Path, part: Mapping[str, Any], key: bytes) -> str:
    """Write a party's part and return its digest under that party's key."""
    content = json.dumps(part, sort_keys=True, allow_nan=True).encode()
    make_private_dir(folder)
    write_bytes(folder / PART, content)
    return _digest(content, key)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest; with it the bundle is complete."""
    write_json(folder / MANIFEST, msgspec.to_builtins(manifest))


def read_manifest(folder: Path, party: str) -> Manifest:
    """Read and check a bundle's manifest.

    Raises:
        BundleError: where it is missing, damaged, or of a format that this version does not know.
    """
    content = _read(folder / MANIFEST, party)
    try:
        values = json.loads(content)
        known = values["format"]
    except (ValueError, KeyError, TypeError):
        raise _damaged(folder / MANIFEST, party, "it is not the JSON that the runner writes") from None
    if known != FORMAT:
        raise BundleError(
            f"{party}'s bundle has format {known!r}",
            where=str(folder),
            why=f"this version of the runner reads format {FORMAT}",
            fix="use the version of the runner that saved the model",
        )
    try:
        manifest: Manifest = msgspec.convert(values, Manifest)
    except msgspec.ValidationError as error:
        raise _damaged(folder / MANIFEST, party, str(error)) from None
    try:
        identity = manifest.identified().bundle
    except ValueError:  # NaN, infinity or half a character
        identity = ""
    if identity != manifest.bundle:
        raise _damaged(folder / MANIFEST, party, "its content does not fit its id")
    return manifest


def read_part(folder: Path, party: str, manifest: Manifest, key: bytes) -> dict[str, Any]:
    """Read a party's part after checking that it is the one that its manifest names.

    Raises:
        BundleError: where it is missing, altered, or the part of another party or model.
    """
    content = _read(folder / PART, party)
    if party not in manifest.parties or not hmac.compare_digest(
        _digest(content, key).encode(), manifest.parties[party].part.encode()
    ):
        raise _damaged(folder / PART, party, "its digest under the party's key is not the one in the manifest")
    part: dict[str, Any] = json.loads(content)
    return part


def _digest(content: bytes, key: bytes) -> str:
    return hmac.new(key, content, hashlib.sha256).hexdigest()


def _read(path: Path, party: str) -> bytes:
    links = [step for step in (path, path.parent, path.parent.parent, path.parent.parent.parent) if step.is_symlink()]
    if links:
        raise BundleError(
            f"{party}'s part of the model is behind a symbolic link",
            where=str(links[0]),
            why="it would lead to another place than the party's own folder",
            fix="give the real run folder",
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{party}'s part of the model is not there",
            where=str(path),
            why=error.strerror or type(error).__name__,
            fix="restore the file, or name a run whose training finished",
        ) from None


def _damaged(path: Path, party: str, why: str) -> BundleError:
    return BundleError(
        f"{party}'s bundle is damaged or not its own",
        where=str(path),
        why=why,
        fix="restore it from a copy, or train again",
    )
