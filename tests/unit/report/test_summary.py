"""The terminal's last lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support import make_spec

from runner.cluster.run import Outcome
from runner.report.summary import _export, _metrics


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


SITE = ("cluster=remote", "parties=sites", "self_party=alice", "site=alice")


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (("policy.metrics.recipients=[alice,carol]",), "at alice, carol only; here in parties/alice/metrics.json"),
        (("policy=lab", "task=cv"), "at all only; here in parties/alice/cv.json"),
        ((), "at carol only; this terminal is alice's, who may not see them"),
    ],
)
def test_metrics_that_another_sites_terminal_shows(overrides: tuple[str, ...], line: str) -> None:
    assert _metrics(make_spec(*SITE, *overrides), Outcome()) == line


@pytest.mark.parametrize(
    ("at", "lines"),
    [
        ("alice", ["Exported     model m for onnx, the complete model:", "             run/parties/alice/export/"]),
        ("carol", ["Exported     model m for onnx, the complete model, at carol"]),
    ],
)
def test_model_that_is_exported_at_another_site(at: str, lines: list[str]) -> None:
    spec = make_spec(*SITE, "task=export", "model=RUN", "export.format=onnx", f"export.at={at}", "policy=lab")
    assert _export(spec, "m", Path("run")) == lines
