"""A checked table, and its way from the checking process to the worker."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from runner.prepare.columns import canonical_bytes
from runner.prepare.rules import Rule

COUNTS = "data.json"  # in a party's own folder
_OF_ROWS = ("label", "truth", "owns", "dealt_by", "weight", "groups", "noisy")
_CLASSES = ("classes", "truth_classes")
_LATER = ("dealt_by", "weight", "groups")  # a table without them has the digest of one that cannot have them
_ABOUT = b"sgb-runner"
_SOURCE = b"sgb-runner source"
_COLUMN = "column/"


@dataclass(frozen=True)
class CheckedTable:
    """One party's rows in the order of their ids, the features as they came.

    Attributes:
        ids: shape (rows,), int64 or str; unique, ascending.
        columns: the feature columns, in the contract's order, with holes as nulls: numbers as float64, else bool,
            text (large_string) or time (timestamp, microseconds, UTC).
        dtypes: their types in the party's file, as polars names them.
        rules: how each is to be prepared.
        test: shape (rows,), bool; True for the rows that are held out of training.
        label: shape (rows,), float64, the party's (part of the) training label, NaN where it has none; or None.
        truth: shape (rows,), float64, the labels that the party alone compares predictions with; or None.
        owns: shape (rows,), bool, True for the party's own rows; or None.
        dealt_by: shape (rows,), int64, the rank of each row's group or time in the column by which the party deals the
            folds of a cross-validation; or None.
        source: SHA-256 of what the table was read from.
        weight: shape (rows,), float64, what a training row counts, at the label holder; or None.
        classes: shape (classes,), int64 or str, ascending: of a multiclass label, which ``label`` then numbers from 0.
        truth_classes: the same for ``truth``.
        groups: shape (rows,), str, the groups by which the party splits its evaluation; or None.
        noisy: shape (rows,), float64, what training takes in the place of ``label``, where labels are protected by
            noise; or None.

    Only the party's own processes hold one.
    """

    ids: NDArray[np.generic]
    columns: pa.Table
    dtypes: tuple[str, ...]
    rules: tuple[Rule, ...]
    test: NDArray[np.bool_]
    label: NDArray[np.float64] | None = None
    truth: NDArray[np.float64] | None = None
    owns: NDArray[np.bool_] | None = None
    dealt_by: NDArray[np.int64] | None = None
    source: bytes = b""
    weight: NDArray[np.float64] | None = None
    classes: NDArray[np.generic] | None = None
    truth_classes: NDArray[np.generic] | None = None
    groups: NDArray[np.str_] | None = None
    noisy: NDArray[np.float64] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in the contract's order."""
        return tuple(self.columns.column_names)

    @property
    def training_label(self) -> NDArray[np.float64] | None:
        """The label as training may know it."""
        return self.label if self.noisy is None else self.noisy

    def id_digest(self, key: bytes) -> str:
        """Keyed SHA-256 of the ordered ids: equal at two parties if and only if they have the same ids."""
        return digest_of_ids(key, [self.ids])

    def with_rows(self, rows: NDArray[np.intp]) -> CheckedTable:
        """These rows only, in this order."""
        parts = {name: part[rows] for name in _OF_ROWS if (part := getattr(self, name)) is not None}
        return replace(self, ids=self.ids[rows], columns=self.columns.take(rows), test=self.test[rows], **parts)

    def with_own_classes(self) -> CheckedTable:
        """The same with no classes but those of its rows, numbered anew; of noisy labels, with those that are named."""
        changed: dict[str, Any] = {}
        for label, classes in zip(("label", "truth"), _CLASSES, strict=True):
            names = getattr(self, classes)
            if names is not None and not (label == "label" and self.noisy is not None):
                there, codes = np.unique(getattr(self, label), return_inverse=True)
                changed |= {label: codes.reshape(-1).astype(np.float64), classes: names[there.astype(np.intp)]}
        return replace(self, **changed)

    def counts(self) -> dict[str, Any]:
        """What the party may read of its own table in its report: how much of what, and no value or name."""
        label = self.truth if self.truth is not None else self.label
        known = None if label is None else label[~np.isnan(label)]
        named = self.classes is not None or self.truth_classes is not None  # and numbered by the alphabet
        return {
            "rows": len(self.ids),
            "training_rows": int((~self.test).sum()),
            "test_rows": int(self.test.sum()),
            "features": len(self.names),
            "types": {dtype: self.dtypes.count(dtype) for dtype in sorted(set(self.dtypes))},
            "labels": None if known is None else int(known.size),
            "labels_not_0": None if known is None or named else int(np.count_nonzero(known)),
        }

    def digest(self, key: bytes) -> str:
        """Keyed SHA-256 of everything in the table."""
        parts = [self.ids, self.test, self.label, self.truth, self.owns]
        parts += [part for name in _LATER if (part := getattr(self, name)) is not None]
        return _keyed(
            key,
            _about(self),
            *(canonical_bytes(column) for column in self.columns.columns),
            *(b"" if part is None else np.ascontiguousarray(part).tobytes() for part in parts),
        )


