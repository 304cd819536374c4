"""Quality of predictions of several classes, in NumPy; a test holds each number equal to scikit-learn's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from runner.stages.metrics import Array, auc, f1

PER_CLASS = ("precision", "recall", "f1", "auc")


def evaluate_classes(label: Any, scores: Any) -> dict[str, float]:
    """Accuracy, log-loss and the means over the classes (``macro_``), and then each class's (``f1 [0]``).

    A class's precision, recall and F1 are 0 where nothing is right; its AUC, of the class against the rest, is NaN
    where all rows are of it, or none; the mean AUC is over the classes that have one.

    Args:
        label: shape (rows,): the number of each row's class.
        scores: shape (rows, classes): rows sum to 1.
    """
    label, scores = np.asarray(label, dtype=np.int64), np.asarray(scores, dtype=np.float64)
    chosen = scores.argmax(axis=1)
    each = [_one_class(label == at, chosen == at, scores[:, at]) for at in range(scores.shape[1])]
    limit = float(np.finfo(np.float32).eps)
    own = scores[np.arange(len(label)), label]
    aucs = [found["auc"] for found in each if not np.isnan(found["auc"])]
    means = {f"macro_{name}": float(np.mean([found[name] for found in each])) for name in PER_CLASS[:3]}
    return {
        "accuracy": float(np.mean(chosen == label)),
        "log_loss": float(-np.mean(np.log(np.clip(own, limit, 1)))),
        **means,
        "macro_auc": float(np.mean(aucs)) if aucs else float("nan"),
        **{f"{name} [{at}]": found[name] for at, found in enumerate(each) for name in PER_CLASS},
    }


def named(metrics: dict[str, float], names: Sequence[Any]) -> dict[str, float]:
    """The same metrics, with the classes' names in place of their numbers."""
    keys = {f"{name} [{at}]": f"{name} [{own}]" for at, own in enumerate(names) for name in PER_CLASS}
    return {keys.get(key, key): value for key, value in metrics.items()}


def _one_class(label: Any, chosen: Any, score: Array) -> dict[str, float]:
    right = float(np.sum(label & chosen))
    return {
        "precision": right / float(chosen.sum()) if right else 0.0,
        "recall": right / float(label.sum()) if right else 0.0,
        "f1": f1(label, chosen),
        "auc": auc(label.astype(np.float64), score),
    }
