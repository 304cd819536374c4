"""Settings of a sweep that contradict others."""

from __future__ import annotations

from runner.errors import SpecError
from runner.spec.model import Spec


def check_sweep(spec: Spec) -> None:
    if spec.sweep.parallel > 1 and spec.cluster.ports:
        raise SpecError(
            f"sweep.parallel = {spec.sweep.parallel} and cluster.ports do not go together",
            where="cluster.ports",
            why="the parties of one job would listen where those of another do",
            fix="leave cluster.ports out (ports are then chosen free), or set sweep.parallel=1",
        )
