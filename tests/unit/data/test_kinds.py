"""Columns of every kind on their way to preparation: what is let in, in which form, and what each refusal says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from runner.data.check import check_table
from runner.data.kinds import kind_of, raw_columns
from runner.data.table import CheckedTable
from runner.errors import DataError
from runner.prepare.rules import Rule
from runner.spec.parse import parse
from runner.spec.prepare import Categories

Changed = Callable[..., dict[str, Any]]
ROWS = 40
CANARY = "CANARY-7391"
AUTO = {
    "prepare.numbers.missing": "sentinel",
    "prepare.booleans.encode": "number",
    "prepare.categories.encode": "onehot",
    "prepare.dates.encode": "days",
}
VALUES: dict[str, Any] = {
    "float": ("float", [None, 1.5, 2.0, 3.0]),
    "whole": ("int", [None, 1, 2, 3]),
    "text": ("str", [None, "a", CANARY, "a"]),
    "flag": ("bool", [None, True, False, True]),
    "day": ("pl.Date", [None, date(2020, 1, 2), date(1970, 1, 2), date(2020, 1, 2)]),
    "time": ("pl.Datetime", [None, datetime(2020, 1, 2, 6), datetime(2020, 1, 3), datetime(2020, 1, 2)]),
}


TOKYO = pl.Series([datetime(2020, 1, 1), None]).dt.replace_time_zone("Asia/Tokyo")


class Desk:
    """Writes alice's table with one feature besides a number, and checks it."""

    def __init__(self, folder: Path, changed: Changed) -> None:
        self.folder = folder
        self._changed = changed

    def check(self, values: pl.Series, annotation: str, field: str = "nullable=True", **changes: Any) -> CheckedTable:
        contract = self.folder / "contract.py"
        contract.write_text(
            "import pandera.polars as pa\nimport polars as pl\n\nclass Alice(pa.DataFrameModel):\n    number: int\n"
            f"    x: float\n    column: {annotation} = pa.Field({field})\n    target: int\n"
        )
        table = {
            "number": range(ROWS),
            "x": [row / 7 for row in range(ROWS)],
            "column": values,
            "target": [row % 2 for row in range(ROWS)],
        }
        pl.DataFrame(table).reverse().write_parquet(self.folder / "table.parquet")
        settings = {
            "data.id": "number",
            "data.builtin": None,
            "data.tables.alice.path": str(self.folder / "table.parquet"),
            "data.tables.alice.contract": f"{contract}:Alice",
            "label.holder": "alice",
            "policy.predictions.recipients": ["alice"],
            **{name.replace("__", "."): value for name, value in changes.items()},
        }
        return check_table(parse(self._changed(settings)), "alice", self.folder)

    def refusal(self, *arguments: Any, **changes: Any) -> DataError:
        with pytest.raises(DataError) as caught:
            self.check(*arguments, **changes)
        error = caught.value
        assert all((error.what, error.where, error.why, error.fix))
        assert CANARY not in str(error)
        assert "column" in error.where
        return error


@pytest.fixture
def desk(tmp_path: Path, changed: Changed) -> Desk:
    return Desk(tmp_path, changed)


