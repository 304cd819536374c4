"""What a search shows on the way."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from support import make_spec

from runner.errors import StageError
from runner.sweep.jobs import JobResult
from runner.tuning import told as module
from runner.tuning.plan import plan_search
from runner.tuning.told import Told

FOLDER = Path("sweep")
OVERRIDES = ("tune=optuna", "tune.trials=6", "sweep.parallel=2")


def test_a_line_for_each_trial_and_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    said = io.StringIO()
    told = Told(plan_search(make_spec(*OVERRIDES), OVERRIDES), FOLDER, Console(file=said))
    told.goes_on({"done": 2, "stopped": 0, "failed": 0})
    best = [{"trial": 1, "values": {"auc": 0.9}}]
    error = StageError("it failed", where="here", why="so it is", fix="none")
    for trial in (2, 3):
        told.started(trial, trial, {"sgb.max_depth": trial})
    now[0] += 10
    told.ended(2, JobResult(2, "done", FOLDER / "2"), {"values": {"auc": 0.8, "bytes_sent": 1e6}, "best": best})
    now[0] += 10
    told.ended(3, JobResult(3, "failed", FOLDER / "3", error), {"values": None, "best": [*best, {"trial": 2}]})
    told.started(4, 2, {"sgb.max_depth": 2})
    told.ended(4, JobResult(2, "done", FOLDER / "2", skipped=True), {"values": None, "best": None})
    told.started(5, 4, {"sgb.max_depth": 4})
    told.ended(5, JobResult(4, "stopped", FOLDER / "4"), {"values": None, "best": None})
    assert said.getvalue().splitlines() == [
        "",
        "Trial 2      job 2: sgb.max_depth=2",
        "",
        "Trial 3      job 3: sgb.max_depth=3",
        "Trial 2      done in 10.0 s: AUC 0.8000, bytes sent 1,000,000",
        "Search       3 of 6 trials: 3 done, 1 running, about 10 s left, best: trial 1, AUC 0.9000",
        "Trial 3      failed: stage error: it failed (so it is)",
        "Search       4 of 6 trials: 3 done, 1 failed, about 15 s left, best: trials 1, 2",
        "",
        "Trial 4      job 2: sgb.max_depth=2",
        "Trial 4      done before",
        "Search       5 of 6 trials: 4 done, 1 failed, about 15 s left",
        "",
        "Trial 5      job 4: sgb.max_depth=4",
        "Trial 5      stopped in 0.0 s",
    ]
