"""Which flows may happen, and by which line of whose policy. Pure: no process, no file, no network.

The effective policy is the intersection of the run's policy and the grants of every party that has any: a flow happens
only if each of them allows it. What none of their lines names is denied.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from runner.errors import PolicyError
from runner.policy.flows import SPU, TERMINAL, Flow, flows
from runner.spec.model import Policy, Spec

FORMS = ("class", "rounded", "score")  # from the least to the most that it shows
PROTOCOL_LINE = "parties (the protocol's own messages)"


class Grants(NamedTuple):
    """What one party agrees to, and the file that says so."""

    policy: Policy
    source: str


class Decision(NamedTuple):
    """A flow, whether it may happen, the line that says so (or would have to), and the party that can change it."""

    flow: Flow
    allowed: bool
    line: str
    changed_by: str = "the run's policy"


def decide(spec: Spec, grants: Mapping[str, Grants] | None = None) -> tuple[Decision, ...]:
    """Decide every flow of the spec's plan."""
    return tuple(_decide(flow, spec, grants or {}) for flow in flows(spec))


def require(decisions: tuple[Decision, ...]) -> None:
    """Stop a plan that needs a denied flow.

    Raises:
        PolicyError: naming the first denied flow, the line to change, and who must change it.
    """
    for decision in decisions:
        if decision.flow.needed and not decision.allowed:
            raise denied(decision)


def denied(decision: Decision) -> PolicyError:
    """The error for a flow that is not allowed."""
    flow = decision.flow
    return PolicyError(
        f"{flow} is denied",
        where=decision.line,
        why=f"stage {flow.stage!r} needs it, and {decision.changed_by} has no line that allows it",
        fix=_remedy(decision),
    )


def floor(spec: Spec, grants: Mapping[str, Grants], name: str) -> int:
    """The strictest ``min_rows`` or ``min_batch`` of the run's policy and all grants."""
    return max(int(getattr(policy, name)) for policy in (spec.policy, *(given.policy for given in grants.values())))


def _decide(flow: Flow, spec: Spec, grants: Mapping[str, Grants]) -> Decision:
    if flow.kind in ("protocol", "shares"):
        return Decision(flow, {flow.sender, flow.receiver} <= {*spec.parties, SPU}, PROTOCOL_LINE)
    line = _line(flow)
    if not _permits(spec.policy, flow, spec):
        return Decision(flow, False, f"policy.{line}")
    for party in spec.party_order():
        given = grants.get(party)
        if given is not None and not (_permits(given.policy, flow, spec) and _fits(given.policy, flow, spec)):
            return Decision(flow, False, f"{given.source}: {line}", f"{party}'s own grants")
    return Decision(flow, True, f"policy.{line}")


def _line(flow: Flow) -> str:
    match flow.kind:
        case "label_presence":
            return "labels.presence"
        case "own_rows":
            return "predictions.own_rows"
        case kind:
            return f"{kind}.recipients"


def _permits(policy: Policy, flow: Flow, spec: Spec) -> bool:
    """Whether one policy names the receiver for this kind of flow."""
    receiver = spec.viewer() if flow.receiver == TERMINAL else flow.receiver
    match flow.kind:
        case "label_presence":
            return receiver in policy.labels.presence or "all" in policy.labels.presence
        case "own_rows":
            return policy.predictions.own_rows or policy.predictions.includes(receiver)
        case "predictions":
            return policy.predictions.includes(receiver) and _form_fits(policy, receiver, flow.form)
        case kind:
            allowed: bool = getattr(policy, kind).includes(receiver)
            return allowed


def _form_fits(policy: Policy, receiver: str, form: str) -> bool:
    """Whether predictions in ``form`` show no more than ``policy`` lets ``receiver`` see."""
    granted = policy.predictions.form_for(receiver)
    if form in FORMS and granted in FORMS:
        return FORMS.index(form) <= FORMS.index(granted)
    return form == granted or granted == "score"


def _fits(granted: Policy, flow: Flow, spec: Spec) -> bool:
    """Whether the details of the run's policy stay within what a party grants."""
    asked = spec.policy
    match flow.kind:
        case "predictions" if flow.sender != flow.receiver:
            return (
                (asked.predictions.own_rows or not granted.predictions.own_rows)
                and (flow.form != "rounded" or asked.predictions.decimals <= granted.predictions.decimals)
                and (flow.form != "top_k" or asked.predictions.k <= granted.predictions.k)
            )
        case "importance":
            return flow.form == "party_total" or granted.importance.form == "by_name"
        case _:
            return True


def _remedy(decision: Decision) -> str:
    flow = decision.flow
    if flow.receiver == "nobody":
        return f"name a party in {decision.line}"
    remedy = f"{decision.changed_by} must name {flow.receiver} in {decision.line}"
    if flow.kind == "predictions" and flow.stage == "predict" and flow.sender == flow.receiver:
        return f"{remedy}; or set predict.mode=sealed: then the label holder sees no score"
    if flow.stage == "evaluate":
        return f"{remedy}; or set label.predict=none to skip evaluation"
    return remedy
