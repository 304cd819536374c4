"""A column with the class of each row, as numbers of classes; and what must hold before several classes are learnt."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from runner.errors import DataError

MOST_CLASSES = 100


def number_classes(column: pl.Series) -> tuple[NDArray[np.float64], NDArray[np.generic]]:
    """The number of each row's class, from 0 (shape (rows,), float64), and the classes, ascending (int64 or str)."""
    values = column.cast(pl.Int64 if is_whole(column.dtype) else pl.String).to_numpy()
    names, codes = np.unique(values.astype(np.int64 if is_whole(column.dtype) else str), return_inverse=True)
    return codes.reshape(-1).astype(np.float64), names


def is_whole(dtype: pl.DataType) -> bool:
    """Whether a column's classes are written as numbers."""
    return dtype.is_integer() or dtype == pl.Boolean


def require_learnable(
    party: str, codes: NDArray[np.float64], classes: int, test: NDArray[np.bool_], key: str = "data.split.key"
) -> None:
    """Refuse a label that is no handful of classes, or one with a class of which no row is learnt.

    Args:
        key: the setting by which rows are held out.

    Raises:
        DataError: with counts only.
    """
    where = f"data.tables.{party}, the label's column"
    if classes > MOST_CLASSES:
        raise DataError(
            f"the label has {classes} classes",
            where=where,
            why=f"sgb.objective=multiclass trains one model for each class, and at most {MOST_CLASSES}",
            fix="group the classes, or use sgb.objective=linear for a number",
        )
    unseen = classes - len(np.unique(codes[~test]))
    if unseen:
        raise DataError(
            f"{unseen} of {classes} classes have no training row",
            where=where,
            why="all their rows are held out, and a model cannot learn a class that it never sees",
            fix=f"bring more rows of rare classes, leave these out, or change {key}",
        )
