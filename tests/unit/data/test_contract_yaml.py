"""Contracts in YAML: what they say is checked as pandera would, and what they may not say is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandera.errors
import pandera.polars as pa
import polars as pl
import pytest
from made_tables import matrix_of

from runner.data.check import FAILURES, check_table
from runner.data.contract import Contract, build_contract
from runner.data.contract_yaml import read_yaml_contract
from runner.data.rules import ColumnRules, IdRules
from runner.data.table import CheckedTable
from runner.errors import DataError
from runner.spec.parse import parse

Changed = Callable[..., dict[str, Any]]
GOOD = """\
columns:
  number: {dtype: str, matches: '^[A-Z]\\d{3}$', id: {strip: true, case: upper, zero_pad: 4}}
  second: {dtype: float, ge: 0, lt: 1e3}
  first: {dtype: int, isin: [1, 2, 3], unique: true}
  region: {dtype: category, isin: [north, south], nullable: true, feature: false}
  joined: {dtype: date, ge: 2001-01-01, prepare: {date: days}, feature: false}
  target: {dtype: int}
  whatever: {feature: false}
checks:
  - {name: first_is_less, expr: first <= second}
"""


def table() -> pl.DataFrame:
    """A table that keeps the contract, once its ids are normalised."""
    return pl.DataFrame(
        {
            "number": [" a001", "A002 ", "\tb003"],
            "second": [1.5, 2.5, 3.5],
            "first": [1, 2, 3],
            "region": ["north", None, "south"],
            "joined": pl.Series(["2001-01-01", "2020-02-03", None]).str.to_date(),
            "target": [0, 1, 1],
        }
    )


class Desk:
    """Writes alice's contract and table, builds the one and checks the other."""

    def __init__(self, folder: Path, changed: Changed) -> None:
        self.folder = folder
        self._changed = changed

    def write(self, text: str) -> Path:
        path = self.folder / "alice.yaml"
        path.write_text(text)
        return path

    def settings(self, text: str, reference: str, **changes: Any) -> dict[str, Any]:
        self.write(text)
        named = {
            "data.id": "number",
            "data.builtin": None,
            "data.tables.alice.path": str(self.folder / "alice.parquet"),
            "data.tables.alice.contract": str(self.folder / reference),
            "label.holder": "alice",
            "policy.predictions.recipients": ["alice"],
        }
        return self._changed({**named, **{name.replace("__", "."): value for name, value in changes.items()}})

    def build(self, text: str, reference: str = "alice.yaml", **changes: Any) -> Contract:
        return build_contract(parse(self.settings(text, reference, **changes)), "alice")

    def refusal(self, text: str, reference: str = "alice.yaml", **changes: Any) -> DataError:
        with pytest.raises(DataError) as caught:
            self.build(text, reference, **changes)
        error = caught.value
        assert all((error.what, error.why, error.fix))
        assert "alice.yaml" in error.where
        return error

    def check(self, frame: pl.DataFrame, text: str = GOOD) -> CheckedTable:
        frame.write_parquet(self.folder / "alice.parquet")
        settings = self.settings(text, "alice.yaml", task__name="predict", model="somewhere")
        return check_table(parse(settings), "alice", self.folder)

    def broken(self, frame: pl.DataFrame, text: str = GOOD) -> DataError:
        with pytest.raises(DataError) as caught:
            self.check(frame, text)
        return caught.value


@pytest.fixture
def desk(tmp_path: Path, changed: Changed) -> Desk:
    return Desk(tmp_path, changed)


def test_features_are_in_order(desk: Desk) -> None:
    assert desk.build(GOOD).features == ("second", "first")


def test_what_is_said_besides_the_checks_is_carried_through(desk: Desk) -> None:
    rules = desk.build(GOOD).rules
    assert {name: rule for name, rule in rules.items() if rule != ColumnRules()} == {
        "number": ColumnRules(id=IdRules(strip=True, case="upper", zero_pad=4)),
        "region": ColumnRules(feature=False),
        "joined": ColumnRules(prepare={"date": "days"}, feature=False),
        "whatever": ColumnRules(feature=False),
    }


def test_good_table_is_taken_with_its_ids_normalised(desk: Desk) -> None:
    prepared = desk.check(table())
    assert prepared.ids.tolist() == ["A001", "A002", "B003"]
    assert matrix_of(prepared).tolist() == [[1.5, 1], [2.5, 2], [3.5, 3]]


def test_whole_numbers_become_ids_of_one_length(desk: Desk) -> None:
    frame = table().with_columns(number=pl.Series([7, 1234, 12]))
    prepared = desk.check(frame, GOOD.replace("'^[A-Z]\\d{3}$'", "'^[0-9]{4}$'"))
    assert prepared.ids.tolist() == ["0007", "0012", "1234"]


