"""Stage `train`: SecretFlow's SGB over all parties' training rows; for several classes, once for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from secretflow.data import FedNdarray, PartitionWay
from secretflow.device import PYUObject
from secretflow.ml.boost.sgb_v.model import SgbModel

from runner.engine.resume import Moment, ResumableSgb, Start, fold_base
from runner.engine.site import Site
from runner.errors import StageError
from runner.privacy.choose import label_noise
from runner.privacy.debias import unbiased, unbiased_membership
from runner.privacy.mechanisms import LabelNoise, RandomisedResponse
from runner.spec.privacy import LabelDp
from runner.stages.checkpoint import load_checkpoint, name_of_new, save_checkpoint
from runner.stages.context import Context
from runner.stages.curve import Curve
from runner.stages.labels import Labels
from runner.stages.multiclass import OneVsRest, announce_classes
from runner.stages.validation_curve import ValidationCurve
from runner.stages.weights import mean_score, row_weights


def train(context: Context, labels: Labels, curve_wanted: bool = True) -> SgbModel | OneVsRest:
    """Train on the rows that are not held out and have a label; the trees stay distributed over their parties.

    With ``resume`` the training goes on from where that run was interrupted, and gives the model that it would have
    given. With ``train.checkpoint_every`` each party writes its state from time to time.

    Args:
        curve_wanted: whether the learning curve goes to those whom the policy names.

    Raises:
        StageError: at every party, where no tree could be grown.
        BundleError, DataError: where there is nothing to go on from, or it does not fit.
    """
    spec, holder = context.spec, context.spec.label.holder
    noise = label_noise(spec) if isinstance(spec.privacy, LabelDp) and spec.privacy.debias else None
    label = context.at(holder, _training_label, labels.value)
    weights = None
    if spec.label.weight is not None or spec.label.class_weight is not None:
        weights = context.at(holder, _training_weights(context), labels.value)
    shared = _Shared(context, context.connect_heu(spec), context.training_features(labels.present), weights, noise)
    if spec.sgb.objective == "multiclass":
        return _train_classes(shared, label, curve_wanted)
    if noise is not None:
        label = context.at(holder, lambda site, label: unbiased(label, noise), label)
    start, points = load_checkpoint(context, label) if spec.resume is not None else (None, None)
    curve = Curve(context, points, wanted=curve_wanted)
    if start is not None:
        curve.continues(len(start.trees))
    model = _train_one(shared, label, curve, start, validated=labels if curve_wanted else None)
    curve.deliver()
    return model


@dataclass(frozen=True)
class _Shared:
    """What the trainings of one run have in common.

    Attributes:
        heu: the encryption; its keys serve all of them, as they serve all trees of one.
        features: of the training rows.
        weights: of the training rows, shape (rows, 1), at the label holder; or None.
        noise: of the labels, where the loss is to be corrected for it; or None.
    """

    context: Context
    heu: Any
    features: FedNdarray
    weights: PYUObject | None
    noise: LabelNoise | None


def _train_classes(shared: _Shared, label: PYUObject, curve_wanted: bool) -> OneVsRest:
    """One model for each class, in the classes' order. The seeds of samples and shuffles are the same for each."""
    context = shared.context
    classes, names = announce_classes(context)
    models, points = [], None
    for number in range(classes):
        one = context.at(context.spec.label.holder, _is_class(shared.noise), label, number)
        curve = Curve(context, points, (number, classes), curve_wanted)
        models.append(_train_one(shared, one, curve, None, f" for class {number + 1} of {classes}"))
        points = curve.so_far()
    curve.deliver()
    return OneVsRest(tuple(models), names)


def _is_class(noise: LabelNoise | None) -> Callable[[Site, Any, int], Any]:
    if isinstance(noise, RandomisedResponse):
        return lambda site, label, number: unbiased_membership(label, number, noise)
    return lambda site, label, number: (label == number).astype(np.float64)


def _train_one(
    shared: _Shared,
    label: PYUObject,
    curve: Curve,
    start: Start | None,
    which: str = "",
    validated: Labels | None = None,
) -> SgbModel:
    context, spec = shared.context, shared.context.spec
    every, training = spec.train.checkpoint_every, start.training if start is not None else name_of_new(context)
    parameters = spec.sgb.parameters()
    base = None
    if spec.sgb.base_score == "auto":
        base = context.at(spec.label.holder, _base_score(parameters["objective"]), label, shared.weights)
    validation = None
    if spec.train.validation_curve and validated is not None:
        validation = ValidationCurve(context, validated, parameters["base_score"] if base is None else base)

    def before_tree(moment: Moment) -> None:
        trees = len(moment.trees)
        if every and trees and trees % every == 0:
            save_checkpoint(context, moment, curve.so_far(), training)
        if validation is not None:  # first: who may stop the training looks at it
            validation.add(moment.trees)
        curve.before_tree(moment)

    plain = shared.noise is None
    trainer = ResumableSgb(shared.heu, _seeds(context), before_tree, start, base, plain_labels=plain)
    model = trainer.train(
        parameters,
        shared.features,
        _column(context, label),
        dump_function=curve.tree_done,
        sample_weight=None if shared.weights is None else _column(context, shared.weights),
    )
    if not model.trees:
        raise StageError(
            f"training grew no tree{which}",
            where="sgb.gamma",
            why=f"no split gains more than sgb.gamma = {spec.sgb.gamma:g}",
            fix="lower sgb.gamma, or check that the features have anything to do with the label",
        )
    curve.after_training(model, shared.features)
    if validation is not None:
        validation.add(model.trees)
    fold_base(model)
    return model


def _column(context: Context, value: PYUObject) -> FedNdarray:
    return FedNdarray(partitions={context.holder: value}, partition_way=PartitionWay.VERTICAL)


def _training_label(site: Site, value: Any) -> Any:
    training = value[~site.table.test]
    return training[~np.isnan(training)].reshape(-1, 1)


def _training_weights(context: Context) -> Callable[[Site, Any], Any]:
    return lambda site, value: row_weights(context.spec, site, value[~site.table.test])


def _base_score(objective: str) -> Callable[[Site, Any, Any], float]:
    return lambda site, label, weights: mean_score(objective, label, weights)


def _seeds(context: Context) -> Callable[[str], Any] | None:
    """Each party's shuffle seed, to be called in that party's process only; None for stock SecretFlow's way."""
    settings = context.spec.sgb
    if settings.shuffle == "shared":
        return None
    return lambda party: context.sites[party].shuffle_seed(settings.seed)
