"""Settings of a sweep that contradict others."""

from __future__ import annotations

from runner.errors import SpecError
from runner.spec.model import Spec
from runner.spec.privacy import LabelDp


def check_sweep(spec: Spec) -> None:
    if spec.sweep.parallel > 1 and spec.is_remote():
        raise SpecError(
            f"sweep.parallel = {spec.sweep.parallel} does not go together with cluster=remote",
            where="sweep.parallel",
            why="a site has one set of ports, and all sites do the jobs in one order",
            fix="set sweep.parallel=1: the jobs follow each other on processes that stay up",
        )
    if spec.sweep.parallel > 1 and spec.cluster.ports:
        raise SpecError(
            f"sweep.parallel = {spec.sweep.parallel} and cluster.ports do not go together",
            where="cluster.ports",
            why="the parties of one job would listen where those of another do",
            fix="leave cluster.ports out (ports are then chosen free), or set sweep.parallel=1",
        )


def refuse_redraw(spec: Spec) -> None:
    """Of one of several jobs: keep it from noise of its own.

    Raises:
        SpecError: where it asks for that.
    """
    if isinstance(spec.privacy, LabelDp) and spec.privacy.redraw:
        raise SpecError(
            "the jobs of a sweep do not draw noise anew",
            where="privacy.redraw",
            why="each job, and each that is begun again, would spend privacy.epsilon once more",
            fix="remove it: all jobs use the noise that is kept; to draw anew, do a single run with it before",
        )
