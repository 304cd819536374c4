"""The flows of a plan: every movement of information that its stages make, and no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any

import pytest
from support import make_spec

from runner.policy.decide import decide
from runner.policy.flows import (
    COMMON_IDS,
    COMMON_OF_OTHERS,
    COMMON_OF_TWO,
    GROUPS,
    ID_DIGESTS,
    ID_TYPE,
    IDS,
    IDS_IN_PAIRS,
    OWN_SPLITS,
    SIGNATURE,
    SPU,
    TABLES,
    TERMINAL,
    Flow,
    flows,
)
from runner.spec.model import STAGES, Stage
from runner.spec.parse import parse

Changed = Callable[..., dict[str, Any]]
EVERY_PAIR = set(permutations(("alice", "bob", "carol"), 2))


def ends(found: Sequence[Flow], stage: str, kind: str) -> set[tuple[str, str]]:
    return {(flow.sender, flow.receiver) for flow in found if (flow.stage, flow.kind) == (stage, kind)}


@pytest.mark.parametrize("plan", STAGES)
def test_stages_of_the_plan_alone_have_flows(changed: Changed, plan: str) -> None:
    folds = {"cv.by": "stratified", "cv.refit": True}
    spec = parse(changed({"task.name": "check", "task.plan": plan, "explain.importance": True, **folds}))
    expected: list[Stage] = [stage for stage in STAGES[plan] if stage not in ("prepare", "label", "export")]  # type: ignore[index]
    found = flows(spec)
    assert {flow.stage for flow in found} == set(expected), (
        "own columns, a label of one party alone, and an own part do not move"
    )
    order = list(dict.fromkeys(flow.stage for flow in found))
    assert order == expected, "in the order in which they run"


@pytest.mark.parametrize("plan", STAGES)
def test_explanation_that_is_not_asked_for_has_no_flows(changed: Changed, plan: str) -> None:
    spec = parse(changed({"task.name": "check", "task.plan": plan}))
    assert "explain" not in {flow.stage for flow in flows(spec)}


def test_training_is_between_the_holder_and_each_other_party(changed: Changed) -> None:
    found = flows(parse(changed({})))
    others = ("alice", "bob")
    assert ends(found, "train", "protocol") == {("carol", p) for p in others} | {(p, "carol") for p in others}
    assert ends(found, "train", "metrics") == set()
    assert ends(found, "train", "curves") == {("carol", p) for p in (*others, TERMINAL)}


def test_curves_and_tables_of_the_test_go_from_the_evaluator_to_whom_the_policy_names(changed: Changed) -> None:
    for evaluator, label in (("carol", {}), ("alice", {"label.predict": "alice", "label.predict_column": "target"})):
        spec = parse(
            changed(
                {
                    **label,
                    "policy.metrics.recipients": ["carol", "alice"],
                    "policy.predictions.recipients": ["carol", "alice"],
                    "policy.curves.recipients": ["bob"],
                }
            )
        )
        found = [decision for decision in decide(spec) if decision.flow.form == TABLES]
        assert {(d.flow.sender, d.flow.receiver, d.allowed) for d in found} == {
            (evaluator, other, other == "bob") for other in {"alice", "bob", "carol"} - {evaluator}
        }
        assert not any(decision.flow.needed for decision in found)


def test_metrics_by_group_are_a_flow_of_their_own_to_those_who_get_metrics(changed: Changed) -> None:
    shown = {"policy.metrics.recipients": ["carol", "bob"]}
    assert [flow for flow in flows(parse(changed(shown))) if flow.form == GROUPS] == []
    found = flows(parse(changed({**shown, "evaluate.group_by": "sex"})))
    assert [(f.sender, f.receiver, f.kind) for f in found if f.form == GROUPS] == [("carol", "bob", "metrics")]


def test_everybody_tells_everybody_what_align_save_and_load_exchange(changed: Changed) -> None:
    found = flows(parse(changed({})))
    assert ends(found, "align", "ids") == EVERY_PAIR
    assert ends(found, "save", "model_parts") == EVERY_PAIR
    assert ends(found, "load", "model_parts") == EVERY_PAIR


@pytest.mark.parametrize("change", [{"train.checkpoint_every": 2}, {"resume": "RUN"}])
def test_parties_tell_each_other_the_numbers_of_trees_of_their_checkpoints(
    changed: Changed, change: dict[str, Any]
) -> None:
    assert ends(flows(parse(changed(change))), "train", "model_parts") == EVERY_PAIR
    assert ends(flows(parse(changed({}))), "train", "model_parts") == set()


@pytest.mark.parametrize("observer", ["sgb.enable_monitor", "sgb.enable_early_stop"])
def test_metric_of_secretflow_goes_to_every_party_and_is_needed(changed: Changed, observer: str) -> None:
    found = flows(parse(changed({observer: True})))
    assert ends(found, "train", "metrics") == {("carol", "alice"), ("carol", "bob")}
    assert ends(found, "train", "curves") == {("carol", "alice"), ("carol", "bob"), ("carol", TERMINAL)}
    assert all(flow.needed for flow in found if flow.kind == "metrics" and flow.receiver in ("alice", "bob"))


def test_results_flow_to_their_recipients_and_to_the_party_that_computes_them(changed: Changed) -> None:
    values = changed({"policy.predictions.recipients": ["alice", "carol"], "policy.metrics.recipients": ["bob"]})
    found = flows(parse(values))
    assert ends(found, "predict", "predictions") == {("carol", "carol"), ("carol", "alice")}
    assert ends(found, "evaluate", "metrics") == {("carol", "carol"), ("carol", "bob"), ("carol", TERMINAL)}


def test_without_labels_at_prediction_nothing_is_evaluated(changed: Changed) -> None:
    found = flows(parse(changed({"label.predict": "none"})))
    assert "evaluate" not in {flow.stage for flow in found}


def test_only_the_terminal_and_the_curves_can_be_done_without(changed: Changed) -> None:
    found = flows(parse(changed({"sgb.enable_monitor": True})))
    assert {flow.receiver for flow in found if not flow.needed and flow.kind != "curves"} == {TERMINAL}
    assert all(not flow.needed for flow in found if flow.receiver == TERMINAL or flow.kind == "curves")


def test_each_party_tells_the_terminal_the_size_of_its_table(changed: Changed) -> None:
    found = flows(parse(changed({})))
    assert ends(found, "align", "row_counts") == {(party, TERMINAL) for party in ("alice", "bob", "carol")}


def test_another_label_holder_turns_the_flows_round(changed: Changed) -> None:
    found = flows(parse(changed({"label.holder": "alice", "predict.mode": "open_to_label_holder"})))
    assert ends(found, "predict", "predictions") == {("alice", "alice"), ("alice", "carol")}
    assert {flow.sender for flow in found if flow.kind in ("predictions", "metrics")} == {"alice"}


def test_sealed_prediction_flows_from_shares_to_the_recipients_alone(changed: Changed) -> None:
    values = changed({"policy.predictions.recipients": ["alice"], "label.predict": "none"})
    found = flows(parse(values))
    assert ends(found, "predict", "shares") == {(party, SPU) for party in ("alice", "bob", "carol")}
    assert {(flow.sender, flow.receiver) for flow in found if flow.kind == "predictions"} == {(SPU, "alice")}


def test_no_flow_is_listed_twice(changed: Changed) -> None:
    everybody = ["alice", "bob", "carol"]
    changes = {"policy.predictions.recipients": everybody, "policy.metrics.recipients": everybody}
    found = flows(parse(changed({**changes, "sgb.enable_early_stop": True})))
    keys = [(flow.stage, flow.kind, flow.form, flow.sender, flow.receiver) for flow in found]
    assert len(set(keys)) == len(keys)


def test_flow_reads_as_a_sentence() -> None:
    assert str(Flow("predict", "predictions", "score", "carol", "bob")) == "predictions (score) from carol to bob"


@pytest.mark.parametrize("form", ["secretflow", "serving"])
def test_an_export_of_own_parts_tells_others_the_bundle_id_alone(changed: Changed, form: str) -> None:
    found = flows(parse(changed({"task.name": "export", "model": "x", "export.format": form})))
    assert {(flow.kind, flow.form) for flow in found} == {("model_parts", SIGNATURE)}


@pytest.mark.parametrize("form", ["xgboost", "onnx"])
def test_an_export_of_the_whole_model_brings_every_part_to_one_party(changed: Changed, form: str) -> None:
    spec = parse(changed({"task.name": "export", "model": "x", "export.format": form, "export.at": "alice"}))
    assert ends(flows(spec), "load", "complete_model") == {("carol", "alice"), ("bob", "alice")}


def test_an_import_tells_the_holder_alone_who_splits_what(changed: Changed) -> None:
    folders = {party: party for party in ("alice", "bob", "carol")}
    found = flows(parse(changed({"task.name": "import", "import_from": folders})))
    assert {(flow.sender, flow.receiver) for flow in found if flow.form == OWN_SPLITS} == {
        ("alice", "carol"),
        ("bob", "carol"),
    }
    assert {flow.kind for flow in found} == {"model_parts"}


@pytest.mark.parametrize(
    ("changes", "forms"),
    [
        ({}, set()),
        ({"align.method": "join_on_digest"}, {ID_TYPE, ID_DIGESTS}),
        ({"align.method": "psi"}, {ID_TYPE, COMMON_IDS, COMMON_OF_OTHERS, COMMON_OF_TWO}),
        ({"align.method": "psi", "align.protocol": "kkrt_npc"}, {ID_TYPE, IDS_IN_PAIRS}),
    ],
)
def test_each_way_to_align_says_what_it_shows(changed: Changed, changes: dict[str, Any], forms: set[str]) -> None:
    found = [flow for flow in flows(parse(changed(changes))) if flow.kind == "ids"]
    assert {flow.form for flow in found} == forms | {IDS}
    for form in forms - {COMMON_OF_OTHERS, COMMON_OF_TWO}:
        assert {(flow.sender, flow.receiver) for flow in found if flow.form == form} == EVERY_PAIR


def test_labels_that_move_with_label_dp_are_noisy() -> None:
    alone = ("data=clinics", "label.predict=carol", "label.predict_column=confirmed", "privacy=label_dp")
    for mode in ("row_sharded", "joint"):
        moved = [flow for flow in flows(make_spec(*alone, f"label={mode}")) if flow.stage == "label"]
        assert moved
        assert all(flow.form.endswith("noisy (epsilon 2)") for flow in moved)
