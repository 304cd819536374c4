"""The space of a search, and what contradicts it."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import pytest
from support import make_spec

from runner.errors import SpecError
from runner.spec.evaluation import Evaluate
from runner.spec.identity import spec_values
from runner.spec.model import Spec
from runner.spec.parse import parse
from runner.spec.sweep import Tune
from runner.spec.trials import check_space, force_space, of_search, overrides_of_search, overrides_of_trial
from runner.spec.tune import METRICS, Range, leader_of, objectives_of, space_of
from runner.stages.assess import Task, scalar_metrics


def space(leaf: Any, path: str = "sgb.max_depth") -> dict[str, Range]:
    room, name = path.split(".")
    return space_of(Tune(space={room: {name: leaf}}))


NOISY = {"privacy": {"name": "output_dp", "epsilon": 1.0}, "policy__privacy": {"budget": {"epsilon": 9.0}}}


@cache
def defaults() -> dict[str, Any]:
    return spec_values(make_spec("tune=optuna"))


def search(**changes: Any) -> Spec:
    """The spec of a search with changes: ``tune__trials=3``."""
    values = copy.deepcopy(defaults())
    for path, value in changes.items():
        *sections, name = path.split("__")
        section = values
        for part in sections:
            section = section[part]
        section[name] = value
    return parse(values)


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
        ({"float": [0.1, 0.3], "step": 0.2}, (0.1, 0.3)),
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
    ("path", "leaf", "hint"),
    [
        ("sgb.max_dept", {"int": [2, 8]}, "did you mean 'max_depth'?"),
        ("sgbb.max_depth", {"int": [2, 8]}, "did you mean 'sgb'?"),
        ("sgb.max_depth", {"int": [2, 80]}, "a whole number >= 1 and <= 16"),
        ("sgb.max_depth", {"int": [0, 8]}, "a whole number >= 1 and <= 16"),
        ("sgb.max_depth", {"float": [2, 8]}, "a whole number"),
        ("sgb.learning_rate", {"float": [0.0, 0.5]}, "a number > 0"),
        ("sgb.tree_growing_method", {"categorical": ["level", "leav"]}, "did you mean 'leaf'?"),
        ("crypto.key_bits", {"int": [2048, 4096]}, "a multiple of 1024"),
        ("data.name", {"categorical": ["a", "b"]}, "remove it"),
        ("policy.min_rows", {"int": [0, 9]}, "remove it"),
        ("sgb.objective", {"categorical": ["logistic", "linear"]}, "remove it"),
        ("label.column", {"categorical": ["a", "b"]}, "remove it"),
    ],
)
def test_each_setting_is_held_to_the_spec(path: str, leaf: Any, hint: str) -> None:
    room, name = path.split(".")
    with pytest.raises(SpecError) as caught:
        check_space(search(tune__space={room: {name: leaf}}))
    assert caught.value.where == f"tune.space.{path}"
    assert hint in caught.value.fix


def test_section_is_no_setting() -> None:
    with pytest.raises(SpecError) as caught:
        check_space(search(tune__space={"sgb": {"int": [2, 8]}}))
    assert "name one setting" in caught.value.fix


def test_settings_that_take_all_of_their_range_may_be_searched() -> None:
    named = {
        "sgb": {"num_boost_round": {"int": [5, 50], "step": 5}, "gamma": {"float": [0, 2]}},
        "crypto": {"key_bits": {"int": [2048, 4096], "step": 1024}},
    }
    assert list(check_space(search(tune__space=named))) == ["crypto.key_bits", "sgb.gamma", "sgb.num_boost_round"]


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"tune__objectives": ["auk"]}, "tune.objectives"),
        ({"tune__objectives": ["rmse"]}, "tune.objectives"),
        ({"tune__objectives": ["auc", "auc"]}, "tune.objectives"),
        ({"tune__default_space": {}}, "tune.space"),
        ({"tune__sampler": "grid"}, "tune.sampler"),
        ({"tune__sampler": "cmaes", "tune__space": {"sgb": {"max_depth": {"int": [2, 8]}}}}, "tune.sampler"),
        ({"tune__sampler": "cmaes", "tune__objectives": ["auc", "bytes_sent"]}, "tune.sampler"),
        ({"tune__pruner": "median", "tune__objectives": ["auc", "bytes_sent"]}, "tune.pruner"),
        ({"tune__pruner": "median", "tune__objectives": ["train_seconds"]}, "tune.pruner"),
        ({"tune__pruner": "median", "tune__by": "cv"}, "tune.pruner"),
        ({"tune__pruner": "median", "tune__by": "test"}, "tune.pruner"),
        ({"tune__pruner": "median", "predict__mode": "sealed"}, "tune.pruner"),
        ({"task__name": "train"}, "task"),
        ({"task__name": "cv"}, "task"),
        ({"cluster__mode": "debug", "tune__objectives": ["auc", "bytes_sent"]}, "tune.objectives"),
        ({"label__predict": "none"}, "label.predict"),
        ({"resume": "outputs/run"}, "resume"),
        ({"privacy": {"name": "output_dp", "epsilon": 1.0}}, "policy.privacy.budget"),
        (
            {**NOISY, "policy__metrics__recipients": ["carol"]},
            "policy.metrics.recipients",
        ),
        (
            {
                **NOISY,
                "train__validation_curve": True,
                "data__split__hold_out": "validation",
            },
            "train.validation_curve",
        ),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], where: str) -> None:
    with pytest.raises(SpecError) as caught:
        search(**changes)
    assert caught.value.where == where


def test_a_search_is_led_from_one_machine() -> None:
    with pytest.raises(SpecError, match="a search over several sites"):
        make_spec("tune=optuna", "cluster=remote", "parties=sites", "self_party=alice", "site=alice")


def test_validation_curve_needs_validation_rows() -> None:
    with pytest.raises(SpecError, match="no validation rows"):
        search(train__validation_curve=True)
    assert search(train__validation_curve=True, data__split__hold_out="validation").train.validation_curve


def test_objectives_have_their_direction() -> None:
    assert objectives_of(search()) == {"auc": "maximize"}
    assert objectives_of(search(sgb__objective="linear")) == {"rmse": "minimize"}
    two = search(tune__objectives=["log_loss", "bytes_sent"])
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
    task = Task(objective, Evaluate(bootstrap=0))
    assert set(METRICS[objective]) <= set(scalar_metrics(task, label, score))


def test_leader_gets_metrics_and_to_stop_trainings_also_curves() -> None:
    def leader(metrics: list[str], **changes: Any) -> str | None:
        return leader_of(search(policy__metrics__recipients=metrics, **changes))

    assert leader_of(search()) == "carol"
    assert leader(["carol", "bob", "alice"]) == "carol"
    assert leader(["carol", "bob", "alice"], cluster__viewer="bob") == "bob"
    assert leader(["bob"], cluster__viewer="alice") == "bob"
    assert leader(["all"], policy__curves__recipients=["alice"], tune__pruner="median") == "alice"
    assert leader(["all"], policy__curves__recipients=[], tune__pruner="median") is None


def test_trial_is_measured_on_the_rows_that_are_named() -> None:
    assert overrides_of_search(Tune()) == ("tune=none", "++data.split.hold_out=validation")
    assert overrides_of_search(Tune(by="test")) == ("tune=none",)
    assert "task=cv" in overrides_of_search(Tune(by="cv"))
    assert "++train.validation_curve=true" in overrides_of_search(Tune(pruner="median"))


def test_values_of_a_trial_are_typed_so_that_they_come_back() -> None:
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


def test_who_has_the_exact_metrics_leads_no_search_by_noisy_ones() -> None:
    everybody = {"policy__metrics__recipients": ["all"]}
    assert leader_of(search(**everybody)) == "carol"
    assert leader_of(search(**everybody, **NOISY)) == "alice"
