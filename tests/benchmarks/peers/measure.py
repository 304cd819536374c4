"""What the programs of other systems share: the tables that they read, and what they write. Needs NumPy alone."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Task(NamedTuple):
    """What is to be trained, on features that are bucket numbers already, from 1."""

    trees: int
    depth: int
    bins: int
    rate: float
    scheme: str
    bits: int
    parties: int
    features: Any  # shape (rows, features), of all parties, the label holder's first
    label: Any
    held_out: Any  # features of rows to predict


def read_task(folder: Path) -> Task:
    """The task that the comparison left in a folder."""
    tables = np.load(folder / "tables.npz")
    return Task(**json.loads((folder / "task.json").read_text()), **{name: tables[name] for name in tables.files})


def measured(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What ``work`` returns, and the wall and CPU seconds that it took in this process and its children."""
    began, cpu = time.monotonic(), _cpu_seconds(os.getpid())
    result = work()
    return result, {"wall": time.monotonic() - began, "cpu": _cpu_seconds(os.getpid()) - cpu}


def _cpu_seconds(process: int) -> float:
    """Of a process, of its children that have ended, and of those that live."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK") + sum(map(_cpu_seconds, children))


def write_result(folder: Path, name: str, cost: dict[str, float], scores: Any) -> None:
    """``scores`` are those of the held-out rows, or None at a party that has none."""
    if scores is not None:
        np.save(folder / "scores.npy", np.asarray(scores, dtype=np.float64).reshape(-1))
    (folder / f"{name}.cost.json").write_text(json.dumps(cost))
