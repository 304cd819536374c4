"""Train and test rows, by a keyed hash of the id."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from runner.spec.model import Split


def held_out(ids: NDArray[np.generic], split: Split) -> NDArray[np.bool_]:
    """Which rows are held out for testing: shape (rows,), bool.

    A row's place depends on its id and the key alone (keyed BLAKE2b, Aumasson et al. 2013), so it is the same at
    every party, whatever the order of the rows and whichever other rows there are.
    """
    key = hashlib.sha256(split.key.encode()).digest()
    threshold = int(split.test_fraction * 2**64)
    return np.fromiter((_place(str(value), key) < threshold for value in ids.tolist()), dtype=np.bool_, count=len(ids))


def _place(value: str, key: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(value.encode(), key=key, digest_size=8).digest(), "big")
