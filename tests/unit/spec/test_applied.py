"""A run that applies a saved model: which settings are the training's, and which are its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from omegaconf import OmegaConf

from runner.errors import SpecError
from runner.spec.applied import settle_applied
from runner.spec.columns import columns_of
from runner.spec.parse import parse

Changed = Callable[..., dict[str, Any]]
DEALT = {"task.name": "cv", "cv.by": "group", "cv.at": "alice", "cv.column": "ward", "cv.refit": True}
APPLIED = {"task.name": "predict", "model": "outputs/some/run"}


def settled(changed: Changed, saved: dict[str, Any], now: dict[str, Any], *overrides: str) -> dict[str, Any]:
    config = OmegaConf.create(changed({**APPLIED, **now}))
    values = OmegaConf.to_container(settle_applied(config, overrides, changed(saved), "predict"))
    assert isinstance(values, dict)
    return {str(name): value for name, value in values.items()}


@pytest.mark.parametrize(
    "override",
    [
        *("label=joint", "label.holder=bob", "label.column=x", "label.owners=[alice]", "label.rule=any"),
        *("label.inputs={alice: x}", "+label.on_missing=drop", "~label.weight", "label.class_weight=balanced"),
        *("sgb.max_depth=3", "crypto=ou", "prepare=auto", "prepare.numbers.missing=mean", "cv.column=x"),
    ],
)
def test_what_the_training_decided_is_no_setting_of_this_run(changed: Changed, override: str) -> None:
    with pytest.raises(SpecError) as caught:
        settled(changed, {}, {}, override)
    assert caught.value.where == override.lstrip("+~").partition("=")[0]


@pytest.mark.parametrize("override", ["label.predict=none", "align=psi", "policy=lab", "evaluate.bootstrap=0"])
def test_the_rest_is(changed: Changed, override: str) -> None:
    settled(changed, {}, {}, override)


def test_column_that_folds_were_dealt_by_is_no_feature_afterwards_either(changed: Changed) -> None:
    spec = parse(settled(changed, DEALT, {}))
    assert "ward" in columns_of(spec, "alice").not_features()
    assert "ward" not in columns_of(spec, "bob").not_features()
    assert columns_of(spec, "alice").folds is None  # and it may be missing


def test_the_party_with_that_column_may_have_another_name_now(changed: Changed) -> None:
    saved = changed(DEALT)
    saved["cv"]["at"] = "clinic"
    config = OmegaConf.create(changed({**APPLIED, "roles": {"alice": "clinic"}}))
    assert settle_applied(config, (), saved, "predict").cv["at"] == "alice"
