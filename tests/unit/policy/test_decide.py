"""Decisions: what no line allows is denied, and the error says which line would have to allow it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from support import make_spec

from runner.errors import PolicyError
from runner.policy.decide import Decision, Grants, decide, denied, require
from runner.policy.flows import TERMINAL, Flow
from runner.spec.align import ID_FORMS
from runner.spec.parse import parse
from runner.spec.policy import Ids

Changed = Callable[..., dict[str, Any]]
NOBODY: dict[str, Any] = {"policy.predictions.recipients": [], "policy.metrics.recipients": []}


def decisions(values: dict[str, Any]) -> tuple[Decision, ...]:
    return decide(parse(values))


def refusal(values: dict[str, Any]) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        require(decisions(values))
    error = caught.value
    assert error.code == 3
    assert all((error.what, error.where, error.why, error.fix))
    return error


def test_default_settings_may_run(changed: Changed) -> None:
    found = decisions(changed({}))
    require(found)
    denied_flows = {(d.flow.kind, d.flow.receiver) for d in found if not d.allowed}
    assert denied_flows == {("curves", "alice"), ("curves", "bob")}, "the label holder alone sees the curve"


def test_empty_policy_denies_every_result(changed: Changed) -> None:
    values = changed(NOBODY)
    values["policy"] = {"min_rows": 0, "min_batch": 0}
    results = [d for d in decisions(values) if d.flow.kind in ("predictions", "metrics")]
    assert len(results) == 4
    assert not any(decision.allowed for decision in results)


def test_nobody_named_denies_prediction(changed: Changed) -> None:
    error = refusal(changed(NOBODY))
    assert error.where == "policy.predictions.recipients"
    assert error.fix == "name a party in policy.predictions.recipients"


def test_nobody_named_denies_the_label_holder_its_scores(changed: Changed) -> None:
    error = refusal(changed({**NOBODY, "predict.mode": "open_to_label_holder"}))
    assert error.where == "policy.predictions.recipients"
    assert "must name carol in policy.predictions.recipients" in error.fix
    assert "predict.mode=sealed" in error.fix


def test_nobody_named_still_lets_train(changed: Changed) -> None:
    require(decisions(changed({**NOBODY, "task.name": "train"})))


def test_predictions_alone_deny_evaluation(changed: Changed) -> None:
    error = refusal(changed({"policy.metrics.recipients": []}))
    assert error.where == "policy.metrics.recipients"
    assert "label.predict=none" in error.fix


def test_way_out_of_a_denied_evaluation_works(changed: Changed) -> None:
    require(decisions(changed({"policy.metrics.recipients": [], "label.predict": "none"})))


def test_recipient_other_than_the_label_holder_is_not_enough(changed: Changed) -> None:
    """In SGB's own way the label holder sees the scores, so a policy that leaves it out cannot be kept."""
    alice = {"policy.predictions.recipients": ["alice"]}
    error = refusal(changed({**alice, "predict.mode": "open_to_label_holder"}))
    assert "from carol to carol" in error.what
    assert "predict.mode=sealed" in error.fix
    require(decisions(changed({**alice, "predict.mode": "sealed", "label.predict": "none"})))


@pytest.mark.parametrize("observer", ["sgb.enable_monitor", "sgb.enable_early_stop"])
def test_metric_that_secretflow_shows_to_all_needs_all_as_recipients(changed: Changed, observer: str) -> None:
    assert "from carol to alice" in refusal(changed({observer: True})).what
    require(decisions(changed({observer: True, "policy.metrics.recipients": ["alice", "bob", "carol"]})))


def test_terminal_shows_what_its_viewer_may_see(changed: Changed) -> None:
    def shown(viewer: str | None, recipients: list[str]) -> set[bool]:
        kinds = ("metrics", "curves", "row_counts")
        named = {f"policy.{kind}.recipients": recipients for kind in kinds}
        found = [d for d in decisions(changed({"cluster.viewer": viewer, **named})) if d.flow.receiver == TERMINAL]
        assert {d.flow.kind for d in found} == set(kinds)
        return {d.allowed for d in found}

    assert shown(None, ["carol"]) == {True}
    assert shown("alice", ["carol"]) == {False}
    assert shown("alice", ["carol", "alice"]) == {True}
    assert shown(None, ["alice"]) == {False}


