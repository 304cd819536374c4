"""A search that cannot go on: what it leaves alone, and which command goes on with it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support import make_spec

from runner.errors import PolicyError
from runner.sweep.record import read_record
from runner.sweep.state import read_state
from runner.tuning.search import search

SPENT = (
    "tune=optuna",
    "privacy=output_dp",
    "policy.privacy.budget={epsilon: 0.5}",
    "tune.trials=3",
    "policy.metrics.recipients=[alice,carol]",
)


def test_no_trial_follows_one_that_the_policy_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = (*SPENT, f"outputs={tmp_path}")
    monkeypatch.setattr(sys, "argv", ["runner", "-m", *overrides, "tune.seed=1,2"])
    folder = tmp_path / "sweep" / "0"  # the first of several searches
    with pytest.raises(PolicyError, match="budget"):
        search(make_spec(*overrides), overrides, folder)
    assert [job.attempts for job in read_record(folder).jobs] == [1]
    assert read_state(folder / "0") == "failed"
    told = capsys.readouterr().out.splitlines()
    go_on = [line for line in told if line.startswith("Goes on with ")]
    assert told[:2] == [f"Sweep folder {folder}", go_on[0]], "known before anything can be killed"
    assert [line.endswith(f" tune.seed=1,2 hydra.sweep.dir={tmp_path / 'sweep'}") for line in go_on] == [True, True]
