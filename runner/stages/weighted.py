"""The metrics with a weight for each row, for many sets of weights at once: what the bootstrap resamples.

With all weights 1 they are those of :mod:`runner.stages.metrics`, and more; a test holds each equal to scikit-learn's.
``label`` and ``score`` have shape (rows,), all float64. A metric that is not defined (one class alone, a constant
label) is NaN. Nothing here leaves the process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from runner.stages.metrics import LEAST, THRESHOLD, unit_deviance

Array = NDArray[np.float64]
CALIBRATION_BINS = 10
# From weights, shape (sets, rows), to metric → shape (sets,).
Measure = Callable[[Array], Mapping[str, Array]]


def binary_metrics(label: Array, score: Array) -> Measure:
    """Metrics of probabilities against labels 0/1, as a function of the rows' weights.

    ``average_precision`` is the area under the precision-recall steps; ``brier`` the mean squared error of the
    probability (Brier, 1950); ``calibration_error`` the expected calibration error over ten bins of equal width
    (Naeini, Cooper and Hauskrecht, AAAI 2015).
    """
    order = np.argsort(-score, kind="stable")
    label, score = label[order], score[order]
    chosen, positive = score >= THRESHOLD, label == 1
    clipped = np.clip(score, LEAST, 1 - LEAST)
    loss = -np.where(positive, np.log(clipped), np.log(1 - clipped))
    named = chosen.astype(np.float64) + positive
    columns = [chosen & positive, named, chosen == positive, loss, (label - score) ** 2]
    summed = np.vstack([*columns, *_by_bin(label - score, score).T])
    starts = np.flatnonzero(np.append(True, np.diff(score) != 0))

    def measure(weights: Array) -> Mapping[str, Array]:
        weights = weights[:, order]
        total = weights.sum(axis=1)
        right, named, same, loss, squares, *bins = weighted_sums(weights, summed)
        return {
            **ranking(positive, starts, weights),
            "accuracy": same / total,
            "log_loss": loss / total,
            "f1": np.divide(2 * right, named, out=np.zeros_like(right), where=named > 0),
            "brier": squares / total,
            "calibration_error": np.abs(bins).sum(axis=0) / total,
        }

    return measure


def regression_metrics(label: Array, score: Array, power: float = 0.0) -> Measure:
    """RMSE, MAE, R², and the mean Tweedie deviance of ``power`` (0: the normal one), as a function of the weights."""
    residual = label - score
    summed = np.vstack([residual**2, label, label**2, np.abs(residual), unit_deviance(label, score, power)])

    def measure(weights: Array) -> Mapping[str, Array]:
        squares, mean, label_squares, size, deviance = weighted_sums(weights, summed) / weights.sum(axis=1)
        spread = label_squares - mean**2
        defined = spread > 1e-12 * label_squares
        return {
            "rmse": np.sqrt(squares),
            "mae": size,
            "r2": 1 - np.divide(squares, spread, out=np.full_like(squares, np.nan), where=defined),
            "deviance": deviance,
        }

    return measure


def ranking(positive: NDArray[np.bool_], starts: NDArray[np.int64], weights: Array) -> dict[str, Array]:
    """What depends on the order of the scores alone: rows from the highest score down, in steps at ``starts``."""
    hits, misses = weights * positive, weights * ~positive
    if len(starts) < len(positive):
        hits, misses = (np.add.reduceat(part, starts, axis=1) for part in (hits, misses))
    all_hits, all_misses = np.cumsum(hits, axis=1), np.cumsum(misses, axis=1)
    positives, negatives = all_hits[:, -1].copy(), all_misses[:, -1].copy()
    chosen = all_hits + all_misses
    precision = all_hits / np.maximum(chosen, np.finfo(np.float64).tiny)
    with np.errstate(invalid="ignore", divide="ignore"):
        area = np.einsum("ij,ij->i", hits, negatives[:, None] - all_misses + misses / 2)
        all_hits /= positives[:, None]
        all_misses /= negatives[:, None]
        return {
            "auc": area / (positives * negatives),
            "ks": np.abs(all_hits - all_misses).max(axis=1),
            "average_precision": np.einsum("ij,ij->i", hits, precision) / positives,
        }


def weighted_sums(weights: Array, values: Array) -> Array:
    """Shape (values, sets): weighted sums, in an order that no number of threads changes, as BLAS's would be."""
    found: Array = np.einsum("ij,kj->ki", weights, values)
    return found


def _by_bin(values: Array, score: Array) -> Array:
    """Shape (rows, bins): each row's value in the column of its bin of scores, 0 elsewhere."""
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]
    spread = np.zeros((len(values), CALIBRATION_BINS))
    spread[np.arange(len(values)), np.searchsorted(edges, score)] = values
    return spread
