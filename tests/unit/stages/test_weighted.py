"""The weighted metrics: with weights 1 scikit-learn's, with whole weights those of rows that are there repeatedly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics
from sklearn.calibration import calibration_curve

from runner.stages.metrics import evaluate_scores
from runner.stages.weighted import binary_metrics, regression_metrics

RNG = np.random.default_rng(5)
LABEL = RNG.integers(0, 2, 300).astype(float)
SCORES = {
    "distinct": RNG.random(300),
    "ties": RNG.integers(1, 5, 300) / 5,
    "constant": np.full(300, 0.3),
    "perfect": LABEL * 0.8 + 0.1,
    "at the threshold": np.where(RNG.random(300) < 0.5, 0.5, RNG.random(300)),
}
VALUES = RNG.gamma(2, 10, 300)
PREDICTED = VALUES * RNG.uniform(0.5, 1.5, 300)


def once(measure: Any, rows: int) -> dict[str, float]:
    return {name: float(values[0]) for name, values in measure(np.ones((1, rows))).items()}


@pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)
def test_binary_metrics_are_scikit_learns(score: Any) -> None:
    found = once(binary_metrics(LABEL, score), 300)
    headline = evaluate_scores("logistic", LABEL, score)
    assert {name: found[name] for name in headline} == pytest.approx(headline, abs=1e-12)
    assert found["average_precision"] == pytest.approx(sklearn_metrics.average_precision_score(LABEL, score))
    assert found["brier"] == pytest.approx(sklearn_metrics.brier_score_loss(LABEL, score))


def test_calibration_error_is_the_mean_gap_of_scikit_learns_calibration_curve() -> None:
    score = SCORES["distinct"]
    seen, predicted = calibration_curve(LABEL, score, n_bins=10)
    rows = np.histogram(score, bins=10, range=(0, 1))[0]
    expected = np.sum(rows / 300 * np.abs(seen - predicted))
    assert once(binary_metrics(LABEL, score), 300)["calibration_error"] == pytest.approx(expected)


@pytest.mark.parametrize("power", [0.0, 1.3, 1.5, 1.9])
def test_regression_metrics_are_scikit_learns(power: float) -> None:
    found = once(regression_metrics(VALUES, PREDICTED, power), 300)
    assert found == pytest.approx(
        {
            **evaluate_scores("linear", VALUES, PREDICTED),
            "deviance": sklearn_metrics.mean_tweedie_deviance(VALUES, PREDICTED, power=power),
        }
    )


def test_deviance_takes_labels_and_predictions_of_0() -> None:
    assert np.isfinite(once(regression_metrics(np.array([0.0, 1.0]), np.array([0.0, 0.0]), 1.5), 2)["deviance"])


@pytest.mark.parametrize("name", ["distinct", "ties"])
def test_weight_is_how_often_a_row_is_there(name: str) -> None:
    weights = RNG.integers(0, 4, size=(3, 300))
    together = binary_metrics(LABEL, SCORES[name])(weights.astype(float))
    predicted = regression_metrics(VALUES, PREDICTED, 1.5)(weights.astype(float))
    for which, weight in enumerate(weights):
        label, score = np.repeat(LABEL, weight), np.repeat(SCORES[name], weight)
        alone = once(binary_metrics(label, score), len(label))
        assert {metric: values[which] for metric, values in together.items()} == pytest.approx(alone, abs=1e-12)
        values, guesses = np.repeat(VALUES, weight), np.repeat(PREDICTED, weight)
        alone = once(regression_metrics(values, guesses, 1.5), len(values))
        assert {metric: values[which] for metric, values in predicted.items()} == pytest.approx(alone)


def test_what_one_class_alone_does_not_define_is_nan() -> None:
    found = once(binary_metrics(np.ones(4), np.arange(4) / 4), 4)
    assert {name for name, value in found.items() if np.isnan(value)} == {"auc", "ks"}
    assert np.isnan(once(regression_metrics(np.ones(4), np.arange(4.0)), 4)["r2"])
