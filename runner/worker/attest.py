"""A party's signature under the manifest of a run."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.engine.site import Site
from runner.errors import SecurityError
from runner.files import canonical_json, file_digest, write_json
from runner.keys.keyring import Keyring
from runner.keys.statement import rest_digest, signed_text
from runner.logs import FOLDER
from runner.worker.difference import DIFFERENCES

MANIFEST = "manifest.json"
# Files that go on, are signed in another way, change with the party's key, or come of a later comparison.
REPORT = "report.html"  # made of the results afterwards
NOT_RESULTS = {MANIFEST, "audit.jsonl", "bundle/part.key", DIFFERENCES, REPORT}
LOGS = ("worker.", "spu.", "check.", f"{FOLDER}/")  # with those that were set aside


def attest(site: Site, manifest: dict[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """Sign the run's manifest, and keep a copy in the party's own folder.

    A party signs only what it knows of its own side: the digests of what its stages worked with and made. With the
    manifest it signs the state of its audit log and the digests of the files that the run left in its folder, so that
    none of them can be changed later.

    Args:
        manifest: the run's, without signatures.
        sent: receiver → messages, bytes and ciphertexts, as this process counted them.

    Raises:
        SecurityError: where the manifest says something else of this party's side.
    """
    hashed = manifest["hashed"]
    stated = {stage: facts[site.party] for stage, facts in hashed["stages"].items() if site.party in facts}
    if stated != site.facts or sent != manifest["observed"]["sent"].get(site.party, {}):
        raise SecurityError(
            f"the manifest of this run is not what {site.party} saw",
            where=f"party {site.party}",
            why="its digests or counts are not those of what its own stages made and sent",
            fix="look into the party's log; do not trust this run",
        )
    lines, head = site.audit.head()
    signed = {
        "digest": hashlib.sha256(canonical_json(hashed)).hexdigest(),
        "rest": rest_digest(manifest),
        "audit": {"lines": lines, "head": head},
        "files": result_digests(site.folder, site.keys),
    }
    signature = {**signed, "key": site.keys.public, "signature": site.keys.sign(signed_text(signed))}
    write_json(site.folder / MANIFEST, {"hashed": hashed, **signature})
    return signature


def result_digests(folder: Path, keys: Keyring) -> dict[str, str]:
    """File → digest under the party's key, of every file that a run left in the party's folder."""
    key = keys.derive("files")
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name: hmac.new(key, file_digest(path), hashlib.sha256).hexdigest()
        for name, path in files.items()
        if name not in NOT_RESULTS and not name.startswith(("messages/", *LOGS))
    }
