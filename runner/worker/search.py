"""The process that leads a search, at a party that gets the metrics: no secretflow, no peer, its own files only.

It keeps the study in its party's part of the sweep folder, reads metrics and curves from its party's part of each job's
folder, and says which settings come next and whether a training goes on. A metric leaves it only where the policy lets
the terminal show metrics.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import runner.worker.study as study_module
from runner.cluster.channel import Channel, Message
from runner.errors import PolicyError, RunnerError, StageError
from runner.files import make_private_dir, write_json
from runner.policy.decide import decide, denied
from runner.policy.flows import FOLD_METRICS, METRICS, TERMINAL, VALIDATION_CURVE
from runner.policy.grants import load_grants
from runner.spec.model import Spec
from runner.spec.parse import parse
from runner.spec.trials import overrides_of_trial

METRICS_FILE, FOLDS_FILE, CURVE_FILE = "metrics.json", "cv.json", "validation_curve.json"
BEST_FILE = "best.json"


def answer(channel: Channel) -> int:
    """Lead the search that the first order names, order by order, until the driver lets it go or is gone."""
    leader = None
    while (order := channel.receive()) is not None and order["order"] != "leave":
        try:
            if leader is None:
                leader = Leader(parse(order["spec"]), order["party"], Path(order["folder"]))
            reply = leader.obey(order)
        except RunnerError as error:
            channel.send(event="failed", error=error.to_dict())
            return error.code
        except Exception as error:  # noqa: BLE001 - told to the driver, whatever it is
            unforeseen = StageError(
                "the search could not go on",
                where=f"the process that leads it, {order['order']}",
                why=f"{type(error).__name__} was raised (its text stays at the party: it may hold data)",
                fix="report this with the command that you typed",
            )
            channel.send(event="failed", error=unforeseen.to_dict())
            return unforeseen.code
        channel.send(event="answered", **reply)
    return 0


class Leader:
    """One party's side of a search.

    Args:
        spec: of a trial, with the search's own section ``tune``.
        party: whose process this is.
        folder: of the sweep.

    Raises:
        PolicyError: where the run's policy or the party's own grants do not give it what the search is led by.
    """

    def __init__(self, spec: Spec, party: str, folder: Path) -> None:
        self._spec, self._party = spec, party
        self._shown = _may_show(spec, party)
        self._folder = make_private_dir(folder / "parties" / party)
        self._study = study_module.Study(self._folder, spec)
        self._metric = next(iter(self._study.objectives))

    def obey(self, order: Message) -> Message:
        """What the order asks for; never a metric, unless the terminal may show it."""
        orders: Mapping[str, Callable[[Message], Message]] = {
            "lead": self._lead,
            "ask": self._ask,
            "judge": self._judge,
            "tell": self._tell,
            "end": self._end,
        }
        return orders[order["order"]](order)

    def _lead(self, order: Message) -> Message:
        return {"ended": self._study.ended(), "interrupted": self._study.interrupted()}

    def _ask(self, order: Message) -> Message:
        number, settings = self._study.ask() or (None, {})
        return {"trial": number, "settings": settings}

    def _judge(self, order: Message) -> Message:
        """Whether the training of a trial goes on; it does where its curve says nothing."""
        point = self._point(Path(order["job_folder"]), order["trees"])
        value = None if point is None else point.get(self._metric)
        return {"goes_on": value is None or self._study.goes_on(order["trial"], value, order["trees"])}

    def _tell(self, order: Message) -> Message:
        values: list[float | None] = []
        if order["state"] == "done":
            known = {**self._metrics(Path(order["job_folder"])), **order["costs"]}
            values = [known.get(name) for name in self._study.objectives]
        self._study.tell(order["trial"], order["state"], values, order["job"])
        shown = dict(zip(self._study.objectives, values, strict=False)) if self._shown else None
        return {"values": shown, "best": self._study.best() if self._shown else None}

    def _end(self, order: Message) -> Message:
        """Write ``best.json``: the best trials, with the command that trains each again and measures the test rows."""
        best = self._study.best()
        for trial in best:
            settings = [override.lstrip("+") for override in overrides_of_trial(trial["settings"])]
            trial["command"] = " ".join([order["command"], *settings])
        write_json(self._folder / BEST_FILE, {"by": self._spec.tune.by, "ended": self._study.ended(), "best": best})
        return {"ended": self._study.ended(), "best": best if self._shown else None}

    def _point(self, job: Path, trees: int) -> dict[str, Any] | None:
        try:
            points = json.loads(self._own(job, CURVE_FILE).read_bytes())
        except (OSError, ValueError):
            return None
        return next((point for point in points if point["trees"] == trees), None)

    def _metrics(self, job: Path) -> dict[str, Any]:
        folds = self._spec.task.to_run() == "cv"
        path = self._own(job, FOLDS_FILE if folds else METRICS_FILE)
        try:
            found = json.loads(path.read_bytes())
            metrics: dict[str, Any] = found["mean"] if folds else found
        except (OSError, ValueError, LookupError):
            raise StageError(
                "a finished trial has no metrics",
                where=str(path),
                why=f"{self._party} gets metrics, and its file is missing or damaged",
                fix="remove the job's folder, and type the command again: the trial is run anew",
            ) from None
        return metrics

    def _own(self, job: Path, file: str) -> Path:
        return job / "parties" / self._party / file


def _may_show(spec: Spec, party: str) -> bool:
    """Whether the terminal may see metrics; makes sure that the party may see what it leads the search by."""
    decisions = decide(spec, load_grants(spec, [party]))
    form = FOLD_METRICS if spec.task.to_run() == "cv" else METRICS
    metrics = {d.flow.receiver: d for d in decisions if d.flow.kind == "metrics" and d.flow.form == form}
    curves = {d.flow.receiver: d for d in decisions if d.flow.form == VALIDATION_CURVE}
    needed = [metrics.get(party), *([curves.get(party)] if spec.tune.pruner != "none" else [])]
    for decision in needed:
        if decision is None:
            raise PolicyError(
                f"{party} cannot lead the search",
                where="policy.metrics.recipients",
                why="a search is led by the metrics of its trials, which do not go to it",
                fix=f"name {party} in policy.metrics.recipients and, to stop trainings, in policy.curves.recipients",
            )
        if not decision.allowed:
            raise denied(decision)
    return metrics[TERMINAL].allowed
