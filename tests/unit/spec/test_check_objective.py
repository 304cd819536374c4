"""Objectives, weights and base score: what does not go together is refused, with a way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support import make_spec

from runner.errors import SpecError
from runner.spec.parse import parse

Changed = Callable[..., dict[str, Any]]
FOLDERS = {"alice": "a", "bob": "b", "carol": "c"}
SECRET = {"mode": "secret", "holder": "carol", "inputs": {"carol": "target"}, "rule": "any", "predict": "none"}
SHARDED = {"mode": "row_sharded", "holder": "carol", "column": "target", "owners": ["alice", "carol"]}
SEVERAL = {"sgb.objective": "multiclass"}
LINEAR = {"sgb.objective": "linear"}


@pytest.mark.parametrize(
    ("changes", "where", "fix"),
    [
        ({"sgb.monotone_constraints": {"mean_radius": 1}}, "sgb.monotone_constraints", "remove"),
        ({"sgb.monotone_constraints": "(1,0,-1)"}, "sgb.monotone_constraints", "remove"),
        ({"sgb.base_score": "auto", "label": SECRET}, "sgb.base_score", "a number"),
        ({"sgb.base_score": "auto", "task.name": "import", "import_from": FOLDERS}, "sgb.base_score", "brought in"),
        ({"sgb.base_score": "mean"}, "sgb.base_score", "number >= -10"),
        ({"sgb.base_score": 11.0}, "sgb.base_score", "number >= -10"),
        ({"label": {**SECRET, "class_weight": "balanced"}}, "label.class_weight", "another label mode"),
        ({"label": {**SECRET, "weight": "w"}}, "label.weight", "another label mode"),
        ({**LINEAR, "label.class_weight": "balanced"}, "label.class_weight", "label.weight"),
        ({"label.weight": "target"}, "label.weight", "column of weights"),
        ({"label.weight": "patient_id"}, "label.weight", "column of weights"),
        ({"label.weight": "w", "sgb.enable_goss": True}, "label.weight", "rowsample_by_tree"),
        ({"label.class_weight": {"0": 1, "1": 0}}, "label.class_weight.1", "number > 0"),
        ({**SEVERAL, "label": SHARDED}, "label.mode", "label=single"),
        ({**SEVERAL, "label": SECRET}, "label.mode", "label=single"),
        ({**SEVERAL, "predict.mode": "sealed"}, "predict.mode", "open_to_label_holder"),
        ({**SEVERAL, "policy.predictions.recipients": ["alice"]}, "predict.mode", "give the label holder the scores"),
        ({**SEVERAL, "policy.predictions.forms": {"bob": "top_k"}}, "policy.predictions.form", "rounded"),
        ({**SEVERAL, "task.name": "export", "model": "x"}, "task", "task=predict"),
        ({**SEVERAL, "task.name": "import", "import_from": FOLDERS}, "task", "task=predict"),
        ({**SEVERAL, "train.checkpoint_every": 2}, "train.checkpoint_every", "checkpoint_every=0"),
        ({**SEVERAL, "resume": "outputs/x"}, "resume", "from the start"),
    ],
)
def test_what_does_not_go_together_is_refused(changed: Changed, changes: dict[str, Any], where: str, fix: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse(changed(changes))
    error = caught.value
    assert (error.code, error.where) == (2, where)
    assert fix in error.fix
    assert all((error.what, error.why))


@pytest.mark.parametrize(
    "changes",
    [
        {**SEVERAL, "policy.predictions.recipients": ["all"], "policy.predictions.forms": {"bob": "class"}},
        {**SEVERAL, "label.class_weight": "balanced", "sgb.base_score": "auto", "sgb.enable_early_stop": True},
        {**SEVERAL, "task.name": "train"},
        {**LINEAR, "label.weight": "w", "sgb.base_score": "auto"},
        {"label.weight": "w", "label.class_weight": {"0": 1, "1": 5}, "train.checkpoint_every": 1},
        {"label": {**SHARDED, "class_weight": "balanced"}},
    ],
)
def test_what_goes_together_is_taken(changed: Changed, changes: dict[str, Any]) -> None:
    assert parse(changed(changes))


def test_classes_may_be_written_as_numbers_on_the_command_line() -> None:
    assert make_spec("label.class_weight={0: 1, 1: 5}").label.class_weight == {"0": 1.0, "1": 5.0}
    assert make_spec("label.class_weight=balanced").label.class_weight == "balanced"
