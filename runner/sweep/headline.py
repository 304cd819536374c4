"""The one number by which jobs of a sweep are compared: the first metric of the objective that the terminal may see."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

# Of each objective, what it is mostly judged by; then whatever else is there.
FIRST = {"logistic": "auc", "linear": "rmse", "tweedie": "deviance", "multiclass": "macro_auc"}
LESS_IS_BETTER = {"rmse", "mae", "deviance", "log_loss", "brier", "calibration_error"}
OTHERS = ("auc", "accuracy", "log_loss", "r2", "rmse", "mae", "deviance", "macro_auc", "macro_f1", "f1", "ks")


class Headline(NamedTuple):
    """A metric's name in ``metrics.json``, and its value; the mean over the folds of a cross-validation."""

    metric: str
    value: float


def headline(manifest: Mapping[str, Any]) -> Headline | None:
    """The run's headline, or None where no metric was shown to the terminal."""
    shown = manifest["observed"]["shown"].get("evaluate")
    if not shown:
        return None
    values = shown[0].get("mean", shown[0])
    for metric in (FIRST[manifest["hashed"]["spec"]["sgb"]["objective"]], *OTHERS):
        value = values.get(metric)
        if isinstance(value, (int, float)) and math.isfinite(value):
            return Headline(metric, float(value))
    return None


def best(found: Iterable[tuple[int, Headline | None]]) -> tuple[int, Headline] | None:
    """The job with the best headline, the first of equals; None where there is none, or they are of several metrics."""
    known = [(number, one) for number, one in found if one is not None]
    if len({one.metric for _, one in known}) != 1:
        return None
    sign = -1 if known[0][1].metric in LESS_IS_BETTER else 1
    return max(known, key=lambda pair: (sign * pair[1].value, -pair[0]))
