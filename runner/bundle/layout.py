"""Where a bundle lies in a run folder. A party's bundle is a folder of four files:

manifest.json     what all parties know of the model; the same bytes at every party
signatures.json   every party's signature under the manifest
part.bin          the party's part, encrypted with a key made for it (AES-256-GCM)
part.key          that key, encrypted with the party's own: changing the party's key changes this file alone
"""

from __future__ import annotations

from pathlib import Path

from runner.errors import BundleError

MANIFEST = "manifest.json"
SIGNATURES = "signatures.json"
PART = "part.bin"
PART_KEY = "part.key"


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


def read_file(path: Path, party: str) -> bytes:
    """A file of a party's bundle.

    Raises:
        BundleError: where it is missing, or behind a symbolic link.
    """
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


def damaged(path: Path, party: str, why: str) -> BundleError:
    """The error for a file that is not what the runner wrote."""
    return BundleError(
        f"{party}'s bundle is damaged or not its own",
        where=str(path),
        why=why,
        fix="restore it from a copy, or train again",
    )
