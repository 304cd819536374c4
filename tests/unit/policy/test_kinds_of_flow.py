"""Every kind of flow: a plan that needs it, and a policy that lacks it, stop before anything starts."""

from __future__ import annotations

import pytest
from support import make_spec

from runner.errors import PolicyError, SpecError
from runner.policy.decide import decide, require
from runner.policy.flows import CLASS_NAMES, CLASSES, TERMINAL

JOINT = ("data=clinics", "label=joint")
SHARDED = ("data=clinics", "label=row_sharded")
NEEDS: dict[str, tuple[tuple[str, ...], str, str]] = {
    "predictions": ((), "policy.predictions.recipients=[]", "predictions.recipients"),
    "predictions_to_another": (
        ("predict.mode=open_to_label_holder", "policy.predictions.recipients=[alice]"),
        "policy.name=x",
        "predictions.recipients",
    ),
    "metrics": ((), "policy.metrics.recipients=[]", "metrics.recipients"),
    "monitor": (("sgb.enable_monitor=true",), "policy.metrics.recipients=[carol]", "metrics.recipients"),
    "ids": ((), "policy.ids.recipients=[carol]", "ids.recipients"),
    "model_parts": ((), "policy.model_parts.recipients=[]", "model_parts.recipients"),
    "shards": (SHARDED, "policy.labels.recipients=[]", "labels.recipients"),
    "combined_label": (JOINT, "policy.labels.recipients=[]", "labels.recipients"),
    "presence": ((*SHARDED, "label.on_missing=drop"), "policy.labels.presence=[alice]", "labels.presence"),
    "importance": (("explain.importance=true",), "policy.importance.recipients=[]", "importance.recipients"),
}


@pytest.mark.parametrize("case", NEEDS)
def test_a_needed_flow_that_no_line_allows_is_denied(case: str) -> None:
    needs, lack, line = NEEDS[case]
    with pytest.raises(PolicyError) as denied:
        require(decide(make_spec(*needs, lack)))
    assert denied.value.code == 3
    assert line in denied.value.where
    assert line in denied.value.fix


@pytest.mark.parametrize("case", sorted(set(NEEDS) - {"predictions_to_another", "presence", "monitor"}))
def test_the_same_plan_may_start_where_the_policy_allows_it(case: str) -> None:
    needs, _, _ = NEEDS[case]
    require(decide(make_spec(*needs)))


def test_a_complete_model_needs_a_line_of_its_own() -> None:
    spec = make_spec(
        "task=predict",
        "model=x",
        "predict.mode=complete",
        "predict.at=carol",
        "label.predict=none",
        "~data.tables.alice",
        "~data.tables.bob",
    )
    with pytest.raises(PolicyError, match="complete_model"):
        require(decide(spec))


@pytest.mark.parametrize("form", ["xgboost", "onnx"])
def test_an_export_of_the_whole_model_needs_the_same_line(form: str) -> None:
    export = ("task=export", "model=x", f"export.format={form}", "export.at=alice")
    with pytest.raises(PolicyError, match="complete_model") as denied:
        require(decide(make_spec(*export)))
    assert denied.value.where == "policy.complete_model.recipients"
    require(decide(make_spec(*export, "policy.complete_model.recipients=[alice]")))
    require(decide(make_spec("task=export", "model=x", "policy=strict")))


ALONE = ("task=predict", "model=x", "predict.mode=complete", "~data.tables.alice", "~data.tables.bob")


def test_one_party_with_everything_may_compare_with_its_own_labels() -> None:
    spec = make_spec(*ALONE, "predict.at=carol", "policy.complete_model.recipients=[carol]")
    require(decide(spec))
    assert spec.evaluator() == "carol"


@pytest.mark.parametrize("policy", ["label_owner", "strict"])
def test_only_lab_lets_a_complete_model_go(policy: str) -> None:
    assert make_spec(f"policy={policy}").policy.complete_model.recipients == ()
    assert make_spec("policy=lab").policy.complete_model.recipients == ("all",)


