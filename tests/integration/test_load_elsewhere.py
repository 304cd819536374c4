"""A saved model on tables that are not those of the training, by parties with other keys or another name."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest
from integration.launch import SMALL, table_path, write_tables
from support import assert_told, type_command

pytestmark = pytest.mark.processes

ENVIRONMENT = {"PASS_OF_ALICE": "correct horse", "KEY_OF_BOB": "b0" * 32}
CONTRACTS = """
import pandera.polars as pa


class Turned(pa.DataFrameModel):
    {turned}


class More(pa.DataFrameModel):
    {more}


class Other(pa.DataFrameModel):
    {other}
"""


def assert_refused(done: subprocess.CompletedProcess[str], place: Path, code: int, *words: str) -> None:
    """It is told with these words, and nothing is predicted."""
    assert_told(done, code, *words)
    assert list(place.glob("outputs/*-*-*/**/predictions.parquet")) == []


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of parties of which one has a locked key and one has its key in the environment; typed in ``place``."""
    place = tmp_path_factory.mktemp("locked")
    write_tables(place)
    keys = ("+parties.alice.passphrase_env=PASS_OF_ALICE", "+parties.bob.key_env=KEY_OF_BOB")
    done = type_command(*SMALL, "cluster=debug", *keys, cwd=place, **ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    (folder,) = place.glob("outputs/*-*-*/*")
    folder.rename(place / "RUN")
    features = {party: pl.read_parquet(table_path(place, party)).columns[1:] for party in ("alice", "bob")}
    (place / "mine.py").write_text(
        CONTRACTS.format(
            turned="\n    ".join(["patient_id: str", *(f"{name}: float" for name in reversed(features["alice"]))]),
            more="\n    ".join(["patient_id: str", "extra: int", *(f"{name}: float" for name in features["bob"])]),
            other="\n    ".join(
                ["patient_id: str", "renamed: float", f"{features['bob'][1]}: int"]
                + [f"{name}: float" for name in features["bob"][2:]]
            ),
        )
    )
    return place


def test_a_locked_key_and_one_in_the_environment_are_no_files_of_the_open_kind(locked: Path) -> None:
    assert "scrypt" in (locked / "outputs/keys/alice/secret.key").read_text()
    assert not (locked / "outputs/keys/bob/secret.key").exists()
    contents = [path.read_bytes() for path in locked.rglob("*") if path.is_file()]
    for value in ENVIRONMENT.values():
        assert not any(value.encode() in content for content in contents)
    assert not any(bytes.fromhex(ENVIRONMENT["KEY_OF_BOB"]) in content for content in contents)


def test_model_is_applied_under_another_name_with_columns_turned_and_more_of_them(locked: Path) -> None:
    """alice is called zoe now; her columns come in another order, and bob has one more: the scores are the same.

    And such a run can be verified and repeated like any other.
    """
    table = table_path(locked, "alice")
    frame = pl.read_parquet(table)
    frame.select("patient_id", *reversed(frame.columns[1:])).write_parquet(locked / "zoe.parquet")
    pl.read_parquet(table_path(locked, "bob")).with_columns(extra=pl.lit(1, dtype=pl.Int64)).write_parquet(
        locked / "bob.parquet"
    )
    zoe = (
        "~parties.alice",
        "~data.tables.alice",
        "+parties.zoe.key_file=outputs/keys/alice/secret.key",
        "+parties.zoe.passphrase_env=PASS_OF_ALICE",
        "+parties.bob.key_env=KEY_OF_BOB",
        "+roles.zoe=alice",
        "+data.tables.zoe.path=zoe.parquet",
        "+data.tables.zoe.contract=mine.py:Turned",
        "data.tables.bob.path=bob.parquet",
        "data.tables.bob.contract=mine.py:More",
    )
    done = type_command("task=predict", "model=RUN", "cluster=debug", *zoe, cwd=locked, **ENVIRONMENT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bob: 1 of its columns are not in the model, and are not used" in done.stdout
    assert "extra" not in done.stdout + done.stderr
    (folder,) = locked.glob("outputs/*-*-*/*")
    after = pl.read_parquet(folder / "parties/carol/predictions.parquet")
    before = pl.read_parquet(locked / "RUN/parties/carol/predictions.parquet")
    again = after.filter(pl.col("patient_id").is_in(before["patient_id"].to_list()))
    assert again["score"].to_numpy().tobytes() == before["score"].to_numpy().tobytes()
    whose = [argument for argument in zoe if "data" not in argument and "roles" not in argument]
    done = type_command("task=verify", f"run={folder.relative_to(locked)}", *whose, cwd=locked, **ENVIRONMENT)
    assert done.returncode == 0, done.stdout + done.stderr
    done = type_command("task=reproduce", f"run={folder.relative_to(locked)}", cwd=locked, **ENVIRONMENT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "REPRODUCED (bit-identical)" in done.stdout
    shutil.rmtree(folder.parent)


def test_renamed_and_retyped_columns_end_the_run_with_names_at_their_owner_alone(locked: Path) -> None:
    frame = pl.read_parquet(table_path(locked, "bob"))
    renamed, retyped = frame.columns[1:3]
    other = frame.rename({renamed: "renamed"}).with_columns(pl.col(retyped).cast(pl.Int64))
    other.write_parquet(locked / "other.parquet")
    done = type_command(
        "task=predict",
        "model=RUN",
        "cluster=debug",
        "+parties.alice.passphrase_env=PASS_OF_ALICE",
        "+parties.bob.key_env=KEY_OF_BOB",
        "data.tables.bob.path=other.parquet",
        "data.tables.bob.contract=mine.py:Other",
        cwd=locked,
        **ENVIRONMENT,
    )
    assert_refused(done, locked, 8, "bob's features are not those of the training", "1 have another type")
    (folder,) = locked.glob("outputs/*-*-*/*")
    told = json.loads((folder / "parties/bob/feature_mismatch.json").read_bytes())
    assert told == {"missing": [renamed], "retyped": {retyped: "Int64, in training Float64"}}
    mine = folder / "parties/bob"
    others = [path for path in folder.rglob("*") if path.is_file() and mine not in path.parents]
    assert not any(name.encode() in path.read_bytes() for path in others for name in (renamed, retyped))
    assert not any(name in done.stdout + done.stderr for name in (renamed, retyped))
    assert json.loads((folder / "status.json").read_bytes())["state"] == "failed"
    assert not (folder / "manifest.json").exists()
    shutil.rmtree(folder.parent)


def test_rows_and_columns_that_break_the_contract_are_told_before_the_model_is_opened(locked: Path) -> None:
    frame = pl.read_parquet(table_path(locked, "carol"))
    missing, holed = frame.columns[-1], frame.columns[-2]
    first = pl.int_range(pl.len()) == 0
    frame.drop(missing).with_columns(pl.when(first).then(float("nan")).otherwise(holed).alias(holed)).write_parquet(
        locked / "carol.parquet"
    )
    done = type_command(
        "task=predict", "model=RUN", "cluster=debug", "data.tables.carol.path=carol.parquet", cwd=locked, **ENVIRONMENT
    )
    assert_refused(done, locked, 4, f"{holed}: finite_number fails 1 time", f"{missing}: the contract has it")
    shutil.rmtree(*locked.glob("outputs/*-*-*"))
