"""Three ways to score rows with an SGB model: open to the label holder, sealed in SPU, complete at one party."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from secretflow.device import PYUObject, SPUObject
from secretflow.ml.boost.sgb_v.core.distributed_tree.split_tree import from_dict as split_tree_from_dict
from secretflow.ml.boost.sgb_v.model import SgbModel

from runner.engine.site import Site
from runner.policy.flows import LEAVES
from runner.stages.context import Context
from runner.stages.predict import Scores

Array = Any


def score_openly(context: Context, model: SgbModel) -> Scores:
    """SGB's ordinary way: the evaluators tell the label holder which leaves a row can reach; it computes the scores."""
    scores = model.predict(context.test_features())
    return Scores(scores.device(lambda values: np.asarray(values).reshape(-1))(scores), None, _same)


def score_sealed(context: Context, model: SgbModel) -> Scores:
    """The sum of leaf weights, computed on secret shares: nobody but a recipient learns a score.

    Each party's leaf selection (1 where its own splits let a row reach a leaf) is a private input, and so are the label
    holder's leaf weights; a row reaches the one leaf that all parties select. Agrees with the open way within 1e-5.
    """
    features = context.test_features().partitions
    selections = []
    for party, device in context.devices.items():
        trees = [tree.split_tree_dict[device] for tree in model.trees]
        selected = context.at(party, lambda site, x, *trees: _selections(x, trees), features[device], *trees)
        selections.append(context.gate.share(selected, context.spu, stage="predict", kind="shares", form=LEAVES))
    weights = context.at(
        context.spec.label.holder,
        lambda site, *trees: np.concatenate([np.asarray(tree).reshape(-1) for tree in trees]).astype(np.float32),
        *(tree.leaf_weight for tree in model.trees),
    )
    shared = context.gate.share(weights, context.spu, stage="predict", kind="shares", form="leaf weights")
    raw = context.spu(_weighted_sum)(selections, shared)
    return Scores(raw, _classes(context, raw, model.base), finisher(model.objective.value, model.base))


def _classes(context: Context, raw: SPUObject, base: float) -> SPUObject | None:
    """0/1 by the sign of the raw score (probability 0.5), computed on shares, where a recipient may see no more."""
    predictions = context.spec.policy.predictions
    if "class" not in {predictions.form_for(party) for party in context.spec.prediction_recipients()}:
        return None
    return context.spu(lambda raw: (raw + base >= 0).astype(jnp.float32))(raw)


def _selections(features: Array, trees: tuple[Any, ...]) -> Array:
    """Shape (rows, leaves of all trees), float32: 1 where this party's splits let the row reach the leaf."""
    return np.concatenate([np.asarray(tree.predict_leaf_select(features)) for tree in trees], axis=1).astype(np.float32)


def _weighted_sum(selections: list[Array], weights: Array) -> Array:
    reached = selections[0]
    for selection in selections[1:]:
        reached = reached * selection
    return jnp.matmul(reached, weights.reshape(-1, 1)).reshape(-1)


def score_completely(context: Context, parts: PYUObject) -> Scores:
    """``predict.at`` applies the whole model on its own table, which has every party's features.

    Args:
        parts: all parties' parts of the model, at ``predict.at``.
    """
    at = str(context.spec.predict.at)
    objective, base = context.spec.sgb.objective, context.spec.sgb.base_score

    def apply(site: Site, parts: list[dict[str, Any]]) -> Array:
        table = site.table
        place = {name: index for index, name in enumerate(table.names)}
        weights = next(part["leaf_weights"] for part in parts if "leaf_weights" in part)
        raw = np.zeros(int(table.test.sum()), dtype=np.float32)
        for index, leaf_weights in enumerate(weights):
            reached: Any = True
            for part in parts:
                columns = table.features[table.test][:, [place[name] for name in part["features"]]]
                tree = split_tree_from_dict(part["trees"][index])
                reached = reached & (np.asarray(tree.predict_leaf_select(np.ascontiguousarray(columns))) != 0)
            raw += reached.astype(np.float32) @ np.asarray(leaf_weights, dtype=np.float32).reshape(-1)
        return finisher(objective, base)(raw)

    return Scores(context.at(at, apply, parts), None, _same)


def finisher(objective: str, base: float) -> Callable[[Array], Array]:
    """From the sum of leaf weights to the final score: base score, then sigmoid (logistic) or exp (tweedie)."""

    def finish(raw: Array) -> Array:
        shifted = np.asarray(raw, dtype=np.float32) + np.float32(base)
        if objective == "logistic":
            return (1 / (1 + np.exp(-shifted))).astype(np.float32)
        return np.exp(shifted) if objective == "tweedie" else shifted

    return finish


def _same(values: Array) -> Array:
    return values
