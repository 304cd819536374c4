"""Carrying out the jobs of a sweep: in how many slots, in which order, and what is told."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence

from hydra.plugins.launcher import Launcher
from rich.console import Console

from runner.errors import RunnerError
from runner.provenance.manifest import read_run
from runner.report.pages import get_ready, make_reports
from runner.report.warnings import warnings_of
from runner.sweep.elsewhere import launch
from runner.sweep.jobs import Job, JobResult, Sweep
from runner.sweep.progress import Progress, continuation
from runner.sweep.slots import Slots
from runner.sweep.summary import summarise_sweep


def carry_out_all(
    sweep: Sweep, jobs_overrides: Sequence[Sequence[str]], launcher: Launcher | None = None
) -> list[JobResult]:
    """Add all jobs, tell what is wrong with them, and carry out the others.

    Args:
        launcher: one of Hydra's that carries the jobs to processes of its own; None: the sweep's own slots.

    Returns:
        the results, in the order of the jobs; jobs that were not begun after a failure have none.
    """
    console = Console()
    go_on = f"Goes on with {continuation(sweep.folder, sys.argv[1:])}"
    _say(console, f"Sweep folder {sweep.folder}\n{go_on}")
    jobs = _add(sweep, jobs_overrides, console)
    wrong = [sweep.carry_out(job) for job in jobs if job.error is not None]
    if wrong and not sweep.settings.keep_going:
        _say(console, "Sweep        nothing was started, as sweep.keep_going=false\n" + go_on)
        return wrong
    sweeping = _Sweeping(sweep, jobs, console)
    try:
        with sweeping.progress:
            sweeping.carry_out(launcher)
    except KeyboardInterrupt:
        _say(console, f"Sweep        {sweeping.progress.summary()}\n{go_on}")
        raise
    _report_best(sweep, jobs, sweeping.progress, console)
    _summarise(sweep, console)
    _say(console, f"Sweep        {sweeping.progress.summary()}\nSweep folder {sweep.folder}")
    if any(job.number not in sweeping.results or sweeping.results[job.number].state != "done" for job in jobs):
        _say(console, go_on)
    return [sweeping.results[job.number] for job in jobs if job.number in sweeping.results]


class _Sweeping:
    """The jobs on their way. ``results``: of those that ended, by number."""

    def __init__(self, sweep: Sweep, jobs: Sequence[Job], console: Console) -> None:
        self._sweep = sweep
        self._jobs = jobs
        self.progress = Progress(jobs, sweep.settings.parallel, console)
        self.results: dict[int, JobResult] = {}

    def carry_out(self, launcher: Launcher | None) -> None:
        left = []
        for job in self._jobs:
            if job.error is not None or self._sweep.is_finished(job):
                self._note(self._sweep.carry_out(job))
            else:
                left.append(job)
        if launcher is not None and left:
            for result in launch(launcher, self._sweep, left):
                self._note(result, told=True)  # by its own process
        else:
            tasks = [functools.partial(self._do, job, job is left[-1]) for job in left]
            Slots(self._sweep.settings.parallel).carry_out(tasks)

    def _do(self, job: Job, last: bool) -> None:
        """After a failure no other job is begun, unless ``sweep.keep_going`` says so."""
        settings = self._sweep.settings
        failed = any(result.state == "failed" for result in self.results.values())
        if failed and not settings.keep_going:
            return
        if last and settings.parallel == 1 and settings.reports == "best" and _wants_report(job):
            with self._sweep.slot() as cluster:
                get_ready(cluster)  # the best job's reports come next
        self.progress.started(job.number)
        self._note(self._sweep.carry_out(job, listener=self.progress.listener(job.number)))

    def _note(self, result: JobResult, told: bool = False) -> None:
        self.results[result.number] = result
        self.progress.ended(result, read_run(result.folder) if result.state == "done" else None, told)


def _wants_report(job: Job) -> bool:
    return job.prepared is not None and job.prepared.spec.report.html


def _add(sweep: Sweep, jobs_overrides: Sequence[Sequence[str]], console: Console) -> list[Job]:
    """Each job once."""
    jobs: dict[int, Job] = {}
    for job in sweep.add_all(jobs_overrides):
        told = f"Job {job.number:<8} {' '.join(job.overrides)}"
        if job.number in jobs:
            _say(console, f"{told}: is asked for again, and done once")
            continue
        jobs[job.number] = job
        if job.error is not None:
            print(f"\n{told}\n{job.error}", file=sys.stderr, flush=True)
    warnings = [warning for job in jobs.values() if job.prepared for warning in warnings_of(job.prepared.spec)]
    for warning in dict.fromkeys(warnings):
        print(warning, file=sys.stderr)
    return list(jobs.values())


def _report_best(sweep: Sweep, jobs: Sequence[Job], progress: Progress, console: Console) -> None:
    """The HTML reports of the best job, where only it gets some."""
    found = progress.best()
    specs = {job.number: job.prepared.spec for job in jobs if job.prepared is not None}
    if sweep.settings.reports != "best" or found is None or not specs[found[0]].report.html:
        return
    folder = sweep.folder / str(found[0])
    if all((folder / "parties" / party / "report.html").exists() for party in specs[found[0]].parties_here()):
        return
    try:
        with sweep.slot() as cluster:
            reports = make_reports(folder, read_run(folder), cluster)
    except RunnerError as error:
        _say(console, f"note: no report was made: {error.what} ({error.why}); task=report run={folder} tries again")
    else:
        _say(console, f"Report       of job {found[0]}: {', '.join(map(str, reports))}")


def _summarise(sweep: Sweep, console: Console) -> None:
    """The jobs compared; they are done, whatever becomes of it."""
    try:
        _say(console, "\n" + summarise_sweep(sweep.folder))
    except RunnerError as error:
        _say(
            console,
            f"note: no summary was made: {error.what} ({error.why}); task=summary sweep={sweep.folder} tries again",
        )


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True, markup=False)