def write_table(table: CheckedTable, descriptor: int) -> None:
    """Put a table into anonymous memory, as Arrow IPC."""
    whole = to_arrow(table)
    with io.FileIO(descriptor, "wb", closefd=False) as memory, pa.ipc.new_stream(memory, whole.schema) as stream:
        stream.write_table(whole)


def to_arrow(table: CheckedTable) -> pa.Table:
    """The same as one Arrow table."""
    arrays = {"ids": table.ids, "test": table.test}
    arrays |= {name: part for name in _OF_ROWS if (part := getattr(table, name)) is not None}
    whole = pa.table({name: pa.array(_plain(part)) for name, part in arrays.items()})
    for name, column in zip(table.names, table.columns.columns, strict=True):
        whole = whole.append_column(_COLUMN + name, column)
    return whole.replace_schema_metadata({_ABOUT: _about(table), _SOURCE: table.source.hex()})


def read_table(descriptor: int) -> CheckedTable:
    """Take a table out of anonymous memory, and give the memory back."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    with io.FileIO(descriptor, "rb", closefd=True) as memory, pa.ipc.open_stream(memory) as stream:
        return from_arrow(stream.read_all())


def from_arrow(whole: pa.Table) -> CheckedTable:
    """The inverse of :func:`to_arrow`."""
    about = json.loads(whole.schema.metadata[_ABOUT])
    return CheckedTable(
        ids=_array(whole["ids"]),
        columns=pa.table({name: whole[_COLUMN + name] for name in about["names"]}),
        dtypes=tuple(about["dtypes"]),
        rules=tuple(msgspec.convert(about["rules"], list[Rule])),
        test=whole["test"].to_numpy(),
        source=bytes.fromhex(whole.schema.metadata[_SOURCE].decode()),
        **{name: _array(whole[name]) for name in _OF_ROWS if name in whole.column_names},
        **{name: np.array(about[name]) for name in _CLASSES if name in about},
    )


def _array(column: pa.ChunkedArray) -> NDArray[Any]:
    values: NDArray[Any] = column.to_numpy()
    return values.astype(str) if values.dtype == object else values


def _plain(part: NDArray[np.generic]) -> NDArray[np.generic]:
    if part.dtype.hasobject:
        raise ValueError("an array of objects cannot be handed over")
    return part


def _about(table: CheckedTable) -> bytes:
    """What a table's arrays do not say themselves."""
    about = {"names": table.names, "dtypes": table.dtypes, "rules": [msgspec.to_builtins(rule) for rule in table.rules]}
    classes = {name: part.tolist() for name in _CLASSES if (part := getattr(table, name)) is not None}
    return json.dumps(about | classes).encode()


def digest_of_ids(key: bytes, pieces: Iterable[NDArray[np.generic]]) -> str:
    """Keyed SHA-256 of ids in their order, in however many pieces they come."""
    return _keyed_all(key, _words(pieces))


def _words(pieces: Iterable[NDArray[np.generic]]) -> Iterator[bytes]:
    for number, ids in enumerate(pieces):
        if number == 0:
            yield str(ids.dtype.kind).encode()
        for value in ids.tolist():
            yield str(value).encode()


def _keyed(key: bytes, *parts: bytes) -> str:
    return _keyed_all(key, parts)


def _keyed_all(key: bytes, parts: Iterable[bytes]) -> str:
    mac = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        mac.update(len(part).to_bytes(8, "big"))
        mac.update(part)
    return mac.hexdigest()
