"""One picture of what the benchmarks found: ratios, and growth.

    python tests/benchmarks/plot.py [--to outputs/benchmarks/training.svg]

Reads the notebooks of training.py, growth.py and comparison.py in outputs/benchmarks/ (of each, what was measured with
the code that is there last), and leaves out what is not there. Left: how many times as much CPU as the runner the stock
program and other systems take. Right: how CPU seconds, bytes and memory grow with rows, against the fewest rows.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

import matplotlib  # noqa: E402

matplotlib.use("svg")

import matplotlib.pyplot as plt  # noqa: E402
from benchmarks.cases import RESULTS, Case, read_notes  # noqa: E402

matplotlib.rcParams.update({"svg.hashsalt": "benchmarks", "font.size": 8})
Note = dict[str, Any]


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description="One picture of what the benchmarks found.")
    parser.add_argument("--to", type=Path, default=RESULTS / "training.svg")
    options = parser.parse_args()
    notes = {name: latest(RESULTS / f"{name}.jsonl") for name in ("training", "growth", "comparison")}
    bars = {**against_stock(notes["training"]), **against_others(notes["comparison"])}
    lines = with_rows(notes["growth"])
    if not bars and not lines:
        raise SystemExit(f"nothing has been measured: {RESULTS} has no notebook")
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    draw_bars(left, bars)
    draw_lines(right, lines)
    options.to.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.to, metadata={"Date": None} if options.to.suffix == ".svg" else None, dpi=110)
    print(options.to)


def latest(path: Path) -> list[Note]:
    """The notes that were taken with the same code as the last one."""
    notes = read_notes(path)
    return [note for note in notes if note["code"] == notes[-1]["code"]]


def against_stock(notes: list[Note]) -> dict[str, float]:
    """Case → stock's CPU over the runner's, the median of pairs."""
    pairs: dict[Case, dict[int, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for note in notes:
        what = note["what"]
        if "beside" not in what and not what["case"]["without"]:
            pairs[Case(**what["case"])][what["number"]][what["way"]] = note["found"]["cpu"]
    ratios = {
        f"stock SGB: {case.size()}, {case.scheme} {case.bits}": [
            one["stock"] / one["runner"] for one in numbers.values() if len(one) == 2
        ]
        for case, numbers in pairs.items()
    }
    return {name: statistics.median(values) for name, values in ratios.items() if values}


def against_others(notes: list[Note]) -> dict[str, float]:
    """System → its CPU over that of the runner with Paillier, the median of rounds; of the largest tables."""
    by_system: dict[str, dict[int, float]] = defaultdict(dict)
    rows = max((note["what"]["case"]["rows"] for note in notes), default=0)
    for note in notes:
        what = note["what"]
        if what["case"]["rows"] == rows:
            name = what.get("peer") or f"runner, {what['case']['scheme']}"
            by_system[name][what["number"]] = note["found"]["cpu"]
    base = by_system.get("runner, paillier", {})
    ratios = {
        f"{name}: {rows:,} rows": [cpu / base[number] for number, cpu in numbers.items() if number in base]
        for name, numbers in by_system.items()
        if name != "runner, paillier"
    }
    return {name: statistics.median(values) for name, values in ratios.items() if values}


def with_rows(notes: list[Note]) -> dict[str, dict[int, float]]:
    """What grows → rows → how many times as much as with the fewest rows; other factors at the centre."""
    encrypted = [note for note in notes if note["what"]["case"]["scheme"] != "mock"]
    if not encrypted:
        return {}
    cases = [Case(**note["what"]["case"]) for note in encrypted]
    series: dict[Case, list[tuple[int, Note]]] = defaultdict(list)
    for case, note in zip(cases, encrypted, strict=True):
        series[case.changed(rows=0)].append((case.rows, note["found"]))
    longest = max(series.values(), key=lambda ones: max(rows for rows, _ in ones))
    lines: dict[str, dict[int, float]] = {}
    for name, value in (
        ("CPU seconds", lambda found: found["cpu"]),
        ("bytes sent", lambda found: found["sent"]),
        ("memory of all parties", lambda found: sum(found["most_memory"].values())),
    ):
        by_rows: dict[int, list[float]] = defaultdict(list)
        for rows, found in longest:
            by_rows[rows].append(value(found))
        middle = {rows: statistics.median(values) for rows, values in sorted(by_rows.items())}
        lines[name] = {rows: one / middle[min(middle)] for rows, one in middle.items()}
    return lines


def draw_bars(axes: Any, bars: dict[str, float]) -> None:
    """Ratios, the runner's being 1."""
    names = list(bars)[::-1]
    drawn = axes.barh(names, [bars[name] for name in names], color="#4477aa")
    axes.bar_label(drawn, fmt=" %.3g ×")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.margins(x=0.25)
    axes.set_title("CPU of training, as multiples of the runner's\n(other systems: of the runner's with Paillier)")


def draw_lines(axes: Any, lines: dict[str, dict[int, float]]) -> None:
    """Growth with rows, both axes logarithmic."""
    for (name, points), style in zip(lines.items(), ("o-", "s--", "^:"), strict=False):
        axes.plot(list(points), list(points.values()), style, label=name)
    if lines:
        axes.set(xscale="log", yscale="log", xlabel="training rows", title="Growth, as multiples of the smallest")
        axes.legend()


if __name__ == "__main__":
    main()
