"""The ids of a table: one column, or several that identify a row together, as one value a row.

Where ids are to be written alike first (stripped, in one case, padded), that is done to the table's columns before it
is held to its contract, so that ids are unique as they are compared; everything here takes columns as they are then.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # the workers take ids apart, and need not wait for the library
    import polars as pl

TYPES = {"i": "whole numbers", "u": "whole numbers", "U": "text", "f": "numbers", "b": "true or false", "M": "times"}
DIGEST_BYTES = 16


def join_ids(frame: pl.DataFrame, columns: tuple[str, ...]) -> NDArray[np.generic]:
    """One id a row: shape (rows,), int64 or str.

    One column is taken as it is; several become the JSON text of their values in order, as ``["12","A7"]``, which no
    other values give.
    """
    parts = [_plain(frame[column]) for column in columns]
    if len(parts) == 1:
        return parts[0]
    rows = zip(*(part.tolist() for part in parts), strict=True)
    return np.array([json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=str) for row in rows])


def split_ids(ids: NDArray[np.generic], columns: tuple[str, ...]) -> dict[str, NDArray[np.generic]]:
    """Column → its values, shape (rows,), from what :func:`join_ids` made of them."""
    if len(columns) == 1:
        return {columns[0]: ids}
    rows = [json.loads(value) for value in ids.tolist()]
    return {column: np.array([row[place] for row in rows]) for place, column in enumerate(columns)}


def type_of_ids(ids: NDArray[np.generic], columns: tuple[str, ...]) -> str:
    """The ids' data type in words: rows of tables whose ids have different ones never match."""
    kinds = [column[:1].dtype.kind for column in split_ids(ids[:1], columns).values()]
    return " and ".join(TYPES.get(kind, "other values") for kind in kinds)


def id_digests(ids: NDArray[np.generic], key: bytes) -> list[bytes]:
    """A digest of each id: keyed BLAKE2b (Aumasson et al. 2013), 16 bytes; equal for equal ids, whatever the table."""
    return [hashlib.blake2b(str(value).encode(), key=key, digest_size=DIGEST_BYTES).digest() for value in ids.tolist()]


def spelling_of_ids(ids: NDArray[np.generic]) -> dict[str, Any]:
    """How the ids are written, by counts: what keeps ids of two tables apart that mean the same. Its owner's alone."""
    texts = [str(value) for value in ids.tolist()]
    lengths = [len(text) for text in texts]
    return {
        "ids": len(texts),
        "shortest": min(lengths, default=0),
        "longest": max(lengths, default=0),
        "with_outer_space": sum(text != text.strip() for text in texts),
        "with_upper_case": sum(text != text.lower() for text in texts),
        "with_lower_case": sum(text != text.upper() for text in texts),
        "with_leading_zero": sum(text.startswith("0") and len(text) > 1 for text in texts),
        "of_digits_only": sum(text.isdigit() for text in texts),
    }


def _plain(column: pl.Series) -> NDArray[np.generic]:
    """Whole numbers of any width as int64, so that an id has one form; what is no number as text; the rest as it is."""
    values: NDArray[np.generic] = column.to_numpy()
    if values.dtype.kind in "iu" and values.max(initial=0) <= np.iinfo(np.int64).max:
        return values.astype(np.int64)
    return values.astype(np.str_) if values.dtype == object else values
