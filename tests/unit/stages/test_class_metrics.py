"""The metrics of several classes are scikit-learn's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from runner.stages.class_metrics import evaluate_classes, named

CLASSES = 4


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
