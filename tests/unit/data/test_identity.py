"""A checked table is taken for the same only where nothing that its check heeds has changed."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from runner.data.check import check_table
from runner.data.identity import NOT_HEEDED, table_identity
from runner.spec.model import Spec
from runner.spec.parse import parse

Changed = Callable[..., dict[str, Any]]


class Desk:
    """alice's table and contract, and specs that name them."""

    def __init__(self, folder: Path, changed: Changed) -> None:
        self.table, self.contract = folder / "alice.parquet", folder / "contract.py"
        self._changed = changed
        self.contract.write_text(
            "import pandera.polars as pa\n\n\nclass Alice(pa.DataFrameModel):\n"
            "    number: str\n    width: float\n    target: int\n"
        )
        self.write(1.5)

    def write(self, width: float) -> None:
        rows = range(40)
        columns = {"number": [f"P{row}" for row in rows], "width": [width + row for row in rows]}
        pl.DataFrame({**columns, "target": [row % 2 for row in rows]}).write_parquet(self.table)

    def spec(self, changes: dict[str, Any] | None = None) -> Spec:
        own = {
            "data.id": "number",
            "data.builtin": None,
            "data.tables.alice.path": str(self.table),
            "data.tables.alice.contract": f"{self.contract}:Alice",
            "label.holder": "alice",
            "policy.predictions.recipients": ["alice"],
        }
        return parse(self._changed({**own, **(changes or {})}))

    def identity(self, changes: dict[str, Any] | None = None, shown: bool = True) -> str | None:
        return table_identity(self.spec(changes), "alice", shown)


@pytest.fixture
def desk(tmp_path: Path, changed: Changed) -> Desk:
    return Desk(tmp_path, changed)


@pytest.mark.parametrize(
    "changes",
    [
        {"sgb.max_depth": 2, "sgb.learning_rate": 0.7, "sgb.seed": 5},
        {"crypto.scheme": "paillier"},
        {"policy.min_rows": 7},
        {"evaluate.bootstrap": 0, "cluster.silence_timeout": 5.0, "train.checkpoint_every": 2},
        {"data.tables.bob.path": "elsewhere.parquet"},
    ],
)
def test_what_no_check_heeds_does_not_count(desk: Desk, changes: dict[str, Any]) -> None:
    evaluate = {"evaluate.bootstrap": 0} if "evaluate.bootstrap" in changes else {}
    assert desk.identity(changes) == desk.identity(evaluate)
    assert desk.identity() is not None


@pytest.mark.parametrize(
    "changes",
    [
        {"sgb.objective": "linear"},
        {"label.column": "other"},
        {"label.holder": "bob"},
        {"data.split.key": "split-2"},
        {"data.tables.alice.ignore": ["width"]},
        {"prepare.numbers.missing": "median"},
        {"task.name": "cv"},
    ],
)
def test_what_a_check_heeds_counts(desk: Desk, changes: dict[str, Any]) -> None:
    assert desk.identity(changes) != desk.identity()


def test_content_of_table_and_contract_counts(desk: Desk) -> None:
    first = desk.identity()
    desk.write(2.5)
    second = desk.identity()
    desk.contract.write_text(desk.contract.read_text() + "\n")
    assert len({first, second, desk.identity()}) == 3
    assert desk.identity(shown=False) != desk.identity()


@pytest.mark.parametrize(
    "changes",
    [
        {"data.tables.alice.path": None, "data.tables.alice.source": {"sql": "select 1"}},
        {"cluster.shuffle_rows": True},
        {"data.tables.alice.path": "nowhere.parquet"},
        {"data.tables.alice.contract": "nowhere.py:Alice"},
    ],
)
def test_what_must_be_read_has_none(desk: Desk, changes: dict[str, Any]) -> None:
    assert desk.identity(changes) is None


class Recorded:
    """A spec that notes which of its settings are read."""

    def __init__(self, inner: Any, path: str, noted: set[str]) -> None:
        self._inner, self._path, self._noted = inner, path, noted

    def __getattr__(self, name: str) -> Any:
        method = getattr(type(self._inner), name, None)
        if isinstance(method, types.FunctionType):
            return functools.partial(method, self)
        self._noted.add(f"{self._path}{name}")
        value = getattr(self._inner, name)
        return Recorded(value, f"{name}.", self._noted) if name == "sgb" else value


@pytest.mark.parametrize("changes", [{}, {"sgb.objective": "multiclass"}, {"task.name": "predict", "model": "earlier"}])
def test_a_check_reads_nothing_that_does_not_count(desk: Desk, tmp_path: Path, changes: dict[str, Any]) -> None:
    noted: set[str] = set()
    check_table(Recorded(desk.spec(changes), "", noted), "alice", tmp_path)  # type: ignore[arg-type]
    assert {"data", "label", "prepare", "task"} <= noted
    assert noted & set(NOT_HEEDED) <= {"cluster", "parties"}, "shuffle_rows, which excludes itself; the parties' names"
    assert {name for name in noted if name.startswith("sgb.")} <= {"sgb.objective"}
