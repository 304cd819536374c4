"""Runs one after another on one warm cluster: ``python warm_jobs.py FOLDER JOB …``, each job its overrides as a text.

One that begins with ``stop=N`` is stopped after N trees; before one with ``kill=PARTY`` that party's worker is ended.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import open_dict

from runner.cluster.warm import Cluster
from runner.errors import RunnerError
from runner.execution import carry_out
from runner.policy.decide import decide, require
from runner.policy.grants import load_grants
from runner.spec.compose import config_dir, to_spec


def main() -> None:
    """Carry the jobs out, each in its folder; a failure is printed."""
    with Cluster() as cluster:
        for number, job in enumerate(sys.argv[2:]):
            overrides, pace = shlex.split(job), None
            match overrides[0].split("="):
                case ["stop", trees]:
                    pace = _until(int(trees))
                case ["kill", party]:
                    os.kill(workers()[party], signal.SIGKILL)
            overrides = [override for override in overrides if not override.startswith(("stop=", "kill="))]
            try:
                carry_out_job(overrides, Path(sys.argv[1]) / str(number), cluster, pace)
            except RunnerError as error:
                print(f"job {number}: {error}", flush=True)


def carry_out_job(
    overrides: list[str], folder: Path, cluster: Cluster, pace: Callable[[int], bool] | None = None
) -> None:
    """Compose a job as Hydra would, and carry it out."""
    with initialize_config_dir(config_dir(), version_base="1.3"):
        config = compose("config", overrides, return_hydra_config=True)
    with open_dict(config):
        del config["hydra"]
    spec = to_spec(config)
    decisions = decide(spec, load_grants(spec, spec.parties))
    require(decisions)
    carry_out(spec, decisions, config, {"overrides": overrides, "choices": {}}, folder, cluster=cluster, pace=pace)


def workers() -> dict[str, int]:
    """Party → the process of its worker, which is named after it; checks are over."""
    children = [child for template in _children(os.getpid()) for child in _children(template)]
    return {Path(f"/proc/{child}/comm").read_text().strip(): child for child in children}


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _until(trees: int) -> Callable[[int], bool]:
    return lambda grown: grown < trees


if __name__ == "__main__":
    main()
