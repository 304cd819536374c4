"""The user's menu: every choice in ``conf/`` gives a valid spec, and says in its first line what it is."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import yaml
from support import make_spec

from runner.policy.decide import decide, require
from runner.spec.compose import config_dir
from runner.spec.request import TASKS
from runner.spec.sgb import SgbSettings
from runner.stages.metrics import evaluate_scores

CONF = Path(config_dir())
CHOICES = sorted((path.parent.name, path.stem) for path in CONF.glob("*/*.yaml"))
PARTIES = ("alice", "bob", "carol")
# What a choice cannot do without.
COMPANIONS = {
    "task=predict": ["model=outputs/some/run"],
    "task=export": ["model=outputs/some/run"],
    "task=import": ["import_from={alice: a, bob: b, carol: c}"],
    "cluster=remote": ["parties=sites", "self_party=alice", "site=alice"],
    "parties=sites": ["cluster=remote", "self_party=bob", "site=bob"],
    **{f"site={party}": ["cluster=remote", "parties=sites", f"self_party={party}"] for party in PARTIES},
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


@pytest.mark.parametrize("experiment", [choice for group, choice in CHOICES if group == "experiment"])
def test_every_experiment_may_start(experiment: str) -> None:
    spec = compose_once(f"experiment={experiment}")
    assert spec.task.name == "train_predict"
    require(decide(spec))
    assert evaluate_scores(spec.sgb.objective, [0.0, 1.0], [0.25, 0.75])


@pytest.mark.parametrize("group", sorted({group for group, _ in CHOICES} - {"experiment", "site"}))
def test_every_group_has_a_default_that_exists(group: str) -> None:
    defaults = yaml.safe_load((CONF / "config.yaml").read_text())["defaults"]
    (chosen,) = [entry[group] for entry in defaults if isinstance(entry, dict) and group in entry]
    assert (group, chosen) in CHOICES


def test_default_sgb_choice_writes_out_the_defaults() -> None:
    written = yaml.safe_load((CONF / "sgb" / "default.yaml").read_text())
    assert written == {name: getattr(SgbSettings(), name) for name in SgbSettings.__struct_fields__}


@pytest.mark.parametrize(
    ("group", "choice"), [c for c in CHOICES if c[0] in ("crypto", "sgb", "policy", "data", "prepare")]
)
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
