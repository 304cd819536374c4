"""A search in real processes: trainings are stopped by their validation curve, and a second call goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from integration.launch import SMALL, table_path, write_tables
from support import type_command

from runner.data.split import held_out
from runner.spec.model import Split

pytestmark = pytest.mark.processes

SEARCH = (
    "tune=optuna",
    "tune.space.sgb.learning_rate={categorical: [0.3, 0.2, 0.01]}",
    "tune.sampler=grid",
    "tune.seed=3",
)
STOPS = ("tune.pruner=median", "tune.pruner_startup=1", "tune.objectives=[log_loss]", "hydra.sweep.dir=found")


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A place with a search of two trials, and then of a third in the same folder; and what both calls printed."""
    place = tmp_path_factory.mktemp("searched")
    write_tables(place)
    told = []
    for trials in (2, 3):
        done = type_command(*SEARCH, *STOPS, *SMALL, f"tune.trials={trials}", cwd=place)
        assert done.returncode == 0, done.stderr
        told.append(done.stdout)
    return place, told


def load(place: Path, *names: str) -> Any:
    return json.loads(place.joinpath("found", *names).read_bytes())


def test_second_call_goes_on_and_the_best_trial_is_told(searched: tuple[Path, list[str]]) -> None:
    place, (first, second) = searched
    assert "2 of 2 trials" in first
    assert "Trial 0" not in second
    assert [entry["attempts"] for entry in load(place, "sweep.json")["jobs"]] == [1, 1, 1]
    (best,) = load(place, "parties", "carol", "best.json")["best"]
    metrics = load(place, str(best["job"]), "parties", "carol", "metrics.json")
    assert best["values"] == {"log_loss": metrics["log_loss"]}
    assert f"Next         {best['command']}" in second
    assert {path.name for path in (place / "found" / "parties").iterdir()} == {"carol"}


def test_slow_learner_is_stopped_after_its_first_tree(searched: tuple[Path, list[str]]) -> None:
    place, _ = searched
    for number, job in enumerate(load(place, "sweep.json")["jobs"]):
        slow = "++sgb.learning_rate=0.01" in job["overrides"]
        assert load(place, str(number), "status.json")["state"] == ("stopped" if slow else "done")
        curve = load(place, str(number), "parties", "carol", "validation_curve.json")
        assert [point["trees"] for point in curve] == ([1] if slow else [1, 2])
        if not slow:
            metrics = load(place, str(number), "parties", "carol", "metrics.json")
            assert curve[-1]["log_loss"] == pytest.approx(metrics["log_loss"], abs=1e-6)
    assert len(list(place.glob("found/*/parties/*/validation_curve.json"))) == 3, "alice and bob get none"


def test_no_test_row_is_in_a_search(searched: tuple[Path, list[str]]) -> None:
    place, _ = searched
    ids = pl.read_parquet(table_path(place, "carol"))["patient_id"].to_numpy()
    test = set(ids[held_out(np.sort(ids), Split())[np.argsort(np.argsort(ids))]])
    predicted = pl.read_parquet(place / "found" / "0" / "parties" / "carol" / "predictions.parquet")["patient_id"]
    assert not test & set(predicted)
    counts = load(place, "0", "parties", "carol", "data.json")
    assert counts["rows"] == len(ids) - len(test)
    assert counts["test_rows"] == len(predicted)
