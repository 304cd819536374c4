"""What rows count, and the score that a training starts from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight
from support import make_spec

from runner.errors import DataError
from runner.stages.weights import mean_score, row_weights

LABEL = np.array([0.0, 0, 0, 1, np.nan, 2, 1, 0])
TEST = np.array([False] * 6 + [True] * 2)


def site(weight: Any = None, classes: Any = None) -> Any:
    return SimpleNamespace(table=SimpleNamespace(weight=weight, classes=classes, test=TEST))


def weights(*overrides: str, **table: Any) -> Any:
    return row_weights(make_spec(*overrides), site(**table), LABEL[~TEST])


def test_without_a_setting_there_are_none() -> None:
    assert weights() is None


def test_column_is_that_of_training_rows_with_a_label() -> None:
    found = weights("label.weight=w", weight=np.arange(1.0, 9.0))
    assert found.tolist() == [[1.0], [2.0], [3.0], [4.0], [6.0]]


def test_balanced_is_scikit_learns() -> None:
    label = LABEL[~TEST][~np.isnan(LABEL[~TEST])]
    expected = compute_sample_weight("balanced", label)
    assert weights("label.class_weight=balanced").reshape(-1) == pytest.approx(expected)
    both = weights("label.class_weight=balanced", "label.weight=w", weight=np.arange(1.0, 9.0))
    assert both.reshape(-1) == pytest.approx(expected * [1, 2, 3, 4, 6])


def test_classes_are_named_as_in_the_table() -> None:
    named = weights("label.class_weight={red: 3}", classes=np.array(["blue", "red", "white"]))
    assert named.reshape(-1).tolist() == [1, 1, 1, 3, 1]
    assert weights("label.class_weight={0: 2, 2: 0.5}").reshape(-1).tolist() == [2, 2, 2, 1, 0.5]


def test_class_that_no_row_has_is_refused_without_naming_any() -> None:
    with pytest.raises(DataError) as caught:
        weights("label.class_weight={red: 3, green: 4}", classes=np.array(["blue", "red", "white"]))
    assert caught.value.what.startswith("label.class_weight names 1 of 2 classes")
    assert "green" not in str(caught.value)
    assert "blue" not in str(caught.value)


@pytest.mark.parametrize(("weight", "what"), [(1e-4, "1 weights are too small"), (1e13, "the weights are too large")])
def test_weights_that_the_encoding_would_lose_are_refused(weight: float, what: str) -> None:
    column = np.ones(8)
    column[1] = weight
    with pytest.raises(DataError) as caught:
        weights("label.weight=w", weight=column)
    assert caught.value.what == what


def test_largest_sum_that_is_taken_is_decrypted_as_it_was(encryption: Any) -> None:
    from heu import numpy as hnp
    from heu import phe

    encoder = phe.BatchFloatEncoder(phe.SchemaType.OU, scale=2**20)
    largest = np.array([[2.0**42, 0.25], [-(2.0**42), 1 / 1024]])
    sealed = encryption.encryptor().encrypt(hnp.array(largest, encoder))
    assert np.array_equal(encryption.decryptor().decrypt(sealed).to_numpy(encoder), largest)


@pytest.mark.parametrize(
    ("objective", "label", "score"),
    [
        ("logistic", [0, 0, 0, 1], np.log(1 / 3)),
        ("linear", [1, 2, 6], 3.0),
        ("tweedie", [0, 0, 6], np.log(2)),
        ("logistic", [1, 1], 10.0),
        ("tweedie", [0, 0], -10.0),
    ],
)
def test_mean_score_predicts_the_mean(objective: str, label: list[float], score: float) -> None:
    assert mean_score(objective, np.array(label, dtype=float).reshape(-1, 1), None) == pytest.approx(score)


def test_mean_score_is_weighted() -> None:
    assert mean_score("linear", np.array([[1.0], [4.0]]), np.array([[2.0], [1.0]])) == pytest.approx(2.0)
