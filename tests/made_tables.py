"""Checked tables for tests, out of plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from runner.data.table import CheckedTable
from runner.prepare.rules import Rule


def made_table(
    ids: Any, features: Any, names: Sequence[str], test: Any, dtypes: Sequence[str] | None = None, **more: Any
) -> CheckedTable:
    """A table of numbers without holes. ``features`` has shape (rows, features)."""
    columns = np.asarray(features, dtype=np.float64).T
    return CheckedTable(
        ids=np.asarray(ids),
        columns=pa.table({name: pa.array(column) for name, column in zip(names, columns, strict=True)}),
        dtypes=tuple(dtypes or ["Float64"] * len(names)),
        rules=(Rule(kind="number"),) * len(names),
        test=np.asarray(test),
        **more,
    )


def matrix_of(table: CheckedTable) -> np.ndarray[Any, Any]:
    """Its columns, all of them numbers, as a matrix."""
    return np.column_stack([column.to_numpy() for column in table.columns.columns])