def series(name: str) -> tuple[pl.Series, str]:
    annotation, values = VALUES[name]
    return pl.Series(values * (ROWS // 4)), annotation


@pytest.mark.parametrize("name", VALUES)
def test_columns_of_every_kind_come_as_they_are_with_their_holes(desk: Desk, name: str) -> None:
    values, annotation = series(name)
    table = desk.check(values, annotation, **AUTO)
    column = table.columns["column"]
    assert column.null_count == ROWS // 4
    assert column[0].as_py() is None
    expected = values.to_list()
    if name == "day":
        expected = [day and datetime(day.year, day.month, day.day) for day in expected]
    assert column.to_pylist() == expected
    assert table.dtypes == ("Float64", str(values.dtype))


def test_nan_is_a_hole_where_holes_may_be(desk: Desk) -> None:
    values = pl.Series([float("nan"), None, 1.0, 2.0] * (ROWS // 4))
    assert desk.check(values, "float", **AUTO).columns["column"].null_count == ROWS // 2
    assert "finite_number fails 10 times" in desk.refusal(values, "float", "", **AUTO).why
    for infinite in (float("inf"), float("-inf")):
        error = desk.refusal(pl.Series([infinite, None, 1.0, 2.0] * (ROWS // 4)), "float", **AUTO)
        assert "finite_number fails 10 times" in error.why


@pytest.mark.parametrize("name", ["float", "whole", "flag", "day", "time"])
def test_holes_that_nothing_fills_are_refused_with_the_setting_to_choose(desk: Desk, name: str) -> None:
    error = desk.refusal(*series(name), **{**AUTO, "prepare.numbers.missing": "error"})
    assert "have holes" in error.what
    assert "prepare.numbers.missing" in error.fix


@pytest.mark.parametrize(
    ("name", "setting"), [("text", "categories"), ("flag", "booleans"), ("day", "dates"), ("time", "dates")]
)
def test_what_is_no_number_is_refused_with_the_setting_to_choose(desk: Desk, name: str, setting: str) -> None:
    error = desk.refusal(*series(name))
    assert "holds no numbers" in error.what
    assert f"prepare.{setting}.encode" in error.fix


def test_the_owners_word_goes_before_the_spec(desk: Desk) -> None:
    field = 'nullable=True, metadata={"prepare": {"encode": "frequency", "unseen": "error"}}'
    table = desk.check(*series("text"), field)
    assert table.rules[1].categories == Categories(encode="frequency", unseen="error")
    field = 'nullable=True, metadata={"prepare": {"missing": "median"}}'
    assert desk.check(*series("float"), field).rules[1].numbers.missing == "median"


def test_word_that_means_nothing_is_told(desk: Desk) -> None:
    error = desk.refusal(*series("float"), 'nullable=True, metadata={"prepare": {"encode": "onehot"}}')
    assert "no setting 'encode'" in error.why


def test_label_is_used_by_a_holder_that_has_it_whole(desk: Desk) -> None:
    field = 'nullable=True, metadata={"prepare": {"encode": "target"}}'
    assert desk.check(*series("text"), field).rules[1].categories.encode == "target"
    error = desk.refusal(
        *series("text"), field, **{"label.holder": "carol", "policy.predictions.recipients": ["carol"]}
    )
    assert "here it is carol" in error.why


def test_column_without_any_value_is_told_unless_a_model_is_applied(desk: Desk) -> None:
    empty = pl.Series([None] * ROWS, dtype=pl.Float64)
    assert "all of their rows are holes" in desk.refusal(empty, "float", **AUTO).why
    table = desk.check(empty, "float", **{**AUTO, "task.name": "predict", "model": "somewhere"})
    assert table.columns["column"].null_count == ROWS


def test_whole_numbers_that_float64_does_not_have_are_told(desk: Desk) -> None:
    values = pl.Series([2**53 + 1, -(2**60), 2**53, 0] * (ROWS // 4))
    assert "exact_in_float64 fails 20 times" in desk.refusal(values, "int", "").why


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        (pl.UInt8, "number"),
        (pl.Decimal(10, 2), "number"),
        (pl.Categorical(), "category"),
        (pl.Enum(["a"]), "category"),
        (pl.Datetime("ns", "Europe/Zurich"), "date"),
        (pl.Duration(), None),
        (pl.List(pl.Int8), None),
        (pl.Binary, None),
    ],
)
def test_kind_goes_by_the_type(dtype: Any, kind: str | None) -> None:
    assert kind_of(pl.Schema({"x": dtype})["x"]) == kind


@pytest.mark.parametrize(
    ("values", "kind", "first", "form"),
    [
        (pl.Series(["a", None], dtype=pl.Categorical()), "category", "a", pa.large_string()),
        (pl.Series(["a", None], dtype=pl.Enum(["b", "a"])), "category", "a", pa.large_string()),
        (pl.Series([3, None], dtype=pl.UInt8), "number", 3.0, pa.float64()),
        (pl.Series([1.25, None], dtype=pl.Decimal(10, 2)), "number", 1.25, pa.float64()),
        (TOKYO, "date", datetime(2019, 12, 31, 15), pa.timestamp("us")),
        (TOKYO.dt.cast_time_unit("ns"), "date", datetime(2019, 12, 31, 15), pa.timestamp("us")),
    ],
)
def test_types_of_one_kind_come_in_one_form(values: pl.Series, kind: Any, first: Any, form: pa.DataType) -> None:
    table = raw_columns(pl.DataFrame({"x": values}), ["x"], [Rule(kind=kind)])
    assert table["x"].type == form
    assert table["x"].to_pylist() == [first, None]


def test_type_that_cannot_be_a_feature_is_told(desk: Desk) -> None:
    error = desk.refusal(pl.Series([b"a"] * ROWS), "pl.Binary", "", **AUTO)
    assert "Binary" in error.why


def test_order_of_the_rows_changes_nothing(desk: Desk) -> None:
    """The checked table stands in the order of the ids."""
    table = desk.check(*series("text"), **AUTO)
    assert np.array_equal(table.ids, np.arange(ROWS))
    assert table.columns["column"].to_pylist() == series("text")[0].to_list()
