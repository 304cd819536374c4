"""Noisy labels that are drawn once and used by every later run: fresh noise for each would average away.

A label owner keeps, beside its key file, one encrypted file for each data set, label column and mechanism with its
parameters: which noisy label every row was given, by a keyed digest of the row's id. So a row has one noisy label,
whatever the order of the rows, the split, or the other rows of the table.

- Rows that are new to the file are drawn then. Each row still is drawn once: nothing more is spent (parallel
  composition; F. McSherry, "Privacy integrated queries", SIGMOD 2009).
- Where the true label of a row is another than before, all rows of the table are drawn anew, which is one more expense,
  told by its own name. (Were it that row alone, a noisy label that changes would say for certain that the true one
  did.) That some label has changed since is all that shows of it, and is not protected.
- What is to be spent is written to the ledger before anything is drawn, and what was drawn is on the disk before
  anything is done with it. A process that dies in between leaves an expense without a draw, never a draw without one.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runner.errors import BundleError, DataError
from runner.files import PRIVATE_FILE, canonical_json, make_private_dir, write_bytes
from runner.keys.keyring import Keyring
from runner.privacy.mechanisms import LabelNoise
from runner.privacy.randomness import Codes

FOLDER = "label_noise"
ROW_BYTES, LABEL_BYTES = 16, 8
Digests = dict[bytes, int]
Pay = Callable[[tuple[str, ...]], object]


@dataclass(frozen=True)
class Draw:
    """The noisy labels of some rows.

    Attributes:
        key: of the digests of ids and labels, 32 bytes.
        name: of the draw, 32 hexadecimal digits, random.
        revisions: how often rows were drawn again because labels had changed.
        rows: keyed digests of the rows' ids, shape (rows, 16), uint8.
        labels: keyed digests of ids and true labels, shape (rows, 8), uint8.
        codes: the noisy labels, shape (rows,), int64; see :class:`runner.privacy.mechanisms.LabelNoise`.
    """

    key: bytes
    name: str
    revisions: int
    rows: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    codes: Codes

    def expenses(self) -> tuple[str, ...]:
        """The names of what was drawn: each of them is to be paid for once."""
        return (self.name, *(f"{self.name}.{number}" for number in range(1, self.revisions + 1)))

    def places(self) -> Digests:
        """Digest of a row's id → where the row is."""
        return {row.tobytes(): place for place, row in enumerate(self.rows)}

    def to_bytes(self) -> bytes:
        """The draw as a NumPy archive."""
        content = io.BytesIO()
        about = {"key": np.frombuffer(self.key, np.uint8), "name": np.frombuffer(bytes.fromhex(self.name), np.uint8)}
        revisions = np.array(self.revisions, dtype=np.int64)
        np.savez(content, revisions=revisions, rows=self.rows, labels=self.labels, codes=self.codes, **about)
        return content.getvalue()

    @staticmethod
    def from_bytes(content: bytes) -> Draw:
        """What :meth:`to_bytes` made."""
        with np.load(io.BytesIO(content), allow_pickle=False) as kept:
            name, key = kept["name"].tobytes().hex(), kept["key"].tobytes()
            return Draw(key, name, int(kept["revisions"]), kept["rows"], kept["labels"], kept["codes"])


@dataclass(frozen=True)
class Labels:
    """The labels of a table's rows as its owner has them.

    Attributes:
        ids: the rows' ids as texts; unique.
        codes: their true labels, shape (rows,), int64, as :meth:`LabelNoise.encode` says.
    """

    ids: Sequence[str]
    codes: Codes

    def rows(self, key: bytes) -> NDArray[np.uint8]:
        """Keyed digests of the ids: shape (rows, 16)."""
        return _digests((text.encode() for text in self.ids), key, ROW_BYTES)

    def labels(self, key: bytes) -> NDArray[np.uint8]:
        """Keyed digests of ids and labels: shape (rows, 8)."""
        pairs = zip(self.ids, self.codes.tolist(), strict=True)
        return _digests((f"{code} {text}".encode() for text, code in pairs), key, LABEL_BYTES)