def test_terminal_that_may_show_nothing_does_not_stop_a_run(changed: Changed) -> None:
    require(decisions(changed({"cluster.viewer": "bob"})))


def test_each_decision_names_its_line(changed: Changed) -> None:
    lines = {d.flow.kind: d.line for d in decisions(changed({}))}
    assert lines["predictions"] == "policy.predictions.recipients"
    assert lines["metrics"] == "policy.metrics.recipients"
    assert "protocol" in lines["protocol"]
    for kind in ("ids", "model_parts", "curves", "row_counts"):
        assert lines[kind] == f"policy.{kind}.recipients"


def test_require_stops_at_the_first_denied_flow_that_is_needed() -> None:
    flows = [
        Flow("train", "metrics", "curve", "carol", TERMINAL, needed=False),
        Flow("predict", "predictions", "score", "carol", "bob"),
        Flow("evaluate", "metrics", "test metrics", "carol", "bob"),
    ]
    with pytest.raises(PolicyError, match="predictions"):
        require(tuple(Decision(flow, False, "some line") for flow in flows))
    require(tuple(Decision(flow, flow.needed, "some line") for flow in flows))


def test_denial_says_who_what_and_why() -> None:
    error = denied(
        Decision(Flow("predict", "predictions", "score", "carol", "bob"), False, "policy.predictions.recipients")
    )
    assert error.what == "predictions (score) from carol to bob is denied"
    assert error.where == "policy.predictions.recipients"
    assert "predict" in error.why
    assert "the run's policy" in error.why
    assert error.fix == "the run's policy must name bob in policy.predictions.recipients"


def test_denial_by_grants_says_whose_they_are() -> None:
    flow = Flow("predict", "predictions", "score", "carol", "bob")
    error = denied(Decision(flow, False, "keys/alice/grants.yaml: predictions.recipients", "alice's own grants"))
    assert error.where == "keys/alice/grants.yaml: predictions.recipients"
    assert "alice's own grants" in error.why
    assert error.fix.startswith("alice's own grants must name bob")


def test_party_with_the_terminals_name_gets_only_what_it_is_named_for(changed: Changed) -> None:
    """Either such a name is refused, or the viewer's rights are not the party's."""
    values = changed({"sgb.enable_monitor": True, "policy.metrics.recipients": ["alice", "carol"]})
    for section in (values["data"]["tables"], values["parties"]):
        section[TERMINAL] = section.pop("bob")
    try:
        spec = parse(values)
    except ValueError:
        return
    with pytest.raises(PolicyError):
        require(decide(spec))


PSI, PAIRS, DIGESTS = ("align=psi",), ("align=psi", "align.protocol=kkrt_npc"), ("align=join_on_digest",)


@pytest.mark.parametrize(("align", "least"), [((), "set"), (PSI, "common"), (PAIRS, "pairs"), (DIGESTS, "digests")])
@pytest.mark.parametrize("form", ID_FORMS)
def test_what_an_alignment_shows_of_ids_is_what_the_policy_says(align: tuple[str, ...], least: str, form: str) -> None:
    decisions = decide(make_spec(*align, f"policy.ids.form={form}"))
    if ID_FORMS.index(form) >= ID_FORMS.index(least):  # type: ignore[arg-type]
        require(decisions)
        return
    with pytest.raises(PolicyError) as denied:
        require(decisions)
    assert denied.value.where == "policy.ids.form"
    assert f"to {least}" in denied.value.fix


def test_grants_that_do_not_speak_of_ids_allow_no_intersection() -> None:
    spec = make_spec("align=psi")
    grants = {"bob": Grants(replace(spec.policy, ids=Ids(recipients=("all",))), "bob.yaml")}
    with pytest.raises(PolicyError) as denied:
        require(decide(spec, grants))
    assert denied.value.where == "bob.yaml: ids.form"
    assert "bob's own grants must set" in denied.value.fix
