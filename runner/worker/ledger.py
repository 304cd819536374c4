"""A party's look into its own privacy ledger."""

from __future__ import annotations

from typing import Any

import msgspec

from runner.keys.store import home_of, open_keyring
from runner.privacy.accounting import Charge, total, zcdp_epsilon
from runner.privacy.ledger import charges_of
from runner.privacy.ledger_file import LedgerFile
from runner.spec.model import Party


def show_ledger(order: dict[str, Any]) -> dict[str, Any]:
    """What the party has spent.

    Args:
        order: ``party``, ``settings`` (where its key is, as plain values), ``delta`` (at which zCDP is converted).

    Returns:
        ``expenses``: the entries, the oldest first; ``totals``: data set → epsilon, delta, rho and epsilon by zCDP
        (None where there is none), and ``""`` for all data sets together; ``restored``: how many expenses were
        announced by a process that died, and are counted now.

    Raises:
        SecurityError: where the ledger is not as the party wrote it.
        BundleError: where there is a ledger, and no key to read it with.
    """
    party, settings = order["party"], msgspec.convert(order["settings"], Party)
    home = home_of(settings)
    if not LedgerFile.is_in(home):
        return {"expenses": [], "totals": {}, "restored": 0}
    file = LedgerFile(home, open_keyring(party, settings, make=False))
    with file.locked() as ledger:
        entries = [entry for entry in ledger.entries if entry["kind"] == "spent"]
    return {"expenses": entries, "totals": _totals(entries, float(order["delta"])), "restored": file.restored}


def _totals(entries: list[dict[str, Any]], delta: float) -> dict[str, dict[str, float | None]]:
    sets = {
        str(entry["data"]): {str(other["table"]) for other in entries if other["data"] == entry["data"]}
        for entry in entries
    }
    found = {name: _told(charges_of(entries, name, tables), delta) for name, tables in sorted(sets.items())}
    return {**found, "": _told(charges_of(entries), delta)}


def _told(charges: list[Charge], delta: float) -> dict[str, float | None]:
    spent = total(charges)
    concentrated = zcdp_epsilon(spent, delta)
    return {
        "epsilon": spent.epsilon,
        "delta": spent.delta,
        "rho": spent.rho,
        "zcdp_epsilon": concentrated if concentrated < float("inf") else None,
    }
