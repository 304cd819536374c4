"""A table that is checked in pieces is the one that is checked whole, in whatever order its rows come."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from runner.data.check import check_table
from runner.data.check_pieces import check_in_pieces, is_read_in_pieces
from runner.data.pieces import Pieces, open_table
from runner.data.table import CheckedTable, write_table
from runner.errors import DataError
from runner.spec.model import Spec
from runner.spec.parse import parse

Changed = Callable[..., dict[str, Any]]
ROWS, STEP = 1000, 64
KEY = b"k" * 32
CONTRACT = {
    "columns": {
        "number": {"dtype": "str"},
        "width": {"dtype": "float", "ge": 0, "nullable": True},
        "kind": {"dtype": "str", "nullable": True},
        "seen": {"dtype": "datetime"},
        "target": {"dtype": "int", "isin": [0, 1]},
    }
}
NUMBERS = {"number": {"dtype": "int"}, "width": {"dtype": "float"}, "target": {"dtype": "int"}}


def frame(rows: int = ROWS) -> pl.DataFrame:
    """A good table, in the order of its ids as the alphabet has it: P1, P10, P100, …; the last has an umlaut."""
    draw = np.random.default_rng(3)
    ids = [*sorted(f"P{row}" for row in range(max(0, rows - 1))), "Pü"][:rows]
    return pl.DataFrame(
        {
            "number": ids,
            "width": [None if row % 7 == 0 else value for row, value in enumerate(draw.uniform(0, 9, rows))],
            "kind": [None if row % 11 == 0 else f"kind {'long' * (row % 5)}" for row in range(rows)],
            "seen": [datetime(2024, 1, 1) + timedelta(minutes=row, microseconds=row) for row in range(rows)],
            "target": draw.integers(0, 2, rows),
        }
    )


def mixed(table: pl.DataFrame) -> pl.DataFrame:
    return table.sample(fraction=1.0, shuffle=True, seed=5)


class Desk:
    """Checks alice's table both ways."""

    def __init__(self, folder: Path, changed: Changed) -> None:
        self.folder = folder
        self._changed = changed

    def spec(self, table: pl.DataFrame, contract: dict[str, Any] = CONTRACT, form: str = "parquet") -> Spec:
        path = self.folder / f"alice.{form}"
        getattr(table, f"write_{form}")(path)
        (self.folder / "alice.yaml").write_text(json.dumps(contract))
        changes = {
            "task.name": "predict",
            "model": "RUN",
            "data.id": "number",
            "data.builtin": None,
            "data.tables.alice.path": str(path),
            "data.tables.alice.contract": str(self.folder / "alice.yaml"),
            "prepare": {**self._changed({})["prepare"], **AUTO},
            "label.holder": "alice",
            "predict.chunk_rows": STEP,
            "policy.predictions.recipients": ["alice"],
        }
        return parse(self._changed(changes))

    def in_pieces(self, spec: Spec) -> Pieces:
        descriptor = os.open(self.folder / "checked", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        assert is_read_in_pieces(spec, "alice")
        check_in_pieces(spec, "alice", self.folder, descriptor)
        found = open_table(descriptor, spec)
        assert isinstance(found, Pieces)
        return found

    def refusal(self, spec: Spec) -> DataError:
        with pytest.raises(DataError) as told:
            self.in_pieces(spec)
        assert "P1" not in str(told.value) + json.dumps(told.value.to_dict())
        return told.value


AUTO: dict[str, Any] = {}


@pytest.fixture
def desk(tmp_path: Path, changed: Changed, monkeypatch: pytest.MonkeyPatch) -> Desk:
    from support import make_spec

    from runner.spec.identity import spec_values

    monkeypatch.setitem(globals(), "AUTO", spec_values(make_spec("prepare=auto"))["prepare"])
    return Desk(tmp_path, changed)


def assert_same(pieces: Pieces, whole: CheckedTable) -> None:
    tables = list(pieces)
    assert [len(table.ids) for table in tables] == [STEP] * (len(whole.ids) // STEP) + [len(whole.ids) % STEP]
    assert np.concatenate([table.ids for table in tables]).tolist() == whole.ids.tolist()
    for name in whole.names:
        joined = [value for table in tables for value in table.columns[name].to_pylist()]
        assert joined == whole.columns[name].to_pylist()
        assert {table.columns[name].type for table in tables} == {whole.columns[name].type}
    for name in ("label", "test"):
        assert np.concatenate([getattr(table, name) for table in tables]).tolist() == getattr(whole, name).tolist()
    assert {(table.dtypes, table.rules, table.source) for table in tables} == {
        (whole.dtypes, whole.rules, whole.source)
    }
    assert pieces.id_digests(KEY) == [whole.id_digest(KEY)]
    assert pieces.counts() == whole.counts()
    assert (pieces.rows, pieces.count) == (len(whole.ids), len(tables))


@pytest.mark.parametrize("form", ["parquet", "csv", "ndjson", "ipc"])
@pytest.mark.parametrize("order", [frame, lambda: mixed(frame())])
def test_pieces_are_the_whole_table(desk: Desk, order: Callable[[], pl.DataFrame], form: str) -> None:
    typed = form in ("parquet", "ipc")
    contract = CONTRACT if typed else {"columns": {**CONTRACT["columns"], "seen": {"dtype": "str"}}}
    spec = desk.spec(order(), contract, form)
    assert_same(desk.in_pieces(spec), check_table(spec, "alice", desk.folder))


def test_ids_that_are_numbers_are_sorted_as_such(desk: Desk) -> None:
    table = mixed(frame()).with_columns(number=pl.int_range(-300, ROWS - 300).shuffle(seed=2))
    width = pl.col("width").fill_null(0.0)
    spec = desk.spec(table.select("number", width, "target"), {"columns": NUMBERS})
    assert_same(desk.in_pieces(spec), check_table(spec, "alice", desk.folder))


def test_nothing_is_left_beside_the_table(desk: Desk) -> None:
    spec = desk.spec(mixed(frame()))
    desk.in_pieces(spec)
    assert sorted(path.name for path in desk.folder.iterdir()) == ["alice.parquet", "alice.yaml", "checked"]


def test_id_that_comes_twice_in_two_pieces_is_found(desk: Desk) -> None:
    table = frame()
    twice = pl.concat([table, table[:3]])
    error = desk.refusal(desk.spec(twice))
    assert "an id comes twice: at least 3 rows" in error.why
    assert "number" in error.where


def test_id_that_comes_twice_across_the_border_of_pieces_is_found(desk: Desk) -> None:
    table = frame()
    assert "at least 1 rows" in desk.refusal(desk.spec(pl.concat([table[:STEP], table[STEP - 1 :]]))).why


def test_late_row_that_breaks_the_contract_is_found(desk: Desk) -> None:
    table = frame().with_columns(width=pl.when(pl.int_range(ROWS) == ROWS - 2).then(-1.0).otherwise("width"))
    error = desk.refusal(desk.spec(table))
    assert "width: greater_than_or_equal_to fails 1 time" in error.why


def test_empty_table_is_refused(desk: Desk) -> None:
    spec = desk.spec(frame()[:0])
    with pytest.raises(DataError, match="alice's table is empty"):
        check_in_pieces(spec, "alice", desk.folder, os.memfd_create("x"))


def test_unique_values_besides_the_id_are_refused(desk: Desk) -> None:
    columns = {**CONTRACT["columns"], "seen": {"dtype": "datetime", "unique": True}}
    assert "predict.chunk_rows" in desk.refusal(desk.spec(frame(), {"columns": columns})).why


def test_ids_of_two_columns_are_put_in_order_and_compared(desk: Desk) -> None:
    day = pl.Series([f"day {row % 7}" for row in range(ROWS)])
    table = mixed(frame().with_columns(day=day, number=pl.Series([f"P{row // 7}" for row in range(ROWS)])))
    contract = {"columns": {**CONTRACT["columns"], "day": {"dtype": "str"}}}
    spec = desk.spec(table, contract)
    spec = msgspec.structs.replace(spec, data=msgspec.structs.replace(spec.data, id=("number", "day")))
    assert_same(desk.in_pieces(spec), check_table(spec, "alice", desk.folder))
    pl.concat([table, table[:1]]).write_parquet(desk.folder / "alice.parquet")
    assert "an id comes twice: at least 1 rows" in desk.refusal(spec).why


def test_table_of_fewer_rows_is_read_at_once(desk: Desk) -> None:
    assert not is_read_in_pieces(desk.spec(frame(STEP)), "alice")


def test_table_that_was_read_whole_is_cut(desk: Desk) -> None:
    spec = desk.spec(mixed(frame()))
    whole = check_table(spec, "alice", desk.folder)
    memory = os.memfd_create("table")
    write_table(whole, memory)
    cut = open_table(memory, spec)
    assert isinstance(cut, Pieces)
    assert_same(cut, whole)
