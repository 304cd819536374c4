"""Stage `evaluate`: compare scores with labels at the one party that has both; what comes of it goes to whom the policy
names: metrics (and those by group) to `policy.metrics`, curves and tables to `policy.curves`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from secretflow.device import PYUObject

from runner.engine.site import Site
from runner.errors import StageError
from runner.files import write_json
from runner.policy.flows import GROUPS, METRICS, TABLES
from runner.spec.label import SAME
from runner.spec.model import Spec
from runner.spec.privacy import OutputDp
from runner.stages.assess import Task, metrics_by_group, plain, scalar_metrics, shared_metrics, tables
from runner.stages.class_metrics import named, named_groups, named_tables
from runner.stages.context import Context
from runner.stages.floors import require_rows
from runner.stages.labels import Labels, join_labels
from runner.stages.multiclass import names_at, numbered_as
from runner.stages.predict import Scores, scores_at
from runner.stages.release import released_rows

METRICS_FILE = "metrics.json"
GROUPS_FILE = "metrics_by_group.json"
TABLES_FILE = "evaluation.json"
# On the terminal.
HEADLINE = {
    "logistic": ("auc", "ks", "accuracy", "log_loss", "f1"),
    "multiclass": ("accuracy", "log_loss", "macro_precision", "macro_recall", "macro_f1", "macro_auc"),
    "linear": ("rmse", "mae", "r2"),
    "tweedie": ("deviance", "rmse", "mae", "r2"),
}


def evaluate(context: Context, scores: Scores, labels: Labels | None) -> None:
    """Compute everything inside the evaluator's process, and write each recipient's files in its folder.

    ``metrics.json``: metrics, and the 95 % bootstrap intervals of each. ``metrics_by_group.json``: the same for each
    group of ``evaluate.group_by``. ``evaluation.json``: curves and tables; the evaluator, which has every score and
    label, keeps its own as fine as they are drawn, others get bins of at least ``min_rows`` rows.

    Args:
        scores: of the rows to predict.
        labels: the joined training label, where this run has trained; else it is joined now if the spec wants it.
    """
    spec, evaluator = context.spec, context.spec.evaluator()
    if evaluator is None:
        return
    found, names = assess(context, scores, labels)
    effects: list[PYUObject | None] = []
    for party in spec.party_order():
        effects += _hand_out(context, evaluator, party, found, names if party == evaluator else None)
    headline = _part(context, evaluator, "headline", found)
    effects.append(context.gate.show(headline, stage="evaluate", kind="metrics", form=METRICS))
    context.gate.finish(effects)


def assess(context: Context, scores: Scores, labels: Labels | None) -> tuple[PYUObject, PYUObject | None]:
    """All that there is to say of the scores, by name, and the names of the classes where there are several.

    Both are at the evaluator. ``headline`` of the former: metric → number.

    Args:
        scores: of the rows to predict.
        labels: as for :func:`evaluate`.
    """
    spec, evaluator = context.spec, str(context.spec.evaluator())
    at_evaluator = scores_at(context, scores, evaluator)
    if spec.label.predict == SAME:
        truth = (labels or join_labels(context, "evaluate")).value
    else:
        truth = context.at(evaluator, lambda site: site.table.truth)
    names = None if scores.names is None else names_at(context, scores.names, evaluator, "evaluate")
    if names is not None:
        truth = context.at(evaluator, _numbered(truth=spec.label.predict != SAME), names)
    return context.at(evaluator, _assess(spec, context.min_rows), at_evaluator, truth), names


def _hand_out(
    context: Context, evaluator: str, party: str, found: PYUObject, names: PYUObject | None
) -> list[PYUObject]:
    """What one party gets, and writes. At the evaluator what is said of a class has its name; at others, its number."""
    spec, gate, effects = context.spec, context.gate, []
    if party == evaluator or spec.policy.metrics.includes(party):
        metrics = _part(context, evaluator, "own_metrics" if party == evaluator else "metrics", found)
        metrics = gate.deliver(metrics, party, stage="evaluate", kind="metrics", form=METRICS)
        metrics = _named(context, named, metrics, names)
        effects.append(context.at(party, _write("metrics", METRICS_FILE), metrics))
        if spec.evaluate.group_by is not None:
            groups = _part(context, evaluator, "groups", found)
            if party != evaluator:
                groups = gate.deliver(groups, party, stage="evaluate", kind="metrics", form=GROUPS)
            groups = _named(context, named_groups, groups, names)
            effects.append(context.at(party, _write("groups", GROUPS_FILE), groups))
    if party == evaluator:
        own = _named(context, named_tables, _part(context, evaluator, "own_tables", found), names)
        effects.append(context.at(party, _write("tables", TABLES_FILE), own))
    elif gate.allows("evaluate", "curves", TABLES, evaluator, party):
        shared = _part(context, evaluator, "tables", found)
        shared = gate.deliver(shared, party, stage="evaluate", kind="curves", form=TABLES)
        effects.append(context.at(party, _write("tables", TABLES_FILE), shared))
    return effects


def _part(context: Context, evaluator: str, name: str, found: PYUObject) -> PYUObject:
    return context.at(evaluator, lambda site, found: found[name], found)


def _named(
    context: Context, name: Callable[[Any, Any], dict[str, Any]], values: PYUObject, names: PYUObject | None
) -> PYUObject:
    """With the classes' names, at the party that has them."""
    if names is None:
        return values
    return context.at(values.device.party, lambda site, values, names: name(values, names), values, names)


def _write(what: str, file: str) -> Callable[[Site, dict[str, Any]], None]:
    def write(site: Site, values: dict[str, Any]) -> None:
        site.note("evaluate", what, json.dumps(values, sort_keys=True).encode())
        write_json(site.folder / file, values)

    return write


def _numbered(*, truth: bool) -> Any:
    return lambda site, names: numbered_as(names, site, truth)


def _task(spec: Spec) -> Task:
    return Task(spec.sgb.objective, spec.evaluate, spec.sgb.seed, spec.sgb.tweedie_variance_power)


def _without_intervals(task: Task) -> Task:
    """Rows drawn again from noisy counts would say nothing of the noise, and so too little."""
    return task._replace(settings=msgspec.structs.replace(task.settings, bootstrap=0))


def _assess(spec: Spec, floor: int) -> Callable[[Site, Any, Any], dict[str, Any]]:
    """All that there is to say, at the evaluator; each part leaves by the gate or not at all."""
    task = _task(spec)

    def assess(site: Site, scores: Any, truth: Any) -> dict[str, Any]:
        if truth is None:
            raise StageError(
                "there is no label to compare with",
                where="label.predict",
                why="the table has none",
                fix="set label.predict=none",
            )
        label = np.asarray(truth, dtype=np.float64)[site.table.test]
        known = ~np.isnan(label)
        require_rows("a metric", int(known.sum()), floor)
        label, score = label[known], np.asarray(scores)[known]
        metrics = plain(scalar_metrics(task, label, score))
        found = {"own_metrics": metrics, "own_tables": tables(task, label, score, 1)}
        told, shown = metrics, (label, score)
        if isinstance(spec.privacy, OutputDp):
            shown = released_rows(site, spec, label, score)
            told = plain(scalar_metrics(_without_intervals(task), *shown))
        found |= {
            "metrics": shared_metrics(task, told, *shown, floor),
            "headline": {name: told[name] for name in HEADLINE[task.objective]},
            "tables": tables(task, *shown, floor),
        }
        if site.table.groups is not None:
            groups = site.table.groups[site.table.test][known]
            found["groups"] = metrics_by_group(task, label, score, groups, floor)
        return found

    return assess
