"""What a search will do, and what keeps it from starting."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support import make_spec

from runner.errors import PolicyError, SpecError
from runner.policy.flows import NEXT_TRIAL
from runner.sweep.jobs import Sweep
from runner.tuning.plan import Plan, compose_trial, describe_search, plan_search
from runner.tuning.search import _note

SMALL = ("crypto=ou_2048", "sgb.num_boost_round=2")


def plan(*overrides: str) -> Plan:
    return plan_search(make_spec("tune=optuna", *overrides), ["tune=optuna", *overrides])


@pytest.fixture(scope="module")
def planned() -> Plan:
    return plan(*SMALL, "tune.trials=3", "sweep.parallel=2", "++tune.space.sgb.max_depth={int: [2, 8]}")


def test_trial_is_typed_as_the_search_was_without_what_concerns_the_search(planned: Plan) -> None:
    trial = ("tune=none", "++data.split.hold_out=validation", "++sgb.max_depth=5")
    assert planned.overrides({"sgb.max_depth": 5}) == (*SMALL, "sweep.parallel=2", *trial)
    assert compose_trial(planned.overrides({"sgb.max_depth": 5})).sgb.max_depth == 5
    assert planned.command() == "python -m runner crypto=ou_2048 sgb.num_boost_round=2"


def test_command_finds_the_users_own_configuration(planned: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["runner", "--config-dir", "my own", "tune=optuna"])
    assert planned.command().startswith("python -m runner --config-dir 'my own' crypto=ou_2048")


def test_plan_says_who_leads_and_what_others_learn(planned: Plan) -> None:
    assert (planned.leader, planned.shown) == ("carol", True)
    told = [decision.flow for decision in planned.decisions if decision.flow.form == NEXT_TRIAL]
    assert [(flow.sender, flow.receiver) for flow in told] == [("carol", "alice"), ("carol", "bob")]
    described = describe_search(planned)
    assert "3 trials by tpe from seed 0: maximize auc" in described
    assert "sgb.max_depth: {'int': [2, 8]}" in described
    assert "the test rows were left out" in described


def test_nobody_with_metrics_is_a_matter_of_the_policy() -> None:
    with pytest.raises(PolicyError) as caught:
        plan("policy=strict")
    assert caught.value.where == "policy.metrics.recipients"
    assert "policy.metrics.recipients=[carol]" in caught.value.fix


def test_nobody_with_metrics_and_curves_stops_no_training() -> None:
    with pytest.raises(PolicyError) as caught:
        plan("tune.pruner=median", "policy.curves.recipients=[bob]")
    assert caught.value.where == "policy.curves.recipients"


def test_folder_of_another_search_is_refused(planned: Plan, tmp_path: Path) -> None:
    with Sweep(tmp_path, planned.spec.sweep, compose_trial) as sweep:
        _note(sweep, planned)
        _note(sweep, planned)
        for other, where in (
            ("++tune.space.sgb.max_depth={int: [2, 9]}", "tune.space"),
            ("tune.seed=1", "tune.seed"),
            ("sgb.seed=1", "trials"),
        ):
            changed = plan(*SMALL, "++tune.space.sgb.max_depth={int: [2, 8]}", other)
            with pytest.raises(SpecError) as caught:
                _note(sweep, changed)
            assert caught.value.where == where
        _note(sweep, plan(*SMALL, "tune.trials=9", "++tune.space.sgb.max_depth={int: [2, 8]}"))
