"""The metrics are scikit-learn's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from runner.stages.metrics import auc, evaluate_scores, f1, ks, log_loss, r2, rmse, training_metric

RNG = np.random.default_rng(3)
LABEL = RNG.integers(0, 2, 200).astype(float)
SCORES = {
    "distinct": RNG.random(200),
    "ties": RNG.integers(1, 5, 200) / 5,
    "constant": np.full(200, 0.3),
    "perfect": LABEL * 0.8 + 0.1,
    "reversed": 0.9 - LABEL * 0.8,
    "float32": RNG.random(200).astype(np.float32),
    "at the threshold": np.where(RNG.random(200) < 0.5, 0.5, RNG.random(200)),
}


@pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)
def test_logistic_metrics_are_scikit_learns(score: Any) -> None:
    found = evaluate_scores("logistic", LABEL, score)
    chosen = score >= 0.5
    false_alarms, hits, _ = sklearn_metrics.roc_curve(LABEL, score)
    expected = {
        "auc": sklearn_metrics.roc_auc_score(LABEL, score),
        "ks": np.max(np.abs(hits - false_alarms)),
        "accuracy": sklearn_metrics.accuracy_score(LABEL, chosen),
        "log_loss": sklearn_metrics.log_loss(LABEL, score.astype(np.float64)),
        "f1": sklearn_metrics.f1_score(LABEL, chosen, zero_division=0.0),
    }
    assert found == pytest.approx(expected, abs=1e-12)


def test_regression_metrics_are_scikit_learns() -> None:
    label = RNG.normal(size=100) * 50
    score = label + RNG.normal(size=100)
    expected = {
        "rmse": sklearn_metrics.root_mean_squared_error(label, score),
        "mae": sklearn_metrics.mean_absolute_error(label, score),
        "r2": sklearn_metrics.r2_score(label, score),
    }
    assert evaluate_scores("linear", label, score) == pytest.approx(expected)


@pytest.mark.parametrize("power", [1.01, 1.3, 1.5, 1.99])
def test_tweedie_metrics_are_scikit_learns_with_the_deviance_first(power: float) -> None:
    label = np.where(RNG.random(300) < 0.6, 0.0, RNG.gamma(2.0, 3.0, 300))
    score = RNG.gamma(3.0, 1.0, 300)
    found = evaluate_scores("tweedie", label, score, power=power)
    assert list(found) == ["deviance", "rmse", "mae", "r2"]
    assert found["deviance"] == pytest.approx(sklearn_metrics.mean_tweedie_deviance(label, score, power=power))
    assert found["rmse"] == pytest.approx(sklearn_metrics.root_mean_squared_error(label, score))


def test_certain_and_wrong_scores_cost_what_float32_allows() -> None:
    label, score = np.array([0.0, 1.0, 1.0]), np.array([1.0, 0.0, 1.0], dtype=np.float32)
    assert log_loss(label, score) == pytest.approx(sklearn_metrics.log_loss(label, score), rel=1e-4)
    assert math.isfinite(log_loss(label, score))


@pytest.mark.parametrize("label", [np.zeros(5), np.ones(5)])
def test_one_class_alone_has_no_auc_and_no_ks(label: Any) -> None:
    assert math.isnan(auc(label, np.arange(5.0)))
    assert math.isnan(ks(label, np.arange(5.0)))


def test_constant_label_has_no_r2() -> None:
    assert math.isnan(r2(np.ones(5), np.arange(5.0)))


def test_nothing_right_gives_an_f1_of_0() -> None:
    assert f1(np.zeros(3), np.zeros(3, dtype=bool)) == 0
    assert f1(np.ones(3), np.zeros(3, dtype=bool)) == 0
    assert f1(np.zeros(3), np.ones(3, dtype=bool)) == 0
    assert f1(np.ones(3), np.ones(3, dtype=bool)) == 1


def test_ks_sees_a_model_that_is_upside_down() -> None:
    assert ks(np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.1, 0.2, 0.3, 0.4])) == 1


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_columns_and_vectors_are_the_same(shape: tuple[int, ...]) -> None:
    flat = evaluate_scores("logistic", LABEL, SCORES["ties"])
    assert evaluate_scores("logistic", LABEL.reshape(shape), SCORES["ties"].reshape(shape)) == flat


def test_curve_is_auc_of_raw_scores_for_logistic() -> None:
    raw = np.log(SCORES["distinct"] / (1 - SCORES["distinct"]))
    assert training_metric("logistic", LABEL, raw.reshape(-1, 1)) == pytest.approx(auc(LABEL, SCORES["distinct"]))


def test_curve_is_rmse_for_linear_and_deviance_for_tweedie() -> None:
    raw = RNG.normal(size=200)
    assert training_metric("linear", LABEL, raw) == pytest.approx(rmse(LABEL, raw))
    expected = sklearn_metrics.mean_tweedie_deviance(LABEL, np.exp(raw), power=1.2)
    assert training_metric("tweedie", LABEL, raw, power=1.2) == pytest.approx(expected)


@pytest.mark.parametrize("raw", [0.25, np.array([0.25]), np.array([[0.25]])])
def test_curve_takes_the_one_initial_score_of_all_rows(raw: Any) -> None:
    assert training_metric("linear", LABEL, raw) == pytest.approx(rmse(LABEL, np.full(200, 0.25)))