class KeptDraws:
    """The draws of one party for one label column.

    Args:
        home: the folder of the party's key file.
        keys: the party's keys.
        data: the data set's name.
        column: the label column.
    """

    def __init__(self, home: Path, keys: Keyring, data: str, column: str) -> None:
        self._folder = home / FOLDER
        self._keys = keys
        self._about = {"data": data, "column": column}

    def draw(self, true: Labels, noise: LabelNoise, pay: Pay, *, redraw: bool = False) -> tuple[Draw, int]:
        """The noisy labels of these rows, in their order, and how many of them were drawn now.

        Args:
            pay: called with the names of all expenses that these labels rest on, before anything is drawn; it knows
                which of them were paid for. What it raises ends this, and nothing is drawn.
            redraw: draw all of them anew.

        Raises:
            BundleError: where the kept file cannot be read.
        """
        path = self._path(noise)
        with _locked(path.with_suffix(".lock")):
            kept = None if redraw or not path.exists() else read_draw(path, self._keys, path.name.encode())
            if kept is None:
                none = np.zeros((0, ROW_BYTES), np.uint8), np.zeros((0, LABEL_BYTES), np.uint8)
                kept = Draw(secrets.token_bytes(32), secrets.token_hex(16), 0, *none, np.zeros(0, np.int64))
            rows, labels = true.rows(kept.key), true.labels(kept.key)
            places = kept.places()
            at = np.array([places.get(row.tobytes(), -1) for row in rows], dtype=np.int64)
            same = np.zeros(len(at), np.bool_)
            same[at >= 0] = (kept.labels[at[at >= 0]] == labels[at >= 0]).all(axis=1)
            if ((at >= 0) & ~same).any():
                kept, same = replace(kept, revisions=kept.revisions + 1), np.zeros_like(same)
            pay(kept.expenses())
            codes = np.zeros(len(at), np.int64)
            codes[same] = kept.codes[at[same]]
            if not same.all():
                codes[~same] = noise.draw(true.codes[~same])
                others = np.setdiff1d(np.arange(len(kept.codes)), at)
                whole = replace(
                    kept,
                    rows=np.vstack([kept.rows[others], rows]),
                    labels=np.vstack([kept.labels[others], labels]),
                    codes=np.concatenate([kept.codes[others], codes]),
                )
                write_draw(path, whole, self._keys, path.name.encode())
        return replace(kept, rows=rows, labels=labels, codes=codes), int((~same).sum())

    def expenses(self, noise: LabelNoise) -> tuple[str, ...]:
        """The names of what was drawn with this noise, each of which was to be paid for; none where nothing was.

        Raises:
            BundleError: where the kept file cannot be read.
        """
        path = self._path(noise)
        return read_draw(path, self._keys, path.name.encode()).expenses() if path.exists() else ()

    def _path(self, noise: LabelNoise) -> Path:
        name = hashlib.sha256(canonical_json({**self._about, **noise.parameters()})).hexdigest()[:32]
        return make_private_dir(self._folder) / f"{name}.sealed"


def read_draw(path: Path, keys: Keyring, context: bytes) -> Draw:
    """A draw that :func:`write_draw` wrote.

    Raises:
        BundleError: where it is altered, or another key's.
    """
    try:
        return Draw.from_bytes(keys.unseal(path.read_bytes(), context))
    except (OSError, ValueError, LookupError):
        raise BundleError(
            f"{keys.party}'s noisy labels cannot be read",
            where=str(path),
            why="the file is missing or was altered, or it was written with another key",
            fix="restore the file and the key from a copy; or draw anew with privacy.redraw=true, which spends epsilon "
            "again",
        ) from None


def write_draw(path: Path, draw: Draw, keys: Keyring, context: bytes) -> None:
    """Write a draw, encrypted, whole or not at all."""
    write_bytes(path, keys.seal(draw.to_bytes(), context))


def require_draws_open(home: Path, keys: Sequence[Keyring]) -> None:
    """Make sure that one of the keys opens every kept draw.

    Raises:
        BundleError: where none does.
    """
    for path in _kept_files(home):
        _open_with(path, keys)


def reseal_draws(home: Path, old: Keyring, new: Keyring) -> int:
    """Protect all kept draws with the party's new key; how many there are. Typed again, it goes on where it ended.

    Raises:
        BundleError: where one opens with neither.
    """
    paths = _kept_files(home)
    for path in paths:
        with _locked(path.with_suffix(".lock")):
            write_draw(path, _open_with(path, [old, new]), new, path.name.encode())
    return len(paths)


def _kept_files(home: Path) -> list[Path]:
    return sorted((home / FOLDER).glob("*.sealed"))


def _open_with(path: Path, keys: Sequence[Keyring]) -> Draw:
    for keyring in keys[:-1]:
        with suppress(BundleError):
            return read_draw(path, keyring, path.name.encode())
    return read_draw(path, keys[-1], path.name.encode())


def copy_for_run(draw: Draw, true: Labels, key: bytes) -> Draw:
    """The same draw with its digests under a run's own key, so that the run can be repeated from its folder alone."""
    return replace(draw, key=key, rows=true.rows(key), labels=true.labels(key))


def again(draw: Draw, true: Labels, party: str) -> Draw:
    """The noisy labels that an earlier run used, for the same rows.

    Raises:
        DataError: where a row is new, or its label another.
    """
    rows, labels, places = true.rows(draw.key), true.labels(draw.key), draw.places()
    at = np.array([places.get(row.tobytes(), -1) for row in rows], dtype=np.int64)
    if (at < 0).any() or (draw.labels[at] != labels).any():
        raise DataError(
            f"{party}'s labels are not those of the run that is gone on with or repeated",
            where=f"data.tables.{party}, the label's column",
            why="rows are new, or their labels have changed, and the noise that the run kept is for the old ones",
            fix="bring the table of that run, or train anew",
        )
    return replace(draw, rows=rows, labels=labels, codes=draw.codes[at])


def _digests(texts: Iterator[bytes], key: bytes, size: int) -> NDArray[np.uint8]:
    joined = b"".join(hashlib.blake2b(text, key=key, digest_size=size).digest() for text in texts)
    return np.frombuffer(joined, dtype=np.uint8).reshape(-1, size)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; the others wait."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, PRIVATE_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)  # and with it the lock
