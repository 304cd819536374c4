"""Which flows the policy allows, and by which line of it. Pure: no process, no file, no network."""

from __future__ import annotations

from typing import NamedTuple

from runner.errors import PolicyError
from runner.policy.flows import TERMINAL, Flow, flows
from runner.spec.model import Spec


class Decision(NamedTuple):
    """A flow, whether it may happen, and the line that says so (or that would have to)."""

    flow: Flow
    allowed: bool
    line: str


def decide(spec: Spec) -> tuple[Decision, ...]:
    """Decide every flow of the spec's plan. What no line allows is denied."""
    return tuple(_decide(flow, spec) for flow in flows(spec))


def require(decisions: tuple[Decision, ...]) -> None:
    """Stop a plan that needs a denied flow.

    Raises:
        PolicyError: naming the first denied flow and the line to change.
    """
    for decision in decisions:
        if decision.flow.needed and not decision.allowed:
            raise denied(decision.flow, decision.line)


def denied(flow: Flow, line: str) -> PolicyError:
    """The error for a flow that no line allows."""
    return PolicyError(
        f"{flow} is denied",
        where=line,
        why=f"stage {flow.stage!r} needs it, and no line of the policy allows it",
        fix=_remedy(flow, line),
    )


def _decide(flow: Flow, spec: Spec) -> Decision:
    if flow.kind in ("alignment", "training", "model"):
        members = {flow.sender, flow.receiver} <= set(spec.parties)
        return Decision(flow, members, "parties (SGB protocol)")
    recipients = spec.policy.predictions.recipients if flow.kind == "predictions" else spec.policy.metrics.recipients
    receiver = spec.viewer() if flow.receiver == TERMINAL else flow.receiver
    return Decision(flow, receiver in recipients, f"policy.{flow.kind}.recipients")


def _remedy(flow: Flow, line: str) -> str:
    remedy = f"add {flow.receiver} to {line}"
    if flow.kind == "predictions" and flow.sender == flow.receiver:
        return f"{remedy}: in SGB the label holder computes the scores and so sees them"
    if flow.kind == "metrics" and flow.stage == "evaluate":
        return f"{remedy}, or set label.predict=none to skip evaluation"
    return remedy
