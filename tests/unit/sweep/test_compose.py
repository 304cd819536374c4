"""Jobs are composed as Hydra composes them."""

from __future__ import annotations

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, open_dict

from runner.errors import SpecError
from runner.spec.compose import choices_of, config_dir
from runner.sweep.compose import Composer


def values_and_choices(config: DictConfig) -> tuple[DictConfig, dict[str, str]]:
    choices = choices_of(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
    return config, choices


@pytest.mark.parametrize(
    "overrides",
    [
        ["sgb.max_depth=3"],
        ["sgb.max_depth=4", "crypto=ou_2048"],
        ["sgb.max_depth=5", "sgb=fast", "crypto=ou_2048"],
        ["crypto=ou_2048", "+parties.alice.key_env=KEY", "++sgb.max_depth=6"],
        ["experiment=diabetes_regression", "sgb.num_boost_round=7"],
        ["label={holder: alice, column: x}", "~parties.bob", "data.tables.alice.path='a b'"],
    ],
)
def test_as_hydra_does(composer: Composer, overrides: list[str]) -> None:
    with initialize_config_dir(config_dir(), version_base="1.3"):
        expected = values_and_choices(compose("config", overrides, return_hydra_config=True))
    assert values_and_choices(composer.look(overrides).copy()) == expected
    assert values_and_choices(composer(overrides)) == expected
    assert values_and_choices(composer(overrides)) == expected


def test_a_job_changes_no_other(composer: Composer) -> None:
    composer(["sgb.max_depth=3"]).sgb.max_depth = 9
    assert composer(["sgb.gamma=1"]).sgb.max_depth == composer([]).sgb.max_depth != 9


@pytest.mark.parametrize(
    ("overrides", "where"),
    [(["sgb.max_dept=3"], "sgb.max_dept"), (["crypto=ouu"], "crypto"), (["experiment=null"], "experiment")],
)
def test_wrong_override_is_told_in_words(composer: Composer, overrides: list[str], where: str) -> None:
    with pytest.raises(SpecError) as caught:
        composer(overrides)
    assert caught.value.where == where
