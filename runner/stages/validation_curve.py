"""The validation curve: metrics of rows held out of training, after each tree, for whoever has to choose settings.

A curve over training rows rises with every tree, whatever the settings; this one says when a model stops to get better.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from secretflow.data import FedNdarray
from secretflow.device import PYUObject

from runner.engine.site import Site
from runner.files import write_json
from runner.policy.flows import VALIDATION_CURVE
from runner.stages.assess import plain
from runner.stages.context import Context
from runner.stages.floors import require_rows
from runner.stages.labels import Labels
from runner.stages.metrics import evaluate_scores
from runner.stages.score import finisher

VALIDATION_CURVE_FILE = "validation_curve.json"


class ValidationCurve:
    """Scores the validation rows at the label holder, tree by tree, as an ordinary prediction would.

    Each point, ``{"trees": number, metric: number, …}``, is in ``validation_curve.json`` of every party that
    ``policy.curves`` names before the next tree begins, so that a training can be stopped at it.

    Args:
        context: the run; its held-out rows are validation rows.
        labels: the joined label.
        base: the initial raw score of every row, a number, or one at the label holder.
    """

    def __init__(self, context: Context, labels: Labels, base: PYUObject | float) -> None:
        holder = context.spec.label.holder
        self._context = context
        self._receivers = [
            party
            for party in context.devices
            if context.gate.allows("train", "curves", VALIDATION_CURVE, holder, party)
        ]
        self._features: FedNdarray = context.test_features()
        self._label = context.at(holder, lambda site, value: np.asarray(value)[site.table.test], labels.value)
        self._raw = context.at(holder, lambda site, base: float(np.asarray(base).reshape(())), base)
        self._points = context.at(holder, lambda site: [])
        self._trees = 0

    def add(self, trees: Sequence[Any]) -> None:
        """Add a point for each of the model's trees that has none; return when its receivers have it."""
        for tree in trees[self._trees :]:
            self._trees += 1
            self._add(tree)

    def _add(self, tree: Any) -> None:
        context, holder = self._context, self._context.spec.label.holder
        self._raw = context.at(
            holder, lambda site, raw, tree: raw + np.asarray(tree).reshape(-1), self._raw, self._predict(tree)
        )
        scores = context.gate.deliver(self._raw, holder, stage="train", kind="predictions", form="score")
        self._points = context.at(holder, self._measure(), self._points, self._label, scores)
        effects = []
        for party in self._receivers:
            points = context.gate.deliver(self._points, party, stage="train", kind="curves", form=VALIDATION_CURVE)
            effects.append(context.at(party, _write, points))
        context.gate.finish(effects)

    def _predict(self, tree: Any) -> PYUObject:
        found: PYUObject = tree.predict(self._features.partitions)
        return found

    def _measure(self) -> Any:
        sgb, floor, trees = self._context.spec.sgb, self._context.min_rows, self._trees
        finish = finisher(sgb.objective, 0.0)

        def measure(site: Site, points: list[Any], label: Any, raw: Any) -> list[Any]:
            known = ~np.isnan(label)
            require_rows("a validation curve", int(known.sum()), floor)
            power = sgb.tweedie_variance_power
            metrics = evaluate_scores(sgb.objective, label[known], finish(raw)[known], power=power)
            return [*points, {"trees": trees, **plain(metrics)}]

        return measure


def _write(site: Site, points: list[dict[str, Any]]) -> None:
    write_json(site.folder / VALIDATION_CURVE_FILE, points)
