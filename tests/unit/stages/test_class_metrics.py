"""The metrics of several classes are scikit-learn's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from runner.spec.evaluation import Evaluate
from runner.stages.assess import Task, metrics_by_group, scalar_metrics, shared_metrics, tables
from runner.stages.class_metrics import classes_shown, named, named_groups, named_tables

CLASSES = 4
TASK = Task("multiclass", Evaluate())


def evaluate_classes(label: Any, scores: Any) -> dict[str, Any]:
    return scalar_metrics(Task("multiclass", Evaluate(bootstrap=0)), label, scores)


def certain(*counts: tuple[int, int, int]) -> tuple[Any, Any]:
    """Labels and scores: so many rows of a class that are predicted to be of another."""
    label = np.repeat([of for of, _, _ in counts], [rows for _, _, rows in counts])
    said = np.repeat([said for _, said, _ in counts], [rows for _, _, rows in counts])
    classes = 1 + max(label.max(), said.max())
    return label, np.where(np.arange(classes) == said[:, None], 0.9, 0.1 / (classes - 1))


def theirs(label: Any, scores: Any) -> dict[str, float]:
    chosen, numbers = scores.argmax(axis=1), list(range(scores.shape[1]))
    each = sklearn_metrics.precision_recall_fscore_support(label, chosen, labels=numbers, zero_division=0.0)
    aucs = [sklearn_metrics.roc_auc_score(label == at, scores[:, at]) for at in numbers]
    found = {
        "accuracy": sklearn_metrics.accuracy_score(label, chosen),
        "log_loss": sklearn_metrics.log_loss(label, scores, labels=numbers),
        "macro_precision": np.mean(each[0]),
        "macro_recall": np.mean(each[1]),
        "macro_f1": np.mean(each[2]),
        "macro_auc": np.mean(aucs),
    }
    for at in numbers:
        own = zip(("precision", "recall", "f1", "auc"), (each[0][at], each[1][at], each[2][at], aucs[at]), strict=True)
        found |= {f"{name} [{at}]": value for name, value in own}
    return found


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(CLASSES, 60))
@settings(max_examples=60, deadline=None)
def test_metrics_are_scikit_learns(seed: int, rows: int) -> None:
    draw = np.random.default_rng(seed)
    label = np.concatenate([np.arange(CLASSES), draw.integers(0, CLASSES, rows - CLASSES)])
    scores = draw.integers(1, 6, (rows, CLASSES)) + 0.0
    scores /= scores.sum(axis=1, keepdims=True)
    assert evaluate_classes(label, scores) == pytest.approx(theirs(label, scores), abs=1e-9)


def test_class_that_no_row_has_counts_0_and_has_no_auc() -> None:
    scores = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1]])
    found = evaluate_classes([0, 1], scores)
    assert found["recall [2]"] == 0
    assert math.isnan(found["auc [2]"])
    assert found["macro_auc"] == 1
    assert found["macro_f1"] == pytest.approx(2 / 3)


def test_classes_get_their_names_where_they_may_be_known() -> None:
    found = named({"accuracy": 1.0, "f1 [0]": 0.5, "f1 [1]": 0.25}, ["asti", 7])
    assert found == {"accuracy": 1.0, "f1 [asti]": 0.5, "f1 [7]": 0.25}


def test_each_metric_has_an_interval_around_it_with_the_classes_name() -> None:
    draw = np.random.default_rng(3)
    label = draw.integers(0, CLASSES, 200)
    scores = draw.random((200, CLASSES)) + 0.7 * (np.arange(CLASSES) == label[:, None])
    found = named(scalar_metrics(TASK, label, scores / scores.sum(axis=1, keepdims=True)), ["a", "b", "c", "d"])
    bounds = found.pop("intervals")
    assert set(bounds) == set(found)
    for name in ("accuracy", "log_loss", "macro_f1", "macro_auc", "recall [a]", "auc [d]"):
        low, high = bounds[name]
        assert low < found[name] < high


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ([(0, 0, 30), (1, 1, 25), (2, 2, 20)], [0, 1, 2]),
        ([(0, 0, 30), (1, 1, 10), (2, 2, 10)], [0]),
        ([(0, 0, 30), (1, 1, 25), (2, 2, 19)], [0]),  # 2 alone would be what is left of the whole
        ([(0, 0, 30), (1, 1, 25), (2, 0, 25)], [0]),  # nothing is predicted to be 2
        ([(0, 0, 10), (1, 1, 10), (2, 2, 10)], []),
    ],
)
def test_classes_of_few_rows_are_not_shown_nor_what_would_give_them_away(counts: Any, shown: list[int]) -> None:
    label, scores = certain(*counts)
    assert classes_shown(label, scores, 20) == shown
    metrics = scalar_metrics(TASK, label, scores)
    for found in (shared_metrics(TASK, metrics, label, scores, 20), shared_metrics(TASK, metrics, label, scores, 0)):
        assert set(found) == set(found["intervals"]) | {"intervals"}
    named_ones = {name for name in shared_metrics(TASK, metrics, label, scores, 20) if "[" in name}
    assert named_ones == {f"{name} [{at}]" for name in ("precision", "recall", "f1", "auc") for at in shown}


def test_confusion_is_scikit_learns_and_its_lines_and_columns_hold_enough_rows() -> None:
    label, scores = certain((0, 0, 28), (0, 1, 4), (1, 1, 40), (1, 3, 1), (2, 2, 12), (2, 0, 3), (3, 3, 9), (3, 2, 2))
    own = tables(TASK, label, scores, 1)
    whole = sklearn_metrics.confusion_matrix(label, scores.argmax(axis=1)).tolist()
    assert own["confusion_of_classes"] == {"classes": ["0", "1", "2", "3"], "counts": whole}
    shared = tables(TASK, label, scores, 20)["confusion_of_classes"]
    assert shared == {"classes": ["0", "1", "others"], "counts": [[28, 4, 0], [0, 40, 1], [3, 0, 23]]}
    assert np.sum(shared["counts"], axis=0).min() >= 20 <= np.sum(shared["counts"], axis=1).min()
    again = named_tables({**own, "confusion_of_classes": shared}, ["red", "green", 7, 8])
    assert again["confusion_of_classes"]["classes"] == ["red", "green", "others"]


def test_groups_hold_to_the_floor_in_each_class_and_have_its_name() -> None:
    label, scores = certain((0, 0, 40), (1, 1, 8), (2, 2, 32), (0, 0, 30), (1, 1, 30), (2, 2, 30))
    split = np.repeat(["north", "south"], [80, 90])
    north, south = named_groups(metrics_by_group(TASK, label, scores, split, 20), ["a", "b", "c"])["groups"]
    assert {name for name in north if name.startswith("f1")} == {"f1 [a]"}
    assert {name for name in south["intervals"] if name.startswith("f1")} == {"f1 [a]", "f1 [b]", "f1 [c]"}
