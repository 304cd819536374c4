"""The user's menu: every choice in ``conf/`` gives a valid spec, and says in its first line what it is."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import make_spec

from runner.errors import SpecError
from runner.policy.decide import decide, require
from runner.spec.compose import config_dir
from runner.spec.request import TASKS, split_request
from runner.spec.sgb import SgbSettings
from runner.stages.metrics import evaluate_scores

CONF = Path(config_dir())
CHOICES = sorted((path.parent.name, path.stem) for path in CONF.glob("*/*.yaml"))
# What a choice cannot do without.
COMPANIONS = {
    "task=predict": ["model=outputs/some/run"],
    "task=export": ["model=outputs/some/run"],
    "task=import": ["import_from={alice: a, bob: b, carol: c}"],
}
REQUESTS = {("task", task) for task in TASKS}
compose_once = cache(make_spec)


def test_menu_is_found() -> None:
    assert len(CHOICES) >= 20
    assert {group for group, _ in CHOICES} == {path.name for path in CONF.iterdir() if path.is_dir()}
    assert not list(CONF.glob("*/*/*")), "a group is one folder deep"


@pytest.mark.parametrize(("group", "choice"), [c for c in CHOICES if c not in REQUESTS])
def test_every_choice_is_valid(group: str, choice: str) -> None:
    override = f"{group}={choice}"
    assert compose_once(override, *COMPANIONS.get(override, []))


def test_every_request_is_on_the_menu() -> None:
    assert set(CHOICES) >= REQUESTS


REQUESTED = {
    "verify": {"run": "RUN"},
    "reproduce": {"run": "RUN", "allow_overrides": True, "reproduce": {"vary": ["ports", "row_order"]}},
    "diff": {"run": "RUN", "other": "RUN"},
    "rekey": {"rekey": {"party": "alice"}},
}


@pytest.mark.parametrize("task", REQUESTED)
def test_a_request_takes_its_own_settings_and_no_others(task: str) -> None:
    named = {"task": {"name": task}}
    rest, request = split_request({**named, **REQUESTED[task], "sgb": {}})
    assert rest == {**named, "sgb": {}}
    assert request.run == REQUESTED[task].get("run")
    with pytest.raises(SpecError, match="is not given"):
        split_request(named)
    for other in REQUESTED.values():
        for foreign in set(other) - set(REQUESTED[task]):
            with pytest.raises(SpecError, match=f"{foreign} has no effect"):
                split_request({**named, **REQUESTED[task], foreign: other[foreign]})


@pytest.mark.parametrize(
    "wrong",
    [{"reproduce": {"vary": ["weather"]}}, {"reproduce": {"vary": "ports"}}, {"run": 5}, {"rekey": {"party": "Alice"}}],
)
def test_a_request_is_typed(wrong: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="is not valid"):
        split_request({"task": {"name": "reproduce"}, "run": "RUN", **wrong})


@pytest.mark.parametrize("experiment", [choice for group, choice in CHOICES if group == "experiment"])
def test_every_experiment_may_start(experiment: str) -> None:
    spec = compose_once(f"experiment={experiment}")
    assert spec.task.name == "train_predict"
    require(decide(spec))
    assert evaluate_scores(spec.sgb.objective, [0.0, 1.0], [0.25, 0.75])


@pytest.mark.parametrize("group", sorted({group for group, _ in CHOICES} - {"experiment"}))
def test_every_group_has_a_default_that_exists(group: str) -> None:
    defaults = yaml.safe_load((CONF / "config.yaml").read_text())["defaults"]
    (chosen,) = [entry[group] for entry in defaults if isinstance(entry, dict) and group in entry]
    assert (group, chosen) in CHOICES


def test_default_sgb_choice_writes_out_the_defaults() -> None:
    written = yaml.safe_load((CONF / "sgb" / "default.yaml").read_text())
    assert written == {name: getattr(SgbSettings(), name) for name in SgbSettings.__struct_fields__}


@pytest.mark.parametrize(("group", "choice"), [c for c in CHOICES if c[0] in ("crypto", "sgb", "policy", "data")])
def test_choice_begins_with_a_line_for_the_help(group: str, choice: str) -> None:
    first = (CONF / group / f"{choice}.yaml").read_text().splitlines()[0]
    assert first.startswith("# ")
    assert len(first) > 20


@pytest.mark.parametrize("choice", [choice for group, choice in CHOICES if group == "policy"])
def test_policy_choice_is_named_after_its_file(choice: str) -> None:
    assert compose_once(f"policy={choice}").policy.name == choice


def test_default_policy_shows_results_to_the_label_holder_alone() -> None:
    policy = make_spec("label.holder=alice").policy
    assert policy.predictions.recipients == policy.metrics.recipients == ("alice",)


def test_outputs_move_everything_that_is_written() -> None:
    spec = make_spec("outputs=/elsewhere")
    places = [party.key_file for party in spec.parties.values()] + [table.path for table in spec.data.tables.values()]
    assert all(place.startswith("/elsewhere/") for place in places)
