"""Hydra's errors come out as ours: with the place, the reason and the allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from support import PROJECT

from runner.errors import SpecError
from runner.spec.compose import config_dir, explain, to_spec


def told(override: str) -> SpecError:
    """What a user is told who types ``override``."""
    try:
        with initialize_config_dir(config_dir(), version_base="1.3"):
            to_spec(compose("config", [override]))
    except (HydraException, OmegaConfBaseException) as error:
        return explain(error, [override])
    except SpecError as error:
        return error
    raise AssertionError(f"{override} was accepted")


@pytest.mark.parametrize(
    ("override", "where", "fix"),
    [
        ("sgb.max_dept=3", "sgb.max_dept", "did you mean 'max_depth'?"),
        ("polcy=strict", "polcy", "did you mean 'policy'?"),
        ("data.tables.alice.pth=x", "data.tables.alice.pth", "did you mean 'path'?"),
        (
            "policy.foo.recipients=[]",
            "policy.foo.recipients",
            "allowed: complete_model, curves, ids, importance, labels, metrics, min_batch, min_rows, model_parts, "
            "name, predictions, privacy, row_counts",
        ),
        ("+foo=1", "foo", "policy"),
        ("+sgb.bar=2", "sgb.bar", "max_depth"),
        ("hydra.nonsense=1", "hydra.nonsense", "allowed"),
    ],
)
def test_unknown_key(override: str, where: str, fix: str) -> None:
    error = told(override)
    assert error.where == where
    assert "unknown setting" in error.what
    assert fix in error.fix


@pytest.mark.parametrize(
    ("override", "group", "fix"),
    [
        ("crypto=oo", "crypto", "ou_2048"),
        ("task=trian", "task", "did you mean 'train'?"),
        ("experiment=breast_cancer_quik", "experiment", "did you mean 'breast_cancer_quick'?"),
    ],
)
def test_wrong_choice_of_a_group(override: str, group: str, fix: str) -> None:
    error = told(override)
    assert error.where == group
    assert override.partition("=")[2] in error.what
    assert fix in error.fix


@pytest.mark.parametrize("override", ["sgb.max_depth=[1,2", "sgb.max_depth", "+1=2"])
def test_override_that_cannot_be_read(override: str) -> None:
    error = told(override)
    assert override in error.what
    assert error.where == "command line"
    assert "group.key=value" in error.fix


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("outputs=${nowhere}", "nowhere"),
        ("outputs=???", "outputs"),
        ("+label.holder=bob", "label.holder"),
        ("+sgb=fast", "sgb"),
        ("~nothing", "nothing"),
    ],
)
def test_other_errors_keep_their_reason(override: str, reason: str) -> None:
    error = told(override)
    assert reason in error.why + error.what
    assert error.where
    assert error.fix


@pytest.mark.parametrize(
    ("typed", "right"),
    [
        ("cluster.ports.alice=7000", "+cluster.ports.alice=7000"),
        ("parties.dave.key_file=dave.key", "+parties.dave.key_file=dave.key"),
    ],
)
def test_advice_for_a_new_entry_can_be_typed(typed: str, right: str) -> None:
    fix = told(typed).fix
    assert f"{right.partition('=')[0]}=" in fix, f"'{fix}' does not lead to {right}"


@pytest.mark.parametrize(
    ("typed", "advice"),
    [
        ("cluster.max_clock_skew=5", "use cluster=remote, where it is there, or write +cluster.max_clock_skew=<value>"),
        ("privacy.scores_epsilon=1", "use privacy=output_dp, where it is there, or write "),
        ("parties.alice.address=a:1", "use parties=sites, where it is there, or write "),
        ("roles.clinic=alice", "write +roles.clinic=<value>"),
    ],
)
def test_setting_that_another_choice_has_leads_to_that_choice(typed: str, advice: str) -> None:
    assert told(typed).fix.startswith(advice)


@pytest.mark.parametrize(
    ("override", "fix"),
    [
        ("data.tables.alise.path=x", "did you mean 'alice'? else write +data.tables.alise.path=<value>"),
        ("prepare.numbers.missing=medain", "did you mean 'median'? set prepare.numbers.missing to one of constant"),
        ("label.mode=sngle", "did you mean 'single'?"),
        ("prepare.numbers.clip=wide", "a list of 2; each item a number > 0 and < 1"),
        ("crypto.scheme=moc", "set crypto.scheme to one of ou"),
        ("data.id=a;b", "'group.key=\";\"'"),
    ],
)
def test_advice_for_a_name_or_a_value_that_is_misspelt(override: str, fix: str) -> None:
    assert fix in told(override).fix
    assert "did you mean 'mock'" not in told(override).fix


def test_two_values_without_a_sweep_point_to_the_sweep() -> None:
    error = told("sgb.max_depth=1,2")
    assert "sweep" in error.fix or "--multirun" in error.why + error.fix


def test_configuration_may_hold_hydra_and_experiment_but_nothing_else() -> None:
    with initialize_config_dir(config_dir(), version_base="1.3"):
        config = compose("config", ["experiment=breast_cancer_quick"])
    OmegaConf.set_struct(config, False)
    config.hydra = {"anything": 1}
    assert to_spec(config).sgb.max_depth == 3
    config.stray = 1
    with pytest.raises(SpecError, match="stray"):
        to_spec(config)


def test_checkout_has_its_own_groups() -> None:
    assert Path(config_dir()) == PROJECT / "conf"
