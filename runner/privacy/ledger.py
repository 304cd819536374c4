"""A party's privacy ledger: what was spent of its rows' privacy, and the budgets that stop a run which would overspend.

A ledger counts for a *data set*: expenses on a table of the same name (``data.name``), or on the same file under
another name, count together. A table that gains or loses a row is the same data set as long as it keeps its name:
what was spent on the rows that stay cannot be had back. With another name *and* other bytes it is another data set;
a budget with ``counts: all`` knows no such difference, and is the sound choice where the same people are in several.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from runner.errors import PolicyError
from runner.keys.keyring import Keyring
from runner.policy.decide import Grants
from runner.privacy.accounting import Charge, Total, epsilon_by, total, within
from runner.privacy.ledger_file import LedgerFile, OpenLedger
from runner.spec.model import Spec
from runner.spec.policy import Budget
from runner.spec.privacy import NoPrivacy


class Limit(NamedTuple):
    """A budget, and whose line it is."""

    budget: Budget
    line: str


class Receipt(NamedTuple):
    """What an expense came to.

    Attributes:
        paid: the expenses that were written down now.
        free: those whose draw had been paid for.
        spent: on the data set, with these.
    """

    paid: tuple[Charge, ...]
    free: tuple[Charge, ...]
    spent: Total


def limits_of(spec: Spec, party: str, grants: Grants | None) -> tuple[Limit, ...]:
    """The budgets that ``party`` is held to: that of the run's policy, and that of its own grants."""
    found = []
    if (budget := spec.policy.privacy.budget) is not None:
        found.append(Limit(budget, "policy.privacy.budget"))
    if grants is not None and (own := grants.policy.privacy.budget) is not None:
        found.append(Limit(own, f"{grants.source}: privacy.budget"))
    return tuple(found)


def require_noise(spec: Spec, party: str, limits: Sequence[Limit]) -> None:
    """Refuse a run with the party's labels and no noise, where it has a budget: no epsilon bounds what that tells.

    Raises:
        PolicyError: where it is so.
    """
    with_labels = ("label" in spec.stages() and party in spec.label.columns()) or party == spec.evaluator()
    if limits and with_labels and isinstance(spec.privacy, NoPrivacy):
        raise PolicyError(
            f"{party} has a privacy budget, and the run has no noise",
            where=limits[0].line,
            why="with privacy=none no epsilon bounds what is told of its labels, and nothing would be counted",
            fix="choose privacy=label_dp (for training labels) or privacy=output_dp (for metrics and scores of test "
            "rows); where nothing is trained, label.predict=none; or take the budget out: such a run keeps to none",
        )


class Ledger:
    """One party's ledger, for one data set.

    Args:
        home: the folder of the party's key file.
        keys: the party's keys.
        data: the data set's name.
        source: the digest of what the party's table was read from.
    """

    def __init__(self, home: Path, keys: Keyring, data: str, source: bytes) -> None:
        self._file = LedgerFile(home, keys)
        self._party = keys.party
        self._data = data
        self._source = source

    @property
    def restored(self) -> int:
        """How many expenses an earlier process had announced and not written whole; they are written now, and count."""
        return self._file.restored

    def spend(self, charges: Sequence[Charge], limits: Sequence[Limit], run: str) -> Receipt:
        """Write expenses down, all or none, before anything that depends on their noise leaves the party.

        A charge whose ``draw`` was paid for on this data set costs nothing.

        Args:
            limits: the budgets; all of them must hold afterwards.
            run: the run's folder name.

        Raises:
            PolicyError: where a budget would be overspent; then nothing is written.
            SecurityError: where the ledger is not as the party wrote it.
        """
        with self._file.locked() as ledger:
            return self.spend_in(ledger, charges, limits, run)

    def spent(self, run: str) -> tuple[list[Charge], list[Charge]]:
        """What was spent on the data set, and what of it by one run."""
        with self._file.locked() as ledger:
            table = ledger.digest("table", self._source)
            own = [entry for entry in ledger.entries if entry.get("run") == run]
            return charges_of(ledger.entries, self._data, {table}), charges_of(own, self._data, {table})

    def opened(self) -> AbstractContextManager[OpenLedger]:
        """The ledger for this process alone; see :meth:`LedgerFile.locked`."""
        return self._file.locked()

    def spend_in(self, ledger: OpenLedger, charges: Sequence[Charge], limits: Sequence[Limit], run: str) -> Receipt:
        """The same as :meth:`spend`, in a ledger that this process has open."""
        paid, free, before = self.look(ledger, charges, limits)
        if paid:
            table = ledger.digest("table", self._source)
            entry = {"kind": "spent", "time": time.time(), "run": run, "data": self._data, "table": table}
            ledger.append({**entry, "charges": [msgspec.to_builtins(charge) for charge in paid]})
        return Receipt(paid, free, total([*before, *paid]))

    def look(
        self, ledger: OpenLedger, charges: Sequence[Charge], limits: Sequence[Limit]
    ) -> tuple[tuple[Charge, ...], tuple[Charge, ...], list[Charge]]:
        """What would have to be paid, what would be free, and what was spent on the data set.

        Raises:
            PolicyError: where a budget would be overspent.
        """
        table = ledger.digest("table", self._source)
        same = charges_of(ledger.entries, self._data, {table})
        known = {charge.draw for charge in same if charge.draw is not None}
        paid = tuple(charge for charge in charges if charge.draw is None or charge.draw not in known)
        free = tuple(charge for charge in charges if charge not in paid)
        for limit in limits if paid else ():
            before = same if limit.budget.counts == "same_data" else charges_of(ledger.entries)
            _require(limit, self._party, self._data, before, paid)
        return paid, free, same


def require_within(
    party: str, data: str, limits: Sequence[Limit], before: Sequence[Charge], asked: Sequence[Charge]
) -> list[Charge]:
    """All expenses, those before and those asked for, where they keep to every budget.

    Raises:
        PolicyError: where one would be overspent.
    """
    for limit in limits if asked else ():
        _require(limit, party, data, before, asked)
    return [*before, *asked]


def _require(limit: Limit, party: str, data: str, before: Sequence[Charge], asked: Sequence[Charge]) -> None:
    budget, spent = limit.budget, total(before)
    if within(budget, total([*before, *asked])):
        return
    of = f"on {data!r}" if budget.counts == "same_data" else "on all of its data"
    raise PolicyError(
        f"{party}'s privacy budget would be overspent",
        where=limit.line,
        why=f"spent {of}: {_told(budget, spent)}; asked: {_told(budget, total(asked))}; budget: epsilon "
        f"{budget.epsilon:g}, delta {budget.delta:g} ({budget.rule} composition)",
        fix="use settings whose noise was paid for (the same mechanism, epsilon and table cost nothing again) or a "
        "smaller privacy.epsilon; a larger budget weakens what was promised; task=ledger shows what "
        f"{party} has spent",
    )


def charges_of(
    entries: Sequence[dict[str, Any]], data: str | None = None, tables: Collection[str] = ()
) -> list[Charge]:
    """The expenses among a ledger's entries: all, or those of the data set of that name or with those digests."""
    return [
        msgspec.convert(charge, Charge)
        for entry in entries
        if entry["kind"] == "spent" and (data is None or entry["data"] == data or entry["table"] in tables)
        for charge in entry["charges"]
    ]


def _told(budget: Budget, spent: Total) -> str:
    epsilon = epsilon_by(budget.rule, spent, budget.delta)
    delta = f", delta {spent.delta:g}" if budget.rule == "basic" else ""
    return f"epsilon {epsilon if epsilon < float('inf') else spent.epsilon:.4g}{delta}"
