"""A party's small table and its contract, good to begin with, and how they are checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from runner.data.check import FAILURES, check_table
from runner.data.table import CheckedTable
from runner.errors import DataError
from runner.spec.parse import parse

Changed = Callable[..., dict[str, Any]]
ROWS = 60
CANARY = "CANARY-7391"
CANARY_NUMBER = 739173.917
CONTRACT = """
import pandera.polars as pa

class Alice(pa.DataFrameModel):
    number: str = pa.Field(str_matches=r"^(P[0-9]+|CANARY-.*)$")
    width: float = pa.Field(ge=0, le=1000000)
    height: float = pa.Field(ge=0, le=10)
    target: int
"""


def frame() -> pl.DataFrame:
    """A good table, out of order."""
    order = np.random.default_rng(1).permutation(ROWS)
    columns = {
        "number": [f"P{row:03d}" for row in range(ROWS)],
        "width": [row / 10 for row in range(ROWS)],
        "height": [row % 9 + 0.5 for row in range(ROWS)],
        "target": [row % 2 for row in range(ROWS)],
    }
    return pl.DataFrame({name: [values[row] for row in order] for name, values in columns.items()})


def put(table: pl.DataFrame, column: str, *values: Any, dtype: Any = None) -> pl.DataFrame:
    """The table with the first rows of a column replaced."""
    filled = [*values, *table[column].to_list()[len(values) :]]
    return table.with_columns(pl.Series(column, filled, dtype=dtype or table[column].dtype))


class Desk:
    """Writes alice's table and contract, and checks them."""

    def __init__(self, folder: Path, changed: Changed) -> None:
        self.folder = folder
        self.table = folder / "alice.parquet"
        self.contract = folder / "contract.py"
        self.contract.write_text(CONTRACT)
        self._changed = changed

    def check(self, table: pl.DataFrame | None, **settings: Any) -> CheckedTable:
        if table is not None:
            table.write_parquet(self.table)
        changes = {
            "data.id": "number",
            "data.builtin": None,
            "data.tables.alice.path": str(self.table),
            "data.tables.alice.contract": f"{self.contract}:Alice",
            "label.holder": "alice",
            "policy.predictions.recipients": ["alice"],
            **{name.replace("__", "."): value for name, value in settings.items()},
        }
        return check_table(parse(self._changed(changes)), "alice", self.folder)

    def refusal(self, table: pl.DataFrame | None, **settings: Any) -> DataError:
        with pytest.raises(DataError) as caught:
            self.check(table, **settings)
        error = caught.value
        assert error.code == 4
        assert all((error.what, error.where, error.why, error.fix))
        text = str(error) + json.dumps(error.to_dict())
        assert "CANARY" not in text
        assert "739173" not in text
        assert not [row for row in frame()["number"] if row in text]
        return error

    def failures(self) -> str:
        return (self.folder / FAILURES).read_text()
