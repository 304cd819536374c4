"""A row of the table of faults: what was done to a run over three sites, and what came of it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

Key = tuple[str, str, str]  # fault, stage, party


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

    @property
    def key(self) -> Key:
        """Which row of the table it is."""
        return self.fault, self.stage, self.party


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


def matrix(rows: Sequence[Row], stages: Sequence[str]) -> str:
    """Faults × stages: the most seconds until all sites had ended, wherever it happened; or that their run goes on.

    Args:
        stages: in their order; rows of others are gathered in a last column.
    """
    columns = [*stages, *(["at large"] if any(row.stage not in stages for row in rows) else [])]
    cells: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        cells.setdefault((row.fault, row.stage if row.stage in stages else "at large"), []).append(row)
    lines = [f"| fault | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for fault in dict.fromkeys(row.fault for row in rows):
        found = [_cell(cells.get((fault, column), [])) for column in columns]
        lines.append(f"| {fault} | {' | '.join(found)} |")
    return "\n".join(lines)


def _cell(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    if wrong := sum(bool(row.wrong) for row in rows):
        return f"{wrong} of {len(rows)} wrong"
    if not any(code for row in rows for code in row.codes.values()):
        return "goes on"
    return f"{max(row.seconds for row in rows):.1f} s"


def make_table(
    kind: str, wanted: Iterable[tuple[Key, Callable[[], Row]]], path: Path | None, stages: Sequence[str]
) -> int:
    """Make the rows that are not kept yet, print the tables; 1 where something is not as it must be, 0 elsewhere.

    Args:
        path: where rows are kept, one JSON object a line; None: nowhere.
    """
    rows = [] if path is None or not path.exists() else [Row(**json.loads(line)) for line in path.open()]
    done = {row.key for row in rows}
    missing = [(key, make) for key, make in wanted if key not in done]
    for number, (key, make) in enumerate(missing, start=1):
        try:
            row = make()
        except (AssertionError, psutil.TimeoutExpired) as error:  # the others are to be made all the same
            row = Row(*key, seconds=0.0, codes={}, told="", wrong=[f"{type(error).__name__}: {error}"])
        rows.append(row)
        print(f"{number}/{len(missing)} {', '.join(key)}: {row.wrong or 'as it must be'}", file=sys.stderr, flush=True)
        if path is not None:
            with path.open("a") as file:
                file.write(json.dumps(dataclasses.asdict(row)) + "\n")
    print(matrix(rows, stages), markdown(kind, rows), sep="\n\n")
    return 1 if any(row.wrong for row in rows) else 0


def names_among(known: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Reads names between commas, for an argument of a command."""

    def read(text: str) -> tuple[str, ...]:
        names = tuple(name.strip() for name in text.split(","))
        if unknown := set(names) - set(known):
            raise argparse.ArgumentTypeError(f"{sorted(unknown)} not among {tuple(known)}")
        return names

    return read
