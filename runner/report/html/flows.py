"""Who saw what: the decisions of the run by kind and party, and what the party's own audit log counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from runner.policy.flows import SPU, TERMINAL

Flow = Mapping[str, Any]  # a line of the manifest's policy: the fields of Flow, allowed, line
RESULTS = {
    "predictions": "Predictions",
    "metrics": "Metrics",
    "curves": "Curves and tables",
    "importance": "Feature importance",
    "labels": "Labels of others",
    "complete_model": "The whole model",
}


def who_sees_what(hashed: Mapping[str, Any], party: str) -> dict[str, Any]:
    """A matrix of results by parties; a cell lists what of it may reach the party, or is empty.

    Returns:
        ``parties`` (this one first), ``rows`` of a title and a cell for each party, and ``terminal``: what the terminal
        of the run showed, and through whose eyes.
    """
    others = [name for name in hashed["party_order"] if name != party]
    parties, flows = [party, *others], hashed["policy"]
    rows = []
    for kind, title in RESULTS.items():
        of_kind = [flow for flow in flows if flow["kind"] == kind]
        rows.append((title, [_cell(of_kind, name) for name in parties]))
    to_terminal = [flow for flow in flows if flow["receiver"] == TERMINAL and flow["allowed"]]
    shown = [f"{flow['form']} of {flow['sender']}" for flow in to_terminal]
    return {"parties": parties, "rows": rows, "terminal": list(dict.fromkeys(shown))}


def _cell(flows: Sequence[Flow], party: str) -> list[str]:
    """What of a kind the party computes itself or may receive."""
    own = [flow["form"] for flow in flows if flow["sender"] == party and flow["receiver"] != SPU]
    received = [flow["form"] for flow in flows if flow["receiver"] == party and flow["allowed"]]
    return list(dict.fromkeys([f"its own: {form}" for form in own] + [form for form in received if form not in own]))


def flow_table(hashed: Mapping[str, Any], party: str) -> list[dict[str, Any]]:
    """Every flow of the plan with the decision on it; flows that differ in their ends only share a row."""
    ends: dict[tuple[Any, ...], list[tuple[str, str]]] = {}
    for flow in hashed["policy"]:
        verdict = "allowed" if flow["allowed"] else "denied" if flow["needed"] else "not shown"
        key = (flow["stage"], flow["kind"], flow["form"], verdict, flow["line"])
        ends.setdefault(key, []).append((flow["sender"], flow["receiver"]))
    names = ("stage", "kind", "form", "verdict", "line")
    return [
        {
            **dict(zip(names, key, strict=True)),
            "pairs": [f"{sender} → {receiver}" for sender, receiver in pairs],
            "own": any(party in pair for pair in pairs),
        }
        for key, pairs in ends.items()
    ]


def own_flows(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What the party's audit log counted, in the order of the stages."""
    names = ("stage", "direction", "kind", "form", "from", "to", "allowed_by")
    counted = Counter(tuple(str(entry.get(name)) for name in names) for entry in entries)
    return [{**dict(zip(names, key, strict=True)), "count": count} for key, count in _stable(counted)]


def _stable(counted: Counter[tuple[str, ...]]) -> list[tuple[tuple[str, ...], int]]:
    """Stages as they ran; within a stage by name, as messages of two parties may come in either order."""
    stages = list(dict.fromkeys(key[0] for key in counted))
    return sorted(counted.items(), key=lambda item: (stages.index(item[0][0]), item[0]))
