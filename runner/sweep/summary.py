"""What became of a sweep, from its folder alone: a table for the terminal, tables for other programs, and a page.

Every number is one that the policy lets this site's viewer see: those that the runs' terminals showed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console

from runner.errors import BundleError
from runner.files import write_bytes
from runner.sweep.record import Content
from runner.sweep.summary_compare import Group, groups, label_of
from runner.sweep.summary_jobs import JobRecord, read_sweep
from runner.sweep.summary_table import CSV, PARQUET, draw, write_tables
from runner.sweep.summary_words import commands_of, counts_of, direction_of, objectives_of, why_unranked

PAGE = "summary.html"


def summarise_sweep(folder: Path) -> str:
    """Write ``summary.csv``, ``summary.parquet`` and ``summary.html`` into the sweep folder; return what to print.

    Works at any time: while the sweep goes on, after it was killed, and where jobs of it failed.

    Raises:
        BundleError: where there is no sweep, its record cannot be read, or nothing can be written in its folder.
        SpecError: where the sweep has no job yet.
    """
    from runner.sweep.page import page_of  # late: templates are needed for nothing else here

    content, jobs = read_sweep(folder)
    found = groups(jobs, objectives_of(content))
    try:
        write_tables(folder, found, jobs)
        write_bytes(folder / PAGE, page_of(folder, content, jobs, found))
    except OSError as error:
        raise BundleError(
            "the summary cannot be written",
            where=str(error.filename or folder),
            why=error.strerror or type(error).__name__,
            fix="make room in the sweep folder, and give yourself the right to write there",
        ) from None
    return "\n".join(_lines(folder, content, jobs, found))


def _lines(folder: Path, content: Content, jobs: Sequence[JobRecord], found: Sequence[Group]) -> Iterator[str]:
    width = Console().width
    yield f"Sweep        {folder}: {counts_of(jobs)}"
    if len(found) > 1:
        yield f"Compared     only like with like: the finished jobs answer {len(found)} questions"
    others = [job for job in jobs if job.manifest is None]
    for group in found:
        with_others = [*group.jobs, *others] if len(found) == 1 else group.jobs
        yield "\n" + draw(_title(group), with_others, group, width)
    if others and len(found) != 1:
        yield "\n" + draw("Jobs without a result", others, None, width)
    yield ""
    yield from _failures(others)
    for group in found:
        yield from _best(group, content)
    yield f"Tables       {folder / CSV}, {folder / PARQUET}"
    yield f"Page         {folder / PAGE}"


def _title(group: Group) -> str:
    if group.by is None:
        return f"{group.name}; {why_unranked(group)}"
    return f"{group.name}, by {label_of(group.by)}, {direction_of(group)}"


def _failures(jobs: Sequence[JobRecord]) -> Iterator[str]:
    for job in jobs:
        if job.error is not None:
            error = job.error
            yield f"Failed       job {job.number}: {error.title}: {error.what} ({error.where}: {error.why})"


def _best(group: Group, content: Content) -> Iterator[str]:
    if not (ranked := group.ranked()):
        return
    job = ranked[0]
    yield f"Best         job {job.number}, {label_of(str(group.by))} {job.numbers()[str(group.by)]:.4f}: {group.name}"
    again, *typed = commands_of(job, content)
    yield f"Again        {again}"
    yield from (f"             {command}" for command in typed)
