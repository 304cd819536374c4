"""By which number jobs are compared."""

from __future__ import annotations

import math
from typing import Any

import pytest

from runner.sweep.headline import Headline, best, headline


def manifest(objective: str, shown: dict[str, Any] | None) -> dict[str, Any]:
    evaluated = {} if shown is None else {"evaluate": [shown]}
    return {"hashed": {"spec": {"sgb": {"objective": objective}}}, "observed": {"shown": evaluated}}


@pytest.mark.parametrize(
    ("objective", "shown", "expected"),
    [
        ("logistic", {"auc": 0.9, "accuracy": 0.8}, Headline("auc", 0.9)),
        ("logistic", {"accuracy": 0.8}, Headline("accuracy", 0.8)),
        ("logistic", {"auc": math.nan, "log_loss": 0.3}, Headline("log_loss", 0.3)),
        ("logistic", {"auc": None}, None),
        ("logistic", {"mean": {"auc": 0.7}, "sd": {"auc": 0.1}}, Headline("auc", 0.7)),
        ("linear", {"r2": 0.5, "rmse": 2.0}, Headline("rmse", 2.0)),
        ("tweedie", {"deviance": 1.5, "rmse": 2}, Headline("deviance", 1.5)),
        ("multiclass", {"accuracy": 0.5, "macro_auc": 0.75}, Headline("macro_auc", 0.75)),
        ("logistic", None, None),
    ],
)
def test_first_metric_that_is_shown(objective: str, shown: dict[str, Any] | None, expected: Headline | None) -> None:
    assert headline(manifest(objective, shown)) == expected


def test_best_is_the_highest_or_the_lowest_and_the_first_of_equals() -> None:
    assert best([(0, Headline("auc", 0.8)), (2, Headline("auc", 0.9)), (1, Headline("auc", 0.9))]) == (
        1,
        Headline("auc", 0.9),
    )
    assert best([(0, Headline("rmse", 3.0)), (1, Headline("rmse", 2.0)), (2, None)]) == (1, Headline("rmse", 2.0))


def test_nothing_is_best_of_different_metrics_or_of_none() -> None:
    assert best([(0, Headline("auc", 0.8)), (1, Headline("rmse", 2.0))]) is None
    assert best([(0, None)]) is None