def test_what_the_terminal_may_not_show_does_not_stop_a_run() -> None:
    decisions = decide(make_spec("cluster.viewer=alice"))
    require(decisions)
    assert [d for d in decisions if d.flow.receiver == TERMINAL and d.flow.kind == "metrics" and not d.allowed]


def test_sealed_is_chosen_where_the_label_holder_may_see_no_score() -> None:
    assert make_spec().predict_mode() == "open_to_label_holder"
    assert make_spec("policy.predictions.recipients=[alice]", "label.predict=none").predict_mode() == "sealed"
    assert make_spec("policy.predictions.form=class", "label.predict=none").predict_mode() == "sealed"


def test_in_a_sealed_plan_no_score_flows_to_the_label_holder() -> None:
    flows = [d.flow for d in decide(make_spec("policy.predictions.recipients=[alice]", "label.predict=none"))]
    assert {flow.receiver for flow in flows if flow.kind == "predictions"} == {"alice"}


@pytest.mark.parametrize(
    "overrides",
    [
        ("label=secret", "data=clinics", "label.predict=same"),
        ("label=secret", "data=clinics", "sgb.gamma=1"),
        ("label=joint", "data=clinics", "cluster=debug"),
        ("label=joint", "data=clinics", "label.rule=threshold"),
        ("label=joint", "data=clinics", "label.protocol=cheetah"),
        ("label=joint", "data=clinics", "label.rule=sum"),
        ("label=secret", "data=clinics", "label.rule=mean"),
        (*ALONE, "predict.at=carol", "label.predict=none", "policy.predictions.recipients=[alice,carol]"),
        (*ALONE, "predict.at=carol", "label.predict=alice", "label.predict_column=x"),
        (*ALONE[:-1], "~data.tables.carol", "predict.at=bob", "policy.predictions.recipients=[bob]"),  # labels at carol
        ("policy.predictions.own_rows=true",),
        ("predict.mode=complete",),
        ("predict.at=carol",),
        ("label.predict=alice",),
        ("label.predict=dave",),
        ("policy.predictions.recipients=[dave]",),
        ("policy.predictions.form=top_k", "predict.mode=sealed"),
        ("+policy.x=1",),
        ("+label.owners=[alice,bob]",),
    ],
)
def test_contradictions_are_spec_errors(overrides: tuple[str, ...]) -> None:
    with pytest.raises(SpecError):
        make_spec(*overrides)


def test_several_classes_are_counted_for_all_and_named_for_who_gets_predictions() -> None:
    several = ("experiment=wine_multiclass", "policy.predictions.recipients=[carol,bob]")
    forms = "+policy.predictions.forms={bob: class}"
    decisions = decide(make_spec(*several, forms, "label.predict=alice", "label.predict_column=x"))
    told = {(d.flow.stage, d.flow.form, d.flow.sender, d.flow.receiver): d for d in decisions}
    counted = {key for key in told if key[1] == CLASSES}
    assert counted == {("train", CLASSES, "carol", party) for party in ("alice", "bob")}
    named = {key for key in told if key[1] == CLASS_NAMES}
    assert named == {("predict", CLASS_NAMES, "carol", "bob"), ("evaluate", CLASS_NAMES, "carol", "alice")}
    assert told["predict", CLASS_NAMES, "carol", "bob"].allowed, "with any form of predictions"
    assert not told["evaluate", CLASS_NAMES, "carol", "alice"].allowed, "alice is no recipient of predictions"


def test_number_of_classes_needs_its_line() -> None:
    with pytest.raises(PolicyError) as denied:
        require(decide(make_spec("experiment=wine_multiclass", "policy.model_parts.recipients=[carol]")))
    assert denied.value.where == "policy.model_parts.recipients"
    assert "number of classes" in denied.value.what
