"""Rows that are left must be fit for what the run does with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_tables import made_table
from support import make_spec

from runner.data.usable import require_usable
from runner.errors import DataError

TABLE = made_table(
    np.arange(4),
    np.arange(4.0).reshape(4, 1),
    ("x",),
    np.array([False, True, False, True]),
    label=np.array([0.0, 1.0, 1.0, 1.0]),
)


def test_whole_table_is_fit() -> None:
    require_usable(make_spec(), TABLE)


@pytest.mark.parametrize(("rows", "lacking"), [([1, 3], "training"), ([0, 2], "test")])
def test_split_without_rows_is_refused(rows: list[int], lacking: str) -> None:
    with pytest.raises(DataError, match=f"no {lacking} rows"):
        require_usable(make_spec(), TABLE.with_rows(np.array(rows)))


def test_label_that_has_become_constant_is_refused() -> None:
    with pytest.raises(DataError, match="constant"):
        require_usable(make_spec(), TABLE.with_rows(np.array([1, 2])))


def test_a_model_is_applied_to_whatever_there_is() -> None:
    require_usable(make_spec("task=predict", "model=x"), TABLE.with_rows(np.array([1])))


def test_fold_that_leaves_no_two_labels_is_refused_with_its_own_settings() -> None:
    label, spec = np.array([0.0, 1.0, 0.0, 1.0]), make_spec("task=cv")
    with pytest.raises(DataError) as caught:
        require_usable(spec, replace(TABLE, label=label))
    assert "cv.by" in caught.value.fix


def test_class_of_which_no_fold_row_is_learnt_is_refused_with_its_own_settings() -> None:
    several = replace(TABLE, label=np.array([0.0, 2.0, 1.0, 2.0]), classes=np.array(["a", "b", "c"]))
    with pytest.raises(DataError, match="1 of 3 classes") as caught:
        require_usable(make_spec("task=cv", "sgb.objective=multiclass"), several)
    assert "cv.by" in caught.value.fix


def test_with_noise_nothing_is_told_of_classes_that_have_no_training_row() -> None:
    several = replace(TABLE, label=np.array([0.0, 2.0, 1.0, 2.0]), classes=np.array(["a", "b", "c"]))
    require_usable(make_spec("experiment=wine_multiclass", "privacy=label_dp", "privacy.classes=[a,b,c]"), several)
    with pytest.raises(DataError, match="1 of 3 classes"):
        require_usable(make_spec("experiment=wine_multiclass"), several)
