"""The memory of the workers of a warm cluster, job after job.

    python tests/benchmarks/warm_memory.py [--jobs 100] [overrides of the runner …]

Prints each worker's resident memory after job 1, 10, 20, …, and the ratio of the last to that after job 10. Jobs have
other learning rates, so that no two are the same.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

from integration.warm_jobs import carry_out_job, workers  # noqa: E402

from runner.cluster.warm import Cluster  # noqa: E402

TINY = (
    *("crypto=ou_2048", "data=synthetic", "data.rows=300", "data.features=6", "report.html=false"),
    *("sgb.num_boost_round=1", "sgb.max_depth=2", "sgb.sketch_eps=0.25", "evaluate.bootstrap=0"),
    "sgb.first_tree_with_label_holder_feature=false",  # with it a model of one tree needs no encryption
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The workers' memory, job after job.")
    parser.add_argument("--jobs", type=int, default=100)
    options, overrides = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        found = measure(Path(folder), options.jobs, [*TINY, *overrides])
    tenth, last = found[min(10, len(found) - 1)], found[-1]
    for party in last:
        print(f"{party}: after job {len(found) - 1} {last[party] / tenth[party]:.3f} times as much as after job 10")


def measure(folder: Path, jobs: int, overrides: list[str]) -> list[dict[str, float]]:
    """Party → MiB of its worker after each job; the first is empty."""
    found: list[dict[str, float]] = [{}]
    with Cluster() as cluster:
        for job in range(1, jobs + 1):
            rate = f"sgb.learning_rate={0.1 + job / 1000}"
            with contextlib.redirect_stdout(None):
                carry_out_job([*overrides, rate], folder / str(job), cluster)
            found.append({party: resident(process) for party, process in workers().items()})
            if job == 1 or job % 10 == 0:
                print(f"job {job:3}  " + "  ".join(f"{p} {m:.1f} MiB" for p, m in found[-1].items()), file=sys.stderr)
    return found


def resident(process: int) -> float:
    """MiB of memory that a process has to itself or shares."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


if __name__ == "__main__":
    main()
