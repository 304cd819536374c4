"""Carrying out the jobs of a sweep: in how many slots, in which order, and what is told."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from rich.console import Console

from runner.errors import RunnerError
from runner.provenance.manifest import read_run
from runner.report.pages import make_reports
from runner.report.warnings import warnings_of
from runner.sweep.jobs import Job, JobResult, Sweep
from runner.sweep.progress import Progress, continuation


def carry_out_all(sweep: Sweep, jobs_overrides: Sequence[Sequence[str]]) -> list[JobResult]:
    """Add all jobs, tell what is wrong with them, and carry out the others.

    Returns:
        the results, in the order of the jobs; jobs that were not begun after a failure have none.
    """
    console = Console()
    jobs = _add(sweep, jobs_overrides, console)
    command = continuation(sweep.folder, sys.argv[1:])
    results = {job.number: sweep.carry_out(job) for job in jobs if job.error is not None}
    if results and not sweep.settings.keep_going:
        console.print("Sweep        nothing was started: sweep.keep_going=false", highlight=False)
        return list(results.values())
    try:
        with Progress(jobs, sweep.settings.parallel, console) as progress:
            _carry_out(sweep, [job for job in jobs if job.error is None], progress, results)
    except KeyboardInterrupt:
        _say(console, f"Next         {command}")
        raise
    _report_best(sweep, progress, console)
    _say(console, f"Sweep        {progress.summary()}\nSweep folder {sweep.folder}")
    if any(result.state != "done" for result in results.values()) or len(results) < len(jobs):
        _say(console, f"Next         {command}")
    return [results[job.number] for job in jobs if job.number in results]


def _add(sweep: Sweep, jobs_overrides: Sequence[Sequence[str]], console: Console) -> list[Job]:
    """Each job once."""
    jobs: dict[int, Job] = {}
    for overrides in jobs_overrides:
        job = sweep.add(overrides)
        if job.number in jobs:
            _say(console, f"Job {job.number:<8} is once more asked for, by {' '.join(overrides)}: it is done once")
            continue
        jobs[job.number] = job
        if job.error is not None:
            print(f"\nJob {job.number:<8} {' '.join(overrides)}\n{job.error}", file=sys.stderr, flush=True)
    warnings = [warning for job in jobs.values() if job.prepared for warning in warnings_of(job.prepared.spec)]
    for warning in dict.fromkeys(warnings):
        print(warning, file=sys.stderr)
    return list(jobs.values())


def _carry_out(sweep: Sweep, jobs: Sequence[Job], progress: Progress, results: dict[int, JobResult]) -> None:
    """Fill ``results`` as jobs end; after a failure no other is begun, unless ``sweep.keep_going`` says so."""

    def one(job: Job) -> None:
        if not sweep.settings.keep_going and any(result.state == "failed" for result in results.values()):
            return
        progress.started(job.number)
        result = results[job.number] = sweep.carry_out(job)
        progress.ended(result, read_run(result.folder) if result.state == "done" else None)

    if sweep.settings.parallel == 1:  # in this thread, which Ctrl-C reaches
        for job in jobs:
            one(job)
        return
    with ThreadPoolExecutor(sweep.settings.parallel) as slots:
        for ended in as_completed([slots.submit(one, job) for job in jobs]):
            ended.result()


def _report_best(sweep: Sweep, progress: Progress, console: Console) -> None:
    """The HTML reports of the best job, where only it gets some."""
    found = progress.best()
    if sweep.settings.reports != "best" or found is None:
        return
    folder = sweep.folder / str(found[0])
    try:
        reports = make_reports(folder, read_run(folder))
    except RunnerError as error:
        _say(console, f"note: no report was made: {error.what} ({error.why}); task=report run={folder} tries again")
    else:
        _say(console, f"Report       of job {found[0]}: {', '.join(map(str, reports))}")


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True, markup=False)
