"""A party's signature under the manifest of a run."""

from __future__ import annotations

import hashlib
from typing import Any

from runner.engine.site import Site
from runner.errors import SecurityError
from runner.files import canonical_json, write_json

MANIFEST = "manifest.json"


def attest(site: Site, hashed: dict[str, Any]) -> dict[str, Any]:
    """Sign the run's manifest, and keep a copy in the party's own folder.

    A party signs only what it knows of its own side: the digests of what its stages worked with and made. With the
    manifest it signs the state of its audit log, so that no line of that can be changed later.

    Args:
        hashed: the part of the manifest that is the same whenever the run is repeated.

    Raises:
        SecurityError: where the manifest says something else of this party's side.
    """
    stated = {stage: facts[site.party] for stage, facts in hashed["stages"].items() if site.party in facts}
    if stated != site.facts:
        raise SecurityError(
            f"the manifest of this run is not what {site.party} saw",
            where=f"party {site.party}",
            why="its digests are not those of what its own stages made",
            fix="look into the party's log; do not trust this run",
        )
    lines, head = site.audit.head()
    digest = hashlib.sha256(canonical_json(hashed)).hexdigest()
    signed = {"digest": digest, "audit": {"lines": lines, "head": head}}
    signature = {**signed, "key": site.keys.public, "signature": site.keys.sign(signed_text(signed))}
    write_json(site.folder / MANIFEST, {"hashed": hashed, **signature})
    return signature


def signed_text(signed: dict[str, Any]) -> bytes:
    """What a party signs of a run: the digest of the manifest, and how far its audit log went."""
    return b"sgb-runner: the manifest of our run\n" + canonical_json({k: signed[k] for k in ("digest", "audit")})
