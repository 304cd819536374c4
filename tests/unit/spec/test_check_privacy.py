"""Settings of privacy that contradict each other or the rest are refused, and tell how to go on."""

from __future__ import annotations

import pytest
from support import make_spec

from runner.errors import SpecError
from runner.privacy.choose import label_noise, ordered_classes
from runner.privacy.mechanisms import Bins, Laplace, RandomisedResponse
from runner.spec.identity import spec_digest
from runner.spec.privacy import LabelDp

DP = "privacy=label_dp"
NUMBERS = ["experiment=diabetes_regression", DP]
CLASSES = ["experiment=wine_multiclass", DP, "privacy.epsilon=3"]
NAMED = "privacy.classes=[class_0,class_1,class_2]"
SHARDED = ["data=clinics", "label=row_sharded"]
ALONE = ["label.predict=carol", "label.predict_column=confirmed"]


@pytest.mark.parametrize(
    ("overrides", "where"),
    [
        ([DP, "task=predict", "model=outputs/some/run"], "privacy"),
        ([DP, "data=clinics", "label=row_sharded"], "label.predict"),
        ([DP, "data=clinics", "label=joint"], "label.predict"),
        ([DP, "privacy.mechanism=laplace", "privacy.bounds=[0,1]"], "privacy.mechanism"),
        ([*NUMBERS, "privacy.mechanism=randomised_response"], "privacy.mechanism"),
        (NUMBERS, "privacy.bounds"),
        ([*NUMBERS, "privacy.bounds=[3,3]"], "privacy.bounds"),
        ([*NUMBERS, "privacy.bounds=[0,9]", "privacy.step=10"], "privacy.step"),
        ([*NUMBERS, "privacy.mechanism=bins"], "privacy.bins"),
        ([*NUMBERS, "privacy.bins=[1,3,2]"], "privacy.bins"),
        ([*NUMBERS, "privacy.bins=[1,2]", "privacy.bounds=[0,9]"], "privacy.bounds"),
        ([*NUMBERS, "privacy.bounds=[0,9]", "privacy.classes=[a,b]"], "privacy.classes"),
        ([*NUMBERS, "privacy.bounds=[0,9]", "privacy.debias=true"], "privacy.debias"),
        ([DP, "privacy.classes=[a,b]"], "privacy.classes"),
        (["experiment=pen_strokes_tweedie", DP, "privacy.bounds=[-1,9]"], "privacy.bounds"),
        (["experiment=pen_strokes_tweedie", DP, "privacy.bins=[0,9]", "privacy.debias=true"], "privacy.debias"),
        (CLASSES, "privacy.classes"),
        ([*CLASSES, "privacy.classes=[a,a]"], "privacy.classes"),
        ([*CLASSES, NAMED, "privacy.prior={a: 1, b: 1}"], "privacy.classes"),
        ([*CLASSES, "privacy.epsilon=0.1", "privacy.prior={a: 9, b: 1}"], "privacy.prior"),
        ([*CLASSES, "privacy.prior={a: 9, b: 9, c: 0.1}", "privacy.debias=true"], "privacy.debias"),
        ([DP, "data=clinics", "label=joint", *ALONE, "privacy.debias=true"], "privacy.debias"),
        ([DP, "privacy.debias=true", "label.class_weight=balanced"], "privacy.debias"),
        ([DP, *SHARDED, *ALONE, "label.on_conflict=any", "privacy.debias=true"], "privacy.debias"),
        ([DP, "privacy.redraw=true", "tune=optuna"], "privacy.redraw"),
        ([DP, "privacy.debias=true", "sgb.enable_monitor=true", "policy.metrics.recipients=[all]"], "privacy.debias"),
        ([DP, "privacy.epsilon=33"], "privacy.epsilon"),
    ],
)
def test_contradiction_is_refused(overrides: list[str], where: str) -> None:
    with pytest.raises(SpecError) as refused:
        make_spec(*overrides)
    assert refused.value.where == where
    assert refused.value.fix


def test_mechanism_follows_from_the_label() -> None:
    assert label_noise(make_spec(DP)) == RandomisedResponse(2.0, 2, (0, 1))
    assert label_noise(make_spec(*NUMBERS, "privacy.bounds=[0,350]")) == Laplace(2.0, 0.0, 350.0, 0.35)
    assert label_noise(make_spec(*NUMBERS, "privacy.bins=[0,100,200]")) == Bins(2.0, (0.0, 100.0, 200.0))
    assert label_noise(make_spec(*CLASSES, NAMED)) == RandomisedResponse(
        3.0, 3, (0, 1, 2), ("class_0", "class_1", "class_2")
    )
    joint = make_spec(DP, "data=clinics", "label=joint", *ALONE)
    assert label_noise(joint) == RandomisedResponse(2.0, 2, (0, 1)), "each owner's own column"


def test_summed_columns_are_numbers_each_with_its_own_noise() -> None:
    of_sum = ["data=lenders", "label=joint", "label.inputs={alice: default, bob: default, carol: default}"]
    rule = ["label.rule=threshold", "label.threshold=2", "label.predict=none", DP]
    assert label_noise(make_spec(*of_sum, *rule, "privacy.bins=[0,1]")) == Bins(2.0, (0.0, 1.0))


def test_no_noise_without_privacy_or_training() -> None:
    assert label_noise(make_spec()) is None


def test_kept_classes_come_first() -> None:
    privacy = make_spec(*CLASSES, "privacy.prior={a: 0.1, c: 9, b: 9}").privacy
    assert isinstance(privacy, LabelDp)
    assert ordered_classes(privacy) == ("b", "c", "a")


def test_epsilon_is_part_of_a_runs_identity() -> None:
    digests = {spec_digest(make_spec(*more)) for more in ([], [DP], [DP, "privacy.epsilon=1"])}
    assert len(digests) == 3
