"""Stage `train`: SecretFlow's SGB over all parties' training rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from secretflow.data import FedNdarray, PartitionWay
from secretflow.device import PYUObject
from secretflow.ml.boost.sgb_v.factory.components import LossComputer
from secretflow.ml.boost.sgb_v.model import SgbModel

from runner.engine.shuffle import PrivateSgb
from runner.engine.site import Site
from runner.engine.start import make_heu
from runner.errors import StageError
from runner.files import write_json
from runner.policy.flows import CURVE, TERMINAL
from runner.stages.context import Context
from runner.stages.floors import require_rows
from runner.stages.labels import Labels
from runner.stages.metrics import training_metric


def train(context: Context, labels: Labels) -> SgbModel:
    """Train on the rows that are not held out and have a label; the trees stay distributed over their parties.

    Raises:
        StageError: at every party, where no tree could be grown.
    """
    spec = context.spec
    label = FedNdarray(
        partitions={context.holder: context.at(spec.label.holder, _training_label, labels.value)},
        partition_way=PartitionWay.VERTICAL,
    )
    curve = _Curve(context)
    trainer = _ObservedSgb(make_heu(spec), _seeds(context), curve)
    features = context.training_features(labels.present)
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
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._holder = context.spec.label.holder
        self._receivers = [
            receiver
            for receiver in (*context.spec.parties, TERMINAL)
            if receiver != self._holder and context.gate.allows("train", "curves", CURVE, self._holder, receiver)
        ]
        self._wanted = bool(self._receivers) or context.spec.policy.curves.includes(self._holder)
        self._points: list[PYUObject] = []
        self._effects: list[PYUObject | None] = []
        self._trees = 0
        self._last: tuple[PYUObject, PYUObject] | None = None

    def before_tree(self, label: PYUObject, scores: PYUObject) -> None:
        """SGB is about to grow the next tree from ``scores``, the raw scores of all trees so far."""
        self._last = (label, scores)
        if self._trees:
            self._add_point(label, scores)

    def tree_done(self, model: Any, epoch: int, evals_log: Any) -> None:
        """SecretFlow calls this in every process after each tree."""
        self._trees = epoch + 1
        next(iter(self._context.sites.values())).emit(event="tree", trees=self._trees)

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
        trees, objective, floor = self._trees, self._context.spec.sgb.objective, self._context.min_rows

        def measure(site: Site, label: Any, scores: Any) -> dict[str, Any]:
            require_rows("a curve", np.size(label), floor)
            return {"trees": trees, "metric": training_metric(objective, label, scores)}

        point = self._context.at(self._holder, measure, label, scores)
        self._points.append(point)
        if TERMINAL in self._receivers:
            self._effects.append(self._context.gate.show(point, stage="train", kind="curves", form=CURVE))

    def _deliver(self) -> None:
        curve = self._context.at(self._holder, lambda site, *points: list(points), *self._points)
        for receiver in self._context.spec.parties:
            received = curve
            if receiver in self._receivers:
                received = self._context.gate.deliver(curve, receiver, stage="train", kind="curves", form=CURVE)
            elif receiver != self._holder or not self._wanted:
                continue
            self._effects.append(self._context.at(receiver, _write_curve, received))


def _write_curve(site: Site, curve: list[dict[str, Any]]) -> None:
    write_json(site.folder / CURVE_FILE, curve)


class _ObservedLoss(LossComputer):  # type: ignore[misc]
    def __init__(self, curve: _Curve) -> None:
        super().__init__()
        self._curve = curve

    def compute_gh(self, y: PYUObject, pred: PYUObject) -> Any:
        self._curve.before_tree(y, pred)
        return super().compute_gh(y, pred)


class _ObservedSgb(PrivateSgb):
    def __init__(self, heu: Any, seed_of: Any, curve: _Curve) -> None:
        super().__init__(heu, seed_of)
        self._curve = curve

    def _produce(self) -> Any:
        booster = super()._produce()
        booster.tree_trainer.components.loss_computer = _ObservedLoss(self._curve)
        booster.set_params(self.params_dict)  # once more: the new component has not seen them
        return booster
