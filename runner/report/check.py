"""The dry run's report: what would be run, and every flow with the decision on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runner.policy.decide import Decision
from runner.spec.identity import spec_digest
from runner.spec.model import Spec


def describe_plan(spec: Spec, decisions: Sequence[Decision]) -> str:
    """The plan and the table of flows, as plain text."""
    holder, *others = spec.party_order()
    lines = [
        f"Spec      valid, digest {spec_digest(spec)[:12]}",
        f"Parties   {holder} (label holder), {', '.join(others)}",
        f"Data      {spec.data.name}, ids in column {' and '.join(spec.data.id_columns())}",
        *_alignment(spec),
        f"Crypto    {spec.crypto.scheme}, {spec.crypto.key_bits} bits",
        f"Plan      {' → '.join((*(('check tables',) if spec.tables() else ()), *spec.stages()))}",
        "",
        *table([("stage", "what", "from → to", "decision", "form", "by"), *_rows(spec, decisions)]),
    ]
    return "\n".join(lines)


def _alignment(spec: Spec) -> list[str]:
    """How rows find each other, where the plan aligns tables."""
    if "align" not in spec.stages():
        return []
    protocol = spec.align.psi_protocol(len(spec.parties))
    return [f"Align     {spec.align.method}" + (f", protocol {protocol}" if protocol is not None else "")]


def _rows(spec: Spec, decisions: Sequence[Decision]) -> list[tuple[str, ...]]:
    """One row for all flows that differ in their ends only."""
    ends: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for flow, allowed, line, _ in decisions:
        verdict = "allowed" if allowed else "DENIED" if flow.needed else "not shown"
        ends.setdefault((flow.stage, flow.kind, verdict, flow.form, line), []).append((flow.sender, flow.receiver))
    everybody = len(spec.parties) * (len(spec.parties) - 1)
    return [
        (stage, kind, _ends(pairs, everybody), verdict, form, line)
        for (stage, kind, verdict, form, line), pairs in ends.items()
    ]


def _ends(pairs: Sequence[tuple[str, str]], everybody: int) -> str:
    if len(pairs) == everybody and all(sender != receiver for sender, receiver in pairs):
        return "each party → the others"
    senders, receivers = (list(dict.fromkeys(side)) for side in zip(*pairs, strict=True))
    return f"{', '.join(senders)} → {', '.join(receivers)}"


def describe_budget(spec: Spec, spent: Mapping[str, Mapping[str, float]]) -> list[str]:
    """What the run would cost each party of its rows' privacy, and what it has spent on the data set then."""
    return [
        f"Privacy   {party} would spend epsilon {costs['paid']:g}: with it, epsilon {costs['epsilon']:g} and delta "
        f"{costs['delta']:g} of {spec.data.name!r} (basic composition)"
        for party, costs in spent.items()
    ]


def table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
