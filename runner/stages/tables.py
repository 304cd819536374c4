"""Curves and tables of an evaluation, drawn from bins of rows with neighbouring scores.

Everything that one table says is a sum over whole bins, and every bin holds at least ``least`` rows: neither a point of
a curve nor the difference of two says anything about fewer. Rows of one score are never torn apart. There are about a
hundred bins at most. ``label`` and ``score`` have shape (rows,), float64; results are plain values for JSON.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.stages.metrics import unit_deviance

Array = NDArray[np.float64]
Places = NDArray[np.int64]
POINTS = 100  # of a curve
GROUPS = 10  # of a lift, calibration or residual table
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def binary_tables(label: Array, score: Array, thresholds: Sequence[float], least: int) -> dict[str, Any]:
    """ROC and precision-recall curves, lift and gain, calibration, and the confusion at thresholds.

    A threshold that would leave fewer than ``least`` rows between itself and the next is listed as suppressed.
    """
    order, least = np.argsort(-score, kind="stable"), max(1, least)
    label, score = label[order], score[order]
    cuts, kept = _bins(score, thresholds, least)
    hits = np.add.reduceat(label, cuts[:-1])
    rows = np.diff(cuts)
    all_hits, chosen = np.cumsum(hits), np.cumsum(rows)
    positives, negatives = float(all_hits[-1]), float(chosen[-1] - all_hits[-1])
    return {
        "rows": len(label),
        "positives": int(positives),
        "least_rows": least,
        "roc": {
            "false_positive_rate": [0.0, *_shares(chosen - all_hits, negatives)],
            "true_positive_rate": [0.0, *_shares(all_hits, positives)],
        },
        "precision_recall": {
            "recall": _shares(all_hits, positives),
            "precision": (all_hits / chosen).tolist(),
        },
        "lift": _lift(label, score, _merged(cuts, GROUPS, least)),
        "confusion": [_confusion(label, score, threshold, threshold in kept) for threshold in sorted(thresholds)],
    }


def regression_tables(label: Array, score: Array, power: float, least: int) -> dict[str, Any]:
    """Residuals (label less prediction): their summary, by rank, and by predicted value.

    Single residuals, as their quantiles would be, are there only where ``least`` allows bins of one row.
    """
    residual, least = label - score, max(1, least)
    by_size, by_score = np.sort(residual), np.argsort(score, kind="stable")
    ranks = _merged(_bins(by_size, (), least)[0], 2 * GROUPS, least)
    groups = _merged(_bins(score[by_score], (), least)[0], GROUPS, least)
    deviance = unit_deviance(label, score, power)
    found: dict[str, Any] = {
        "rows": len(label),
        "least_rows": least,
        "residuals": {"mean": float(residual.mean()), "standard_deviation": float(residual.std())},
        "residuals_by_rank": [
            {"rows": int(end - start), "mean": float(by_size[start:end].mean())}
            for start, end in itertools.pairwise(ranks)
        ],
        "by_prediction": [
            {
                "rows": len(rows),
                "mean_prediction": float(score[rows].mean()),
                "mean_label": float(label[rows].mean()),
                "rmse": float(np.sqrt(np.mean(residual[rows] ** 2))),
                "deviance": float(deviance[rows].mean()),
            }
            for rows in np.split(by_score, groups[1:-1])
        ],
    }
    if least == 1:
        values = np.quantile(residual, QUANTILES)
        found["residuals"]["quantiles"] = {f"{q:g}": float(v) for q, v in zip(QUANTILES, values, strict=True)}
    return found


def _bins(ordered: Array, thresholds: Sequence[float], least: int) -> tuple[Places, set[float]]:
    """Where bins of ``ordered`` scores begin and end (0 and the number of rows included), and which thresholds fit."""
    rows = len(ordered)
    allowed = np.append(np.flatnonzero(np.diff(ordered) != 0) + 1, rows)
    forced, kept = [0], set()
    for threshold in sorted(thresholds, reverse=True):
        place = int(np.sum(ordered >= threshold))
        if place in (forced[-1], rows):
            kept.add(threshold)
        elif min(place - forced[-1], rows - place) >= least:
            kept.add(threshold)
            forced.append(place)
    cuts = [0]
    step = max(least, -(-rows // POINTS))
    for end in (*forced[1:], rows):
        cuts += _between(allowed, cuts[-1], end, step, least)
    return np.array(cuts), kept


def _between(allowed: Places, start: int, end: int, step: int, least: int) -> list[int]:
    """Cuts after ``start``, the last at ``end``."""
    cuts = []
    while start < end:
        start = int(allowed[np.searchsorted(allowed, start + step)]) if start + step < end else end
        if end - start < least:
            start = end
        cuts.append(start)
    return cuts


def _merged(cuts: Places, groups: int, least: int) -> Places:
    """Some of the cuts: about ``groups`` groups of whole bins, of about as many rows each."""
    rows = int(cuts[-1])
    return np.array([0, *_between(cuts, 0, rows, max(least, -(-rows // groups)), least)])


def _lift(label: Array, score: Array, cuts: Places) -> list[dict[str, Any]]:
    """Groups of rows from the highest score down: how often the label is 1, beside what was predicted and overall."""
    overall, positives = float(label.mean()), float(label.sum())
    found = []
    for start, end in itertools.pairwise(cuts):
        rate = float(label[start:end].mean())
        found.append(
            {
                "rows": int(end - start),
                "share_of_rows": float(end / len(label)),
                "mean_score": float(score[start:end].mean()),
                "positive_rate": rate,
                "lift": rate / overall if overall else None,
                "gain": float(label[:end].sum() / positives) if positives else None,
            }
        )
    return found


def _confusion(label: Array, score: Array, threshold: float, shown: bool) -> dict[str, Any]:
    if not shown:
        return {"threshold": threshold, "suppressed": True}
    chosen, positive = score >= threshold, label == 1
    right, wrong = int(np.sum(chosen & positive)), int(np.sum(chosen & ~positive))
    missed, refused = int(np.sum(~chosen & positive)), int(np.sum(~chosen & ~positive))
    return {
        "threshold": threshold,
        "true_positives": right,
        "false_positives": wrong,
        "false_negatives": missed,
        "true_negatives": refused,
        "precision": right / (right + wrong) if right + wrong else None,
        "recall": right / (right + missed) if right + missed else None,
        "specificity": refused / (refused + wrong) if refused + wrong else None,
    }


def _shares(values: Array, total: float) -> list[float | None]:
    return (values / total).tolist() if total else [None] * len(values)
