"""Twelve jobs in one sweep on warm processes, against twelve commands.

    python tests/benchmarks/warm_sweep.py [--alone 12] [overrides of the runner …]

Prints wall and CPU seconds (all processes together) of both and their ratios, and the sweep's seconds over the sum of
its jobs' stage `train` plus one start: what a command takes besides its own training. With ``--alone`` fewer commands
are typed, and their mean stands for the rest. Every job's manifest is compared with that of the same job alone.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

PROJECT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

from benchmarks.main_job import Cost, measure  # noqa: E402

SETTINGS = {"crypto": "ou", "sgb.num_boost_round": "5"}
DEPTHS, RATES = (3, 4, 5), (0.1, 0.2, 0.3, 0.4)
JOBS = [(f"sgb.max_depth={depth}", f"sgb.learning_rate={rate}") for depth, rate in itertools.product(DEPTHS, RATES)]


class Alone(NamedTuple):
    """A command by itself."""

    cost: Cost
    manifest: Any


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="A sweep on warm processes against as many commands.")
    parser.add_argument("--alone", type=int, default=len(JOBS))
    options, typed = parser.parse_known_args()
    overrides = [f"{name}={value}" for name, value in (SETTINGS | dict(one.split("=", 1) for one in typed)).items()]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        alone(place, overrides, 0)  # not counted: writes tables and keys, fills the disk's cache
        sweep, manifests = warm(place, overrides)
        commands = {job: alone(place, overrides, job) for job in spread(options.alone)}
    report(sweep, manifests, commands)


def spread(number: int) -> list[int]:
    """So many of the jobs, evenly over all."""
    return sorted({round(at * len(JOBS) / number) for at in range(number)})


def warm(place: Path, overrides: list[str]) -> tuple[Cost, list[Any]]:
    """All jobs in one sweep; its cost, and their manifests."""
    lists = [f"sgb.max_depth={','.join(map(str, DEPTHS))}", f"sgb.learning_rate={','.join(map(str, RATES))}"]
    folder = place / "sweep"
    command = [sys.executable, "-m", "runner", "-m", *lists, *overrides, "outputs=outputs", f"hydra.sweep.dir={folder}"]
    cost = measure([command], place)
    return cost, [json.loads((folder / str(job) / "manifest.json").read_bytes()) for job in range(len(JOBS))]


def alone(place: Path, overrides: list[str], job: int) -> Alone:
    """One of the jobs, typed by itself."""
    before = set(place.glob("outputs/*/*/manifest.json"))
    cost = measure([[sys.executable, "-m", "runner", *JOBS[job], *overrides, "outputs=outputs"]], place)
    (made,) = set(place.glob("outputs/*/*/manifest.json")) - before
    return Alone(cost, json.loads(made.read_bytes()))


def report(sweep: Cost, manifests: list[Any], commands: dict[int, Alone]) -> None:
    """Print what was found."""
    same = sum(manifests[job]["digest"] == command.manifest["digest"] for job, command in commands.items())
    print(f"{same} of {len(commands)} jobs are bit-identical to the same alone")
    for index, unit in enumerate(("wall", "CPU")):
        separate = statistics.mean(command.cost[index] for command in commands.values()) * len(JOBS)
        print(
            f"{unit:>4} s: sweep {sweep[index]:6.1f}, separately {separate:6.1f}, ratio {sweep[index] / separate:.3f}"
        )
    training = sum(map(train_seconds, manifests))
    start = statistics.median(command.cost[0] - train_seconds(command.manifest) for command in commands.values())
    print(
        f"stage train of all jobs {training:.1f} s, one start {start:.1f} s: "
        f"the sweep takes {sweep[0] / (training + start):.2f} times their sum"
    )
    rest = [sum(manifest["observed"]["seconds"].values()) - train_seconds(manifest) for manifest in manifests[1:]]
    print(f"other stages of a warm job: {statistics.median(rest):.2f} s")


def train_seconds(manifest: Any) -> float:
    """How long a run's stage `train` took."""
    return float(manifest["observed"]["seconds"]["train"])


if __name__ == "__main__":
    main()
