"""A sweep's jobs as a table: on the terminal, as CSV and as Parquet."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from runner.files import write_atomically
from runner.sweep.summary_compare import Group, label_of, shown_value, varied
from runner.sweep.summary_jobs import JobRecord

CSV, PARQUET = "summary.csv", "summary.parquet"
WIDEST = 30  # characters of a setting's value in a line
MOST_METRICS = 4


def draw(title: str, jobs: Sequence[JobRecord], group: Group | None, width: int) -> str:
    """The jobs, as they come; with as many metrics as lines of ``width`` characters hold, and one at least.

    Args:
        group: the group of finished jobs among them; the others have no rank.
    """
    metrics = metrics_of(jobs, group)[:MOST_METRICS]
    while len(metrics) > 1 and _natural_width(_table(jobs, group, metrics)) > width:
        metrics.pop()
    table, written = _table(jobs, group, metrics), io.StringIO()
    Console(file=written, width=_natural_width(table), markup=False, highlight=False).print(table)
    return "\n".join([title, "", *(line.rstrip() for line in written.getvalue().splitlines())])


def _natural_width(table: Table) -> int:
    """How wide it must be for nothing to be cut off."""
    return Console(width=10_000).measure(table).maximum


def _short(name: str, names: Sequence[str]) -> str:
    """A setting's name without its section, where that is plain enough."""
    last = name.rpartition(".")[2]
    return last if [other.rpartition(".")[2] for other in names].count(last) == 1 else name


def _table(jobs: Sequence[JobRecord], group: Group | None, metrics: Sequence[str]) -> Table:
    columns = varied(jobs)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("rank", "job"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in columns:
        table.add_column(_short(name, columns), overflow="fold", max_width=WIDEST)
    table.add_column("state", no_wrap=True)
    for name in (*metrics, "train_seconds", "bytes_sent"):
        table.add_column(label_of(name), justify="right", no_wrap=True)
    ranks = {job.number: rank for rank, job in enumerate(group.ranked() if group is not None else (), start=1)}
    for job in jobs:
        found = job.numbers()
        table.add_row(
            str(ranks.get(job.number, "")),
            str(job.number),
            *(text_of(shown_value(job, name)) for name in columns),
            job.state,
            *(f"{found[name]:.4f}" if name in found else "–" for name in metrics),
            seconds_text(job.train_seconds()),
            bytes_text(job.bytes_sent()),
        )
    return table


def metrics_of(jobs: Sequence[JobRecord], group: Group | None) -> list[str]:
    """The metrics that any of the jobs has, that of the ranking first."""
    names = list(dict.fromkeys(name for job in jobs for name in job.metrics()))
    by = group.by if group is not None else None
    return [name for name in names if name == by] + [name for name in names if name != by]


def text_of(value: Any) -> str:
    """A setting's value as it is typed."""
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value)


def seconds_text(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.1f} s"


def bytes_text(count: int | None) -> str:
    if count is None:
        return "–"
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.2f} MB"


def write_tables(folder: Path, found: Sequence[Group], jobs: Sequence[JobRecord]) -> None:
    """Write ``summary.csv`` and ``summary.parquet``: a row for each job, a column for each setting that differs."""
    import polars as pl  # late: a driver that runs jobs has no use for it

    rows = _rows(found, jobs)
    names = dict.fromkeys(name for row in rows for name in row)
    frame = pl.DataFrame([_series(name, [row.get(name) for row in rows]) for name in names])
    write_atomically(folder / CSV, lambda path: frame.write_csv(path))
    write_atomically(folder / PARQUET, lambda path: frame.write_parquet(path))


def _rows(found: Sequence[Group], jobs: Sequence[JobRecord]) -> list[dict[str, Any]]:
    different = _different(jobs)
    places = {job.number: (group, rank) for group in found for rank, job in enumerate(group.ranked(), start=1)}
    members = {job.number: group.name for group in found for job in group.jobs}
    return [
        {
            "job": job.number,
            "state": job.state,
            "attempts": job.attempts,
            "compared_among": members.get(job.number),
            "ranked_by": places[job.number][0].by if job.number in places else None,
            "rank": places[job.number][1] if job.number in places else None,
            **{name: _plain(shown_value(job, name)) for name in different},
            **{f"metrics.{name}": value for name, value in job.metrics().items()},
            "train_seconds": job.train_seconds(),
            "bytes_sent": job.bytes_sent(),
            **_of_manifest(job),
            "reused": job.reused() or None,
            "error": f"{job.error.what} ({job.error.why})" if job.error is not None else None,
            "overrides": " ".join(job.overrides),
        }
        for job in jobs
    ]


def _different(jobs: Sequence[JobRecord]) -> list[str]:
    """Every setting that is not the same in all jobs that have a spec, and the groups whose choices differ."""
    specs = [job.settings for job in jobs if job.settings]
    paths = dict.fromkeys(path for settings in specs for path in settings)
    settings = [path for path in paths if len({_plain_key(one.get(path)) for one in specs}) > 1]
    return [*settings, *(name for name in varied(jobs) if name not in settings)]


def _of_manifest(job: JobRecord) -> dict[str, Any]:
    manifest = job.manifest
    if manifest is None:
        return {}
    seconds = {f"seconds.{stage}": value for stage, value in manifest["observed"]["seconds"].items()}
    digests = {"spec_digest": manifest["hashed"]["spec_digest"], "run_digest": manifest["digest"]}
    return {**seconds, **digests, "model": manifest["hashed"]["model"]}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float, str)) else json.dumps(value)


def _plain_key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _series(name: str, values: Sequence[Any]) -> Any:
    """A column of one type; of several, text."""
    import polars as pl

    kinds = {type(value) for value in values if value is not None}
    if kinds == {int, float}:
        return pl.Series(name, [None if value is None else float(value) for value in values])
    if len(kinds) > 1:
        return pl.Series(name, [None if value is None else text_of(value) for value in values])
    return pl.Series(name, list(values))
