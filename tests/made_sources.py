"""A small table of alice's, written in any form, and read by the runner."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from runner.data.check import check_table
from runner.data.table import CheckedTable
from runner.errors import DataError
from runner.spec.parse import parse

Changed = Callable[..., dict[str, Any]]
ROWS = 40
CANARY = "CANARY"
CONTRACT = """
import pandera.polars as pa

class Alice(pa.DataFrameModel):
    number: str
    width: float
    height: int
    target: int
"""


def frame() -> pl.DataFrame:
    """Ids with leading zeros, a float, an integer and a label."""
    return pl.DataFrame(
        {
            "number": [f"{row:04d}" for row in range(ROWS)],
            "width": [row / 8 for row in range(ROWS)],
            "height": [row * 7 % 11 for row in range(ROWS)],
            "target": [row % 2 for row in range(ROWS)],
        }
    )


class Desk:
    """Reads and checks alice's table, wherever ``source`` and ``path`` say it is."""

    def __init__(self, folder: Path, changed: Changed) -> None:
        self.folder = folder
        self.contract = folder / "contract.py"
        self.contract.write_text(CONTRACT)
        self._changed = changed
        frame().write_parquet(folder / "plain.parquet")

    def check(self, path: Path | str | None, source: dict[str, Any] | None = None, **data: Any) -> CheckedTable:
        table = {"path": None if path is None else str(path), "source": source or {}}
        table["contract"] = f"{self.contract}:Alice"
        changes = {
            "data.id": "number",
            "data.builtin": None,
            "data.tables.alice": table,
            "label.holder": "alice",
            "policy.predictions.recipients": ["alice"],
            **{f"data.{name}": value for name, value in data.items()},
        }
        return check_table(parse(self._changed(changes)), "alice", self.folder)

    def plain(self) -> CheckedTable:
        """The same table as Parquet."""
        return self.check(self.folder / "plain.parquet")

    def refusal(self, path: Path | str | None, source: dict[str, Any] | None = None, **data: Any) -> DataError:
        """The error, which holds no value."""
        with pytest.raises(DataError) as caught:
            self.check(path, source, **data)
        error = caught.value
        assert all((error.what, error.where, error.why, error.fix))
        assert error.__suppress_context__ or error.__context__ is None
        assert CANARY not in str(error) + json.dumps(error.to_dict())
        return error


def same(one: CheckedTable, other: CheckedTable) -> bool:
    """Whether two tables are equal, wherever they were read from."""
    return one.digest(b"key") == other.digest(b"key")
