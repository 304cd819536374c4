"""What the benchmarks of training measure: cases, their tables, and a notebook of what was found."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
from sklearn.metrics import roc_auc_score
from support import make_spec

from runner.environment import source_digest

PROJECT = Path(__file__).resolve().parent.parent.parent
RESULTS = PROJECT / "outputs" / "benchmarks"
PARTIES = ("carol", "alice", "bob", "dave", "erin")  # the label holder, and the others by name
SPLIT_KEY, TEST_FRACTION = "split-1", 0.2
LEVERS = ("packed sums", "pairs of features", "equal sums once", "one inversion a node")  # benchmarks/levers.py
ALL_LEVERS = "all of these"
# What the runner sets for its workers (runner/cluster/processes.py); a program written by hand sets nothing.
ENVIRONMENT: dict[str, dict[str, str]] = {"stock": {}, "runner": {"MALLOC_ARENA_MAX": "2"}}


@dataclasses.dataclass(frozen=True)
class Case:
    """One training.

    Attributes:
        rows: of the training; a quarter as many besides are predicted.
        features: of all parties together, in equal shares; on real data, as many as there are.
        data: "made" up; "binned", the same in buckets; or "breast_cancer", which has its own rows and features.
        scheme: as SecretFlow calls it; "mock" encrypts nothing.
        bits: of the key.
        without: a lever that is taken away (:mod:`benchmarks.levers`), or "".
        first_tree_alone: whether the first tree has the label holder's columns only, as the runner has it by default.
    """

    rows: int = 50_000
    features: int = 30
    parties: int = 3
    trees: int = 5
    depth: int = 5
    bins: int = 10
    scheme: str = "ou"
    bits: int = 2048
    data: str = "made"
    without: str = ""
    first_tree_alone: bool = True

    def changed(self, **changes: Any) -> Case:
        """The same with these changes."""
        return dataclasses.replace(self, **changes)

    def size(self) -> str:
        """Rows and features."""
        return "breast cancer" if self.data == "breast_cancer" else f"{self.rows:,} × {self.features}"

    def told(self) -> str:
        """The case in a few words."""
        return (
            f"{self.size()}, {self.parties} parties, {self.trees} trees of depth {self.depth}, {self.bins} bins, "
            f"{self.scheme} {self.bits}" + (f", without {self.without}" if self.without else "")
        )


def parameters(case: Case) -> dict[str, Any]:
    """All of SGB's parameters: the runner's defaults, and what the case says."""
    changed = {"num_boost_round": case.trees, "max_depth": case.depth, "sketch_eps": 1 / case.bins}
    changed["first_tree_with_label_holder_feature"] = case.first_tree_alone
    return {**make_spec().sgb.parameters(), **changed}


def make_tables(case: Case, folder: Path) -> dict[str, str]:
    """Party → its Parquet file with the columns id, its features, and at the label holder also label."""
    features, label = _breast_cancer() if case.data == "breast_cancer" else _made(case)
    ids = (
        _ids(case.rows, len(label))
        if case.data != "breast_cancer"
        else [f"{number:07}" for number in range(len(label))]
    )
    if case.data == "binned":
        features = in_buckets(features, np.array([not is_test(one) for one in ids]), case.bins)
    paths = {}
    shares = np.array_split(np.arange(features.shape[1]), case.parties)
    for party, share in zip(PARTIES[: case.parties], shares, strict=True):
        columns: dict[str, Any] = {"id": ids, **{f"f{number:03}": features[:, number] for number in share}}
        if party == PARTIES[0]:
            columns["label"] = label
        paths[party] = str(folder / f"{party}.parquet")
        parquet.write_table(pa.table(columns), paths[party])
    return paths


def in_buckets(features: np.ndarray, training: np.ndarray, bins: int) -> np.ndarray:
    """The number of each value's bucket, from 0, as float64; buckets are equal shares of the training rows."""
    edges = np.quantile(features[training], np.arange(1, bins) / bins, axis=0)
    columns = [np.searchsorted(edges[:, place], column) for place, column in enumerate(features.T)]
    return np.column_stack(columns).astype(float)


def _made(case: Case) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    total = case.rows + case.rows // 4
    features = generator.normal(size=(total, case.features))
    score = features @ generator.normal(size=case.features) / np.sqrt(case.features)
    score += np.sin(2 * features[:, 0]) + features[:, -1] ** 2 - 1
    return features, (score + generator.normal(size=total) > 0).astype(float)


def _breast_cancer() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer()
    return found.data, found.target.astype(float)


