"""Columns chosen and renamed, and tables that are too large or hold what float64 cannot."""

from __future__ import annotations

import json

import polars as pl
import pyarrow.parquet
import pytest
from made_sources import CANARY, CONTRACT, ROWS, Desk, frame, same
from made_tables import matrix_of

from runner.data.memory import free_memory, memory_for
from runner.data.source import load_table
from runner.spec.parse import parse


@pytest.mark.parametrize("suffix", ["arrow", "feather", "ipc"])
def test_arrow_file_is_the_table(reading: Desk, suffix: str) -> None:
    frame().write_ipc(reading.folder / f"t.{suffix}")
    assert same(reading.check(reading.folder / f"t.{suffix}"), reading.plain())


def test_arrow_file_that_is_none_is_told(reading: Desk) -> None:
    path = reading.folder / "t.arrow"
    path.write_bytes(CANARY.encode() * 9)
    assert "no whole Arrow file" in reading.refusal(path).why


def test_columns_of_one_name_are_told(reading: Desk) -> None:
    path = reading.folder / "t.parquet"
    twice = pyarrow.Table.from_arrays([pyarrow.array([1]), pyarrow.array([2])], names=["width", "width"])
    pyarrow.parquet.write_table(twice, path)
    assert "two of its columns have one name" in reading.refusal(path).why


def test_columns_are_renamed(reading: Desk) -> None:
    path = reading.folder / "t.parquet"
    frame().rename({"number": "ID", "width": "W (cm)"}).with_columns(pl.lit(CANARY).alias("other")).write_parquet(path)
    rename = {"number": "ID", "width": "W (cm)"}
    assert same(reading.check(path, {"rename": rename}), reading.plain())
    assert same(reading.check(path, {"rename": rename, "columns": frame().columns}), reading.plain())


def test_columns_are_renamed_by_the_partys_own_contract(reading: Desk) -> None:
    """Then no other party sees the names that the table has."""
    path = reading.folder / "t.csv"
    frame().rename({"number": "ID", "width": "W (cm)"}).write_csv(path)
    named = CONTRACT
    for name, old in (("number: str", "ID"), ("width: float", "W (cm)")):
        named = named.replace(name, f'{name} = pa.Field(metadata={{"source": "{old}"}})')
    reading.contract.write_text(named)
    assert same(reading.check(path), reading.plain())
    frame().drop("width").write_csv(path)
    error = reading.refusal(path)
    assert "width: the contract has it, and it is missing in the table" in error.why
    assert "W (cm)" not in str(error)


def test_columns_may_change_their_names_with_each_other(reading: Desk) -> None:
    path = reading.folder / "t.parquet"
    frame().rename({"width": "height", "height": "width"}).write_parquet(path)
    assert same(reading.check(path, {"rename": {"width": "height", "height": "width"}}), reading.plain())


@pytest.mark.parametrize(
    ("source", "setting", "named"),
    [
        ({"rename": {"width": "W"}}, "rename", "'W'"),
        ({"rename": {"width": "height"}}, "rename", "'width'"),
        ({"columns": ["number", "weight"]}, "columns", "'weight'"),
    ],
)
def test_names_that_do_not_fit_are_told(reading: Desk, source: dict[str, object], setting: str, named: str) -> None:
    error = reading.refusal(reading.folder / "plain.parquet", source)
    assert error.where == f"data.tables.alice.source.{setting}"
    assert named in error.what


def test_column_that_is_not_chosen_is_missing(reading: Desk) -> None:
    error = reading.refusal(reading.folder / "plain.parquet", {"columns": ["number", "height", "target"]})
    assert "width: the contract has it, and it is missing in the table" in error.why


def test_columns_that_are_not_needed_are_not_read(reading: Desk) -> None:
    """A thousand of them would not fit into the memory that is allowed."""
    path = reading.folder / "wide.parquet"
    frame().with_columns(pl.lit(1.0).alias(f"extra{at}") for at in range(1000)).write_parquet(path)
    assert same(reading.check(path, max_memory=0.0001), reading.plain())
    spec = parse(reading._changed({"data.builtin": None, "data.tables.alice.path": str(path)}))
    assert load_table(spec, "alice", ["width"]).frame.columns == ["width"]
    assert load_table(spec, "alice").frame.width == 1004


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.arrow", "t.jsonl"])
def test_table_larger_than_the_memory_is_refused_before_it_is_read(reading: Desk, name: str) -> None:
    path = reading.folder / name
    table = pl.concat([frame()] * 500)  # its repeated ids would be told, if it were read
    write = {
        "t.parquet": table.write_parquet,
        "t.csv": table.write_csv,
        "t.arrow": table.write_ipc,
        "t.jsonl": table.write_ndjson,
    }
    write[name](path)
    error = reading.refusal(path, max_memory=0.001)
    assert "too large: it takes about 0.00" in error.what
    assert "0.001 GiB may be used" in error.what
    assert f"{500 * ROWS:,} rows of 4 columns" in error.why or "rows of 4 columns" in error.why
    assert "data.max_memory" in error.why
    assert "data.tables.alice.source.columns" in error.fix
    assert "unique" in reading.refusal(path, max_memory=1.0).why
    if name == "t.csv":
        path.write_text("ragged,\n" + "x\n" * 50_000)
        assert "too large" in reading.refusal(path, max_memory=0.001).what, "before it is gone through"
        latin1 = {"csv": {"encoding": "latin1"}}
        assert "too large" in reading.refusal(path, latin1, max_memory=0.001).what


def test_share_of_the_free_memory_is_the_default(reading: Desk) -> None:
    spec = parse(reading._changed({}))
    assert 0 < memory_for(spec) < free_memory()
    assert memory_for(parse(reading._changed({"data.max_memory": 2.0}))) == 2 << 30


@pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1, 2**62])
def test_whole_number_that_float64_cannot_hold_is_told(reading: Desk, value: int) -> None:
    path = reading.folder / "t.parquet"
    heights = [value, value, *frame()["height"].to_list()[2:]]
    frame().with_columns(height=pl.Series(heights)).write_parquet(path)
    error = reading.refusal(path)
    assert "height: exact_in_float64 fails 2 times (whole numbers beyond 2^53" in error.why
    assert str(value) not in str(error)
    assert str(value) in json.dumps(json.loads((reading.folder / "data_failures.json").read_text()))


def test_whole_numbers_up_to_the_limit_are_kept(reading: Desk) -> None:
    path = reading.folder / "t.parquet"
    heights = [2**53, -(2**53), *frame()["height"].to_list()[2:]]
    frame().with_columns(height=pl.Series(heights)).write_parquet(path)
    assert matrix_of(reading.check(path))[:2, 1].tolist() == [2.0**53, -(2.0**53)]


def test_whole_numbers_of_any_size_are_ids(reading: Desk) -> None:
    path = reading.folder / "t.parquet"
    reading.contract.write_text(CONTRACT.replace("number: str", "number: int"))
    frame().with_columns(number=pl.int_range(ROWS) + 2**60).write_parquet(path)
    assert reading.check(path).ids.tolist() == [2**60 + row for row in range(ROWS)]
