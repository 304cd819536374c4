"""A row of the table of faults: what was done to a run over three sites, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """One fault and its outcome.

    Attributes:
        seconds: from the fault (or its end, where it ends by itself) until the last site that it concerns had ended.
        codes: party → exit code, negative for a signal.
        told: what the first line of the error said at the other sites.
        wrong: what is not as it must be after every fault.
    """

    fault: str
    stage: str
    party: str
    seconds: float
    codes: dict[str, int]
    told: str
    wrong: list[str] = field(default_factory=list)


def markdown(kind: str, rows: Iterable[Row]) -> str:
    """The table, with the kind of hosts above it."""
    lines = [
        f"Hosts: {kind}.",
        "",
        "| fault | stage | at | seconds | exit codes | the others are told | outcome |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        codes = ", ".join(f"{party} {code}" for party, code in row.codes.items())
        outcome = "; ".join(row.wrong) or "as it must be"
        lines.append(
            f"| {row.fault} | {row.stage} | {row.party} | {row.seconds:.1f} | {codes} | {row.told} | {outcome} |"
        )
    return "\n".join(lines)