def is_test(identity: str) -> bool:
    """Whether a row is held out: by its id, as in the runner and in the hand-written program."""
    digest = hashlib.blake2b(identity.encode(), key=hashlib.sha256(SPLIT_KEY.encode()).digest(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64 < TEST_FRACTION


def _ids(training: int, total: int) -> list[str]:
    """In ascending order; exactly so many of them are for training."""
    wanted, found = {False: training, True: total - training}, []
    for number in itertools.count():
        if not any(wanted.values()):
            return found
        identity = f"{number:07}"
        test = is_test(identity)
        if wanted[test]:
            wanted[test] -= 1
            found.append(identity)
    raise AssertionError


class Notebook:
    """One JSON line for each finished measurement; what it has need not be measured again.

    Args:
        name: of the benchmark; the file is ``outputs/benchmarks/NAME.jsonl``.
    """

    def __init__(self, name: str) -> None:
        self.path = RESULTS / f"{name}.jsonl"
        self._code = source_digest()[:12]
        self._found = {self._key(one): one["found"] for one in read_notes(self.path) if one["code"] == self._code}

    def get(self, ways: Ways, way: str, case: Case, number: int, **more: Any) -> dict[str, Any]:
        """What the same code found, or finds now, when this case is trained for the ``number``-th time."""
        return self.look_up(
            lambda: ways.train(way, case), way=way, case=dataclasses.asdict(case), number=number, **more
        )

    def look_up(self, measure: Callable[[], dict[str, Any]], **what: Any) -> dict[str, Any]:
        """What was found for ``what`` by the same code, or what ``measure`` finds now."""
        key = self._key({"what": what})
        if key not in self._found:
            self._found[key] = measure()
            RESULTS.mkdir(parents=True, exist_ok=True)
            note = {"what": what, "found": self._found[key], "code": self._code, "cores": os.cpu_count()}
            cut = self.path.exists() and not self.path.read_bytes().endswith(b"\n")  # the machine stopped in a line
            with self.path.open("a") as file:
                file.write("\n" * cut + json.dumps(note) + "\n")
        return self._found[key]

    @staticmethod
    def _key(note: dict[str, Any]) -> str:
        return json.dumps(note["what"], sort_keys=True)


def read_notes(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a notebook."""
    if not path.exists():
        return []
    notes = []
    for line in path.read_text().splitlines():
        with contextlib.suppress(json.JSONDecodeError):  # the last one, where the machine stopped
            notes.append(json.loads(line))
    return notes


class Ways:
    """The processes that train, one for each way, each started when it is first used; use as a context manager."""

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._place = tempfile.TemporaryDirectory(prefix="sgb-benchmark-")
        self._tables: dict[Case, tuple[dict[str, str], list[float]]] = {}

    def __enter__(self) -> Ways:
        return self

    def __exit__(self, *failure: object) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()
        self._place.cleanup()

    def train(self, way: str, case: Case) -> dict[str, Any]:
        """Train once by "stock" or "runner": what ``training_process.py`` found, and the AUC of the predictions."""
        if way not in self._processes:
            self._processes[way] = self._start(way)
        paths, held_out = self.tables(case)
        with tempfile.TemporaryDirectory(dir=self._place.name) as folder:
            order = {
                "case": dataclasses.asdict(case),
                "tables": paths,
                "folder": folder,
                "parameters": parameters(case),
                "split": {"split_key": SPLIT_KEY, "test_fraction": TEST_FRACTION},
            }
            process = self._processes[way]
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline()
            if not answer:
                places = [Path(self._place.name, f"{way}.log"), *sorted(Path(folder).glob("*.log"))]
                logs = [path.read_text()[-4000:] for path in places]
                raise SystemExit("\n".join([f"{way} failed: {case.told()}", *logs]))
            found: dict[str, Any] = json.loads(answer)
            scores = np.load(Path(folder) / "shared" / "scores.npy").reshape(-1)
        return {**found, "auc": round(float(roc_auc_score(held_out, scores)), 4)}

    def tables(self, case: Case) -> tuple[dict[str, str], list[float]]:
        """Each party's file, and the labels of the rows that are held out, in the order of their ids."""
        shape = Case(rows=case.rows, features=case.features, parties=case.parties, data=case.data, bins=case.bins)
        if shape not in self._tables:
            folder = Path(tempfile.mkdtemp(dir=self._place.name))
            paths = make_tables(shape, folder)
            rows = parquet.read_table(paths[PARTIES[0]], columns=["id", "label"]).to_pylist()
            self._tables[shape] = paths, [row["label"] for row in rows if is_test(row["id"])]
        return self._tables[shape]

    def _start(self, way: str) -> subprocess.Popen[str]:
        program = Path(__file__).with_name("training_process.py")
        environment = {**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'tests'}", **ENVIRONMENT[way]}
        with Path(self._place.name, f"{way}.log").open("w") as log:
            return subprocess.Popen(
                [sys.executable, str(program), way], env=environment, text=True, stdin=-1, stdout=-1, stderr=log
            )


def told_ratios(values: Sequence[float]) -> str:
    """The median, and in how wide a range all are: two places, or two digits of what is smaller."""
    middle, least, most = (
        f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"
        for value in (statistics.median(values), min(values), max(values))
    )
    return f"{middle} ({least} to {most})"
