"""Train and test rows, by a keyed hash of the id."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from runner.spec.model import Split


def held_out(ids: NDArray[np.generic], split: Split) -> NDArray[np.bool_]:
    """Which rows are held out for testing: shape (rows,), bool.

    A row's place depends on its id and the key alone, so it is the same at every party, whatever the order of the rows
    and whichever other rows there are.
    """
    return places(ids, split.key) < np.uint64(split.test_fraction * 2**64)


def split_rows(ids: NDArray[np.generic], split: Split) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows a run may use at all, and which of all rows it holds out of training: both shape (rows,), bool.

    Validation rows are chosen by a hash of their own among the rows that are no test rows.
    """
    test = held_out(ids, split)
    if split.hold_out == "test":
        return np.ones_like(test), test
    validation = places(ids, f"{split.key}/validation") < np.uint64(split.validation_fraction * 2**64)
    return ~test, validation & ~test


def places(ids: NDArray[np.generic], key: str) -> NDArray[np.uint64]:
    """A place for each id, evenly over all 64 bits: keyed BLAKE2b (Aumasson et al. 2013)."""
    secret = hashlib.sha256(key.encode()).digest()
    return np.fromiter((_place(str(value), secret) for value in ids.tolist()), dtype=np.uint64, count=len(ids))


def _place(value: str, secret: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(value.encode(), key=secret, digest_size=8).digest(), "big")
