"""The bundled tables: real data, vertically split, each party's rows in an order of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer
from support import make_spec

from runner.data.builtin import ensure_builtin, write_builtin
from runner.errors import DataError

LABEL = "target"

PARTIES = ("alice", "bob", "carol")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    """Each party's table of breast_cancer."""
    folder = tmp_path_factory.mktemp("builtin")
    for party in PARTIES:
        write_builtin("breast_cancer", party, folder / party / "table.parquet", "patient_id")
    return {party: pl.read_parquet(folder / party / "table.parquet") for party in PARTIES}


def test_ten_features_each_and_the_label_at_carol_alone(tables: dict[str, pl.DataFrame]) -> None:
    for party, table in tables.items():
        assert table.height == 569
        features = [name for name in table.columns if name not in ("patient_id", LABEL)]
        assert len(features) == 10
        assert (LABEL in table.columns) == (party == "carol")
    names = [name for table in tables.values() for name in table.columns if name not in ("patient_id", LABEL)]
    assert len(set(names)) == 30


def test_same_ids_in_different_orders(tables: dict[str, pl.DataFrame]) -> None:
    orders = [table["patient_id"].to_list() for table in tables.values()]
    assert len({tuple(sorted(order)) for order in orders}) == 1
    assert len(set(orders[0])) == 569
    assert len({tuple(order) for order in orders}) == 3
    assert sorted(orders[0]) not in orders


def test_joined_by_id_they_are_the_data_set(tables: dict[str, pl.DataFrame]) -> None:
    joined = [table.sort("patient_id").drop("patient_id") for table in tables.values()]
    bunch = load_breast_cancer()
    features = pl.concat(joined, how="horizontal").drop(LABEL)
    assert np.array_equal(features.to_numpy(), bunch.data)
    assert features.columns == [str(name).replace(" ", "_") for name in bunch.feature_names]
    assert np.array_equal(joined[2][LABEL].to_numpy(), bunch.target)


@pytest.mark.parametrize(("party", "features"), [("alice", 4), ("bob", 3), ("carol", 3)])
def test_diabetes_is_split_too(tmp_path: Path, party: str, features: int) -> None:
    write_builtin("diabetes", party, tmp_path / "table.parquet", "number")
    table = pl.read_parquet(tmp_path / "table.parquet")
    assert table.shape == (442, 1 + features + (party == "carol"))
    assert table.columns[0] == "number"


def test_file_and_folder_are_the_partys_alone(tmp_path: Path) -> None:
    path = tmp_path / "alice" / "table.parquet"
    write_builtin("diabetes", "alice", path, "patient_id")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    """`data.tables.alice.path=alice.parquet` must not lock the user's working folder."""
    tmp_path.chmod(0o755)
    write_builtin("diabetes", "alice", tmp_path / "table.parquet", "patient_id")
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_bundled_table_is_made_at_its_own_place_only(tmp_path: Path) -> None:
    """A path that was mistyped is an error later, and not a new table."""
    own = f"outputs={tmp_path}"
    ensure_builtin(make_spec("data=diabetes", own, f"data.tables.alice.path={tmp_path}/diabets/table.parquet"), "alice")
    ensure_builtin(make_spec("data=diabetes", own, "data.builtin=null"), "alice")
    assert list(tmp_path.iterdir()) == []
    ensure_builtin(make_spec("data=diabetes", own), "alice")
    table = tmp_path / "data" / "diabetes" / "alice" / "table.parquet"
    assert table.is_file()
    table.write_bytes(b"the user's own")
    ensure_builtin(make_spec("data=diabetes", own), "alice")
    assert table.read_bytes() == b"the user's own"


@pytest.mark.parametrize(("name", "party"), [("iris", "alice"), ("breast_cancr", "alice"), ("diabetes", "dave")])
def test_unknown_data_set_or_party_is_refused(tmp_path: Path, name: str, party: str) -> None:
    with pytest.raises(DataError) as caught:
        write_builtin(name, party, tmp_path / "table.parquet", "patient_id")
    assert "breast_cancer" in caught.value.fix
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("party", PARTIES)
def test_unprepared_clinics_have_texts_and_holes_and_a_second_batch(tmp_path: Path, party: str) -> None:
    tables = {}
    for name in ("clinics_raw", "clinics_raw_later"):
        write_builtin(name, party, tmp_path / f"{name}.parquet", "patient_id")
        tables[name] = pl.read_parquet(tmp_path / f"{name}.parquet")
    first, later = tables.values()
    assert (first.height, later.height) == (569, 150)
    assert set(later.columns) - set(first.columns) == {"scanner"}
    assert set(later["patient_id"]) < set(first["patient_id"])
    assert pl.String in first.drop("patient_id").dtypes
    holed = [name for name in first.columns if first[name].null_count()]
    assert holed
    assert all(0.03 < first[name].null_count() / 569 < 0.15 for name in holed)
    if party == "alice":
        assert set(later["size"].unique()) - set(first["size"].unique()) == {"beyond the scale"}


def test_unprepared_clinics_are_the_real_measurements(tmp_path: Path) -> None:
    write_builtin("clinics_raw", "alice", tmp_path / "table.parquet", "patient_id")
    table = pl.read_parquet(tmp_path / "table.parquet").sort("patient_id")
    radius = load_breast_cancer().data[:, 0]
    present = table["mean_radius"].is_not_null().to_numpy()
    assert np.array_equal(table["mean_radius"].to_numpy()[present], radius[present])
    assert set(table.filter(pl.col("mean_radius") > 16)["size"].drop_nulls()) == {"large"}


def test_unaligned_clinics_know_other_patients_with_the_same_measurements(
    tables: dict[str, pl.DataFrame], tmp_path: Path
) -> None:
    known = []
    for party in PARTIES:
        write_builtin("unaligned_clinics", party, tmp_path / party / "table.parquet", "patient_id")
        table = pl.read_parquet(tmp_path / party / "table.parquet")
        assert table.join(tables[party], on=table.columns, how="semi").height == table.height
        known.append(set(table["patient_id"]))
    assert all(400 < len(patients) < 569 for patients in known)
    assert 300 < len(set.intersection(*known)) < min(map(len, known))