def test_ids_that_are_alike_once_normalised_are_repeated(desk: Desk) -> None:
    error = desk.broken(table().with_columns(number=pl.Series(["a001", " A001", "B003"])))
    assert "number: field_uniqueness fails 2 times" in error.why


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"second": [-1.0, 2.5, 3.5]}, "second: greater_than_or_equal_to fails 1 time"),
        ({"second": [1000.0, 2.5, 3.5]}, "second: less_than fails 1 time"),
        ({"first": [1, 2, 4]}, "first: isin fails 1 time"),
        ({"first": [1, 1, 3]}, "first: field_uniqueness fails 2 times"),
        ({"first": ["1", "2", "3"]}, "first: dtype fails 1 time"),
        ({"number": ["A001", "A002", "12"]}, "number: str_matches fails 1 time"),
        ({"second": [1.5, 1.5, 2.5]}, "table: first_is_less fails 2 times"),
    ],
)
def test_broken_table_is_told_by_counts(desk: Desk, change: dict[str, Any], told: str) -> None:
    assert told in desk.broken(table().with_columns(**{name: pl.Series(column) for name, column in change.items()})).why


def test_failures_of_a_condition_are_whole_rows_for_the_party_alone(desk: Desk) -> None:
    error = desk.broken(table().with_columns(second=pl.Series([0.25, 2.5, 3.5])))
    assert "0.25" not in str(error)
    (failure,) = json.loads((desk.folder / FAILURES).read_text())
    assert json.loads(failure["failure_case"])["second"] == 0.25


def test_condition_that_comes_to_null_is_kept(desk: Desk) -> None:
    text = GOOD.replace("first <= second", "length(region) > 3")
    assert len(desk.check(table(), text).ids) == 3


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, pl.Enum(["n", "s"])])
def test_category_is_text_of_any_kind(desk: Desk, dtype: Any) -> None:
    schema = desk.build(GOOD.replace(", feature: false", "").replace("north, south", "n, s")).schema
    column = schema.columns["region"]
    checks = [check.error for check in column.checks]
    assert checks[0] == "dtype('category')"
    good = pl.DataFrame({"region": pl.Series(["n", "s"], dtype=dtype)})
    for check in column.checks[:2]:
        assert check(good.lazy(), "region").check_passed.collect().item()
    numbers = pl.DataFrame({"region": [1, 2]})
    assert not column.checks[0](numbers.lazy(), "region").check_passed.collect().item()


@pytest.mark.parametrize("time_zone", [None, "UTC"])
@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_time_of_any_precision_is_a_datetime(desk: Desk, unit: Any, time_zone: str | None) -> None:
    text = GOOD.replace("target: {dtype: int}", "target: {dtype: int}\n  at: {dtype: datetime}")
    column = read_yaml_contract("alice", desk.write(text), "", "alice.yaml").columns["at"]
    frame = pl.DataFrame({"at": pl.Series([10**14, 2 * 10**14]).cast(pl.Datetime(unit, time_zone))})
    assert pa.DataFrameSchema({"at": column}).validate(frame).height == 2
    with pytest.raises(pandera.errors.SchemaError):
        pa.DataFrameSchema({"at": column}).validate(frame.select(pl.col("at").dt.date()))


def test_limit_of_a_time_is_a_time(desk: Desk) -> None:
    text = GOOD.replace("target: {dtype: int}", "target: {dtype: int}\n  at: {dtype: datetime, gt: 1970-01-02}")
    column = read_yaml_contract("alice", desk.write(text), "", "alice.yaml").columns["at"]
    days = pl.DataFrame({"at": pl.Series([1, 2]).cast(pl.Date).cast(pl.Datetime)})
    assert pa.DataFrameSchema({"at": column}).validate(days.tail(1)).height == 1
    with pytest.raises(pandera.errors.SchemaError):
        pa.DataFrameSchema({"at": column}).validate(days)


@pytest.mark.parametrize("reference", ["alice.yaml:Alice", "alice.yaml:Bob"])
def test_file_may_hold_several_contracts(desk: Desk, reference: str) -> None:
    indented = GOOD.replace("\n", "\n    ")
    other = indented.replace("second", "other")
    contract = desk.build(f"contracts:\n  Alice:\n    {indented}\n  Bob:\n    {other}", reference)
    assert contract.features == ("second" if "Alice" in reference else "other", "first")


