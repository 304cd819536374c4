"""Histograms over plain integers, at the label holder, and which buckets of a node hold rows, at every party."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Places = NDArray[np.int32]
Bits = dict[str, Any]  # node selections as bits: {"rows": number of rows, "bits": uint8, shape (nodes, bytes)}

NOTHING, ALL = -1, -2  # the sum of no row, and of all rows of the node
_EXACT = 2.0**53


@dataclass(frozen=True)
class Family:
    """Nodes whose histograms are wanted at once.

    Attributes:
        summed: the node that is summed over its rows: the root, or the child that has fewer of them.
        sibling: the node whose histogram is the parent's less ``summed``'s; None at the root.
        parent: None at the root.
    """

    summed: int
    sibling: int | None = None
    parent: int | None = None


def pack_selects(selects: Sequence[NDArray[Any]]) -> Bits:
    """Which rows are in which node, as bits."""
    table = np.stack([np.asarray(select).ravel() for select in selects]).astype(np.bool_)
    return {"rows": table.shape[1], "bits": np.packbits(table, axis=1)}


def unpack_selects(packed: Bits) -> NDArray[np.bool_]:
    """Shape (nodes, rows)."""
    return np.unpackbits(packed["bits"], axis=1, count=packed["rows"]).astype(np.bool_)


def bucket_numbers(order_map: NDArray[np.int8], buckets: int) -> Places:
    """Where each row falls: int32, shape (rows, features), its bucket plus ``buckets`` for each feature before."""
    return order_map.astype(np.int32) + np.arange(order_map.shape[1], dtype=np.int32) * np.int32(buckets)


def count_rows(numbers: Places, select: NDArray[np.bool_], size: int) -> Integers:
    """How many chosen rows are in each bucket: shape (size,)."""
    return np.bincount(numbers[select].ravel(), minlength=size)


def sum_rows(numbers: Places, select: NDArray[np.bool_], values: Integers, size: int) -> Integers:
    """The sum of the chosen rows' values in each bucket: shape (size,), exact."""
    chosen = numbers[select]
    spread = np.repeat(values[select], numbers.shape[1])
    if np.abs(spread.astype(np.float64)).sum() < _EXACT:
        return np.bincount(chosen.ravel(), weights=spread, minlength=size).astype(np.int64)
    sums = np.zeros(size, dtype=np.int64)
    np.add.at(sums, chosen.ravel(), spread)
    return sums


def cumulate(sums: NDArray[np.int64], buckets: int) -> Integers:
    """Sums up to and with each bucket, within each feature."""
    cumulated: Integers = np.cumsum(sums.reshape(-1, buckets), axis=1).ravel()
    return cumulated


def representatives(counts: Integers, buckets: int) -> Places:
    """For each bucket, the bucket whose cumulated sum is the same, for no row lies between: shape (size,).

    That is the last one with rows up to it, NOTHING where there is none, and ALL where no row comes after. (Sums of the
    same rows are the same ciphertext already in stock SecretFlow: who gets them sees which are equal.)
    """
    table = counts.reshape(-1, buckets)
    own = np.where(table > 0, np.arange(counts.size, dtype=np.int32).reshape(table.shape), np.int32(NOTHING))
    last = np.maximum.accumulate(own, axis=1)
    return np.where(last == last[:, -1:], np.int32(ALL), last).ravel().astype(np.int32)
