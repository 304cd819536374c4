"""What the benchmarks of training rest on: tables of exact size, the same bins for all, and notes that last."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
from benchmarks import cases
from benchmarks.cases import Case, Notebook, in_buckets, is_test, make_tables


def test_tables_have_the_rows_that_were_asked_for(tmp_path: Path) -> None:
    paths = make_tables(Case(rows=80, features=5, parties=2, data="binned"), tmp_path)
    tables = {party: parquet.read_table(path) for party, path in paths.items()}
    ids = tables["carol"]["id"].to_pylist()
    assert ids == sorted(ids) == tables["alice"]["id"].to_pylist()
    assert [is_test(one) for one in ids].count(False) == 80
    assert tables["carol"].column_names == ["id", "f000", "f001", "f002", "label"]
    assert tables["alice"].column_names == ["id", "f003", "f004"]
    assert set(tables["alice"]["f003"].to_pylist()) == set(range(10))


def test_buckets_are_equal_shares_of_the_training_rows() -> None:
    values = np.random.default_rng(1).normal(size=(120, 2))
    training = np.arange(120) < 100
    found = in_buckets(values, training, 5)
    assert [np.bincount(column[training].astype(int)).tolist() for column in found.T] == [[20] * 5] * 2


def test_what_is_noted_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "RESULTS", tmp_path)
    first = Notebook("some")
    assert first.look_up(lambda: {"cpu": 1}, number=0) == {"cpu": 1}
    assert first.look_up(lambda: {"cpu": 2}, number=1) == {"cpu": 2}
    with first.path.open("a") as file:
        file.write('{"what": {"num')  # the machine stopped here
    again = Notebook("some")
    assert again.look_up(lambda: {"cpu": 9}, number=1) == {"cpu": 2}
    assert again.look_up(lambda: {"cpu": 3}, number=2) == {"cpu": 3}
    assert Notebook("some").look_up(lambda: {"cpu": 9}, number=2) == {"cpu": 3}


def test_other_code_is_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "RESULTS", tmp_path)
    Notebook("some").look_up(lambda: {"cpu": 1}, number=0)
    monkeypatch.setattr(cases, "source_digest", lambda: "of other code")
    assert Notebook("some").look_up(lambda: {"cpu": 9}, number=0) == {"cpu": 9}
