"""Training alone: the hand-written stock program against the runner's engine, in turn; and what each lever brings.

    python tests/benchmarks/training.py [--quick] [--pairs 3] [--levers]
        [--only 'breast cancer, ou 3072'] [--rows 50000] [--trees 5] [--depth 5]

Real processes, one a party (three of them), over loopback: stock SecretFlow in plain text, the runner with mutual TLS
(benchmarks/training_process.py says what is counted). Each pair trains once with either on the same tables, with new
keys; model files and predictions must be the same bytes. A ratio is stock's seconds over the runner's, of one pair.
``--levers`` trains again, in turn with and without one lever, and without all of them: what is left then is that the
label holder sums its own features in plain, with one call a level and party.

What is finished stands in outputs/benchmarks/training.jsonl, a line each, and is not measured again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

from benchmarks.cases import ALL_LEVERS, LEVERS, Case, Notebook, Ways, told_ratios  # noqa: E402

UNITS = (("wall", "wall"), ("cpu", "CPU"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The hand-written stock program's training against the runner's.")
    for name, value in {"rows": 50_000, "trees": 5, "depth": 5, "pairs": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--quick", action="store_true", help="small tables and trees: a trial of a minute")
    parser.add_argument("--levers", action="store_true")
    parser.add_argument("--only", action="append", help="a name of a case, as it is printed")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.trees, options.depth, options.pairs = 2_000, 2, 3, 1
    named = cases(options.rows, options.trees, options.depth)
    with Ways() as ways:
        notebook = Notebook("training")
        for name in options.only or named:
            compare(ways, notebook, name, named[name], options.pairs)
            for lever in (*LEVERS, ALL_LEVERS) if options.levers else ():
                take_away(ways, notebook, named[name], lever, options.pairs)


def cases(rows: int, trees: int, depth: int) -> dict[str, Case]:
    """Name → case: both sizes, with the runner's default encryption and with Paillier's."""
    grown = Case(rows=rows, trees=trees, depth=depth)
    return {
        f"{size}, {scheme} {bits}": grown.changed(data=data, scheme=scheme, bits=bits)
        for size, data in (("breast cancer", "breast_cancer"), (f"{rows:,} × 30", "made"))
        for scheme, bits in (("ou", 3072), ("paillier", 2048))
    }


def compare(ways: Ways, notebook: Notebook, name: str, case: Case, pairs: int) -> None:
    """Stock and runner in turn."""
    ratios: dict[str, list[float]] = {unit: [] for unit, _ in UNITS}
    for pair in range(pairs):
        order = ("stock", "runner") if pair % 2 == 0 else ("runner", "stock")
        found = {way: notebook.get(ways, way, case, pair) for way in order}
        if any(found["stock"][what] != found["runner"][what] for what in ("model", "predictions")):
            raise SystemExit(f"{name}: the models differ")
        for unit, values in ratios.items():
            values.append(found["stock"][unit] / found["runner"][unit])
        shown = (f"{way} {one['wall']:.1f} s ({one['cpu']:.1f} s CPU)" for way, one in sorted(found.items()))
        print(f"{name}: {', '.join(shown)}; same model files and predictions", flush=True)
    for unit, shown_as in UNITS:
        print(f"{name}: {shown_as}: {told_ratios(ratios[unit])} times as fast", flush=True)


def take_away(ways: Ways, notebook: Notebook, case: Case, lever: str, pairs: int) -> None:
    """The runner with and without a lever, in turn."""
    ratios = []
    for pair in range(pairs):
        less = notebook.get(ways, "runner", case.changed(without=lever), pair)
        whole = notebook.get(ways, "runner", case, pair, beside=lever)
        if whole["model"] != less["model"]:
            raise SystemExit(f"without {lever}: the models differ")
        ratios.append(less["cpu"] / whole["cpu"])
    print(f"without {lever}: {told_ratios(ratios)} times the CPU", flush=True)


if __name__ == "__main__":
    main()
