"""A party's append-only log of what left it and what reached it.

One JSON object a line. Each line carries the SHA-256 of the line before, so that a line removed, changed or
moved breaks the chain. Payload digests are keyed with the party's own key: nobody else can test a guess.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from runner.files import PRIVATE_FILE, append_whole
from runner.policy.chain import START, link, read_chain


class AuditLog:
    """Appends to one party's audit file; safe to use from several threads."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._path = path
        self._key = key
        self._previous = START
        self._lines = 0
        self._lock = threading.Lock()

    def record(self, direction: str, fields: dict[str, Any], payload: bytes | None = None) -> None:
        """Append one flow. ``payload`` goes in as a keyed digest only."""
        entry = {"time": time.time(), "direction": direction, **fields}
        if payload is not None:
            entry["payload"] = hmac.new(self._key, payload, hashlib.sha256).hexdigest()
        with self._lock:
            line, digest = link(entry, self._previous)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, PRIVATE_FILE)
            try:
                append_whole(descriptor, line)
            finally:
                os.close(descriptor)
            self._previous = digest
            self._lines += 1

    def head(self) -> tuple[int, str]:
        """How many lines there are, and the digest of the last: whoever signs it signs the whole log."""
        with self._lock:
            return self._lines, self._previous


def read_log(path: Path) -> tuple[list[dict[str, Any]], int | None]:
    """What :func:`runner.policy.chain.read_chain` says of a party's log."""
    return read_chain(path)


def first_broken_line(path: Path) -> int | None:
    """The number (from 1) of the first line that does not follow from the one before; None for a whole chain."""
    return read_log(path)[1]


def payload_bytes(value: Any) -> bytes:
    """A value as bytes, the same at both ends of a flow."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype.str}{value.shape}".encode() + np.ascontiguousarray(value).tobytes()
    return repr(value).encode()
