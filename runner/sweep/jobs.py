"""A sweep: jobs that are composed, numbered, carried out and, where they are finished already, left alone."""

from __future__ import annotations

import queue
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import msgspec
from filelock import FileLock, Timeout
from omegaconf import DictConfig, open_dict

from runner.cluster.run import Listener, Pace
from runner.cluster.warm import Cluster
from runner.earlier import look_at_earlier, settle
from runner.errors import ClusterError, RunnerError, SecurityError, StageError, Stopped
from runner.execution import carry_out
from runner.policy.decide import Decision, decide, require
from runner.policy.grants import load_grants
from runner.provenance.folder import SPEC, write_status
from runner.spec.check_sweep import refuse_redraw
from runner.spec.compose import choices_of, to_spec
from runner.spec.identity import spec_digest
from runner.spec.model import Spec
from runner.spec.sweep import Sweep as Settings
from runner.sweep.listener import Silence
from runner.sweep.record import Record
from runner.sweep.state import is_finished, set_aside
from runner.tracking.track import require_tracking

Compose = Callable[[Sequence[str]], DictConfig]
LOCK = ".lock"  # held by the driver of the sweep
_JOB_LOCKS = ".locks"  # of each job by whoever carries it out


@dataclass(frozen=True)
class Prepared:
    """A job that may start: typed, and allowed by the policy."""

    spec: Spec
    decisions: tuple[Decision, ...]
    config: DictConfig
    choices: Mapping[str, str]


@dataclass(frozen=True)
class Job:
    """A job of a sweep: either ``prepared``, or the ``error`` that keeps it from starting."""

    number: int
    overrides: tuple[str, ...]
    spec_digest: str | None
    prepared: Prepared | None
    error: RunnerError | None = None


@dataclass(frozen=True)
class JobResult:
    """How a job ended. ``skipped``: it was finished before."""

    number: int
    state: Literal["done", "failed", "stopped"]
    folder: Path
    error: RunnerError | None = None
    skipped: bool = False


