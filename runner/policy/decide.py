"""Which flows may happen, and by which line of whose policy. Pure: no process, no file, no network.

The effective policy is the intersection of the run's policy and the grants of every party that has any: a flow happens
only if each of them allows it. What none of their lines names is denied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from runner.errors import PolicyError
from runner.policy.flows import CLASS_NAMES, ID_FORM_OF, SPU, TERMINAL, Flow, flows
from runner.spec.align import ID_FORMS
from runner.spec.model import Spec
from runner.spec.policy import ALL, Policy, Predictions

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


def denied_by(decisions: Iterable[Decision], party: str) -> list[list[str]]:
    """The flows that a party's own grants deny, as its site tells the others: the flow's fields, and the line."""
    return [
        [*_fields(decision.flow), decision.line.rpartition(": ")[2]]
        for decision in decisions
        if decision.changed_by == _granting(party)
    ]


def with_denials(decisions: Iterable[Decision], denied: Mapping[str, Iterable[Sequence[str]]]) -> tuple[Decision, ...]:
    """The same decisions, but for the flows that the grants of other sites' parties deny."""
    lines = {tuple(flow): (party, line) for party in sorted(denied) for *flow, line in denied[party]}
    found = []
    for decision in decisions:
        party, line = lines.get(_fields(decision.flow), ("", ""))
        if party:
            decision = Decision(decision.flow, False, f"{party}'s grants: {line}", _granting(party))
        found.append(decision)
    return tuple(found)


def _fields(flow: Flow) -> tuple[str, ...]:
    return (flow.stage, flow.kind, flow.form, flow.sender, flow.receiver)


def _granting(party: str) -> str:
    return f"{party}'s own grants"


def floor(spec: Spec, grants: Mapping[str, Grants], name: str) -> int:
    """The strictest ``min_rows`` or ``min_batch`` of the run's policy and all grants."""
    return max(int(getattr(policy, name)) for policy in (spec.policy, *(given.policy for given in grants.values())))


def _decide(flow: Flow, spec: Spec, grants: Mapping[str, Grants]) -> Decision:
    if flow.kind in ("protocol", "shares"):
        return Decision(flow, {flow.sender, flow.receiver} <= {*spec.parties, SPU}, PROTOCOL_LINE)
    receiver = flow.receiver
    if receiver == TERMINAL:  # with a site for each party, a value is shown where it is
        receiver = flow.sender if spec.is_remote() else spec.viewer()
    if (line := _lacking(spec.policy, flow, receiver, spec)) is not None:
        return Decision(flow, False, f"policy.{line}")
    for party in spec.party_order():
        given = grants.get(party)
        if given is not None and (line := _lacking(given.policy, flow, receiver, spec)) is not None:
            return Decision(flow, False, f"{given.source}: {line}", _granting(party))
    return Decision(flow, True, f"policy.{_naming(flow)}")


def _naming(flow: Flow) -> str:
    """The line that names who may receive such a flow."""
    match flow.kind:
        case "label_presence":
            return "labels.presence"
        case "own_rows":
            return "predictions.own_rows"
        case kind:
            return f"{kind}.recipients"


def _lacking(policy: Policy, flow: Flow, receiver: str, spec: Spec) -> str | None:
    """The line for want of which one policy (the run's, or a party's grants) denies a flow; None where it allows it."""
    match flow.kind:
        case "label_presence":
            named = receiver in policy.labels.presence or ALL in policy.labels.presence
        case "own_rows":
            named = policy.predictions.own_rows or policy.predictions.includes(receiver)
        case kind:
            named = getattr(policy, kind).includes(receiver)
    if not named:
        return _naming(flow)
    if flow.kind == "predictions":
        return _lacking_form(policy.predictions, flow, spec)
    if flow.kind == "importance" and flow.form != "party_total" and policy.importance.form != "by_name":
        return "importance.form"
    if flow.kind == "ids" and ID_FORMS.index(policy.ids.form) < ID_FORMS.index(ID_FORM_OF.get(flow.form, "set")):
        return "ids.form"
    return None


def _lacking_form(granted: Predictions, flow: Flow, spec: Spec) -> str | None:
    """The line for want of which predictions in this form show more than is granted; names come with any form."""
    if flow.form == CLASS_NAMES:
        return None
    asked, form = spec.policy.predictions, granted.form_for(flow.receiver)
    if form != "score" and flow.form != form and not _shows_less(flow.form, form):
        return f"predictions.forms.{flow.receiver}" if flow.receiver in granted.forms else "predictions.form"
    if flow.form == form == "rounded" and asked.decimals > granted.decimals:
        return "predictions.decimals"
    if flow.form == form == "top_k" and asked.k > granted.k:
        return "predictions.k"
    whole = flow.stage != "predict" or not asked.own_rows
    # A party that computes the scores itself has them all: that is no more than its own recipients line says.
    if granted.own_rows and whole and flow.sender != flow.receiver:
        return "predictions.own_rows"
    return None


def _shows_less(form: str, granted: str) -> bool:
    return form in FORMS and granted in FORMS and FORMS.index(form) < FORMS.index(granted)


def _remedy(decision: Decision) -> str:
    flow = decision.flow
    if flow.receiver == "nobody":
        return f"name a party in {decision.line}"
    names = decision.line.endswith((".recipients", ".presence"))
    how = f"name {flow.receiver} in" if names else f"let {flow.receiver} have that by"
    remedy = f"{decision.changed_by} must {how} {decision.line}"
    if decision.line.endswith("ids.form"):
        return f"{decision.changed_by} must set {decision.line} to {ID_FORM_OF[flow.form]}, or choose another align=…"
    if flow.kind == "predictions" and flow.stage == "predict" and flow.sender == flow.receiver:
        return f"{remedy}; or set predict.mode=sealed: then the label holder sees no score"
    if flow.stage == "evaluate":
        return f"{remedy}; or set label.predict=none to skip evaluation"
    return remedy
