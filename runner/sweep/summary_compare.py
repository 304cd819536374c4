"""Which jobs of a sweep can be compared, by what, and which of them is best."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.report.names import NAMES
from runner.spec.source import Drawn
from runner.sweep.headline import FIRST, LESS_IS_BETTER
from runner.sweep.summary_jobs import NOT_COMPARED, JobRecord

COSTS = {"train_seconds": "training time", "bytes_sent": "bytes sent"}
LESS = {*LESS_IS_BETTER, *COSTS}


@dataclass(frozen=True)
class Group:
    """Finished jobs that answer one question: one task and objective, on the same rows with the same labels.

    Attributes:
        name: the question in words.
        by: the number that they are ranked by; None where none of them has one that this site may see.
        jobs: the best first; those without the number last.
        columns: the settings and groups of choices that differ between them.
        recipients: who may see the metrics.
    """

    name: str
    by: str | None
    jobs: tuple[JobRecord, ...]
    columns: tuple[str, ...]
    recipients: tuple[str, ...]

    def ranked(self) -> tuple[JobRecord, ...]:
        """The jobs that have the number which they are ranked by."""
        return tuple(job for job in self.jobs if self.by in job.numbers())


def varied(jobs: Sequence[JobRecord]) -> tuple[str, ...]:
    """The settings and groups of choices that were typed, and are not the same in all jobs, in the order of typing."""
    typed = [job.typed() for job in jobs]
    named = dict.fromkeys(
        name for overrides in typed for name in overrides if name.partition(".")[0] not in NOT_COMPARED
    )
    return tuple(name for name in named if len({_form(shown_value(job, name)) for job in jobs if job.knows(name)}) > 1)


def shown_value(job: JobRecord, column: str) -> Any:
    """What a job has in the column of a setting or group; None where it is not known."""
    return job.setting(column) if column in job.settings else job.typed().get(column)


def question(manifest: Mapping[str, Any]) -> str:
    """What two jobs have in common if their metrics can be compared.

    Digests are under the parties' keys: equal ones mean the same ids, and the same tables with labels.
    """
    hashed = manifest["hashed"]
    spec, stages, holder = hashed["spec"], hashed["stages"], hashed["party_order"][0]
    label = {name: value for name, value in spec["label"].items() if name not in ("weight", "class_weight")}
    with_labels = {holder, label["predict"]} if label["mode"] == "single" else set(hashed["party_order"])
    return json.dumps(
        [
            spec["task"],
            spec["sgb"]["objective"],
            spec["sgb"]["tweedie_variance_power"] if spec["sgb"]["objective"] == "tweedie" else None,
            spec["cv"] if spec["task"]["name"] == "cv" else spec["data"]["split"],
            [spec["data"].get(name) for name in Drawn.__struct_fields__],
            label,
            stages.get("align", {}).get(holder),
            [stages["validate"].get(party, {}).get("file") for party in sorted(with_labels)],
        ],
        sort_keys=True,
    )


def groups(jobs: Sequence[JobRecord], objectives: Sequence[str] = ()) -> list[Group]:
    """The finished jobs, those of one question together; the largest group first.

    Args:
        objectives: what a search was for; where it is empty, the objective's first metric decides.
    """
    found: dict[str, list[JobRecord]] = {}
    for job in jobs:
        if job.manifest is not None:
            found.setdefault(question(job.manifest), []).append(job)
    made = [_group(members, objectives) for members in found.values()]
    names = [one.name for one in made]
    made = [_with_rows(one) if names.count(one.name) > 1 else one for one in made]
    return sorted(made, key=lambda one: (-len(one.jobs), one.jobs[0].number))


def _group(jobs: Sequence[JobRecord], objectives: Sequence[str]) -> Group:
    spec = _spec(jobs[0])
    names = [name for job in jobs for name in job.metrics()]
    preferred = [*objectives, FIRST[spec["sgb"]["objective"]], *NAMES]
    by = next((name for name in preferred if name in names or (name in COSTS and name in objectives)), None)
    sign = 1 if by in LESS else -1

    def place(job: JobRecord) -> tuple[bool, float, int]:
        value = job.numbers().get(str(by))
        return value is None, sign * (value or 0.0), job.number

    recipients = dict.fromkeys(party for job in jobs for party in _spec(job)["policy"]["metrics"]["recipients"])
    name = f"{spec['sgb']['objective']} on {spec['data']['name']}, task {spec['task']['name']}"
    return Group(name, by, tuple(sorted(jobs, key=place)), varied(jobs), tuple(recipients))


def _with_rows(group: Group) -> Group:
    split = _spec(group.jobs[0])["data"]["split"]
    numbers = ", ".join(str(job.number) for job in sorted(group.jobs, key=lambda job: job.number))
    rows = f"split {split['key']}, test share {split['test_fraction']:g}; jobs {numbers}"
    return Group(f"{group.name} ({rows})", group.by, group.jobs, group.columns, group.recipients)


def front(group: Group, first: str, second: str) -> list[JobRecord]:
    """The jobs that no other one beats in one of two numbers without losing in the other (Pareto), best first."""
    points = [
        (job, _cost(job, first), _cost(job, second)) for job in group.jobs if {first, second} <= set(job.numbers())
    ]
    return [
        job
        for job, one, other in points
        if not any(a <= one and b <= other and (a < one or b < other) for _, a, b in points)
    ]


def _cost(job: JobRecord, name: str) -> float:
    value = job.numbers()[name]
    return value if name in LESS else -value


def label_of(name: str) -> str:
    """A number's name for people."""
    return COSTS.get(name) or NAMES.get(name, name)


def _spec(job: JobRecord) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (job.manifest or {})["hashed"]["spec"]
    return found


def _form(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
