"""Whatever a policy names: nobody else is allowed any result."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import make_spec

from runner.errors import PolicyError
from runner.policy.decide import decide, require
from runner.policy.flows import SPU, TERMINAL
from runner.spec.identity import spec_values
from runner.spec.model import STAGES, Spec
from runner.spec.parse import parse

DEFAULTS = spec_values(make_spec())
PARTIES = ("alice", "bob", "carol")
RESULTS = ("predictions", "metrics", "curves", "row_counts")
some_parties = st.lists(st.sampled_from(PARTIES), unique=True)


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    """Specs that differ in all that the policy looks at."""
    values: dict[str, Any] = copy.deepcopy(DEFAULTS)
    values["task"] = {"name": "check", "plan": draw(st.sampled_from(sorted(STAGES)))}
    values["label"]["holder"] = draw(st.sampled_from(PARTIES))
    values["predict"]["mode"] = draw(st.sampled_from(["auto", "open_to_label_holder", "sealed"]))
    measured = values["task"]["plan"] == "cv"  # which is nothing without labels to measure with
    values["label"]["predict"] = draw(st.sampled_from(["same"] if measured else ["same", "none"]))
    for kind in RESULTS:
        values["policy"][kind]["recipients"] = draw(some_parties)
    values["cluster"]["viewer"] = draw(st.none() | st.sampled_from(PARTIES))
    values["sgb"]["enable_monitor"] = draw(st.booleans())
    values["sgb"]["enable_early_stop"] = draw(st.booleans())
    return parse(values)


def eyes(spec: Spec, receiver: str) -> str:
    """Who sees what reaches ``receiver``."""
    return spec.viewer() if receiver == TERMINAL else receiver


@given(spec=specs())
@settings(max_examples=200, deadline=None)
def test_result_reaches_exactly_those_who_are_named(spec: Spec) -> None:
    for flow, allowed, *_ in decide(spec):
        if flow.kind in RESULTS:
            assert allowed == (eyes(spec, flow.receiver) in getattr(spec.policy, flow.kind).recipients)
        elif flow.kind == "shares":
            assert flow.sender in PARTIES
            assert flow.receiver == SPU
        else:
            assert {flow.sender, flow.receiver} <= set(PARTIES)


@given(spec=specs())
@settings(max_examples=100, deadline=None)
def test_plan_runs_exactly_if_all_that_it_needs_is_allowed(spec: Spec) -> None:
    stages = spec.stages()
    holder = spec.label.holder
    shown_to_all = "train" in stages and (spec.sgb.enable_monitor or spec.sgb.enable_early_stop)
    evaluated = "evaluate" in stages and spec.label.predict != "none"
    sealed = spec.predict_mode() == "sealed"
    needed = {("predictions", holder)} if "predict" in stages and (evaluated or not sealed) else set()
    needed |= {("predictions", "nobody")} if "predict" in stages and not spec.policy.predictions.recipients else set()
    needed |= {("metrics", holder)} if evaluated else set()
    needed |= {("metrics", party) for party in PARTIES if party != holder} if shown_to_all else set()
    named = {("predictions", party) for party in spec.policy.predictions.recipients}
    named |= {("metrics", party) for party in spec.policy.metrics.recipients}
    if needed <= named:
        require(decide(spec))
    else:
        with pytest.raises(PolicyError) as caught:
            require(decide(spec))
        assert caught.value.where in ("policy.predictions.recipients", "policy.metrics.recipients")


@given(spec=specs(), more=st.sampled_from(PARTIES))
@settings(max_examples=100, deadline=None)
def test_naming_one_more_allows_nothing_to_others(spec: Spec, more: str) -> None:
    values: dict[str, Any] = spec_values(spec)
    recipients = values["policy"]["metrics"]["recipients"]
    values["policy"]["metrics"]["recipients"] = [*recipients, *({more} - set(recipients))]
    wider = parse(values)
    before = {flow for flow, allowed, *_ in decide(spec) if allowed}
    after = {flow for flow, allowed, *_ in decide(wider) if allowed}
    assert before <= after
    assert {eyes(wider, flow.receiver) for flow in after - before} <= {more}
