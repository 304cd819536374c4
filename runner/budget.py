"""Whether the parties' privacy budgets let a run begin; each party's own process looks into its ledger."""

from __future__ import annotations

import sys
from typing import Any

from runner.cluster.offline import ask_parties
from runner.policy.grants import load_grants
from runner.privacy.ledger import limits_of, require_noise
from runner.privacy.output_charges import output_charges
from runner.spec.identity import spec_values
from runner.spec.model import Spec
from runner.spec.privacy import LabelDp


def require_budget(spec: Spec) -> dict[str, dict[str, Any]]:
    """Stop a run that would overspend, before it begins.

    Returns:
        party → ``paid`` (epsilon that the run would spend now), ``epsilon`` and ``delta`` (on the data set, with it);
        of the parties that spend.

    Raises:
        PolicyError: where a party's budget would be overspent, or it has one and the run has no noise.
        SecurityError: where a party's ledger is not as it wrote it.
    """
    grants = load_grants(spec, spec.parties_here())
    for party in spec.parties_here():
        require_noise(spec, party, limits_of(spec, party, grants.get(party)))
    spenders = set(output_charges(spec, ""))
    if isinstance(spec.privacy, LabelDp) and "label" in spec.stages():
        spenders |= set(spec.label.columns())
    spenders &= set(spec.parties_here())
    if not spenders:
        return {}
    values = spec_values(spec)
    orders = {
        party: {"order": "afford", "party": party, "spec": values, "run": "a run to come"} for party in sorted(spenders)
    }
    answers = ask_parties(orders, spec.cluster)
    for party in orders:
        if restored := answers[party]["restored"]:
            told = f"{restored} expenses that a process announced before it died are counted as spent"
            print(f"note: {party}'s privacy ledger: {told}", file=sys.stderr)
    return {party: {name: answers[party][name] for name in ("paid", "epsilon", "delta")} for party in orders}
