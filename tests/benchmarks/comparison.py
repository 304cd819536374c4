"""The runner's training against other systems', on the same rows and the same bins: ratios, and AUC.

    (cd .. && uv venv --python 3.10 peers-fedtree && uv pip install --python peers-fedtree/bin/python fedtree==1.0.5)
    apt-get install libntl44    # for fedtree
    (cd .. && uv venv --python 3.10 peers-fate && uv pip install --python peers-fate/bin/python pyfate==2.2.0)
    python tests/benchmarks/comparison.py --fedtree ../peers-fedtree/bin/python --fate ../peers-fate/bin/python
        [--quick] [--rounds 3] [--rows 10000] [--features 30] [--parties 3] [--trees 5] [--depth 5] [--bits 2048]

FedTree and FATE go into environments of their own, and are left out where no Python is given; they are installed from
outside of the project, whose pins would hold for them too.
Features are bucket numbers already, ten equal parts of the training rows, so that all have the same bins. Every tree
may use all parties' columns; a split needs no least gain or weight, lambda is 1. What is counted is training, without
start, reading and predicting, in all processes. In turn, in each round: XGBoost on the pooled columns, which protects
nothing; FedTree, whose package has a 512-bit key; FATE with Paillier; the runner with Paillier of the same size, and
with ``ou``. A ratio is a system's seconds over those of the runner with Paillier.

What is finished stands in outputs/benchmarks/comparison.jsonl, a line each, and is not measured again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

import numpy as np  # noqa: E402
import pyarrow.parquet as parquet  # noqa: E402
from benchmarks.cases import PARTIES, Case, Notebook, Ways, is_test, parameters, told_ratios  # noqa: E402
from sklearn.metrics import roc_auc_score  # noqa: E402

PEERS = Path(__file__).with_name("peers")
BASE = "runner, paillier"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The runner's training against that of other systems.")
    numbers = {"rows": 10_000, "features": 30, "parties": 3, "trees": 5, "depth": 5, "bits": 2048, "rounds": 3}
    for name, value in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--quick", action="store_true", help="small tables and trees: a trial of some minutes")
    parser.add_argument("--fedtree", help="a Python that has fedtree")
    parser.add_argument("--fate", help="a Python that has pyfate")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.features, options.trees, options.depth, options.rounds = 500, 9, 2, 3, 1
    sizes = {name: getattr(options, name) for name in ("rows", "features", "parties", "trees", "depth", "bits")}
    case = Case(**sizes, data="binned", first_tree_alone=False)
    found: dict[str, list[dict[str, Any]]] = {}
    with Ways() as ways:
        notebook = Notebook("comparison")
        for number in range(options.rounds):
            for name, python in {"xgboost": sys.executable, "fedtree": options.fedtree, "fate": options.fate}.items():
                if python is not None:
                    peer = Peer(name, python, case, ways)
                    what = {"peer": name, "case": dataclasses.asdict(case), "number": number}
                    found.setdefault(name, []).append(notebook.look_up(peer.train, **what))
            for scheme in ("paillier", "ou"):
                one = notebook.get(ways, "runner", case.changed(scheme=scheme), number)
                found.setdefault(f"runner, {scheme}", []).append(one)
    print(f"{case.changed(scheme='keys of').told()}\n\n| system | wall | CPU | CPU s | AUC |\n|---|---|---|---|---|")
    for name, ones in found.items():
        wall, cpu = (
            told_ratios([a[unit] / b[unit] for a, b in zip(ones, found[BASE], strict=True)]) for unit in ("wall", "cpu")
        )
        seconds, auc = (statistics.median(one[what] for one in ones) for what in ("cpu", "auc"))
        print(f"| {name} | {wall} | {cpu} | {seconds:.2f} | {auc:.4f} |")


class Peer:
    """Another system's program in ``peers/``, on the tables of a case."""

    def __init__(self, name: str, python: str, case: Case, ways: Ways) -> None:
        self._command = [python, str(PEERS / f"with_{name}.py")]
        self._case = case
        self._tables, self._labels = ways.tables(case)

    def train(self) -> dict[str, Any]:
        """Wall and CPU seconds, and the AUC of the predictions."""
        with tempfile.TemporaryDirectory(prefix="sgb-benchmark-") as name:
            folder = Path(name)
            self._write(folder)
            done = subprocess.run([*self._command, name], cwd=folder, capture_output=True, text=True, check=False)
            costs = [json.loads(path.read_text()) for path in folder.glob("*.cost.json")]
            if not costs or not (folder / "scores.npy").exists():
                raise SystemExit(f"{' '.join(self._command)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
            auc = roc_auc_score(self._labels, np.load(folder / "scores.npy"))
        wall, cpu = max(cost["wall"] for cost in costs), sum(cost["cpu"] for cost in costs)
        return {"wall": wall, "cpu": cpu, "auc": round(float(auc), 4)}

    def _write(self, folder: Path) -> None:
        case = self._case
        tables = {party: parquet.read_table(path) for party, path in self._tables.items()}
        test = np.array([is_test(identity) for identity in tables[PARTIES[0]]["id"].to_pylist()])
        columns = [t[name].to_numpy() for t in tables.values() for name in t.column_names if name[0] == "f"]
        features = np.column_stack(columns) + 1  # FedTree takes a zero for a hole
        label = tables[PARTIES[0]]["label"].to_numpy()
        np.savez(folder / "tables.npz", features=features[~test], label=label[~test], held_out=features[test])
        task = {name: getattr(case, name) for name in ("trees", "depth", "bins", "bits", "parties")}
        task |= {"rate": parameters(case)["learning_rate"], "scheme": "paillier"}
        (folder / "task.json").write_text(json.dumps(task))


if __name__ == "__main__":
    main()
