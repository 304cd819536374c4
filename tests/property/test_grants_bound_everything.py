"""decide() never allows what the run's policy or any party's grants lack."""

from __future__ import annotations

import functools

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support import make_spec

from runner.policy.decide import Grants, decide
from runner.policy.flows import TERMINAL
from runner.spec.align import ID_FORMS
from runner.spec.model import Spec
from runner.spec.policy import Ids, Importance, Labels, Policy, Predictions, Recipients

PARTIES = ("alice", "bob", "carol")
names = st.lists(st.sampled_from((*PARTIES, "all")), unique=True, max_size=3).map(tuple)
forms = st.sampled_from(("score", "rounded", "class", "top_k"))
policies = st.builds(
    Policy,
    predictions=st.builds(Predictions, recipients=names, form=forms, own_rows=st.booleans()),
    labels=st.builds(Labels, recipients=names, presence=names),
    importance=st.builds(Importance, recipients=names, form=st.sampled_from(("party_total", "by_name"))),
    ids=st.builds(Ids, recipients=names, form=st.sampled_from(ID_FORMS)),
    **{
        kind: st.builds(Recipients, recipients=names)
        for kind in ("metrics", "curves", "model_parts", "complete_model", "row_counts")
    },
)


@functools.cache
def _spec(label: str) -> Spec:
    data = "breast_cancer" if label == "single" else "clinics"
    return make_spec(f"data={data}", f"label={label}", "explain.importance=true")


def _names(policy: Policy, kind: str) -> tuple[str, ...]:
    if kind == "label_presence":
        return policy.labels.presence
    recipients: tuple[str, ...] = getattr(policy, kind).recipients
    return recipients


@settings(max_examples=150, deadline=None)
@given(
    run=policies,
    granted=st.dictionaries(st.sampled_from(PARTIES), policies),
    label=st.sampled_from(("single", "row_sharded", "joint")),
)
def test_an_allowed_flow_is_named_by_every_policy(run: Policy, granted: dict[str, Policy], label: str) -> None:
    spec = replace(_spec(label), policy=run)
    grants = {party: Grants(policy, f"{party}.yaml") for party, policy in granted.items()}
    for decision in decide(spec, grants):
        flow = decision.flow
        if not decision.allowed or flow.kind in ("protocol", "shares", "own_rows"):
            continue
        receiver = spec.viewer() if flow.receiver == TERMINAL else flow.receiver
        for policy in (run, *granted.values()):
            allowed = _names(policy, flow.kind)
            assert receiver in allowed or "all" in allowed, (decision, policy)
