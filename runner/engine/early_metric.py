"""The metric that early stopping and the monitor look at, where SecretFlow's own is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from secretflow.ml.boost.core.metric import metric_wrapper
from secretflow.ml.linear.ss_glm.core.distribution import DistributionTweedie


def mend_metric(booster: Any, parameters: Mapping[str, Any]) -> None:
    """Let a booster measure the Tweedie deviance of predictions from labels.

    SecretFlow 1.14 takes labels for predictions and predictions for labels: with a label of 0 its deviance is infinite,
    never improves, and early stopping keeps one tree.
    """
    if parameters["eval_metric"] != "tweedie_deviance":
        return
    power = parameters["tweedie_variance_power"]
    fit, distribution = booster.fit, DistributionTweedie(1, power)
    metric = metric_wrapper(lambda label, score: distribution.deviance(score, label), f"tweedie_deviance_{power}")

    def fit_mended(*arguments: Any, **named: Any) -> Any:
        return fit(*arguments, **{**named, "metric": metric})

    booster.fit = fit_mended
