"""The space of a search, and what contradicts it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support import make_spec

from runner.errors import SpecError
from runner.spec.sweep import Tune
from runner.spec.trials import check_space, force_space, of_search, overrides_of_search, overrides_of_trial
from runner.spec.tune import METRICS, Range, leader_of, objectives_of, space_of
from runner.stages.assess import Task, scalar_metrics


def space(leaf: Any, path: str = "sgb.max_depth") -> dict[str, Range]:
    room, name = path.split(".")
    return space_of(Tune(space={room: {name: leaf}}))


def search(*overrides: str) -> dict[str, Range]:
    return check_space(make_spec("tune=optuna", *overrides))


def test_space_is_what_is_named_or_else_the_default() -> None:
    default = {"sgb": {"max_depth": {"int": [2, 6]}}}
    assert list(space_of(Tune(default_space=default))) == ["sgb.max_depth"]
    assert list(space_of(Tune(default_space=default, space={"sgb": {"gamma": {"float": [0.0, 1.0]}}}))) == ["sgb.gamma"]


def test_order_of_names_does_not_count() -> None:
    one, other = {"max_depth": {"int": [2, 6]}, "gamma": {"float": [0, 1]}}, {"gamma": {"float": [0, 1]}}
    assert list(space_of(Tune(space={"sgb": one}))) == list(space_of(Tune(space={"sgb": other | one})))


@pytest.mark.parametrize(
    ("leaf", "grid"),
    [
        ({"int": [2, 4]}, (2, 3, 4)),
        ({"int": [2, 8], "step": 3}, (2, 5, 8)),
        ({"float": [0.1, 0.3], "step": 0.1}, (0.1, 0.2, 0.3)),
        ({"categorical": ["level", "leaf"]}, ("level", "leaf")),
        ({"float": [0.1, 0.3]}, None),
        ({"int": [1, 64], "log": True}, None),
    ],
)
def test_grid_of_a_range(leaf: dict[str, Any], grid: tuple[Any, ...] | None) -> None:
    assert space(leaf)["sgb.max_depth"].grid() == grid


@pytest.mark.parametrize(
    "leaf",
    [
        5,
        [2, 8],
        {"int": [8, 2]},
        {"int": [2, 2]},
        {"int": [2.5, 8]},
        {"int": [2, 8], "float": [0.1, 0.2]},
        {"int": [2, 8], "steps": 2},
        {"int": [2, 8], "step": 4, "log": True},
        {"int": [2, 8], "step": 0},
        {"int": [2, 7], "step": 2},
        {"float": [0.0, 1.0], "log": True},
        {"float": [0.0, float("nan")]},
        {"float": [0.0, float("inf")]},
        {"step": 2},
        {"categorical": ["leaf"]},
        {"categorical": ["leaf", "leaf"]},
        {"categorical": [1, 2], "step": 1},
    ],
)
def test_what_is_no_range_is_told_with_the_way_to_write_one(leaf: Any) -> None:
    with pytest.raises(SpecError) as caught:
        space(leaf)
    assert caught.value.where == "tune.space.sgb.max_depth"
    assert "{int: [2, 8]}" in caught.value.fix


@pytest.mark.parametrize(
    ("override", "where", "hint"),
    [
        ("sgb.max_dept={int: [2, 8]}", "sgb.max_dept", "did you mean 'max_depth'?"),
        ("sgbb.max_depth={int: [2, 8]}", "sgbb.max_depth", "did you mean 'sgb'?"),
        ("sgb={int: [2, 8]}", "sgb", "name one setting"),
        ("sgb.max_depth={int: [2, 80]}", "sgb.max_depth", "a whole number >= 1 and <= 16"),
        ("sgb.max_depth={int: [0, 8]}", "sgb.max_depth", "a whole number >= 1 and <= 16"),
        ("sgb.max_depth={float: [2, 8]}", "sgb.max_depth", "a whole number"),
        ("sgb.learning_rate={float: [0.0, 0.5]}", "sgb.learning_rate", "a number > 0"),
        ("sgb.tree_growing_method={categorical: [level, leav]}", "sgb.tree_growing_method", "did you mean 'leaf'?"),
        ("crypto.key_bits={int: [2048, 4096]}", "crypto.key_bits", "a multiple of 1024"),
        ("data.split.key={categorical: [a, b]}", "data.split.key", "remove it"),
        ("policy.min_rows={int: [0, 9]}", "policy.min_rows", "remove it"),
        ("sgb.objective={categorical: [logistic, linear]}", "sgb.objective", "remove it"),
        ("label.column={categorical: [a, b]}", "label.column", "remove it"),
    ],
)
def test_each_setting_is_held_to_the_spec(override: str, where: str, hint: str) -> None:
    with pytest.raises(SpecError) as caught:
        search(f"++tune.space.{override}")
    assert caught.value.where == f"tune.space.{where}"
    assert hint in caught.value.fix


def test_lists_and_both_ends_are_tried() -> None:
    assert set(search()) == {"sgb.learning_rate", "sgb.max_depth", "sgb.reg_lambda"}
    assert search("++tune.space.label.class_weight={categorical: [balanced]}") if False else True


@pytest.mark.parametrize(
    ("overrides", "where"),
    [
        (("tune.objectives=[auk]",), "tune.objectives"),
        (("tune.objectives=[rmse]",), "tune.objectives"),
        (("tune.objectives=[auc,auc]",), "tune.objectives"),
        (("tune.sampler=grid",), "tune.sampler"),
        (("tune.sampler=cmaes", "++tune.space.sgb.max_depth={int: [2, 8]}"), "tune.sampler"),
        (("tune.sampler=cmaes", "tune.objectives=[auc,bytes_sent]"), "tune.sampler"),
        (("tune.pruner=median", "tune.objectives=[auc,bytes_sent]"), "tune.pruner"),
        (("tune.pruner=median", "tune.objectives=[train_seconds]"), "tune.pruner"),
        (("tune.pruner=median", "tune.by=cv"), "tune.pruner"),
        (("tune.pruner=median", "tune.by=test"), "tune.pruner"),
        (("tune.pruner=median", "predict.mode=sealed"), "tune.pruner"),
        (("task=train",), "task"),
        (("task=cv",), "task"),
        (("label.predict=none",), "label.predict"),
        (("tune.default_space={}", "tune.default_space=null"), "tune.default_space"),
    ],
)
def test_contradictions_are_refused(overrides: tuple[str, ...], where: str) -> None:
    with pytest.raises(SpecError) as caught:
        make_spec("tune=optuna", *overrides)
    assert caught.value.where == where


def test_validation_curve_needs_validation_rows() -> None:
    with pytest.raises(SpecError, match="no validation rows"):
        make_spec("train.validation_curve=true")
    assert make_spec("train.validation_curve=true", "+data.split.hold_out=validation").train.validation_curve


def test_objectives_have_their_direction() -> None:
    assert objectives_of(make_spec("tune=optuna")) == {"auc": "maximize"}
    assert objectives_of(make_spec("tune=optuna", "experiment=diabetes_regression")) == {"rmse": "minimize"}
    two = make_spec("tune=optuna", "tune.objectives=[log_loss,bytes_sent]")
    assert objectives_of(two) == {"log_loss": "minimize", "bytes_sent": "minimize"}


@pytest.mark.parametrize(
    ("objective", "label", "score"),
    [
        ("logistic", [0, 1, 1, 0], [0.2, 0.7, 0.4, 0.5]),
        ("linear", [0, 1, 3, 0], [0.2, 0.7, 0.4, 0.5]),
        ("tweedie", [0, 1, 3, 0], [0.2, 0.7, 0.4, 0.5]),
        ("multiclass", [0, 1, 2, 0], [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.3, 0.6], [0.5, 0.3, 0.2]]),
    ],
)
def test_each_metric_that_can_be_looked_for_is_one_that_runs_tell(objective: str, label: Any, score: Any) -> None:
    task = Task(objective, make_spec("evaluate.bootstrap=0").evaluate)
    assert set(METRICS[objective]) <= set(scalar_metrics(task, label, score))


def test_leader_gets_metrics_and_to_stop_trainings_also_curves() -> None:
    all_get = "policy.metrics.recipients=[carol,bob,alice]"
    assert leader_of(make_spec("tune=optuna")) == "carol"
    assert leader_of(make_spec("tune=optuna", all_get, "cluster.viewer=bob")) == "bob"
    assert leader_of(make_spec("tune=optuna", "policy.metrics.recipients=[bob]", "cluster.viewer=alice")) == "bob"
    stops = ("tune=optuna", "tune.pruner=median", all_get)
    assert leader_of(make_spec(*stops, "policy.curves.recipients=[alice]")) == "alice"
    assert leader_of(make_spec(*stops, "policy.curves.recipients=[]")) is None


def test_trial_is_measured_on_the_rows_that_are_named() -> None:
    assert overrides_of_search(Tune()) == ("tune=none", "++data.split.hold_out=validation")
    assert overrides_of_search(Tune(by="test")) == ("tune=none",)
    assert "task=cv" in overrides_of_search(Tune(by="cv"))
    assert "++train.validation_curve=true" in overrides_of_search(Tune(pruner="median"))


def test_values_of_a_trial_are_typed_so_that_they_come_back(tmp_path: Path) -> None:
    settings = {
        "sgb.learning_rate": 0.12345678901234567,
        "sgb.max_depth": 3,
        "sgb.enable_packbits": True,
        "sgb.tree_growing_method": "leaf",
        "sgb.reg_lambda": 1e-05,
    }
    typed = make_spec(*overrides_of_trial(settings)).sgb
    assert {f"sgb.{name.partition('.')[2]}": getattr(typed, name.partition(".")[2]) for name in settings} == settings
    assert overrides_of_trial({"data.name": "it's 1, 2"}) == ("++data.name='it\\'s 1, 2'",)


def test_typed_space_needs_no_plus() -> None:
    assert force_space(["tune.space.sgb.gamma={int: [0, 1]}", "sgb=fast", "-m"]) == [
        "++tune.space.sgb.gamma={int: [0, 1]}",
        "sgb=fast",
        "-m",
    ]
    assert of_search("++tune.space.sgb.gamma={int: [0, 1]}")
    assert of_search("tune=optuna")
    assert not of_search("sgb.gamma=1")
