"""The metric that early stopping and the monitor look at, where SecretFlow's own is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from secretflow.ml.boost.core.metric import metric_wrapper
from secretflow.ml.linear.ss_glm.core.distribution import DistributionTweedie
from secretflow.stats.core.metrics import mean_squared_error, roc_auc_score, root_mean_squared_error

_MEASURES: Mapping[str, Callable[[Any, Any], Any]] = {
    "roc_auc": roc_auc_score,
    "rmse": root_mean_squared_error,
    "mse": mean_squared_error,
}


def mend_metric(booster: Any, parameters: Mapping[str, Any]) -> None:
    """Let a booster measure what it should, and tell the other parties a plain number.

    SecretFlow 1.14 sends an array of JAX, which no party takes from another here. For the Tweedie deviance it takes
    labels for predictions and predictions for labels: with a label of 0 its deviance is infinite, never improves, and
    early stopping keeps one tree.
    """
    name = parameters["eval_metric"]
    if name == "tweedie_deviance":
        power = parameters["tweedie_variance_power"]
        name, distribution = f"{name}_{power}", DistributionTweedie(1, power)
        metric = _plain(lambda label, score: distribution.deviance(score, label), name)
    elif name in _MEASURES:
        metric = _plain(_MEASURES[name], name)
    else:
        return
    fit = booster.fit

    def fit_mended(*arguments: Any, **named: Any) -> Any:
        return fit(*arguments, **{**named, "metric": metric})

    booster.fit = fit_mended


def _plain(measure: Callable[[Any, Any], Any], name: str) -> Any:
    return metric_wrapper(lambda label, score: float(measure(label, score)), name)
