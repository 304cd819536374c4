"""Stage `prepare` at one party: its own training rows alone are fitted, and no message has a name or a value."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from made_tables import made_table

from runner.data.table import CheckedTable
from runner.engine.site import Site
from runner.errors import DataError
from runner.keys.keyring import Keyring
from runner.prepare.rules import Rule
from runner.spec.prepare import Categories, Numbers, Prepare

TEST = np.array([False, False, False, True, True])
NUMBERS = pa.array([1.0, 3.0, None, 1000.0, None])
TEXTS = pa.array(["low", "high", "low", "CANARY", None], type=pa.large_string())
LABEL = np.array([0.0, 1.0, 1.0, 0.0, 0.0])
MEAN = Rule(kind="number", numbers=Numbers(missing="mean"))
TARGET = Rule(kind="category", categories=Categories(encode="target", smoothing=0.0))


@pytest.fixture(scope="module")
def stage(secretflow: None) -> ModuleType:
    from runner.stages import prepare

    return prepare


def table_of(texts: Rule = TARGET, label: Any = LABEL) -> CheckedTable:
    whole = made_table(np.arange(5), np.zeros((5, 2)), ["secret_x", "secret_t"], TEST, label=label)
    return replace(whole, columns=pa.table({"secret_x": NUMBERS, "secret_t": TEXTS}), rules=(MEAN, texts))


class Party:
    """One party's side, and what it told."""

    def __init__(self, folder: Path, table: CheckedTable) -> None:
        self.told: list[dict[str, Any]] = []
        nothing: Any = None
        self.site = Site("alice", folder, Keyring("alice", b"a" * 32), nothing, self._emit, table)

    def _emit(self, **event: Any) -> None:
        self.told.append(event)

    def file(self, name: str) -> Any:
        return json.loads((self.site.folder / name).read_bytes())


def test_training_rows_alone_are_fitted_and_all_rows_prepared(stage: ModuleType, tmp_path: Path) -> None:
    party = Party(tmp_path, table_of())
    stage._prepare(party.site, Prepare())
    assert party.site.features.tolist() == [[1.0, 0.5], [3.0, 1.0], [2.0, 0.5], [1000.0, 2 / 3], [2.0, 2 / 3]]
    assert party.site.preparation.features == ("secret_x", "secret_t")
    assert set(party.site.facts["prepare"]) == {"preparation", "features"}
    assert not (tmp_path / "features.json").exists(), "the features are the columns"
    assert party.told == []


def test_target_encoding_knows_noisy_labels_alone(stage: ModuleType, tmp_path: Path) -> None:
    noisy = np.array([1.0, 0.0, 1.0, 1.0, 1.0])
    found = []
    for number, label in enumerate((LABEL, 1 - LABEL)):
        party = Party(tmp_path / str(number), replace(table_of(label=label), noisy=noisy))
        stage._prepare(party.site, Prepare())
        found.append(party.site.features.tolist())
    assert found[0] == found[1]
    assert [row[1] for row in found[0]] == [1.0, 0.0, 1.0, 2 / 3, 2 / 3]


def test_what_is_left_out_is_told_by_numbers_alone(stage: ModuleType, tmp_path: Path) -> None:
    table = made_table(np.arange(5), np.column_stack([np.ones(5), np.arange(5), np.arange(5)]), ["k", "x", "y"], TEST)
    party = Party(tmp_path, table)
    stage._prepare(party.site, Prepare(drop_constant=True, drop_duplicates=True))
    assert party.site.preparation.features == ("x",)
    assert party.file("features.json") == {"x": "x: the value"}
    (notice,) = party.told
    assert notice["text"] == ("alice: features left out: 1 constant in the training rows, 1 that repeats another")


def test_unfit_columns_are_named_at_their_owner_alone(stage: ModuleType, tmp_path: Path) -> None:
    strict = Rule(kind="category", categories=Categories(encode="onehot", unseen="error"))
    party = Party(tmp_path, table_of(strict))
    with pytest.raises(DataError) as caught:
        stage._prepare(party.site, Prepare())
    text = str(caught.value)
    assert "1 of its columns have levels that no training row has" in text
    assert "secret" not in text
    assert "CANARY" not in text
    assert party.file("unfit_columns.json") == {"have levels that no training row has": {"secret_t": 1}}
    with pytest.raises(AssertionError, match="was not prepared"):
        _ = party.site.features


def test_model_that_was_brought_in_takes_numbers_without_holes_only(stage: ModuleType, tmp_path: Path) -> None:
    party = Party(tmp_path, table_of())
    with pytest.raises(DataError, match="cannot be prepared"):
        stage.prepare_as_it_is(party.site)
    assert party.file("unfit_columns.json") == {"hold no numbers": {"secret_t": 5}}
    matrix = np.arange(10.0).reshape(5, 2)
    party = Party(tmp_path, made_table(np.arange(5), matrix, ["x", "y"], TEST))
    stage.prepare_as_it_is(party.site)
    assert party.site.features.tobytes() == matrix.tobytes()


def test_part_gives_back_what_was_fitted(stage: ModuleType, tmp_path: Path) -> None:
    party = Party(tmp_path, table_of())
    stage._prepare(party.site, Prepare())
    fitted, features = party.site.preparation, party.site.features
    part = json.loads(json.dumps({"prepare": fitted.to_json()}))
    later = Party(tmp_path, replace(table_of(label=None), test=np.ones(5, dtype=bool)))
    stage.apply_preparation(later.site, stage.preparation_of(part))
    assert later.site.features.tobytes() == features.tobytes()