class Sweep:
    """The jobs of one sweep folder; use as a context manager, which keeps other drivers away from the folder.

    Args:
        folder: of the sweep; made where it is missing.
        settings: how its jobs are carried out.
        compose: makes of a job's overrides what Hydra composes of them.
        leads: whether this process is the sweep's driver, of which there is one at a time; others do jobs for it.

    Raises:
        ClusterError: on entering, where another process leads this sweep.
        BundleError: on entering, where the sweep's record is damaged.
    """

    def __init__(self, folder: Path, settings: Settings, compose: Compose, leads: bool = True) -> None:
        self.folder = folder
        self.settings = settings
        self.compose = compose
        self._leads = leads
        self._clusters = [Cluster() for _ in range(settings.parallel)]
        self._free: queue.LifoQueue[Cluster] = queue.LifoQueue()
        for cluster in self._clusters:
            self._free.put(cluster)
        self._lock = FileLock(folder / LOCK, thread_local=False)

    def __enter__(self) -> Sweep:
        (self.folder / _JOB_LOCKS).mkdir(parents=True, exist_ok=True)
        if self._leads:
            self._lead()
        self.record = Record(self.folder, sys.argv[1:] if self._leads else ())
        return self

    def _lead(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ClusterError(
                "another process carries out this sweep",
                where=str(self.folder),
                why="two at a time would begin the same jobs",
                fix="wait until it ends, or end it; or begin another sweep: hydra.sweep.dir=<another folder>",
            ) from None

    def __exit__(self, *exception: object) -> None:
        for cluster in self._clusters:
            cluster.close()
        self._lock.release()

    def add(self, overrides: Sequence[str]) -> Job:
        """One job; see :meth:`add_all`."""
        return self.add_all([overrides])[0]

    def add_all(self, jobs: Sequence[Sequence[str]]) -> list[Job]:
        """Compose, type and check jobs; each has the number that its spec has in this folder already, or a new one.

        A job that may not start has its error, here and in its ``status.json``.
        """
        looked = [self._look_at(overrides) for overrides in jobs]
        numbers = self.record.numbers((one.overrides, one.spec_digest) for one in looked)
        added = [replace(one, number=number) for one, number in zip(looked, numbers, strict=True)]
        for job in added:
            if job.error is not None:
                self._note_error(job.number, job.error)
        return added

    def _look_at(self, overrides: Sequence[str]) -> Job:
        try:
            prepared = _prepare(self.compose(overrides), overrides)
        except RunnerError as error:
            return Job(-1, tuple(overrides), None, None, error)
        return Job(-1, tuple(overrides), spec_digest(prepared.spec), prepared)

    def carry_out(self, job: Job, pace: Pace | None = None, listener: Listener | None = None) -> JobResult:
        """Run a job, unless it is finished; again, as often as ``sweep.retries`` says, after failures that may pass.

        It waits for a free slot; any number of threads may call it.

        Args:
            pace: asked with the number of trees, before each tree but the first, whether to go on.
            listener: is told of what happens.

        Returns:
            how it ended; a failed job's error is in there, and never raised.
        """
        folder = self.folder / str(job.number)
        if job.prepared is None:
            return JobResult(job.number, "failed", folder, job.error)
        with FileLock(self.folder / _JOB_LOCKS / str(job.number), thread_local=False), self.slot() as cluster:
            if self.is_finished(job):
                return JobResult(job.number, "done", folder, skipped=True)
            for attempt in range(1 + self.settings.retries):
                error = self._attempt(job, job.prepared, cluster, pace, listener or Silence())
                if error is None or not _may_pass(error) or attempt == self.settings.retries:
                    break
        if error is None or isinstance(error, Stopped):
            return JobResult(job.number, "done" if error is None else "stopped", folder)
        return JobResult(job.number, "failed", folder, error)

    @contextmanager
    def slot(self) -> Iterator[Cluster]:
        """Processes that nobody uses, for as long as the ``with`` block lasts."""
        cluster = self._free.get()
        try:
            yield cluster
        finally:
            self._free.put(cluster)

    def is_finished(self, job: Job) -> bool:
        """Whether the job's folder holds a finished run of its spec."""
        return job.spec_digest is not None and is_finished(self.folder / str(job.number), job.spec_digest)

    def _attempt(
        self, job: Job, prepared: Prepared, cluster: Cluster, pace: Pace | None, listener: Listener
    ) -> RunnerError | None:
        set_aside(self.folder, job.number)
        self.record.count_attempt(job.number)
        typed: dict[str, Any] = {"overrides": list(job.overrides), "choices": dict(prepared.choices)}
        folder = self.folder / str(job.number)
        spec = adapted(prepared.spec, self.settings)
        try:
            carry_out(
                spec, prepared.decisions, prepared.config, typed, folder, cluster=cluster, pace=pace, listener=listener
            )
        except RunnerError as error:
            if not folder.exists():  # a budget, say, refused it before it had one
                self._note_error(job.number, error)
            return error
        except Exception as error:  # noqa: BLE001 - one job's end is not the sweep's
            traceback.print_exc()
            return _own(error, folder)
        return None

    def _note_error(self, number: int, error: RunnerError) -> None:
        folder = self.folder / str(number)
        if (folder / SPEC).exists():  # of a run; else there is nothing but an earlier error
            set_aside(self.folder, number)
        folder.mkdir(exist_ok=True)
        write_status(folder, "failed", error)


def adapted(spec: Spec, settings: Settings) -> Spec:
    """A job's spec with reports only where every job gets them; how many jobs share the cores is in ``sweep``."""
    report = msgspec.structs.replace(spec.report, html=spec.report.html and settings.reports == "all")
    return msgspec.structs.replace(spec, sweep=settings, report=report)


def _prepare(config: DictConfig, overrides: Sequence[str]) -> Prepared:
    choices = choices_of(config.hydra.runtime.choices) if "hydra" in config else {}
    with open_dict(config):
        config.pop("hydra", None)
    config = settle(config, overrides)
    spec = to_spec(config)
    refuse_redraw(spec)
    decisions = decide(spec, load_grants(spec, spec.parties_here()))
    require(decisions)
    require_tracking(spec)
    look_at_earlier(spec)
    return Prepared(spec, decisions, config, choices)


def _may_pass(error: RunnerError) -> bool:
    """Whether the same job may succeed the next time."""
    return isinstance(error, (ClusterError, StageError)) and not isinstance(error, SecurityError)


def _own(error: Exception, folder: Path) -> RunnerError:
    return RunnerError(
        "the runner itself failed",
        where=str(folder),
        why=type(error).__name__,
        fix="please report it, with the text above",
    )
