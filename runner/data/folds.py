"""Folds of a cross-validation: which block of the rows each row belongs to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.data.split import places
from runner.errors import DataError
from runner.spec.evaluation import FoldsBy

Blocks = NDArray[np.int16]


def blocks_of(
    ids: NDArray[np.generic], folds: int, key: str, by: FoldsBy = "random", values: NDArray[Any] | None = None
) -> Blocks:
    """Each row's block: shape (rows,), int16; the same for the same ids and values, whatever the order of the rows.

    Rows are dealt by scikit-learn's splitters in the order of a keyed hash of their ids, by time in that of the times.

    Args:
        ids: shape (rows,), unique.
        folds: number of folds.
        key: chooses one of the ways to deal.
        by: ``random``; ``stratified``: as many of each class in ``values`` in each block; ``group``: all rows of one
            value in one block; ``time``: later blocks are later, and rows of one time are in one block.
        values: shape (rows,), what to deal by; not used by ``random``.

    Returns:
        0 … ``folds`` - 1. By time 0 … ``folds``: block 0 is before every fold's test rows.

    Raises:
        DataError: where there are too few rows, members of a class, groups or times.
    """
    order = np.argsort(places(ids, key), kind="stable")
    if by == "random" or values is None:
        return _deal(order, folds, "KFold")
    if by == "stratified":
        known = values[~np.isnan(values)]
        _require(int(np.unique(known, return_counts=True)[1].min()), folds, "rows of the rarest class")
        values = np.where(np.isnan(values), np.max(known) + 1, values)  # rows without a label are dealt evenly, too
        return _deal(order, folds, "StratifiedKFold", y=values[order])
    if by == "group":
        _require(len(np.unique(values)), folds, "groups")
        return _deal(order, folds, "GroupKFold", groups=values[order])
    times, place = np.unique(values, return_inverse=True)
    _require(len(times), folds + 1, "different times")
    return _by_time(place.reshape(-1), len(times), folds)


def test_block(fold: int, by: FoldsBy) -> int:
    """The block whose rows fold number ``fold`` (from 0) tests on."""
    return fold + 1 if by == "time" else fold


def rows_of_fold(blocks: Blocks, fold: int, by: FoldsBy) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """The rows that a fold uses, ascending, and which of them it tests on.

    By time a model is trained on what was before its test rows, and never on what came after.
    """
    tested = test_block(fold, by)
    rows = np.flatnonzero(blocks <= tested) if by == "time" else np.arange(len(blocks))
    return rows, blocks[rows] == tested


def _deal(order: NDArray[np.intp], folds: int, splitter: str, **by: Any) -> Blocks:
    from sklearn import model_selection  # late: a worker that deals no folds need not import it

    _require(len(order), folds, "rows")
    blocks = np.zeros(len(order), dtype=np.int16)
    for fold, (_, tested) in enumerate(getattr(model_selection, splitter)(folds).split(order, **by)):
        blocks[order[tested]] = fold
    return blocks


def _by_time(place: NDArray[np.intp], times: int, folds: int) -> Blocks:
    """Blocks of nearly equal size, cut between times: each time goes where the middle of its rows falls."""
    count = np.bincount(place, minlength=times)
    middle = np.cumsum(count) - count / 2
    wanted = np.minimum((middle * (folds + 1) / len(place)).astype(np.intp), folds)
    # Times with many rows must leave no block empty: at least one time a block, from either end.
    least = np.maximum(np.arange(times) - (times - folds - 1), 0)
    block = np.empty(times, dtype=np.int16)
    previous = -1
    for time in range(times):
        previous = int(max(min(wanted[time], previous + 1), previous, least[time], 0))
        block[time] = previous
    return block[place]


def _require(found: int, needed: int, what: str) -> None:
    if found < needed:
        raise DataError(
            f"there are too few {what} for the folds",
            where="cv.folds",
            why=f"{needed} are needed",
            fix="choose fewer folds, or another cv.by",
        )
