"""Stage `train`: SecretFlow's SGB over all parties' training rows."""

from __future__ import annotations

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
from runner.stages.context import Context
from runner.stages.metrics import training_metric


def train(context: Context) -> SgbModel:
    """Train on the rows that are not held out; the trees stay distributed over their parties.

    Raises:
        StageError: at every party, where no tree could be grown.
    """
    spec = context.spec
    holder = spec.label.holder
    label = FedNdarray(
        partitions={context.holder: context.at(holder, _training_label)}, partition_way=PartitionWay.VERTICAL
    )
    curve = _Curve(context)
    seed_of = (
        (lambda party: context.sites[party].shuffle_seed(spec.sgb.seed))
        if spec.sgb.shuffle == "private"
        else (lambda party: spec.sgb.seed)
    )
    trainer = _ObservedSgb(make_heu(spec), seed_of, curve)
    features = context.features(test=False)
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


def _training_label(site: Site) -> Any:
    if site.table.label is None:
        raise StageError(
            "there is no label to train on", where="label.holder", why="the table has none", fix="check label.column"
        )
    return site.table.label[~site.table.test].reshape(-1, 1)


class _Curve:
    """The training metric after each tree, computed at the label holder, which sees the raw scores anyway."""

    def __init__(self, context: Context) -> None:
        self.effects: list[PYUObject] = []
        self._context = context
        self._shown = context.gate.shows("train", "metrics", context.spec.label.holder)
        self._trees = 0
        self._last: tuple[PYUObject, PYUObject] | None = None

    def before_tree(self, label: PYUObject, scores: PYUObject) -> None:
        """SGB is about to grow the next tree from ``scores``, the raw scores of all trees so far."""
        self._last = (label, scores)
        if self._trees:
            self._show(label, scores)

    def tree_done(self, model: Any, epoch: int, evals_log: Any) -> None:
        """SecretFlow calls this in every process after each tree."""
        self._trees = epoch + 1
        next(iter(self._context.sites.values())).emit(event="tree", trees=self._trees)

    def after_training(self, model: SgbModel, features: FedNdarray) -> None:
        """SGB does not score the rows with the last tree; do it here, unless early stopping split them anew."""
        if self._shown and self._last is not None and not self._context.spec.sgb.enable_early_stop:
            label, scores = self._last
            last_tree = model.trees[-1].predict(features.partitions)
            total = last_tree.device(lambda tree, scores: np.asarray(tree) + np.asarray(scores))(last_tree, scores)
            self._show(label, total)
        self._context.gate.finish(self.effects)

    def _show(self, label: PYUObject, scores: PYUObject) -> None:
        if not self._shown:
            return
        trees, objective = self._trees, self._context.spec.sgb.objective

        def measure(site: Site, label: Any, scores: Any) -> dict[str, Any]:
            return {"trees": trees, "metric": training_metric(objective, label, scores)}

        measured = self._context.at(self._context.spec.label.holder, measure, label, scores)
        shown = self._context.gate.show(measured, stage="train", kind="metrics")
        if shown is not None:
            self.effects.append(shown)


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
