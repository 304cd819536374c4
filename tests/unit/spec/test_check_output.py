"""Which settings privacy=output_dp goes with."""

from __future__ import annotations

import pytest
from hydra.errors import HydraException
from support import make_spec

from runner.errors import SpecError
from runner.spec.compose import explain

OUTPUT = "privacy=output_dp"


@pytest.mark.parametrize(
    ("overrides", "where"),
    [
        (("task=cv",), "privacy"),
        (("task=train",), "privacy"),
        (("label.predict=none",), "privacy"),
        (("label.predict=none", "privacy.scores_epsilon=1"), "privacy"),  # nobody else gets scores
        (("experiment=diabetes_regression",), "sgb.objective"),
        (("evaluate.group_by=stage",), "evaluate.group_by"),
        (("privacy.scores_epsilon=1",), "privacy.scores_epsilon"),
        (("privacy.scores_epsilon=1", "policy=lab", "predict.mode=sealed"), "privacy.scores_epsilon"),
        (("privacy.epsilon=0",), "privacy.epsilon"),
        (("privacy.bins=1",), "privacy.bins"),
    ],
)
def test_refused(overrides: tuple[str, ...], where: str) -> None:
    with pytest.raises(SpecError) as refused:
        make_spec(OUTPUT, *overrides)
    assert refused.value.where == where
    assert refused.value.fix


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("policy=lab", "privacy.scores_epsilon=1"),
        ("policy=lab", "privacy.scores_epsilon=1", "label.predict=none"),
        ("predict.mode=sealed",),
        ("data=clinics", "label=row_sharded"),
        ("data=clinics", "label=joint"),
    ],
)
def test_allowed(overrides: tuple[str, ...]) -> None:
    assert make_spec(OUTPUT, *overrides).privacy.name == "output_dp"


@pytest.mark.parametrize("wrong", ["epsilon: 0", "epsilon: 1, delta: 1", "epsilon: 1, rule: renyi", "delta: 0.1"])
def test_a_budget_that_is_none(wrong: str) -> None:
    with pytest.raises(SpecError) as refused:
        make_spec(f"policy.privacy.budget={{{wrong}}}")
    assert refused.value.where.startswith("policy.privacy.budget")


def test_zcdp_needs_a_delta() -> None:
    with pytest.raises(SpecError) as refused:
        make_spec("policy.privacy.budget={epsilon: 1, rule: zcdp}")
    assert refused.value.where == "policy.privacy.budget.delta"


def test_what_was_left_out_says_why() -> None:
    with pytest.raises(HydraException) as missing:
        make_spec("privacy=leaf_dp")
    told = explain(missing.value, ["privacy=leaf_dp"])
    assert "row by row" in told.why
    assert "label_dp" in told.fix
