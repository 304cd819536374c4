"""Logs of JSON lines in which each carries the digest of the line before: none can be removed, changed or moved."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runner.files import canonical_json

START = "0" * 64
Digest = Callable[[bytes], str]


def sha256(content: bytes) -> str:
    """The digest of a chain that anybody may check."""
    return hashlib.sha256(content).hexdigest()


def link(entry: dict[str, Any], previous: str, digest: Digest = sha256) -> tuple[bytes, str]:
    """The line of an entry that follows the line with the digest ``previous``, and its own digest."""
    linked = {**entry, "previous": previous}
    own = digest(canonical_json(linked))
    return canonical_json({**linked, "digest": own}) + b"\n", own


def read_chain(path: Path, digest: Digest = sha256) -> tuple[list[dict[str, Any]], int | None]:
    """The lines of a log as far as they follow from one another, and the number (from 1) of the first that does not.

    The number is None for a whole chain.
    """
    previous = START
    entries: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        try:
            entry = json.loads(line)
            stated = entry.pop("digest")
            whole = canonical_json({**entry, "digest": stated}) + b"\n" == line
            own = digest(canonical_json(entry))
        except (ValueError, TypeError, AttributeError, LookupError):
            return entries, number
        if not whole or stated != own or entry.get("previous") != previous:
            return entries, number
        previous = own
        entries.append({**entry, "digest": own})
    return entries, None
