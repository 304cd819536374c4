"""The only code that lets a value leave its party.

Stages never call SecretFlow's ``reveal`` nor move a party's object: they ask the gate, which asks the policy,
moves the value to the one party it is meant for, and writes both ends' audit logs. (SGB's own protocol messages
are exchanged inside SecretFlow; the transport counts them and each stage's totals are audited.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from secretflow.device import PYU, PYUObject, SPUObject, reveal, wait

from runner.policy.audit import AuditLog, payload_bytes
from runner.policy.decide import Decision, denied
from runner.policy.flows import SPU, TERMINAL, Flow, Kind
from runner.spec.model import Stage


class Gate:
    """Enforces the decisions of one run.

    Args:
        decisions: what the policy and the grants of this process's parties decided for this run's plan; what is not
            among them is denied.
        devices: the parties' devices.
        audits: the audit logs of the parties whose process this is (all of them in debug mode, else one).
        emits: for the same parties, what sends an event to the driver, which shows it on the terminal.
    """

    def __init__(
        self,
        decisions: tuple[Decision, ...],
        devices: Mapping[str, PYU],
        audits: Mapping[str, AuditLog],
        emits: Mapping[str, Callable[..., Any]],
    ) -> None:
        self._decisions = {
            (d.flow.stage, d.flow.kind, d.flow.form, d.flow.sender, d.flow.receiver): d for d in decisions
        }
        self._devices = devices
        self._audits = audits
        self._emits = emits

    def allows(self, stage: Stage, kind: Kind, form: str, sender: str, receiver: str) -> bool:
        """Whether the policy allows a flow of this run's plan."""
        decision = self._decisions.get((stage, kind, form, sender, receiver))
        return decision is not None and decision.allowed

    def deliver(self, value: PYUObject | SPUObject, receiver: str, *, stage: Stage, kind: Kind, form: str) -> PYUObject:
        """Move ``value`` from its party, or out of the SPU, to ``receiver`` and to nobody else.

        Raises:
            PolicyError: where no line of the policy allows it.
        """
        sender = SPU if isinstance(value, SPUObject) else value.device.party
        decision = self._require(stage, kind, form, sender, receiver)
        if sender == receiver:
            return value.device(self._record("kept", decision, sender))(value)
        if sender != SPU:
            value = value.device(self._record("sent", decision, sender))(value)
        return self._devices[receiver](self._record("received", decision, receiver))(value.to(self._devices[receiver]))

    def share(self, value: PYUObject, spu: Any, *, stage: Stage, kind: Kind, form: str) -> SPUObject:
        """Split ``value`` into secret shares: each party of the SPU gets one, and none learns the value.

        Raises:
            PolicyError: where the plan has no such flow.
        """
        decision = self._require(stage, kind, form, value.device.party, SPU)
        return value.device(self._record("shared", decision, value.device.party))(value).to(spu)

    def exchange(self, values: Mapping[str, PYUObject], *, stage: Stage, kind: Kind, form: str) -> dict[str, Any]:
        """Show each party's small value to every party of the run; return them in the clear, by party.

        Raises:
            PolicyError: where the policy does not allow one of the flows.
        """
        pairs = [(sender, receiver) for sender in values for receiver in values if sender != receiver]
        flows = {pair: self._require(stage, kind, form, *pair) for pair in pairs}
        logged = dict(values)
        for (sender, _), decision in flows.items():
            logged[sender] = self._devices[sender](self._record("sent", decision, sender))(logged[sender])
        plain: dict[str, Any] = dict(zip(logged, _opened(list(logged.values())), strict=True))
        for (sender, receiver), decision in flows.items():
            if receiver in self._audits:
                self._record("received", decision, receiver)(plain[sender])
        return plain

    def announce(self, value: PYUObject, *, stage: Stage, kind: Kind, form: str) -> Any:
        """Show one party's small value to every party of the run; return it in the clear.

        Raises:
            PolicyError: where the policy does not allow it to one of them.
        """
        sender = value.device.party
        decisions = {
            party: self._require(stage, kind, form, sender, party) for party in self._devices if party != sender
        }
        for decision in decisions.values():
            value = value.device(self._record("sent", decision, sender))(value)
        (plain,) = _opened([value])
        for party, decision in decisions.items():
            if party in self._audits:
                self._record("received", decision, party)(plain)
        return plain

    def note_protocol(self, flows: Iterable[Flow]) -> None:
        """Log at both ends what a protocol of SPU's library is about to show, each party to others.

        Raises:
            PolicyError: where the policy does not allow one of the flows.
        """
        for flow in flows:
            decision = self._require(flow.stage, flow.kind, flow.form, flow.sender, flow.receiver)
            for direction, party in (("sent", flow.sender), ("received", flow.receiver)):
                if party in self._audits:
                    self._record(direction, decision, party)(flow.form)

    def show(self, value: PYUObject, *, stage: Stage, kind: Kind, form: str) -> PYUObject | None:
        """Send ``value`` from its party to the terminal, where the policy allows that; else leave it where it is."""
        sender = value.device.party
        if not self.allows(stage, kind, form, sender, TERMINAL):
            return None
        record = self._record("sent", self._require(stage, kind, form, sender, TERMINAL), sender)
        emits = self._emits

        def tell(value: Any) -> None:
            emits[sender](event="shown", stage=stage, kind=kind, value=record(value))

        return value.device(tell)(value)

    @staticmethod
    def finish(effects: Any) -> None:
        """Wait for work at the parties. An exception in work that nobody waits for is swallowed by SecretFlow."""
        wait(effects)

    def _require(self, stage: Stage, kind: Kind, form: str, sender: str, receiver: str) -> Decision:
        decision = self._decisions.get((stage, kind, form, sender, receiver))
        if decision is None:
            raise denied(Decision(Flow(stage, kind, form, sender, receiver), False, "the plan of this run"))
        if not decision.allowed:
            raise denied(decision)
        return decision

    def _record(self, direction: str, decision: Decision, party: str) -> Any:
        """A function for the party's device: write its audit log, hand the value on."""
        flow, audits = decision.flow, self._audits

        def record(value: Any) -> Any:
            audits[party].record(
                direction,
                {
                    "stage": flow.stage,
                    "kind": flow.kind,
                    "form": flow.form,
                    "from": flow.sender,
                    "to": flow.receiver,
                    "shape": list(np.shape(value)) if isinstance(value, np.ndarray) else type(value).__name__,
                    "allowed_by": decision.line,
                },
                payload_bytes(value),
            )
            return value

        return record


def _opened(values: list[PYUObject]) -> list[Any]:
    """The values in the clear, in every party's process."""
    opened: list[Any] = reveal(values)
    return opened
