"""All that an evaluation says of labels and scores, by objective. Pure NumPy; it runs inside the evaluator's process.

A new objective adds a line to ``_BY_OBJECTIVE``: its weighted metrics and its tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner.spec.evaluation import Evaluate
from runner.stages.bootstrap import intervals
from runner.stages.class_metrics import class_metrics, class_tables, classes_shown, only_shown
from runner.stages.metrics import evaluate_scores
from runner.stages.tables import binary_tables, regression_tables
from runner.stages.weighted import Measure, binary_metrics, regression_metrics

Array = NDArray[np.float64]
MOST_GROUPS = 20


class Task(NamedTuple):
    """What is evaluated and how.

    Attributes:
        objective: the training's; power: its Tweedie variance power.
        settings: the spec's section ``evaluate``.
        seed: of the bootstrap.
    """

    objective: str
    settings: Evaluate
    seed: int = 0
    power: float = 1.5


def scalar_metrics(task: Task, label: Any, score: Any) -> dict[str, Any]:
    """Metric → number (NaN where it is not defined), and ``intervals``: metric → [low, high] or None.

    Of several classes, ``score`` has shape (rows, classes).
    """
    classes = task.objective == "multiclass"
    label, score = _flat(label), np.asarray(score) if classes else _flat(score)
    measure = class_metrics(label, score) if classes else _BY_OBJECTIVE[task.objective].measure(task, label, score)
    further = {name: float(values[0]) for name, values in measure(np.ones((1, label.size))).items()}
    bounds = intervals(measure, label.size, task.settings.bootstrap, task.seed)
    plain = {} if classes else evaluate_scores(task.objective, label, score, power=task.power)
    return {**further, **plain, **({"intervals": bounds} if bounds else {})}


def shared_metrics(task: Task, metrics: Mapping[str, Any], label: Any, score: Any, floor: int) -> dict[str, Any]:
    """The metrics that others than the evaluator may have: no class's of fewer than ``floor`` rows."""
    if task.objective != "multiclass":
        return dict(metrics)
    return only_shown(metrics, classes_shown(label, score, floor), np.shape(score)[1])


def tables(task: Task, label: Any, score: Any, least: int) -> dict[str, Any]:
    """Curves and tables of which every bin holds at least ``least`` rows; of several classes, their confusion."""
    if task.objective == "multiclass":
        return {"objective": task.objective, **class_tables(label, score, least)}
    found = _BY_OBJECTIVE[task.objective].tables(task, _flat(label), _flat(score), least)
    return {"objective": task.objective, **found}


def metrics_by_group(task: Task, label: Any, score: Any, groups: Any, floor: int) -> dict[str, Any]:
    """Metrics of each group of at least ``floor`` rows; smaller ones are counted together.

    If those together are fewer than ``floor`` rows, the smallest other group is left out as well: else they could be
    found as the rest of the whole (complementary suppression; L. Cox, JASA 75, 1980).

    Args:
        groups: shape (rows,), texts.
    """
    label, score, groups = _flat(label), np.asarray(score), np.asarray(groups)
    names, counts = np.unique(groups, return_counts=True)
    ranked = [int(place) for place in np.argsort(-counts, kind="stable")]
    shown = [place for place in ranked if counts[place] >= max(1, floor)][:MOST_GROUPS]
    left = int(label.size - sum(counts[place] for place in shown))
    while shown and 0 < left < floor:
        left += int(counts[shown.pop()])
    found = []
    for place in shown:
        rows = groups == names[place]
        metrics = scalar_metrics(task, label[rows], score[rows])
        metrics = plain(shared_metrics(task, metrics, label[rows], score[rows], floor))
        found.append({"group": str(names[place]), "rows": int(counts[place]), **metrics})
    return {
        "column": task.settings.group_by,
        "groups": sorted(found, key=lambda group: str(group["group"])),
        "not_shown": {"groups": len(names) - len(shown), "rows": left},
    }


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same with None for NaN, which JSON does not have."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }


class _Kind(NamedTuple):
    measure: Callable[[Task, Array, Array], Measure]
    tables: Callable[[Task, Array, Array, int], dict[str, Any]]


def _power(task: Task) -> float:
    return task.power if task.objective == "tweedie" else 0.0


_BINARY = _Kind(
    lambda task, label, score: binary_metrics(label, score),
    lambda task, label, score, least: binary_tables(label, score, task.settings.thresholds, least),
)
_REGRESSION = _Kind(
    lambda task, label, score: regression_metrics(label, score, _power(task)),
    lambda task, label, score, least: regression_tables(label, score, _power(task), least),
)
_BY_OBJECTIVE = {"logistic": _BINARY, "linear": _REGRESSION, "tweedie": _REGRESSION}


def _flat(values: Any) -> Array:
    return np.asarray(values, dtype=np.float64).reshape(-1)
