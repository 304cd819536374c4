"""What the terminal and the page say of a sweep in the same words."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence

from runner.report.summary import arguments_of_job
from runner.spec.policy import ALL
from runner.sweep.record import Content
from runner.sweep.summary_compare import COSTS, LESS, Group
from runner.sweep.summary_jobs import STATES, JobRecord


def objectives_of(content: Content) -> tuple[str, ...]:
    """What a search of the sweep was for, metrics before costs; nothing where it had no search."""
    named = (content.tune or {}).get("objectives")
    names = [name for name in named if isinstance(name, str)] if isinstance(named, (list, dict)) else []
    return tuple(sorted(names, key=lambda name: name in COSTS))


def counts_of(jobs: Sequence[JobRecord]) -> str:
    """How many jobs are in which state."""
    counts = Counter(job.state for job in jobs)
    parts = [f"{counts[state]} {state}" for state in STATES if counts[state]]
    return f"{len(jobs)} job{'s' if len(jobs) > 1 else ''}: {', '.join(parts)}"


def commands_of(job: JobRecord, content: Content) -> list[str]:
    """The commands that repeat a finished job: bit for bit from its folder, and as it would be typed anew.

    After a search also the one that trains with the job's settings on all training rows.
    """
    again = ["python", "-m", "runner", "task=reproduce", f"run={job.folder}"]
    typed = ["python", "-m", "runner", *arguments_of_job(content.typed, job.overrides)]
    whole, space = (content.tune or {}).get("command"), (content.tune or {}).get("space")
    if not isinstance(whole, str) or not isinstance(space, dict):
        return [shlex.join(again), shlex.join(typed)]
    found = [override for override in job.overrides if override.lstrip("+").partition("=")[0] in space]
    return [shlex.join(again), shlex.join(typed), f"{whole} {shlex.join(found)}"]


def direction_of(group: Group) -> str:
    return "the lowest first" if group.by in LESS else "the highest first"


def why_unranked(group: Group) -> str:
    """Why jobs have no rank: whoever may see the metrics is named."""
    if "evaluate" not in (group.jobs[0].manifest or {})["hashed"]["plan"]:
        return "not ranked: the task has no evaluation"
    named, own = ", ".join(group.recipients), group.jobs[0].settings.get("self_party")
    if {own, ALL} & set(group.recipients) and own is not None:  # the terminal that shows them is at another site
        return f"not ranked: this terminal is shown no metrics; they are in every job's parties/{own}"
    return (
        f"not ranked: the policy shows this terminal no metrics; {f'{named} may see them' if named else 'nobody may'}"
    )
