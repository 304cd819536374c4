"""A sweep: jobs that are composed, numbered, carried out and, where they are finished already, left alone."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from omegaconf import DictConfig, open_dict

from runner.earlier import look_at_earlier, settle
from runner.errors import ClusterError, RunnerError, SecurityError, StageError
from runner.execution import carry_out
from runner.policy.decide import Decision, decide, require
from runner.policy.grants import load_grants
from runner.provenance.folder import write_status
from runner.spec.compose import choices_of, to_spec
from runner.spec.identity import spec_digest
from runner.spec.model import Spec
from runner.spec.sweep import Sweep as Settings
from runner.sweep.record import Record
from runner.sweep.state import is_finished, set_aside

Compose = Callable[[Sequence[str]], DictConfig]
Pace = Callable[[int], bool]
_LOCK = ".lock"


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

    Raises:
        ClusterError: on entering, where another process carries out this sweep.
        BundleError: on entering, where the sweep's record is damaged.
    """

    def __init__(self, folder: Path, settings: Settings, compose: Compose) -> None:
        self.folder = folder
        self.settings = settings
        self._compose = compose
        self._lock = FileLock(folder / _LOCK, thread_local=False)

    def __enter__(self) -> Sweep:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise ClusterError(
                "another process carries out this sweep",
                where=str(self.folder),
                why="two at a time would begin the same jobs",
                fix="wait until it ends, or end it; or begin another sweep: hydra.sweep.dir=<another folder>",
            ) from None
        self.record = Record(self.folder, sys.argv[1:])
        return self

    def __exit__(self, *exception: object) -> None:
        self._lock.release()

    def add(self, overrides: Sequence[str]) -> Job:
        """Compose, type and check a job; it has the number that its spec has in this folder already, or a new one.

        A job that may not start has its error, here and in its ``status.json``.
        """
        try:
            config = self._compose(overrides)
            prepared = _prepare(config, overrides)
        except RunnerError as error:
            number = self.record.number(overrides, None)
            self._note_error(number, error)
            return Job(number, tuple(overrides), None, None, error)
        digest = spec_digest(prepared.spec)
        return Job(self.record.number(overrides, digest), tuple(overrides), digest, prepared)

    def carry_out(self, job: Job, pace: Pace | None = None) -> JobResult:
        """Run a job, unless it is finished; again, as often as ``sweep.retries`` says, after failures that may pass.

        Args:
            pace: asked with the number of trees, before each tree but the first, whether to go on.

        Returns:
            how it ended; a failed job's error is in there, and never raised.
        """
        folder = self.folder / str(job.number)
        if job.prepared is None or job.spec_digest is None:
            return JobResult(job.number, "failed", folder, job.error)
        if is_finished(folder, job.spec_digest):
            return JobResult(job.number, "done", folder, skipped=True)
        for attempt in range(1 + self.settings.retries):
            error = self._attempt(job, job.prepared, folder)
            if error is None:
                return JobResult(job.number, "done", folder)
            if not _may_pass(error) or attempt == self.settings.retries:
                break
        return JobResult(job.number, "failed", folder, error)

    def _attempt(self, job: Job, prepared: Prepared, folder: Path) -> RunnerError | None:
        set_aside(self.folder, job.number)
        self.record.count_attempt(job.number)
        typed: dict[str, Any] = {"overrides": list(job.overrides), "choices": dict(prepared.choices)}
        try:
            carry_out(prepared.spec, prepared.decisions, prepared.config, typed, folder)
        except RunnerError as error:
            return error
        except Exception as error:  # noqa: BLE001 - one job's end is not the sweep's
            traceback.print_exc()
            return _own(error, folder)
        return None

    def _note_error(self, number: int, error: RunnerError) -> None:
        set_aside(self.folder, number)
        folder = self.folder / str(number)
        folder.mkdir()
        write_status(folder, "failed", error)


def _prepare(config: DictConfig, overrides: Sequence[str]) -> Prepared:
    choices = choices_of(config.hydra.runtime.choices) if "hydra" in config else {}
    with open_dict(config):
        config.pop("hydra", None)
    config = settle(config, overrides)
    spec = to_spec(config)
    decisions = decide(spec, load_grants(spec, spec.parties))
    require(decisions)
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
