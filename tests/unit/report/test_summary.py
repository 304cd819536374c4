"""The terminal's last lines."""

from __future__ import annotations

from typing import Any

import pytest
from support import make_spec

from runner.cluster.run import Outcome
from runner.report.summary import _metrics


@pytest.mark.parametrize(
    ("overrides", "shown", "line"),
    [
        ((), {"auc": None, "accuracy": 0.5}, "AUC not defined, accuracy 0.5000"),
        (
            ("task=cv",),
            {"mean": {"auc": 0.5, "ks": None}, "sd": {"auc": None, "ks": None}},
            "AUC 0.5000 (not defined), KS not defined (not defined); mean (standard deviation) over the folds",
        ),
    ],
)
def test_metric_that_the_rows_do_not_define_is_told_as_such(
    overrides: tuple[str, ...], shown: dict[str, Any], line: str
) -> None:
    outcome = Outcome()
    outcome.shown["evaluate"] = [shown]
    assert _metrics(make_spec(*overrides), outcome) == line
