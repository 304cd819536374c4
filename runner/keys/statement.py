"""What a party signs when a run is over."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from runner.files import canonical_json


def rest_digest(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of what the manifest says besides: how the run was typed, and what was observed."""
    rest = {name: manifest[name] for name in ("typed", "observed")}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()  # a metric may be NaN


def signed_text(signed: Mapping[str, Any]) -> bytes:
    """What a party signs of a run: the manifest's digests, how far its audit log went, and what it has on disk."""
    content = {name: signed[name] for name in ("digest", "rest", "audit", "files")}
    return b"sgb-runner: the manifest of our run\n" + canonical_json(content)
