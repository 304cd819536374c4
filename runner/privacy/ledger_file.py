"""The files of a party's privacy ledger, beside its key file: appended to, never changed.

``ledger.jsonl`` has one expense a line, each with a MAC over itself and the MAC of the line before. ``ledger.json`` has
the number of lines, the last line's MAC, and the ledger's own key, encrypted with the party's; it is replaced as a
whole. A line is announced there, in full, before it is appended: if the process dies in between, whoever opens the
ledger next writes the line, and it counts.

Who can write in the folder can put back older copies of both files: the ledger guards against accidents and against
changes by others, not against its own party.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runner.errors import ClusterError, SecurityError
from runner.files import PRIVATE_FILE, append_whole, canonical_json, make_private_dir, write_json
from runner.keys.keyring import Keyring, derive
from runner.policy.chain import START, link, read_chain

LINES, HEAD, LOCK = "ledger.jsonl", "ledger.json", "ledger.lock"
LOCK_SECONDS = 30.0


class LedgerFile:
    """One party's ledger on the disk.

    Args:
        home: the folder of the party's key file.
        keys: the party's keys.
    """

    def __init__(self, home: Path, keys: Keyring) -> None:
        self._home = home
        self._keys = keys
        self.restored = 0

    @property
    def path(self) -> Path:
        """The file with the expenses."""
        return self._home / LINES

    @staticmethod
    def is_in(home: Path) -> bool:
        """Whether anything was ever written there."""
        return (home / HEAD).exists() or (home / LINES).exists()

    @contextmanager
    def locked(self) -> Iterator[OpenLedger]:
        """Open the ledger for one process alone; others wait.

        Raises:
            SecurityError: where a line was changed, moved or removed, or another key made the ledger.
            ClusterError: where another process keeps it too long.
        """
        make_private_dir(self._home)
        descriptor = os.open(self._home / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, PRIVATE_FILE)
        try:
            self._wait_for(descriptor)
            ledger = self._open()
            self.restored += ledger.restored
            yield ledger
        finally:
            os.close(descriptor)  # and with it the lock

    def reseal(self, new: Keyring) -> bool:
        """Protect the ledger with the party's new key; whether there is one.

        Raises:
            SecurityError: where it opens with neither key.
        """
        if not self.is_in(self._home):
            return False
        try:
            with self.locked() as ledger:
                ledger.seal_for(new)
        except SecurityError:
            with LedgerFile(self._home, new).locked():  # done before the change of keys was interrupted
                pass
        return True

    def _wait_for(self, descriptor: int) -> None:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ClusterError(
                        f"{self._keys.party}'s privacy ledger is in use",
                        where=str(self._home / LOCK),
                        why=f"another process has kept it for {LOCK_SECONDS:.0f} seconds",
                        fix="let the other run of the party end, or stop it, and start again",
                    ) from None
                time.sleep(0.02)
            else:
                return

    def _open(self) -> OpenLedger:
        if not self.is_in(self._home):
            ledger = OpenLedger(self._home, self._keys, secrets.token_bytes(32), [])
            ledger.write_head()
            return ledger
        try:
            head = json.loads((self._home / HEAD).read_bytes())
            key = self._keys.unseal(bytes.fromhex(head["key"]), _context(self._keys.party))
            stated = head.pop("mac")
            if not hmac.compare_digest(stated, _mac(key, canonical_json(head))):
                raise ValueError("the MAC does not fit")
            lines, last, pending = int(head["lines"]), str(head["last"]), head["pending"]
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            raise self._refused(f"{HEAD} is missing, was changed, or was made with another key") from None
        return self._complete(key, lines, last, pending)

    def _complete(self, key: bytes, lines: int, last: str, pending: dict[str, Any] | None) -> OpenLedger:
        """Hold the lines against the head, and write the line that was announced and did not get there."""
        try:
            entries, broken = read_chain(self.path, lambda content: _mac(key, content))
        except FileNotFoundError:
            entries, broken = [], None
        if len(entries) < lines or (entries[lines - 1]["digest"] if lines else START) != last:
            raise self._refused(f"line {len(entries) + 1 if broken is None else broken} is missing or was changed")
        if pending is None and (broken is not None or len(entries) > lines):
            raise self._refused(f"line {lines + 1} is one that the party did not write")
        ledger = OpenLedger(self._home, self._keys, key, entries[:lines])
        if pending is not None:
            ledger.restored = int(len(entries) == lines)
            ledger.rewrite_last(pending)
        return ledger

    def _refused(self, why: str) -> SecurityError:
        return SecurityError(
            f"{self._keys.party}'s privacy ledger is not as the party wrote it",
            where=str(self.path),
            why=why,
            fix=f"restore {LINES} and {HEAD} together from a backup that has the latest expenses, and find out who "
            "changed them; without them nobody knows what was spent",
        )


def require_open(home: Path, keys: Sequence[Keyring]) -> None:
    """Look whether the ledger there, if there is one, opens with one of the keys.

    Raises:
        SecurityError: where it opens with none.
    """
    failures: list[SecurityError] = []
    for key in keys if LedgerFile.is_in(home) else ():
        try:
            with LedgerFile(home, key).locked():
                return
        except SecurityError as error:
            failures.append(error)
    if failures:
        raise failures[0]


class OpenLedger:
    """A ledger that this process alone has open.

    Attributes:
        entries: what was written, the oldest first.
        restored: how many lines an earlier process had announced and not written whole; they are there now.
    """

    def __init__(self, home: Path, keys: Keyring, key: bytes, entries: list[dict[str, Any]]) -> None:
        self._home = home
        self._keys = keys
        self._key = key
        self.entries = entries
        self.restored = 0

    def derive(self, purpose: str) -> bytes:
        """A 32-byte key for one purpose, the same as long as the ledger lives, whatever the party's key."""
        return derive(self._key, purpose)

    def digest(self, purpose: str, content: bytes) -> str:
        """A digest under the ledger's own key."""
        return _mac(self.derive(purpose), content)

    def append(self, entry: dict[str, Any]) -> None:
        """Write an entry; when this returns it is on the disk."""
        self.write_head(pending=entry)
        self._write(entry)
        self.write_head()

    def rewrite_last(self, entry: dict[str, Any]) -> None:
        """Write the announced entry in the place of whatever got there of it."""
        whole = sum(len(canonical_json(line)) + 1 for line in self.entries)
        if (self._home / LINES).exists():
            os.truncate(self._home / LINES, whole)
        self._write(entry)
        self.write_head()

    def seal_for(self, keys: Keyring) -> None:
        """Encrypt the ledger's key with the party's new one."""
        self._keys = keys
        self.write_head()

    def write_head(self, pending: dict[str, Any] | None = None) -> None:
        """Replace the head: the number of lines, the last one's MAC, the line to come."""
        head = {
            "version": 1,
            "key": self._keys.seal(self._key, _context(self._keys.party)).hex(),
            "lines": len(self.entries),
            "last": self.entries[-1]["digest"] if self.entries else START,
            "pending": pending,
        }
        write_json(self._home / HEAD, {**head, "mac": _mac(self._key, canonical_json(head))})

    def _write(self, entry: dict[str, Any]) -> None:
        previous = self.entries[-1]["digest"] if self.entries else START
        line, digest = link(entry, previous, lambda content: _mac(self._key, content))
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        descriptor = os.open(self._home / LINES, flags, PRIVATE_FILE)
        try:
            append_whole(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.entries.append({**entry, "previous": previous, "digest": digest})


def _mac(key: bytes, content: bytes) -> str:
    return hmac.new(key, content, hashlib.sha256).hexdigest()


def _context(party: str) -> bytes:
    return b"sgb-runner privacy ledger\0" + party.encode()