@pytest.mark.parametrize(
    ("text", "reference", "words"),
    [
        (GOOD, "alice.yaml:Alice", ("'Alice'", "file.yaml:Name")),
        ("contracts: {Alice: {columns: {}}}", "alice.yaml", ("''", "allowed: Alice")),
        ("contracts: {Alice: {columns: {}}}", "alice.yaml:Alize", ("did you mean 'Alice'?",)),
        ("contracts: {Alice: {columns: {}}}\ncolumns: {}", "alice.yaml:Alice", ("file.yaml:Name",)),
        ("contracts: 3", "alice.yaml:Alice", ("'Alice'",)),
        ("contracts: {Alice: 3}", "alice.yaml:Alice", ("contracts.Alice", "object")),
        ("- columns", "alice.yaml", ("columns", "missing")),
        ("", "alice.yaml", ("columns", "missing")),
        ("columns: {a: {}, a: {}}", "alice.yaml", ("cannot be read", "duplicate")),
        ("columns: [", "alice.yaml", ("cannot be read",)),
        (GOOD.replace("checks:", "check:"), "alice.yaml", ("'check' is no key", "did you mean 'checks'?")),
        (GOOD.replace("lt: 1e3", "lte: 1e3"), "alice.yaml", ("columns.second", "'lte'", "did you mean")),
        (GOOD.replace("dtype: float", "dtype: flaot"), "alice.yaml", ("second.dtype", "did you mean 'float'?")),
        (GOOD.replace("strip: true", "stripp: true"), "alice.yaml", ("number.id", "did you mean 'strip'?")),
        (GOOD.replace("case: upper", "case: Upper"), "alice.yaml", ("number.id.case", "'Upper'")),
        (GOOD.replace("zero_pad: 4", "zero_pad: 0"), "alice.yaml", ("number.id.zero_pad",)),
        (GOOD.replace("ge: 0", "ge: nought"), "alice.yaml", ("columns.second", "ge has a value that is no float")),
        (GOOD.replace("ge: 0", "ge: true"), "alice.yaml", ("columns.second",)),
        (GOOD.replace("ge: 2001-01-01", "ge: 2001-13-01"), "alice.yaml", ("columns.joined", "no date")),
        (GOOD.replace("isin: [1, 2, 3]", "isin: [1, x]"), "alice.yaml", ("columns.first", "isin")),
        (GOOD.replace("isin: [1, 2, 3]", "isin: []"), "alice.yaml", ("columns.first",)),
        (GOOD.replace("matches: '^[A-Z]", "matches: '^[A-Z"), "alice.yaml", ("columns.number", "regular expression")),
        (GOOD.replace("{dtype: int}", "{dtype: int, matches: x}"), "alice.yaml", ("columns.target", "dtype str")),
        (GOOD.replace("dtype: category, ", "dtype: category, ge: 1, "), "alice.yaml", ("columns.region", "numbers")),
        (GOOD.replace("first <= second", "frist <= second"), "alice.yaml", ("first_is_less", "did you mean 'first'?")),
        (GOOD.replace("first <= second", "first"), "alice.yaml", ("first_is_less", "true or false")),
        (GOOD.replace("name: first_is_less, ", ""), "alice.yaml", ("checks", "name")),
        (GOOD.replace("nullable: true", "id: {strip: true}"), "alice.yaml", ("region", "data.id")),
        (GOOD.replace("dtype: str, matches: '^[A-Z]\\d{3}$'", "dtype: int"), "alice.yaml", ("number", "str")),
    ],
)
def test_what_is_no_contract_is_told(desk: Desk, text: str, reference: str, words: tuple[str, ...]) -> None:
    error = desk.refusal(text, reference)
    assert [word for word in words if word not in str(error)] == []


@pytest.mark.parametrize(
    ("metadata", "word"),
    [("{'idd': {}}", "did you mean 'id'?"), ("{'id': {'stripp': True}}", "did you mean 'strip'?"), ("{'id': 3}", "id")],
)
def test_metadata_in_python_is_held_to_the_same_rules(desk: Desk, metadata: str, word: str) -> None:
    (desk.folder / "alice.py").write_text(
        "import pandera.polars as pa\nclass Alice(pa.DataFrameModel):\n    width: float\n    target: int\n"
        f"    number: str = pa.Field(metadata={metadata})\n"
    )
    with pytest.raises(DataError) as caught:
        desk.build("", "alice.py:Alice")
    assert word in str(caught.value)


def test_python_contract_normalises_too(desk: Desk) -> None:
    (desk.folder / "alice.py").write_text(
        "import pandera.polars as pa\nclass Alice(pa.DataFrameModel):\n    width: float\n    target: int\n"
        "    number: str = pa.Field(metadata={'id': {'strip': True, 'case': 'lower'}})\n"
    )
    contract = desk.build("", "alice.py:Alice")
    assert contract.normalise(table())["number"].to_list() == ["a001", "a002", "b003"]
