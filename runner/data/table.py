"""A checked table in the form that training takes it, and its way from the checking process to the worker."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import os
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

_OPTIONAL = ("label", "truth", "owns")


@dataclass(frozen=True)
class PreparedTable:
    """One party's rows in the order of their ids.

    Attributes:
        ids: shape (rows,), int64 or str; unique, ascending.
        features: shape (rows, features), float64, finite.
        names: the features' names, in the contract's order.
        dtypes: the features' types in the party's file, as polars names them.
        test: shape (rows,), bool; True for the rows that are held out of training.
        label: shape (rows,), float64, the party's (part of the) training label, NaN where it has none; or None.
        truth: shape (rows,), float64, the labels that the party alone compares predictions with; or None.
        owns: shape (rows,), bool, True for the party's own rows; or None.

    Only the party's own processes hold one.
    """

    ids: NDArray[np.generic]
    features: NDArray[np.float64]
    names: tuple[str, ...]
    dtypes: tuple[str, ...]
    test: NDArray[np.bool_]
    label: NDArray[np.float64] | None = None
    truth: NDArray[np.float64] | None = None
    owns: NDArray[np.bool_] | None = None

    def id_digest(self, key: bytes) -> str:
        """Keyed SHA-256 of the ordered ids: equal at two parties if and only if they have the same ids."""
        return _keyed(key, str(self.ids.dtype.kind).encode(), *(str(value).encode() for value in self.ids.tolist()))

    def with_features(self, names: tuple[str, ...]) -> PreparedTable:
        """The same rows with these features only, in this order."""
        if names == self.names:
            return self
        places = [self.names.index(name) for name in names]
        return replace(
            self,
            features=np.ascontiguousarray(self.features[:, places]),
            names=names,
            dtypes=tuple(self.dtypes[place] for place in places),
        )

    def with_rows(self, rows: NDArray[np.intp]) -> PreparedTable:
        """These rows only; ``rows`` has their places, shape (rows kept,), ascending."""
        parts = {name: getattr(self, name) for name in ("ids", "features", "test", *_OPTIONAL)}
        return replace(self, **{name: part[rows] for name, part in parts.items() if part is not None})

    def digest(self, key: bytes) -> str:
        """Keyed SHA-256 of everything in the table."""
        parts = [self.ids, self.features, self.test, self.label, self.truth, self.owns]
        return _keyed(
            key,
            json.dumps([self.names, self.dtypes]).encode(),
            *(b"" if part is None else np.ascontiguousarray(part).tobytes() for part in parts),
        )


def write_table(table: PreparedTable, descriptor: int) -> None:
    """Put a table into anonymous memory."""
    arrays = {"ids": table.ids, "features": table.features, "test": table.test, "names": np.array(table.names)}
    arrays["dtypes"] = np.array(table.dtypes)
    arrays |= {name: part for name in _OPTIONAL if (part := getattr(table, name)) is not None}
    with io.FileIO(descriptor, "wb", closefd=False) as memory:
        _refuse_objects(arrays)
        np.savez(memory, **arrays)


def _refuse_objects(arrays: dict[str, NDArray[np.generic]]) -> None:
    """savez of NumPy 1 pickles arrays of objects without a word; it has no allow_pickle."""
    if any(array.dtype.hasobject for array in arrays.values()):
        raise ValueError("an array of objects cannot be handed over with allow_pickle=False")


def read_table(descriptor: int) -> PreparedTable:
    """Take a table out of anonymous memory, and give the memory back."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    with io.FileIO(descriptor, "rb", closefd=True) as memory, np.load(memory, allow_pickle=False) as arrays:
        return PreparedTable(
            ids=arrays["ids"],
            features=arrays["features"],
            names=tuple(arrays["names"].tolist()),
            dtypes=tuple(arrays["dtypes"].tolist()),
            test=arrays["test"],
            **{name: arrays[name] for name in _OPTIONAL if name in arrays},
        )


def _keyed(key: bytes, *parts: bytes) -> str:
    mac = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        mac.update(len(part).to_bytes(8, "big"))
        mac.update(part)
    return mac.hexdigest()
