"""On any labels and scores, ties and all, the metrics are scikit-learn's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from runner.stages.metrics import auc, deviance, evaluate_scores, ks

SCORES = st.sampled_from([0.1, 0.25, 0.5, 0.75, 0.9]) | st.floats(0.001, 0.999)


@st.composite
def scored(draw: st.DrawFn) -> tuple[Any, Any]:
    """Labels of both classes, and a score for each."""
    pairs = draw(st.lists(st.tuples(st.integers(0, 1), SCORES), min_size=2, max_size=40))
    label, score = (np.array(column, dtype=np.float64) for column in zip(*pairs, strict=True))
    assume(0 < label.sum() < len(label))
    return label, score


@given(given_=scored())
@settings(max_examples=100, deadline=None)
def test_logistic_metrics(given_: tuple[Any, Any]) -> None:
    label, score = given_
    false_alarms, hits, _ = sklearn_metrics.roc_curve(label, score, drop_intermediate=False)
    assert evaluate_scores("logistic", label, score) == pytest.approx(
        {
            "auc": sklearn_metrics.roc_auc_score(label, score),
            "ks": np.max(np.abs(hits - false_alarms)),
            "accuracy": sklearn_metrics.accuracy_score(label, score >= 0.5),
            "log_loss": sklearn_metrics.log_loss(label, score),
            "f1": sklearn_metrics.f1_score(label, score >= 0.5, zero_division=0.0),
        },
        abs=1e-12,
    )


@given(given_=scored())
@settings(max_examples=50, deadline=None)
def test_order_alone_counts_for_auc_and_ks(given_: tuple[Any, Any]) -> None:
    label, score = given_
    places = np.unique(score, return_inverse=True)[1].astype(float)
    assert auc(label, score) == auc(label, places)
    assert ks(label, score) == ks(label, places)
    assert auc(label, -score) == pytest.approx(1 - auc(label, score))
    assert ks(label, -score) == pytest.approx(ks(label, score))
    assert 0 <= ks(label, score) <= 1


@given(pairs=st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=2, max_size=30))
@settings(max_examples=50, deadline=None)
def test_regression_metrics(pairs: list[tuple[float, float]]) -> None:
    label, score = (np.array(column) for column in zip(*pairs, strict=True))
    assume(np.ptp(label) > 1e-3)
    assert evaluate_scores("linear", label, score) == pytest.approx(
        {
            "rmse": sklearn_metrics.root_mean_squared_error(label, score),
            "mae": sklearn_metrics.mean_absolute_error(label, score),
            "r2": sklearn_metrics.r2_score(label, score),
        },
        rel=1e-6,
    )


@given(
    pairs=st.lists(st.tuples(st.floats(0, 1e6), st.floats(1e-3, 1e6)), min_size=1, max_size=30),
    power=st.floats(1.01, 1.99),
)
@settings(max_examples=50, deadline=None)
def test_deviance_of_any_labels_from_0(pairs: list[tuple[float, float]], power: float) -> None:
    label, score = (np.array(column) for column in zip(*pairs, strict=True))
    expected = sklearn_metrics.mean_tweedie_deviance(label, score, power=power)
    assert deviance(label, score, power) == pytest.approx(expected, rel=1e-6, abs=1e-6)
