"""The study of a search: the same search finds the same, whatever interrupts it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from support import make_spec

from runner.errors import BundleError
from runner.spec.model import Spec
from runner.worker.study import JOURNAL, Study

Trial = tuple[int, dict[str, Any]]


def searching(**tune: Any) -> Spec:
    spec = make_spec("tune=optuna")
    return msgspec.structs.replace(spec, tune=msgspec.structs.replace(spec.tune, **tune))


def go_on(folder: Path, spec: Spec, trials: int) -> list[Trial]:
    """Try so many, one after another; deeper trees are better."""
    study, found = Study(folder, spec), []
    for _ in range(trials):
        trial = study.ask()
        if trial is None:
            break
        found.append(trial)
        study.tell(trial[0], "done", [trial[1]["sgb.max_depth"] / 10] * len(study.objectives))
    study.close()
    return found


def place(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes"])
def test_interrupted_search_finds_what_it_would_have_found(tmp_path: Path, sampler: str) -> None:
    spec, apart = searching(sampler=sampler, startup=2), place(tmp_path, "apart")
    whole = go_on(place(tmp_path, "whole"), spec, 6)
    assert [number for number, _ in whole] == list(range(6))
    assert len({str(settings) for _, settings in whole}) == 6
    assert go_on(apart, spec, 4) + go_on(apart, spec, 2) == whole
    assert go_on(place(tmp_path, "other"), searching(sampler=sampler, startup=2, seed=1), 6) != whole


def test_trials_under_way_are_given_out_again_once_and_none_is_lost(tmp_path: Path) -> None:
    spec = searching()
    study = Study(tmp_path, spec)
    first, second = study.ask(), study.ask()
    study.tell(0, "done", [0.9])
    study.close()
    with (tmp_path / JOURNAL).open("ab") as journal:
        journal.write(b'{"op_code": 5, "half a li')  # as a killed process leaves it
    study = Study(tmp_path, spec)
    assert (study.ended()["done"], study.interrupted()) == (1, 1)
    assert study.ask() == second
    assert first is not None
    assert study.ask()[0] == 2  # type: ignore[index]
    study.tell(1, "done", [0.8])
    study.tell(1, "done", [0.1])
    assert study.best()[0]["values"] == {"auc": 0.9}
    study.close()


def test_study_belongs_to_one_process_at_a_time_and_to_its_party(tmp_path: Path) -> None:
    study = Study(tmp_path, searching())
    with pytest.raises(TimeoutError):
        Study(tmp_path, searching())
    assert (tmp_path / JOURNAL).stat().st_mode & 0o077 == 0
    study.close()


def test_damaged_study_is_told(tmp_path: Path) -> None:
    go_on(tmp_path, searching(), 1)
    content = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)
    (tmp_path / JOURNAL).write_bytes(b"".join([content[0], b"???\n", *content[1:]]))
    with pytest.raises(BundleError, match="record of the search is damaged"):
        Study(tmp_path, searching())


def test_grid_tries_every_value_once(tmp_path: Path) -> None:
    values = {"max_depth": {"int": [2, 4]}, "learning_rate": {"float": [0.1, 0.3], "step": 0.2}}
    spec = searching(sampler="grid", space={"sgb": values})
    found = go_on(tmp_path, spec, 4) + go_on(tmp_path, spec, 9)
    tried = sorted((settings["sgb.max_depth"], settings["sgb.learning_rate"]) for _, settings in found)
    assert tried == [(depth, rate) for depth in (2, 3, 4) for rate in (0.1, 0.3)]


def test_trial_without_a_number_for_each_objective_has_failed(tmp_path: Path) -> None:
    study = Study(tmp_path, searching(objectives=("auc", "log_loss")))
    for told in ([None, 0.1], [0.9, float("nan")], [0.9], []):
        number, _ = study.ask() or (-1, {})
        study.tell(number, "done", told)
    assert study.ended() == {"done": 0, "stopped": 0, "failed": 4}
    assert study.best() == []
    study.close()


def test_front_has_all_that_nothing_is_better_than(tmp_path: Path) -> None:
    study = Study(tmp_path, searching(objectives=("auc", "bytes_sent")))
    for job, told in enumerate(([0.9, 300.0], [0.8, 100.0], [0.7, 200.0])):
        number, _ = study.ask() or (-1, {})
        study.tell(number, "done", told, job)
    assert [(trial["trial"], trial["job"]) for trial in study.best()] == [(0, 0), (1, 1)]
    study.close()


@pytest.mark.parametrize("pruner", ["median", "successive_halving", "hyperband"])
def test_training_that_promises_little_is_stopped(tmp_path: Path, pruner: str) -> None:
    study = Study(tmp_path, searching(pruner=pruner, pruner_startup=2))
    stopped = []
    for trial in range(12):
        number, _ = study.ask() or (-1, {})
        level = 0.9 if trial % 2 == 0 else 0.5
        goes_on = all(study.goes_on(number, level + trees / 1000, trees) for trees in range(1, 10))
        stopped += [] if goes_on else [level]
        study.tell(number, "done" if goes_on else "stopped", [level] if goes_on else [])
    assert 0.5 in stopped
    assert study.ended()["stopped"] == len(stopped)
    assert study.best()[0]["values"] == {"auc": 0.9}
    study.close()


def test_nothing_is_stopped_by_none(tmp_path: Path) -> None:
    study = Study(tmp_path, searching(pruner_startup=0))
    for _ in range(4):
        number, _ = study.ask() or (-1, {})
        assert all(study.goes_on(number, 0.9 - number / 10, trees) for trees in range(1, 4))
        study.tell(number, "done", [0.9 - number / 10])
    study.close()
