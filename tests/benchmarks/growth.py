"""How the runner's training grows: seconds, bytes and memory, one factor at a time from a centre.

    python tests/benchmarks/growth.py [--quick] [--rounds 3] [--factors rows features depth bins parties] [--million]

Rows 5,000 to 200,000, features 10 to 300, depth 2 to 8, bins 10 to 64, parties 2 to 5; the centre has 50,000 rows,
30 features, depth 5, 10 bins, three parties, 5 trees and ``ou`` with 2048 bits. Real processes over loopback with
mutual TLS (benchmarks/training_process.py says what is counted). Each case is also trained, in turn, with HEU's
``mock``, which encrypts nothing and which the runner refuses: what it does not take is the share of cryptography. Both
must come to the same model. Memory is a process's most over what it held when the training began. The slope of
memory over rows says what a training of 1,000,000 rows takes, and at how many rows 24 GB on one machine end;
``--million`` trains so many once, and nothing else.

What is finished stands in outputs/benchmarks/growth.jsonl, a line each, and is not measured again.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

import numpy as np  # noqa: E402
from benchmarks.cases import Case, Notebook, Ways  # noqa: E402

FACTORS: dict[str, tuple[int, ...]] = {
    "rows": (5_000, 10_000, 20_000, 50_000, 100_000, 200_000),
    "features": (10, 30, 100, 300),
    "depth": (2, 3, 5, 8),
    "bins": (10, 16, 32, 64),
    "parties": (2, 3, 4, 5),
}
QUICK_FACTORS: dict[str, tuple[int, ...]] = {
    "rows": (500, 1_000, 2_000),
    "features": (10, 30),
    "depth": (2, 3),
    "bins": (10, 32),
    "parties": (2, 3),
}
MANY, QUICK_MANY = 1_000_000, 4_000
CENTRE, QUICK_CENTRE = Case(), Case(rows=1_000, trees=2, depth=3)
HEAD = "| factor | value | wall s | CPU s | label holder's | MB sent | more memory, MB a party | cryptography |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="How training grows with rows, features, depth, bins and parties.")
    parser.add_argument("--quick", action="store_true", help="small values: a trial of two minutes")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--factors", nargs="+", choices=FACTORS, default=list(FACTORS))
    parser.add_argument("--million", action="store_true", help="one training of 1,000,000 rows (4,000 with --quick)")
    options = parser.parse_args()
    centre, factors = (QUICK_CENTRE, QUICK_FACTORS) if options.quick else (CENTRE, FACTORS)
    rounds = 1 if options.quick else options.rounds
    if options.million:
        train_many(centre.changed(rows=QUICK_MANY if options.quick else MANY))
        return
    print(f"centre: {centre.told()}\n\n{HEAD}\n|---|---|---|---|---|---|---|---|")
    with Ways() as ways:
        notebook = Notebook("growth")
        for factor in options.factors:
            rows = [(value, grow(ways, notebook, centre, factor, value, rounds)) for value in factors[factor]]
            if factor == "rows":
                memory = told_memory(rows)
    if "rows" in options.factors:
        print(f"\n{memory}")


def train_many(case: Case) -> None:
    """Train once, and print each party's memory."""
    with Ways() as ways:
        found = Notebook("many_rows").get(ways, "runner", case, 0)
    memory = (
        f"{party} {found['most_memory'][party]:,.0f} MB ({more:,.0f} since the training began)"
        for party, more in found["more_memory"].items()
    )
    print(f"{case.told()}: {found['wall']:,.0f} s, {found['cpu']:,.0f} s CPU; at most {', '.join(memory)}")


def grow(ways: Ways, notebook: Notebook, centre: Case, factor: str, value: int, rounds: int) -> dict[str, Any]:
    """Measure one case, and print its line of the table."""
    case = centre.changed(**{factor: value})
    found, in_clear = [], []
    for number in range(rounds):
        found.append(notebook.get(ways, "runner", case, number))
        in_clear.append(notebook.get(ways, "runner", case.changed(scheme="mock"), number))
        if found[-1]["model"] != in_clear[-1]["model"]:
            raise SystemExit(f"{case.told()}: the models differ")
    one = middle(found)
    share = statistics.median(1 - b["cpu"] / a["cpu"] for a, b in zip(found, in_clear, strict=True))
    memory = " / ".join(f"{megabytes:,.0f}" for megabytes in one["more_memory"].values())
    print(
        f"| {factor} | {value:,} | {one['wall']:.1f} | {one['cpu']:.1f} | {one['cpu_of_holder']:.1f} "
        f"| {one['sent'] / 1e6:,.1f} | {memory} | {share:.0%} |",
        flush=True,
    )
    return one


def middle(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The medians of all numbers."""
    whole = {name: statistics.median(one[name] for one in found) for name in ("wall", "cpu", "cpu_of_holder", "sent")}
    parties = found[0]["more_memory"]
    memory = {party: statistics.median(one["more_memory"][party] for one in found) for party in parties}
    return {**whole, "more_memory": memory}


def told_memory(rows: Sequence[tuple[int, dict[str, Any]]]) -> str:
    """What a million rows would take, by the slope over the larger half of the cases."""
    larger = rows[len(rows) // 2 - 1 :]
    numbers = [value for value, _ in larger]
    lines = {
        party: np.polyfit(numbers, [one["more_memory"][party] for _, one in larger], 1)
        for party in larger[0][1]["more_memory"]
    }
    million = {party: float(np.polyval(line, 1e6)) for party, line in lines.items()}
    slope, start = (sum(float(line[place]) for line in lines.values()) for place in (0, 1))
    told = ", ".join(f"{party} {megabytes:,.0f} MB" for party, megabytes in million.items())
    return (
        f"by the slope, 1,000,000 rows take besides the libraries: {told}; 24 GB for all parties together "
        f"end at about {(24_000 - start) / slope:,.0f} rows"
    )


if __name__ == "__main__":
    main()
