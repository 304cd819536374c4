"""Whether a party's budget has enough left for a run, before the run begins. Nothing is spent, and nothing written."""

from __future__ import annotations

from typing import Any

from runner.data.digest import files_digest
from runner.data.files import find_files
from runner.errors import DataError
from runner.keys.keyring import Keyring
from runner.keys.store import home_of, open_keyring
from runner.policy.grants import load_grants
from runner.privacy.accounting import Charge, total
from runner.privacy.choose import label_noise
from runner.privacy.draws import KeptDraws
from runner.privacy.ledger import Ledger, limits_of, require_within
from runner.privacy.ledger_file import LedgerFile
from runner.privacy.output_charges import output_charges
from runner.spec.model import Spec
from runner.spec.parse import parse
from runner.spec.privacy import LabelDp


def afford(order: dict[str, Any]) -> dict[str, Any]:
    """Hold what the run would cost the party against its budgets.

    What only the run itself can know is left out: labels that have changed since their noise was drawn cost again.

    Args:
        order: ``party``, ``spec`` (as plain values), ``run`` (the name of the run, or a text for one to come).

    Returns:
        ``paid``: epsilon that the run would spend now; ``epsilon``, ``delta``: spent on the data set with it;
        ``restored``: how many expenses a process had announced before it died, and are counted now.

    Raises:
        PolicyError: where a budget would be overspent.
        SecurityError: where the ledger is not as the party wrote it.
    """
    spec, party = parse(order["spec"]), order["party"]
    home = home_of(spec.parties[party])
    limits = limits_of(spec, party, load_grants(spec, [party]).get(party))
    if not LedgerFile.is_in(home):
        charges = [*_for_outputs(spec, party, order["run"]), *_for_labels(spec, party, None)]
        return _told(charges, require_within(party, spec.data.name, limits, [], charges))
    keys = open_keyring(party, spec.parties[party], make=False)
    charges = [*_for_outputs(spec, party, order["run"]), *_for_labels(spec, party, keys)]
    ledger = Ledger(home, keys, spec.data.name, _source(spec, party))
    with ledger.opened() as book:
        paid, _, before = ledger.look(book, charges, limits)
    return _told(list(paid), [*before, *paid], ledger.restored)


def _for_outputs(spec: Spec, party: str, run: str) -> list[Charge]:
    return list(output_charges(spec, run).get(party, {}).values())


def _for_labels(spec: Spec, party: str, keys: Keyring | None) -> list[Charge]:
    noise = label_noise(spec)
    if noise is None or party not in spec.label.columns() or spec.resume is not None:
        return []  # who goes on with a run takes the noise of that run
    fresh = keys is None or (isinstance(spec.privacy, LabelDp) and spec.privacy.redraw)
    kept: tuple[str, ...] = ()
    if keys is not None and not fresh:
        column = spec.label.columns()[party]
        kept = KeptDraws(home_of(spec.parties[party]), keys, spec.data.name, column).expenses(noise)
    return [Charge(mechanism=noise.described(), epsilon=noise.epsilon, draw=name) for name in kept or ("new",)]


def _source(spec: Spec, party: str) -> bytes:
    """The digest of the party's files; of a query, or of files that are not there yet, the name alone is known."""
    path = spec.data.tables[party].path if party in spec.data.tables else None
    try:
        return b"" if path is None else files_digest(find_files(path, party))
    except DataError:
        return b""


def _told(paid: list[Charge], spent: list[Charge], restored: int = 0) -> dict[str, Any]:
    together = total(spent)
    return {
        "paid": total(paid).epsilon,
        "epsilon": together.epsilon,
        "delta": together.delta,
        "restored": restored,
    }
