"""The driver's line to the process that leads a search."""

from __future__ import annotations

import select
import tempfile
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from runner.cluster.channel import Message
from runner.cluster.processes import Template
from runner.errors import ClusterError, RunnerError
from runner.spec.identity import spec_values
from runner.tuning.plan import Plan

PROCESS, LOG = "runner.worker.search", "search.log"


class Leader:
    """The leading party's process; use as a context manager. May be asked from several threads.

    Args:
        plan: of the search.
        folder: of the sweep.

    Raises:
        RunnerError: on entering and from every method: what the process raised, or ClusterError where it died.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder.absolute()
        self._lock = threading.Lock()
        self._stack = ExitStack()

    def __enter__(self) -> Leader:
        with ExitStack() as stack:
            logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sgb-")))
            template = Template("search", logs / LOG, [PROCESS])
            stack.callback(template.close)
            crew = template.fork([self._plan.leader], logs / LOG)
            stack.callback(crew.leave)
            self._channel = crew.channels[self._plan.leader]
            self._stack = stack.pop_all()
        try:
            limit = self._plan.spec.cluster.start_timeout
            order: Message = {
                "spec": spec_values(self._plan.spec),
                "party": self._plan.leader,
                "folder": str(self._folder),
            }
            reply = self._ask(limit, order="lead", **order)
        except BaseException as error:
            self._stack.__exit__(type(error), error, error.__traceback__)
            raise
        self.ended: Mapping[str, int] = reply["ended"]
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stack.__exit__(*exception)

    def next_trial(self) -> tuple[int, dict[str, Any]] | None:
        """The number and the settings of the next trial; None where there is no other."""
        reply = self._ask(order="ask")
        return None if reply["trial"] is None else (reply["trial"], reply["settings"])

    def goes_on(self, trial: int, job_folder: Path, trees: int) -> bool:
        """Whether a training goes on after a number of trees."""
        reply = self._ask(order="judge", trial=trial, job_folder=str(job_folder.absolute()), trees=trees)
        return bool(reply["goes_on"])

    def tell(self, trial: int, state: str, job: int, job_folder: Path, costs: Mapping[str, float]) -> Message:
        """Say how a trial ended, and what it cost.

        Returns:
            ``values`` (objective → number) and ``best``: None where the terminal may not see metrics.
        """
        where = str(job_folder.absolute())
        return self._ask(order="tell", trial=trial, state=state, job=job, job_folder=where, costs=dict(costs))

    def end(self) -> Message:
        """Let the leader write its ``best.json``.

        Returns:
            ``ended`` (state → number of trials) and ``best``, as for :meth:`tell`.
        """
        return self._ask(order="end", command=self._plan.command())

    def _ask(self, limit: float | None = None, **order: Any) -> Message:
        with self._lock:
            self._channel.send(**order)
            ready, _, _ = select.select([self._channel], [], [], limit or self._plan.spec.cluster.message_timeout)
            reply = self._channel.receive() if ready else None
        if reply is None:
            raise ClusterError(
                "the process that leads the search is gone" if ready else "the process that leads the search is silent",
                where=f"party {self._plan.leader}",
                why="its connection broke" if ready else f"it did not answer {order['order']!r} in time",
                fix="type the command again with hydra.sweep.dir=<the sweep folder>: the search goes on where it was",
            )
        if reply["event"] == "failed":
            raise RunnerError.from_dict(reply["error"])
        return reply
