"""A party's append-only log of what left it and what reached it.

One JSON object a line. Each line carries the SHA-256 of the line before, so that a line removed, changed or
moved breaks the chain. Payload digests are keyed with the party's own key: nobody else can test a guess.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

from runner.files import PRIVATE_FILE, canonical_json

START = "0" * 64


class AuditLog:
    """Appends to one party's audit file; safe to use from several threads."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._path = path
        self._key = key
        self._previous = START
        self._lock = threading.Lock()

    def record(self, direction: str, fields: dict[str, Any], payload: bytes | None = None) -> None:
        """Append one flow. ``payload`` goes in as a keyed digest only."""
        entry = {"time": time.time(), "direction": direction, **fields}
        if payload is not None:
            entry["payload"] = hmac.new(self._key, payload, hashlib.sha256).hexdigest()
        with self._lock:
            entry["previous"] = self._previous
            line = canonical_json(entry) + b"\n"
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, PRIVATE_FILE)
            try:
                os.write(descriptor, line)
            finally:
                os.close(descriptor)
            self._previous = hashlib.sha256(line).hexdigest()


def first_broken_line(path: Path) -> int | None:
    """The number (from 1) of the first line that does not follow from the one before; None for a whole chain."""
    previous = START
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        try:
            stated = json.loads(line).get("previous")
        except ValueError:
            return number
        if stated != previous:
            return number
        previous = hashlib.sha256(line).hexdigest()
    return None
