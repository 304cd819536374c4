"""How Hydra hands the jobs of ``python -m runner -m …`` to a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from runner.errors import RunnerError, SpecError
from runner.spec.compose import PLUGINS, to_values
from runner.spec.model import STAGES
from runner.spec.parse import convert
from runner.spec.request import split_request
from runner.spec.sweep import Sweep as Settings
from runner.sweep.carry import carry_out_all
from runner.sweep.compose import Composer
from runner.sweep.jobs import JobResult, Sweep
from runner.sweep.task import HydraTask

Overrides = Sequence[str]


class SweepLauncher(Launcher):
    """``hydra/launcher=runner``: carries the jobs out in this process's slots."""

    def setup(self, *, hydra_context: HydraContext, task_function: Any, config: DictConfig) -> None:
        self._jobs = _Jobs(hydra_context, task_function, config)

    def launch(self, job_overrides: Sequence[Overrides], initial_job_idx: int) -> Sequence[JobReturn]:
        return [_job_return(result.error) for result in self._jobs.do(job_overrides, initial_job_idx, None)]


class JobSweeper(Sweeper):
    """``hydra/sweeper=runner``: all combinations, as by Hydra's basic one, which composes every job twice.

    Args:
        params: what is swept over unless it is typed (``hydra.sweeper.params``, of an experiment's file).
    """

    def __init__(self, params: Mapping[str, str] | None = None) -> None:
        self._params = params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: Any, config: DictConfig) -> None:
        self._jobs = _Jobs(hydra_context, task_function, config)
        self._parser = OverridesParser.create(config_loader=hydra_context.config_loader)
        self._launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> None:
        jobs = combinations(self._parser, self._params, arguments)
        self._jobs.do(jobs, 0, None if isinstance(self._launcher, SweepLauncher) else self._launcher)


class _Jobs:
    """What both do with the jobs' overrides."""

    def __init__(self, hydra_context: HydraContext, task: HydraTask, config: DictConfig) -> None:
        loader: Any = hydra_context.config_loader
        self._folder = Path(str(config.hydra.sweep.dir))
        self._compose = Composer(loader, config)
        self._task = task

    def do(self, jobs: Sequence[Overrides], first: int, launcher: Launcher | None) -> list[JobResult]:
        """Sweep over the jobs that are runs; before, do what else is asked, one after another.

        Args:
            first: the number of the first job.
            launcher: what carries runs to other processes, if that is wanted.
        """
        runs = [overrides for overrides in jobs if self._is_run(overrides)]
        refuse_searches_among(runs, [overrides for overrides in jobs if overrides not in runs], self._compose)
        for number, overrides in enumerate(jobs, first):
            if overrides not in runs:
                print(f"\nJob {number:<8} {' '.join(overrides)}", flush=True)
                self._task.answer(self._compose(overrides), overrides, self._folder / str(number))
        if not runs:
            return []
        with Sweep(self._folder, read_settings(self._compose, runs), self._compose) as sweep:
            results = carry_out_all(sweep, runs, launcher)
        self._task.codes += [result.error.code for result in results if result.error is not None]
        return results

    def _is_run(self, overrides: Overrides) -> bool:
        """Whether it is a run of its own; one that cannot be composed is told as a failed one."""
        try:
            config = self._compose.look(overrides)
        except SpecError:
            return True
        return OmegaConf.select(config, "task.name") in STAGES and OmegaConf.select(config, "tune.name") == "none"


def combinations(parser: OverridesParser, params: Mapping[str, str], typed: Overrides) -> list[list[str]]:
    """The overrides of each job; what is typed takes the place of a parameter of the same name."""
    # Late: Hydra's scan for plugins makes this module anew.
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    overrides = parser.parse_overrides([*(f"{name}={values}" for name, values in params.items()), *typed])
    (jobs,) = BasicSweeper.split_arguments(overrides, None)
    return jobs


def refuse_searches_among(runs: Sequence[Overrides], others: Sequence[Overrides], compose: Composer) -> None:
    """Each search has a folder in the sweep's, where runs have theirs.

    Raises:
        SpecError: where there are both.
    """
    if runs and any(OmegaConf.select(compose.look(overrides), "tune.name") != "none" for overrides in others):
        raise SpecError(
            "runs and searches in one sweep",
            where="tune",
            why="both would number their folders in it",
            fix="give tune one value, and type two commands",
        )


def read_settings(compose: Composer, jobs: Sequence[Overrides]) -> Settings:
    """How the jobs are carried out, which all of them say alike.

    Raises:
        SpecError: where they do not, or where it is not valid.
    """
    if len({tuple(override for override in overrides if override.startswith("sweep.")) for overrides in jobs}) > 1:
        raise SpecError(
            "settings of the sweep are swept over",
            where="sweep",
            why="they say how all jobs are carried out together",
            fix="give each of them one value",
        )
    for overrides in jobs:
        try:
            config = compose.look(overrides)
            own = OmegaConf.masked_copy(config, [name for name in map(str, config) if name != "hydra"])
            return convert(split_request(to_values(own))[0]).sweep
        except SpecError as error:
            if error.where.startswith("sweep"):
                raise
    return Settings()  # no job can be composed


def _job_return(error: RunnerError | None) -> JobReturn:
    return JobReturn(status=JobStatus.FAILED if error is not None else JobStatus.COMPLETED, _return_value=error)


def register() -> None:
    """Make both known to Hydra, which looks for plugins under names of one package only."""
    for plugin in (SweepLauncher, JobSweeper):
        Plugins.instance().class_name_to_class[f"{PLUGINS}.{plugin.__name__}"] = plugin
