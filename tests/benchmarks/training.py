"""Training alone: SecretFlow's own SGB against the runner's, in turn, on the same tables; and what each lever brings.

    python tests/benchmarks/training.py [--rows 455] [--features 30] [--trees 5] [--depth 5] [--scheme ou] [--bits 3072]
        [--rounds 3] [--levers]

All parties are in one process (encryption is real), so CPU seconds are those of all parties together; what travels
costs nothing here. Each round trains once with either, with new keys, and compares trees, gains, leaf weights and
scores bit by bit. ``--levers`` trains again with one lever at a time taken away, and with all of them: what is left
then is that the label holder sums its own features in plain, with one call a level and party.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

PROJECT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

from support import make_spec  # noqa: E402

from runner.engine.narrow import import_secretflow  # noqa: E402

import_secretflow()

import numpy as np  # noqa: E402
from secretflow.data import FedNdarray, PartitionWay  # noqa: E402
from secretflow.device import HEU, PYU  # noqa: E402
from secretflow.ml.boost.sgb_v import Sgb  # noqa: E402

from runner.engine import encryption, histogram, sealed  # noqa: E402
from runner.engine.packing import Plan  # noqa: E402
from runner.engine.resume import ResumableSgb  # noqa: E402
from runner.engine.start import start_debug  # noqa: E402

PARTIES = ("carol", "alice", "bob")
LEVERS = ("packed sums", "pairs of features", "equal sums once", "one inversion a node")
ALL = "all of these"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="SecretFlow's own training against the runner's.")
    for name, value in {"rows": 455, "features": 30, "trees": 5, "depth": 5, "bits": 3072, "rounds": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--scheme", default="ou")
    parser.add_argument("--levers", action="store_true")
    options = parser.parse_args()
    start_debug(PARTIES)
    parameters = make_spec(f"sgb.num_boost_round={options.trees}", f"sgb.max_depth={options.depth}").sgb.parameters()
    tables = make_tables(options.rows, options.features)
    ratios = []
    for _ in range(options.rounds):
        stock = train(options, parameters, tables, faster=False)
        ours = train(options, parameters, tables, faster=True)
        if stock[0] != ours[0]:
            raise SystemExit("the models differ")
        ratios.append([a / b for a, b in zip(stock[1], ours[1], strict=True)])
        print(f"stock {show(stock[1])}, runner {show(ours[1])}: same model", flush=True)
    for unit, values in zip(("wall", "CPU"), zip(*ratios, strict=True), strict=True):
        print(f"{unit:>4}: {statistics.median(values):.2f} times as fast (from {min(values):.2f} to {max(values):.2f})")
    for lever in (*LEVERS, ALL) if options.levers else ():
        costs = []
        for _ in range(options.rounds):
            whole = train(options, parameters, tables, faster=True)
            with without(lever):
                less = train(options, parameters, tables, faster=True)
            if whole[0] != less[0]:
                raise SystemExit("the models differ")
            costs.append(less[1][1] / whole[1][1])
        print(f"without {lever}: {statistics.median(costs):.2f} times the CPU", flush=True)


def show(cost: tuple[float, float]) -> str:
    """Wall and CPU seconds."""
    return f"{cost[0]:.1f} s ({cost[1]:.1f} s CPU)"


def make_tables(rows: int, features: int) -> tuple[FedNdarray, FedNdarray]:
    """Features in equal shares, and a label that depends on all of them."""
    generator = np.random.default_rng(1)
    values = generator.normal(size=(rows, features))
    label = (values @ generator.normal(size=features) + generator.normal(size=rows) > 0).astype(float).reshape(-1, 1)
    shares = np.array_split(values, len(PARTIES), axis=1)
    return fed(dict(zip(PARTIES, shares, strict=True))), fed({PARTIES[0]: label})


def fed(parts: dict[str, Any]) -> FedNdarray:
    """Each party's own columns."""
    held = {PYU(party): PYU(party)(lambda part=part: part)() for party, part in parts.items()}
    return FedNdarray(partitions=held, partition_way=PartitionWay.VERTICAL)


def train(options: Any, parameters: Any, tables: Any, faster: bool) -> tuple[Any, tuple[float, float]]:
    """The model as text and bytes, and wall and CPU seconds; making keys and predicting are not counted."""
    settings = {
        "sk_keeper": {"party": PARTIES[0]},
        "evaluators": [{"party": party} for party in PARTIES[1:]],
        "mode": "PHEU",
        "he_parameters": {"schema": options.scheme, "key_pair": {"generate": {"bit_size": options.bits}}},
    }
    device = (encryption.PackedHeu if faster else HEU)(settings, "FM128")
    trainer = ResumableSgb(device, None, lambda moment: None) if faster else Sgb(device)
    np.random.seed(0)
    before = time.monotonic(), time.process_time()
    model = trainer.train(parameters, *tables)
    after = time.monotonic(), time.process_time()
    trees = [
        ([vars(part.data) for part in tree.split_tree_dict.values()], np.asarray(tree.leaf_weight.data).tolist())
        for tree in model.trees
    ]
    scores = np.asarray(model.predict(tables[0]).data).tobytes()
    return (json.dumps(trees, default=float), scores), (after[0] - before[0], after[1] - before[1])


@contextlib.contextmanager
def without(lever: str) -> Iterator[None]:
    """Train without one lever."""

    def one_sum_each(scheme: str, room: int, bits: tuple[int, int], *others: Any) -> Plan:
        return Plan(*bits, columns=1, slots=1)

    def every_bucket(counts: Any, buckets: int) -> Any:
        own = np.arange(counts.size, dtype=np.int32).reshape(-1, buckets)
        own[:, -1] = histogram.ALL
        return own.ravel()

    def one_by_one(arithmetic: Any, array: Any) -> Any:
        return arithmetic.times(array, -1)

    changes: dict[str, list[Any]] = {
        "packed sums": [mock.patch.object(encryption, "make_plan", one_sum_each)],
        "pairs of features": [mock.patch.object(sealed, "MOST_BUCKETS", 0)],
        "equal sums once": [
            mock.patch.object(sealed, "representatives", every_bucket),
            mock.patch.object(histogram, "representatives", every_bucket),
        ],
        "one inversion a node": [mock.patch.object(sealed.Arithmetic, "negate", one_by_one)],
    }
    with contextlib.ExitStack() as stack:
        for name in LEVERS if lever == ALL else (lever,):
            for change in changes[name]:
                stack.enter_context(change)
        yield


if __name__ == "__main__":
    main()
