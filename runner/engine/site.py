"""What one party's process has of its own: folder, secret, table, audit log, and its line to the driver."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.data.table import PreparedTable
from runner.errors import DataError
from runner.files import PRIVATE_FILE, make_private_dir
from runner.policy.audit import AuditLog
from runner.spec.model import Spec

SECRET_BYTES = 32


@dataclass(frozen=True)
class Site:
    """One party, as its own process sees it.

    Attributes:
        party: its name.
        folder: its private folder in the run folder.
        secret: 32 bytes that only this party has; seeds and digest keys are derived from it.
        audit: its audit log.
        emit: sends an event to the driver.
        prepared: its checked table, or None where it brings none.
    """

    party: str
    folder: Path
    secret: bytes
    audit: AuditLog
    emit: Callable[..., Any]
    prepared: PreparedTable | None

    @property
    def table(self) -> PreparedTable:
        """Its table; a party that only brings its part of a model has none, and no stage asks it for one."""
        if self.prepared is None:
            raise AssertionError(f"{self.party} brought no table to this run")
        return self.prepared

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose (HMAC-SHA256 of the secret; RFC 2104)."""
        return derive(self.secret, purpose)

    def shuffle_seed(self, seed: int) -> tuple[int, ...]:
        """256 bits as eight 32-bit words: this party's private shuffle seed, the same in every run with ``seed``."""
        key = self.derive(f"shuffle/{seed}")
        return tuple(int.from_bytes(key[at : at + 4], "big") for at in range(0, len(key), 4))


def open_site(spec: Spec, party: str, folder: Path, table: PreparedTable | None, emit: Callable[..., Any]) -> Site:
    """Open one party's private things; its key file is made at first use."""
    secret = load_secret(party, Path(spec.parties[party].key_file))
    own = make_private_dir(folder / "parties" / party)
    audit = AuditLog(own / "audit.jsonl", derive(secret, "audit"))
    return Site(party, own, secret, audit, emit, table)


def derive(secret: bytes, purpose: str) -> bytes:
    """A 32-byte key for one purpose from a party's secret."""
    return hmac.new(secret, purpose.encode(), hashlib.sha256).digest()


def load_secret(party: str, path: Path) -> bytes:
    """A party's secret from its key file, which is made (mode 0600) if it is not there.

    Raises:
        DataError: where the file is readable by others or is not a key.
    """
    where = f"parties.{party}.key_file = {path}"
    if not path.exists():
        make_private_dir(path.parent)
        _create_once(path, secrets.token_hex(SECRET_BYTES).encode() + b"\n")
    if path.stat().st_mode & 0o077:
        raise DataError(
            f"{party}'s key file can be read by others",
            where=where,
            why="its permissions let other users of this machine in",
            fix=f"chmod 600 {path}",
        )
    try:
        secret = bytes.fromhex(path.read_text().strip())
    except (ValueError, OSError):
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise DataError(
            f"{party}'s key file is no key",
            where=where,
            why=f"it does not hold {SECRET_BYTES} bytes as hexadecimal digits",
            fix="restore it from your backup, or move it away: a new one is made, and results change",
        )
    return secret


def _create_once(path: Path, content: bytes) -> None:
    """Create ``path`` whole, unless another process was first: link() fails where the name exists."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
        os.link(temporary, path)
    except FileExistsError:
        return
    finally:
        os.close(descriptor)
        temporary.unlink()
