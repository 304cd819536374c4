"""What people read of privacy ledgers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from runner.report.check import table


def describe_ledgers(found: Mapping[str, Mapping[str, Any]], delta: float) -> str:
    """Each party's expenses and their sums. ``found``: party → what its own process read; ``delta``: zCDP's."""
    lines: list[str] = []
    for party, ledger in found.items():
        if not ledger["expenses"]:
            lines += [f"{party}: nothing spent", ""]
            continue
        lines += [f"{party}:", *table([HEADING, *_expenses(ledger["expenses"])]), ""]
        lines += [*table([SUMS, *_totals(ledger["totals"], delta)]), ""]
        if restored := ledger["restored"]:
            lines += [
                f"{restored} of these were announced by a process that died before it had written them: counted",
                "",
            ]
    return "\n".join(lines).rstrip()


HEADING = ("time (UTC)", "run", "data set", "mechanism", "epsilon", "delta", "unit", "against")
SUMS = ("together", "epsilon, delta (basic)", "epsilon (zCDP)")


def _expenses(entries: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    for entry in entries:
        time = datetime.fromtimestamp(entry["time"], timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        for charge in entry["charges"]:
            sizes = (f"{charge['epsilon']:g}", f"{charge['delta']:g}")
            yield time, entry["run"], entry["data"], charge["mechanism"], *sizes, charge["unit"], charge["against"]


def _totals(totals: Mapping[str, Mapping[str, Any]], delta: float) -> Iterator[tuple[str, ...]]:
    for name, sums in totals.items():
        concentrated = sums["zcdp_epsilon"]
        yield (
            f"data set {name}" if name else "all data sets",
            f"{sums['epsilon']:.4g}, {sums['delta']:g}",
            "none at this delta" if concentrated is None else f"{concentrated:.4g} at delta {delta:g}",
        )
