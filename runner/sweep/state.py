"""What the disk says of a job: whether it is finished, and where earlier attempts at it are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.errors import BundleError
from runner.provenance.folder import SPEC, STATUS
from runner.provenance.manifest import read_run, snapshot_digests

ATTEMPTS = "attempts"


def read_state(folder: Path) -> str:
    """The state in the job's ``status.json``; ``running`` means interrupted where nobody runs it, missing: none."""
    try:
        return str(json.loads((folder / STATUS).read_bytes())["state"])
    except FileNotFoundError:
        return "missing"
    except (OSError, ValueError, LookupError, TypeError):
        return "unknown"


def is_finished(folder: Path, spec_digest: str) -> bool:
    """Whether the folder holds a finished run of the spec: its state, its manifest, and all files that were signed."""
    if read_state(folder) != "done":
        return False
    try:
        manifest = read_run(folder)
    except BundleError:
        return False
    same = manifest["hashed"]["spec_digest"] == spec_digest
    return same and manifest["observed"]["files"] == snapshot_digests(folder) and _complete(folder, manifest)


def _complete(folder: Path, manifest: Mapping[str, Any]) -> bool:
    signatures = manifest["signatures"]
    own = json.loads((folder / SPEC).read_bytes()).get("self_party")  # of others the files are at their sites
    here = {party: signed for party, signed in signatures.items() if own in (None, party)}
    files = (folder / "parties" / party / file for party, signed in here.items() for file in ("", *signed["files"]))
    return set(signatures) == set(manifest["hashed"]["party_order"]) and all(path.exists() for path in files)


def set_aside(sweep: Path, number: int) -> None:
    """Move what is left of an earlier attempt at a job to ``attempts/<number>-<k>``, which nobody has yet."""
    folder = sweep / str(number)
    if not folder.exists():
        return
    earlier = sweep / ATTEMPTS
    earlier.mkdir(exist_ok=True)
    attempt = 1
    while (earlier / f"{number}-{attempt}").exists():
        attempt += 1
    folder.rename(earlier / f"{number}-{attempt}")
