"""Quality of predictions of several classes, in NumPy; a test holds each number equal to scikit-learn's.

``label`` has shape (rows,): the number of each row's class; ``scores`` has shape (rows, classes), and rows sum to 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.stages.metrics import LEAST
from runner.stages.weighted import Measure, ranking, weighted_sums

Array = NDArray[np.float64]
PER_CLASS = ("precision", "recall", "f1", "auc")
OTHERS = "others"


def class_metrics(label: Any, scores: Any) -> Measure:
    """Accuracy, log-loss and the means over the classes (``macro_``), and each class's (``f1 [0]``), by rows' weights.

    A class's precision, recall and F1 are 0 where nothing is right; its AUC, of the class against the rest, is NaN
    where all rows are of it, or none; the mean AUC is over the classes that have one.
    """
    label, scores = np.asarray(label, dtype=np.int64), np.asarray(scores, dtype=np.float64)
    chosen, numbers = scores.argmax(axis=1), np.arange(scores.shape[1])
    own = np.clip(scores[np.arange(len(label)), label], LEAST, 1)
    of, said = label == numbers[:, None], chosen == numbers[:, None]
    summed = np.vstack([-np.log(own), label == chosen, of, said, of & said])
    areas = [_area(of[at], scores[:, at]) for at in numbers]

    def measure(weights: Array) -> Mapping[str, Array]:
        total = weights.sum(axis=1)
        loss, same, *counts = weighted_sums(weights, summed)
        actual, named, right = np.split(np.asarray(counts, dtype=np.float64), 3)
        each = {
            "precision": _share(right, named),
            "recall": _share(right, actual),
            "f1": _share(2.0 * right, actual + named),
            "auc": np.array([area(weights) for area in areas]),
        }
        return {
            "accuracy": same / total,
            "log_loss": loss / total,
            **{f"macro_{name}": _mean_of_known(each[name]) for name in PER_CLASS},
            **{f"{name} [{at}]": each[name][at] for at in numbers for name in PER_CLASS},
        }

    return measure


def classes_shown(label: Any, scores: Any, floor: int) -> list[int]:
    """The classes of which results may be shown: at least ``floor`` rows are of each, and predicted to be.

    Where the others together are fewer, the smallest of these is left out as well: else they could be found as the
    rest of the whole (complementary suppression; L. Cox, JASA 75, 1980).
    """
    classes = np.shape(scores)[1]
    both = np.array([np.bincount(of, minlength=classes) for of in _places(label, scores)])
    shown = sorted(np.flatnonzero(both.min(axis=0) >= floor).tolist(), key=lambda at: (-both[:, at].min(), at))
    left = both.sum(axis=1) - both[:, shown].sum(axis=1)
    while shown and len(shown) < classes and left.min() < floor:
        left = left + both[:, shown.pop()]
    return sorted(shown)


def only_shown(metrics: Mapping[str, Any], shown: Sequence[int], classes: int) -> dict[str, Any]:
    """The metrics without those of single classes that are not shown."""
    hidden = {f"{name} [{at}]" for at in set(range(classes)) - set(shown) for name in PER_CLASS}
    return _renamed(metrics, lambda key: None if key in hidden else key)


def class_tables(label: Any, scores: Any, least: int) -> dict[str, Any]:
    """How many rows of each class (a line) are predicted to be of which (a column), by the classes' numbers.

    Classes that :func:`classes_shown` leaves out are one line and one column together, the last ones.
    """
    classes = np.shape(scores)[1]
    shown = classes_shown(label, scores, least)
    size = len(shown) + (len(shown) < classes)
    place = np.full(classes, len(shown))
    place[shown] = np.arange(len(shown))
    counts = np.zeros((size, size), dtype=np.int64)
    np.add.at(counts, tuple(place[of] for of in _places(label, scores)), 1)
    return {
        "rows": len(label),
        "least_rows": max(1, least),
        "confusion_of_classes": {
            "classes": [str(at) for at in shown] + [OTHERS] * (size - len(shown)),
            "counts": counts.tolist(),
        },
    }


def named(metrics: Mapping[str, Any], names: Sequence[Any]) -> dict[str, Any]:
    """The same metrics, with the classes' names in place of their numbers."""
    keys = {f"{name} [{at}]": f"{name} [{own}]" for at, own in enumerate(names) for name in PER_CLASS}
    return _renamed(metrics, lambda key: keys.get(key, key))


def named_tables(tables: Mapping[str, Any], names: Sequence[Any]) -> dict[str, Any]:
    """The same tables, with the classes' names in place of their numbers."""
    confusion = tables["confusion_of_classes"]
    classes = [at if at == OTHERS else str(names[int(at)]) for at in confusion["classes"]]
    return {**tables, "confusion_of_classes": {**confusion, "classes": classes}}


def named_groups(groups: Mapping[str, Any], names: Sequence[Any]) -> dict[str, Any]:
    """The same metrics by group, with the classes' names in place of their numbers."""
    return {**groups, "groups": [named(group, names) for group in groups["groups"]]}


def _renamed(metrics: Mapping[str, Any], rename: Callable[[str], str | None]) -> dict[str, Any]:
    """With other names, also in ``intervals``; what has none is left out."""
    found = {}
    for key, value in metrics.items():
        name = rename(key)
        if name is not None:
            found[name] = _renamed(value, rename) if key == "intervals" else value
    return found


def _places(label: Any, scores: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The class that each row is of, and the class that it is predicted to be of."""
    return np.asarray(label, dtype=np.int64), np.asarray(scores).argmax(axis=1)


def _area(positive: NDArray[np.bool_], score: Array) -> Callable[[Array], Array]:
    order = np.argsort(-score, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(score[order]) != 0))
    return lambda weights: ranking(positive[order], starts, weights[:, order])["auc"]


def _share(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _mean_of_known(values: Array) -> Array:
    """The mean over the classes whose number is known; NaN where none is. Shape (classes, sets) to (sets,)."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    total: Array = np.where(known, values, 0).sum(axis=0)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
