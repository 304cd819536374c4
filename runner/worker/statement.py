"""What a party may read of privacy in a run: the guarantee, and what it has spent of its own rows' privacy."""

from __future__ import annotations

from typing import Any

import msgspec

from runner.engine.site import Site
from runner.files import write_json
from runner.keys.store import home_of
from runner.policy.decide import Grants
from runner.privacy.accounting import total
from runner.privacy.guarantee import guarantees
from runner.privacy.ledger import Ledger, limits_of
from runner.privacy.ledger_file import LedgerFile
from runner.spec.model import Spec

STATEMENT = "privacy.json"


def state_privacy(site: Site, spec: Spec, grants: Grants | None) -> None:
    """Write the party's ``privacy.json``, where the run has noise; tell it to the terminal, if that is the party's.

    ``guarantee``: sentences. ``spent``: None where the party has spent nothing, else ``data``, ``now`` (epsilon that
    this run cost), ``epsilon`` and ``delta`` on the data set with it (basic composition), ``budgets``: those that the
    party is held to.
    """
    told = guarantees(spec)
    if not told:
        return
    statement = {"guarantee": told, "spent": _spent(site, spec, grants)}
    write_json(site.folder / STATEMENT, statement)
    if site.party == spec.viewer():
        site.emit(event="shown", stage="privacy", value=statement)


def _spent(site: Site, spec: Spec, grants: Grants | None) -> dict[str, Any] | None:
    home = home_of(spec.parties[site.party])
    if site.checked is None or not LedgerFile.is_in(home):
        return None
    ledger = Ledger(home, site.keys, spec.data.name, site.table.source)
    charges, now = ledger.spent(site.run)
    if not charges:
        return None
    together = total(charges)
    budgets = [msgspec.to_builtins(limit.budget) for limit in limits_of(spec, site.party, grants)]
    return {
        "data": spec.data.name,
        "now": total(now).epsilon,
        "epsilon": together.epsilon,
        "delta": together.delta,
        "budgets": budgets,
    }
