"""What one party's process has of its own: folder, secret, table, audit log, and its line to the driver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.data.table import PreparedTable
from runner.files import make_private_dir
from runner.keys.keyring import Keyring
from runner.keys.store import open_keyring
from runner.policy.audit import AuditLog
from runner.spec.model import Spec


@dataclass
class Site:
    """One party, as its own process sees it.

    Attributes:
        party: its name.
        folder: its private folder in the run folder.
        keys: its keys; seeds and the keys of digests are derived from them.
        audit: its audit log.
        emit: sends an event to the driver.
        prepared: its checked table, or None where it brings none.
    """

    party: str
    folder: Path
    keys: Keyring
    audit: AuditLog
    emit: Callable[..., Any]
    prepared: PreparedTable | None

    @property
    def table(self) -> PreparedTable:
        """Its table; a party that only brings its part of a model has none, and no stage asks it for one."""
        if self.prepared is None:
            raise AssertionError(f"{self.party} brought no table to this run")
        return self.prepared

    def use_features(self, names: tuple[str, ...]) -> None:
        """Go on with these features of the table only, in this order."""
        self.prepared = self.table.with_features(names)

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose, the same in every run of this party."""
        return self.keys.derive(purpose)

    def shuffle_seed(self, seed: int) -> tuple[int, ...]:
        """256 bits as eight 32-bit words: this party's private shuffle seed, the same in every run with ``seed``."""
        key = self.derive(f"shuffle/{seed}")
        return tuple(int.from_bytes(key[at : at + 4], "big") for at in range(0, len(key), 4))


def open_site(spec: Spec, party: str, folder: Path, table: PreparedTable | None, emit: Callable[..., Any]) -> Site:
    """Open one party's private things; its key file is made at first use."""
    keys = open_keyring(party, spec.parties[party])
    own = make_private_dir(folder / "parties" / party)
    audit = AuditLog(own / "audit.jsonl", keys.derive("audit"))
    return Site(party, own, keys, audit, emit, table)
