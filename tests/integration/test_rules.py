"""The six rules of a joint label on secret shares, under every protocol, against plain NumPy; and a greedy peer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import PROJECT

pytestmark = pytest.mark.processes

THRESHOLD = 100.5
ROWS = 60
SETS = {"aby3": ("carol", "alice", "bob"), "cheetah": ("carol", "alice"), "semi2k": ("carol", "alice", "bob")}
RULES: dict[str, Callable[[Any], Any]] = {
    "any": lambda columns: columns.max(axis=0),
    "all": lambda columns: columns.min(axis=0),
    "majority": lambda columns: columns.sum(axis=0) > len(columns) / 2,
    "sum": lambda columns: columns.sum(axis=0),
    "mean": lambda columns: columns.mean(axis=0),
    "threshold": lambda columns: columns.sum(axis=0) >= THRESHOLD,
}
BINARY = ("any", "all", "majority")


def columns_of(party: str) -> dict[str, Any]:
    """A column for each rule: zeros and ones, or amounts of some hundreds with cents."""
    draw = np.random.default_rng(list(party.encode()))
    return {
        rule: draw.integers(0, 2, ROWS).astype(float) if rule in BINARY else draw.normal(0, 800, ROWS).round(2)
        for rule in RULES
    }


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the parties' processes left, a folder a protocol."""
    folder = tmp_path_factory.mktemp("r")
    for protocol, parties in SETS.items():
        (folder / protocol).mkdir()
        for party in parties:
            np.savez(folder / protocol / f"{party}.npz", **columns_of(party))
    done = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).with_name("rules.py")),
            str(folder),
            *(f"{protocol}:{','.join(parties)}" for protocol, parties in SETS.items()),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(PROJECT), str(PROJECT / "tests")))},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("protocol", SETS)
def test_label_that_reaches_the_holder_is_the_plain_one(shared: Path, protocol: str, rule: str) -> None:
    columns = np.stack([columns_of(party)[rule] for party in SETS[protocol]])
    label = np.load(shared / protocol / f"{rule}.npy")
    assert label.shape == (ROWS,)
    assert np.abs(label - RULES[rule](columns)).max() < (1e-3 if rule in ("sum", "mean") else 1e-9)
    assert len(np.unique(label)) > 1


def test_peer_that_asks_for_more_than_its_share_gets_nothing(shared: Path) -> None:
    """alice's own program lets her have bob's column; bob's gate has no such line, and his process sends nothing."""
    aby3 = shared / "aby3"
    assert np.array_equal(np.load(aby3 / "complicit.npy"), columns_of("bob")["sum"]), "bob's gate alone stands between"
    assert "labels of its own rows) from bob to alice is denied" in (aby3 / "stolen-denied-by-bob").read_text()
    assert not (aby3 / "stolen.npy").exists()
    sent = [json.loads(line) for line in (aby3 / "parties" / "bob" / "audit.jsonl").read_text().splitlines()]
    assert len([entry for entry in sent if entry["kind"] == "labels"]) == 1
