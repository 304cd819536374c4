"""Stage `evaluate`: compare scores with labels at the one party that has both; metrics go to whom the policy names."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from secretflow.device import PYUObject

from runner.engine.site import Site
from runner.errors import StageError
from runner.files import write_json
from runner.policy.flows import METRICS
from runner.spec.label import SAME
from runner.spec.sgb import SgbSettings
from runner.stages.class_metrics import evaluate_classes, named
from runner.stages.context import Context
from runner.stages.floors import require_rows
from runner.stages.labels import Labels, join_labels
from runner.stages.metrics import evaluate_scores
from runner.stages.multiclass import names_at, numbered_as
from runner.stages.predict import Scores

METRICS_FILE = "metrics.json"


def evaluate(context: Context, scores: Scores, labels: Labels | None) -> None:
    """Compute the test metrics inside the evaluator's process and write ``metrics.json`` in each recipient's folder.

    Args:
        scores: of the rows to predict.
        labels: the joined training label, where this run has trained; else it is joined now if the spec wants it.
    """
    spec, evaluator = context.spec, context.spec.evaluator()
    if evaluator is None:
        return
    metrics, names = measure(context, scores, labels)
    effects: list[PYUObject | None] = []
    for party in spec.party_order():
        if party == evaluator or spec.policy.metrics.includes(party):
            received = context.gate.deliver(metrics, party, stage="evaluate", kind="metrics", form=METRICS)
            effects.append(context.at(party, _write, received, names if party == evaluator else None))
    effects.append(context.gate.show(metrics, stage="evaluate", kind="metrics", form=METRICS))
    context.gate.finish(effects)


def measure(context: Context, scores: Scores, labels: Labels | None) -> tuple[PYUObject, PYUObject | None]:
    """The test metrics, a dict of floats, and the names of the classes, where there are several; at the evaluator.

    Args:
        scores: of the rows to predict.
        labels: as for :func:`evaluate`.
    """
    spec, evaluator = context.spec, str(context.spec.evaluator())
    at_evaluator = _scores_at(context, scores, evaluator)
    if spec.label.predict == SAME:
        truth = (labels or join_labels(context, "evaluate")).value
    else:
        truth = context.at(evaluator, lambda site: site.table.truth)
    names = None if scores.names is None else names_at(context, scores.names, evaluator, "evaluate")
    if names is not None:
        truth = context.at(evaluator, _numbered(truth=spec.label.predict != SAME), names)
    return context.at(evaluator, _measure(spec.sgb, context.min_rows), at_evaluator, truth), names


def _write(site: Site, metrics: dict[str, float], names: list[Any] | None) -> None:
    """At the evaluator the metrics of a class have its name; at others, its number."""
    if names is not None:
        metrics = named(metrics, names)
    site.note("evaluate", "metrics", json.dumps(metrics, sort_keys=True).encode())
    write_json(site.folder / METRICS_FILE, metrics)


def _numbered(*, truth: bool) -> Any:
    return lambda site, names: numbered_as(names, site, truth)


def _scores_at(context: Context, scores: Scores, evaluator: str) -> PYUObject:
    if isinstance(scores.value, PYUObject) and scores.value.device.party == evaluator:
        return scores.value
    return scores.opened_to(context, evaluator, stage="evaluate", form="score")


def _measure(sgb: SgbSettings, floor: int) -> Any:
    def measure(site: Site, scores: Any, truth: Any) -> dict[str, float]:
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
        if sgb.objective == "multiclass":
            return evaluate_classes(label[known], np.asarray(scores)[known])
        power = sgb.tweedie_variance_power
        return evaluate_scores(sgb.objective, label[known], np.asarray(scores)[known], power=power)

    return measure
