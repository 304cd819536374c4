"""Quality of predictions, in NumPy.

scikit-learn has all of these; importing it would cost a worker seconds, more than a small training. A test holds
each function equal to scikit-learn's. Arrays have shape (rows,) or (rows, 1); nothing here leaves the process.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
THRESHOLD = 0.5
LEAST = float(np.finfo(np.float32).eps)  # of a probability whose logarithm is taken


def evaluate_scores(objective: str, label: Any, score: Any, *, power: float = 1.5) -> dict[str, float]:
    """Test metrics of final scores: AUC, KS, accuracy, log-loss and F1 for logistic, else RMSE, MAE and R².

    For tweedie the mean deviance comes first; ``power`` is that of the variance.
    """
    label, score = _flat(label), _flat(score)
    if objective == "logistic":
        chosen = score >= THRESHOLD
        return {
            "auc": auc(label, score),
            "ks": ks(label, score),
            "accuracy": float(np.mean(chosen == (label == 1))),
            "log_loss": log_loss(label, score),
            "f1": f1(label, chosen),
        }
    found = {"rmse": rmse(label, score), "mae": float(np.mean(np.abs(label - score))), "r2": r2(label, score)}
    return {"deviance": deviance(label, score, power), **found} if objective == "tweedie" else found


def training_metric(objective: str, label: Any, raw: Any, *, power: float = 1.5) -> float:
    """The metric of the learning curve, from raw scores: AUC for logistic, RMSE for linear, deviance for tweedie."""
    label, raw = _flat(label), _flat(raw)
    if raw.size == 1:
        raw = np.broadcast_to(raw, label.shape)
    if objective == "logistic":
        return auc(label, raw)
    return deviance(label, np.exp(raw), power) if objective == "tweedie" else rmse(label, raw)


def auc(label: Array, score: Array) -> float:
    """Area under the ROC curve (Mann-Whitney U; ties count half); NaN where one class is missing."""
    positives = int(np.sum(label == 1))
    negatives = label.size - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    rank = (last - (count - 1) / 2)[place.reshape(-1)]
    return float((rank[label == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def ks(label: Array, score: Array) -> float:
    """Kolmogorov-Smirnov: the largest difference between true and false positive rate over all thresholds."""
    positives = int(np.sum(label == 1))
    negatives = label.size - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    order = np.argsort(-score, kind="stable")
    is_last_of_tie = np.append(np.diff(score[order]) != 0, True)
    hits = np.cumsum(label[order] == 1)[is_last_of_tie]
    false_alarms = np.cumsum(label[order] != 1)[is_last_of_tie]
    return float(np.max(np.abs(hits / positives - false_alarms / negatives)))


def log_loss(label: Array, score: Array) -> float:
    """Mean negative log-likelihood; scores are clipped to the resolution of float32, in which SGB computes them."""
    clipped = np.clip(score, LEAST, 1 - LEAST)
    return float(-np.mean(label * np.log(clipped) + (1 - label) * np.log(1 - clipped)))


def f1(label: Array, chosen: NDArray[np.bool_]) -> float:
    """Harmonic mean of precision and recall; 0 where nothing is right."""
    right = float(np.sum(chosen & (label == 1)))
    return 2 * right / float(np.sum(chosen) + np.sum(label == 1)) if right else 0.0


def rmse(label: Array, score: Array) -> float:
    """Root mean squared error."""
    return float(np.sqrt(np.mean((label - score) ** 2)))


def deviance(label: Array, score: Array, power: float) -> float:
    """Mean unit deviance of a Tweedie distribution (variance mean^power, 1 < power < 2); labels >= 0, scores > 0.

    Source: B. Jørgensen, "The Theory of Dispersion Models", Chapman & Hall 1997.
    """
    return float(np.mean(unit_deviance(label, score, power)))


def unit_deviance(label: Array, score: Array, power: float) -> Array:
    """Tweedie deviance of each row (Jørgensen, 1987), for ``power`` 0 (the normal one) or strictly between 1 and 2."""
    if power == 0:
        return (label - score) ** 2
    score = np.maximum(score, np.finfo(np.float64).tiny)
    found: Array = 2 * (
        label ** (2 - power) / ((1 - power) * (2 - power))
        - label * score ** (1 - power) / (1 - power)
        + score ** (2 - power) / (2 - power)
    )
    return found


def r2(label: Array, score: Array) -> float:
    """Share of the variance explained; NaN for a constant label."""
    spread = float(np.sum((label - label.mean()) ** 2))
    return 1 - float(np.sum((label - score) ** 2)) / spread if spread else float("nan")


def _flat(values: Any) -> Array:
    return np.asarray(values, dtype=np.float64).reshape(-1)
