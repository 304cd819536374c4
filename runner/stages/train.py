"""Stage `train`: SecretFlow's SGB over all parties' training rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from secretflow.data import FedNdarray, PartitionWay
from secretflow.device import PYUObject
from secretflow.ml.boost.sgb_v.model import SgbModel

from runner.engine.resume import Moment, ResumableSgb
from runner.engine.site import Site
from runner.engine.start import make_heu
from runner.errors import StageError
from runner.files import write_json
from runner.policy.flows import CURVE, TERMINAL
from runner.stages.checkpoint import load_checkpoint, save_checkpoint
from runner.stages.context import Context
from runner.stages.floors import require_rows
from runner.stages.labels import Labels
from runner.stages.metrics import training_metric


def train(context: Context, labels: Labels) -> SgbModel:
    """Train on the rows that are not held out and have a label; the trees stay distributed over their parties.

    With ``resume`` the training goes on from where that run was interrupted, and gives the model that it would have
    given. With ``train.checkpoint_every`` each party writes its state from time to time.

    Raises:
        StageError: at every party, where no tree could be grown.
        BundleError, DataError: where there is nothing to go on from, or it does not fit.
    """
    spec, every = context.spec, context.spec.train.checkpoint_every
    value = context.at(spec.label.holder, _training_label, labels.value)
    start, points = load_checkpoint(context, value) if spec.resume is not None else (None, None)
    curve = _Curve(context, points)
    if start is not None:
        curve.continues(len(start.trees))

    def before_tree(moment: Moment) -> None:
        trees = len(moment.trees)
        if every and trees and trees % every == 0:
            save_checkpoint(context, moment, curve.so_far())
        curve.before_tree(moment)

    trainer = ResumableSgb(make_heu(spec), _seeds(context), before_tree, start)
    features = context.training_features(labels.present)
    label = FedNdarray(partitions={context.holder: value}, partition_way=PartitionWay.VERTICAL)
    model = trainer.train(spec.sgb.parameters(), features, label, dump_function=curve.tree_done)
    if not model.trees:
        raise StageError(
            "training grew no tree",
            where="sgb.gamma",
            why=f"no split gains more than sgb.gamma = {spec.sgb.gamma:g}",
            fix="lower sgb.gamma, or check that the features have anything to do with the label",
        )
    curve.after_training(model, features)
    return model


def _training_label(site: Site, value: Any) -> Any:
    training = value[~site.table.test]
    return training[~np.isnan(training)].reshape(-1, 1)


def _seeds(context: Context) -> Callable[[str], Any] | None:
    """Each party's shuffle seed, to be called in that party's process only; None for stock SecretFlow's way."""
    settings = context.spec.sgb
    if settings.shuffle == "shared":
        return None
    return lambda party: context.sites[party].shuffle_seed(settings.seed)


CURVE_FILE = "curve.json"


class _Curve:
    """The training metric after each tree, computed at the label holder, which sees the raw scores anyway.

    It goes to those whom ``policy.curves`` names: to the terminal tree by tree, to parties as ``curve.json``.

    Args:
        context: the run.
        earlier: the points of the training that this one goes on from, a list at the label holder.
    """

    def __init__(self, context: Context, earlier: PYUObject | None = None) -> None:
        self._context = context
        self._holder = context.spec.label.holder
        self._receivers = [
            receiver
            for receiver in (*context.spec.parties, TERMINAL)
            if receiver != self._holder and context.gate.allows("train", "curves", CURVE, self._holder, receiver)
        ]
        self._wanted = bool(self._receivers) or context.spec.policy.curves.includes(self._holder)
        self._earlier = earlier if earlier is not None else context.at(self._holder, lambda site: [])
        self._points: list[PYUObject] = []
        self._effects: list[PYUObject | None] = []
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
        next(iter(self._context.sites.values())).emit(event=event, trees=self._trees)

    def after_training(self, model: SgbModel, features: FedNdarray) -> None:
        """Add the last point, which SGB does not need (nor, after early stopping, have the rows for), and deliver."""
        if self._wanted and self._last is not None and not self._context.spec.sgb.enable_early_stop:
            label, scores = self._last
            last_tree = model.trees[-1].predict(features.partitions)
            total = last_tree.device(lambda tree, scores: np.asarray(tree) + np.asarray(scores))(last_tree, scores)
            self._add_point(label, total)
        self._deliver()
        self._context.gate.finish(self._effects)

    def _add_point(self, label: PYUObject, scores: PYUObject) -> None:
        if not self._wanted:
            return
        trees, sgb, floor = self._trees, self._context.spec.sgb, self._context.min_rows

        def measure(site: Site, label: Any, scores: Any) -> dict[str, Any]:
            require_rows("a curve", np.size(label), floor)
            metric = training_metric(sgb.objective, label, scores, power=sgb.tweedie_variance_power)
            return {"trees": trees, "metric": metric}

        point = self._context.at(self._holder, measure, label, scores)
        self._points.append(point)
        if TERMINAL in self._receivers:
            self._effects.append(self._context.gate.show(point, stage="train", kind="curves", form=CURVE))

    def _deliver(self) -> None:
        curve = self.so_far()
        for receiver in self._context.spec.parties:
            received = curve
            if receiver in self._receivers:
                received = self._context.gate.deliver(curve, receiver, stage="train", kind="curves", form=CURVE)
            elif receiver != self._holder or not self._wanted:
                continue
            self._effects.append(self._context.at(receiver, _write_curve, received))


def _write_curve(site: Site, curve: list[dict[str, Any]]) -> None:
    write_json(site.folder / CURVE_FILE, curve)
