"""The summary of a sweep as one HTML page that needs nothing else; its script sorts, and marks lines and rows."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from runner.report.html.page import template
from runner.sweep.page_figures import parallel, trade_off
from runner.sweep.record import Content
from runner.sweep.summary_compare import Group, label_of, shown_value, varied
from runner.sweep.summary_importance import LEAST_JOBS, importances
from runner.sweep.summary_jobs import JobRecord
from runner.sweep.summary_table import bytes_text, metrics_of, seconds_text, text_of
from runner.sweep.summary_words import commands_of, counts_of, direction_of, objectives_of, why_unranked

TEMPLATES = Path(__file__).resolve().parent / "templates"


def page_of(folder: Path, content: Content, jobs: Sequence[JobRecord], found: Sequence[Group]) -> bytes:
    """The page, UTF-8."""
    script = (TEMPLATES / "summary.js").read_text()
    others = [job for job in jobs if job.manifest is None]
    values = {
        "title": folder.resolve().name,
        "folder": str(folder),
        "counts": counts_of(jobs),
        "typed": shlex.join(["python", "-m", "runner", *content.typed]),
        "groups": [_group(group, content) for group in found],
        "others": _table(others, None) if others else None,
        "failed": [_failure(job) for job in jobs if job.error is not None],
        "earlier": [
            (job.number, name, state, f"{error.what} ({error.why})" if error is not None else "")
            for job in jobs
            for name, state, error in job.earlier
        ],
        "script": Markup(script),  # the package's own file
        "script_digest": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    return template("summary.html", TEMPLATES).render(values).encode()


def _group(group: Group, content: Content) -> dict[str, Any]:
    ranked, objectives = group.ranked(), objectives_of(content)
    best = ranked[0] if ranked else None
    return {
        "name": group.name,
        "by": label_of(group.by) if group.by is not None else None,
        "direction": direction_of(group),
        "why_unranked": why_unranked(group) if group.by is None else None,
        "recipients": group.recipients,
        "jobs": len(group.jobs),
        "ranked": len(ranked),
        "best": _best(best, group, content) if best is not None else None,
        "table": _table(group.jobs, group),
        "parallel": parallel(group),
        "importances": importances(group),
        "least_jobs": LEAST_JOBS,
        "trade_off": trade_off(group, objectives),
    }


def _best(job: JobRecord, group: Group, content: Content) -> dict[str, Any]:
    by, numbers = str(group.by), job.numbers()
    others = [(label_of(name), numbers[name]) for name in metrics_of([job], group) if name != by]
    return {"number": job.number, "value": numbers[by], "others": others, "commands": commands_of(job, content)}


def _table(jobs: Sequence[JobRecord], group: Group | None) -> dict[str, Any]:
    """Heads as ``(text, whether its cells are numbers)``, and rows of cells as ``(text, value to sort by)``."""
    columns = list(group.columns if group is not None else varied(jobs))
    metrics = metrics_of(jobs, group)
    ranks = {job.number: rank for rank, job in enumerate(group.ranked() if group is not None else (), start=1)}
    heads = [("rank", True)] if group is not None else []
    heads += [("job", True), *((name, False) for name in columns), ("state", False)]
    heads += [(label_of(name), True) for name in (*metrics, "train_seconds", "bytes_sent")]
    heads += [("reused", False)]
    return {"heads": heads, "rows": [_row(job, columns, metrics, ranks, group is not None) for job in jobs]}


def _row(
    job: JobRecord, columns: Sequence[str], metrics: Sequence[str], ranks: dict[int, int], ranked: bool
) -> dict[str, Any]:
    numbers = job.numbers()
    cells: list[tuple[str, Any]] = [(str(ranks.get(job.number, "–")), ranks.get(job.number))] if ranked else []
    cells += [(str(job.number), job.number)]
    cells += [(text_of(value), value) for value in (shown_value(job, name) for name in columns)]
    cells += [(job.state, job.state)]
    cells += [(f"{numbers[name]:.4f}" if name in numbers else "–", numbers.get(name)) for name in metrics]
    cells += [
        (seconds_text(job.train_seconds()), job.train_seconds()),
        (bytes_text(job.bytes_sent()), job.bytes_sent()),
    ]
    cells += [(job.reused() or "–", job.reused() or None)]
    return {"job": job.number, "best": ranks.get(job.number) == 1, "cells": cells, **_links(job)}


def _links(job: JobRecord) -> dict[str, str | None]:
    """The job's folder, and its report of the viewer of this site, relative to the page; None where it is not there."""
    viewer = next(filter(None, map(job.settings.get, ("self_party", "cluster.viewer", "label.holder"))), None)
    report = job.folder / "parties" / str(viewer) / "report.html"
    return {
        "folder": f"{job.number}/" if job.folder.is_dir() else None,
        "report": f"{job.number}/parties/{viewer}/report.html" if report.is_file() else None,
    }


def _failure(job: JobRecord) -> dict[str, Any]:
    error = job.error
    fields = error.to_dict() if error is not None else {}
    return {"job": job.number, "title": error.title if error is not None else "", **fields}
