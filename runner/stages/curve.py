"""The learning curve: the training metric after each tree, computed at the label holder."""

from __future__ import annotations

from typing import Any

import numpy as np
from secretflow.data import FedNdarray
from secretflow.device import PYUObject
from secretflow.ml.boost.sgb_v.model import SgbModel

from runner.engine.resume import Moment
from runner.engine.site import Site
from runner.files import write_json
from runner.policy.flows import CURVE, TERMINAL
from runner.stages.context import Context
from runner.stages.floors import require_rows
from runner.stages.metrics import training_metric

CURVE_FILE = "curve.json"


class Curve:
    """The training metric after each tree, computed at the label holder, which sees the raw scores anyway.

    It goes to those whom ``policy.curves`` names: to the terminal tree by tree, to parties as ``curve.json``.

    Args:
        context: the run.
        earlier: the points before, a list at the label holder: of the training that this one goes on from, or of the
            classes before.
        part: of a multiclass model, the number of the class that is trained now, and of how many. Each point then says
            which class it belongs to.
        wanted: whether it is computed at all.
    """

    def __init__(
        self,
        context: Context,
        earlier: PYUObject | None = None,
        part: tuple[int, int] | None = None,
        wanted: bool = True,
    ) -> None:
        self._context = context
        self._holder = context.spec.label.holder
        self._receivers = [
            receiver
            for receiver in (*context.spec.parties, TERMINAL)
            if receiver != self._holder and context.gate.allows("train", "curves", CURVE, self._holder, receiver)
        ]
        if not wanted:
            self._receivers = []
        self._wanted = wanted and (bool(self._receivers) or context.spec.policy.curves.includes(self._holder))
        self._earlier = earlier if earlier is not None else context.at(self._holder, lambda site: [])
        self._points: list[PYUObject] = []
        self._effects: list[PYUObject | None] = []
        self._part = part
        self._trees = 0
        self._last: tuple[PYUObject, PYUObject] | None = None

    def continues(self, trees: int) -> None:
        """The training goes on after this number of trees."""
        self._trees = trees
        self._tell("continues")

    def before_tree(self, moment: Moment) -> None:
        """SGB is about to grow the next tree."""
        self._last = (moment.label, moment.scores)
        if self._trees:
            self._add_point(moment.label, moment.scores)
            self._pause()

    def tree_done(self, model: Any, epoch: int, evals_log: Any) -> None:
        """SecretFlow calls this in every process after each tree."""
        self._trees = epoch + 1
        self._tell("tree")

    def so_far(self) -> PYUObject:
        """All points up to now, a list at the label holder."""
        return self._context.at(
            self._holder, lambda site, earlier, *points: [*earlier, *points], self._earlier, *self._points
        )

    def _tell(self, event: str) -> None:
        emit = next(iter(self._context.sites.values())).emit
        if self._part is None:
            emit(event=event, trees=self._trees)
            return
        emit(event=event, trees=self._number(), of=self._part[1] * self._context.spec.sgb.num_boost_round)

    def _number(self) -> int:
        """The trees so far, those of all classes together."""
        before = 0 if self._part is None else self._part[0] * self._context.spec.sgb.num_boost_round
        return before + self._trees

    def _pause(self) -> None:
        """Where somebody paces the training, let them have the last point, and go on or stop at their word."""
        if self._context.pace is not None:
            self._context.gate.finish(self._effects[-1:])
            self._context.pace(self._number())

    def after_training(self, model: SgbModel, features: FedNdarray) -> None:
        """Add the last point, which SGB does not need (nor, after early stopping, have the rows for)."""
        if self._wanted and self._last is not None and not self._context.spec.sgb.enable_early_stop:
            label, scores = self._last
            last_tree = model.trees[-1].predict(features.partitions)
            total = last_tree.device(lambda tree, scores: np.asarray(tree) + np.asarray(scores))(last_tree, scores)
            self._add_point(label, total)
        self._context.gate.finish(self._effects)

    def _add_point(self, label: PYUObject, scores: PYUObject) -> None:
        if not self._wanted:
            return
        trees, sgb, floor = self._trees, self._context.spec.sgb, self._context.min_rows
        objective = sgb.objective if self._part is None else "logistic"
        of_class = {} if self._part is None else {"class": self._part[0]}

        def measure(site: Site, label: Any, scores: Any) -> dict[str, Any]:
            require_rows("a curve", np.size(label), floor)
            metric = training_metric(objective, label, scores, power=sgb.tweedie_variance_power)
            return {**of_class, "trees": trees, "metric": metric}

        point = self._context.at(self._holder, measure, label, scores)
        self._points.append(point)
        if TERMINAL in self._receivers:
            self._effects.append(self._context.gate.show(point, stage="train", kind="curves", form=CURVE))

    def deliver(self) -> None:
        """Hand all points to the parties that may have them."""
        curve, effects = self.so_far(), []
        for receiver in self._context.spec.parties:
            received = curve
            if receiver in self._receivers:
                received = self._context.gate.deliver(curve, receiver, stage="train", kind="curves", form=CURVE)
            elif receiver != self._holder or not self._wanted:
                continue
            effects.append(self._context.at(receiver, _write_curve, received))
        self._context.gate.finish(effects)


def _write_curve(site: Site, curve: list[dict[str, Any]]) -> None:
    write_json(site.folder / CURVE_FILE, curve)
