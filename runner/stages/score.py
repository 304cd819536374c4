"""Three ways to score rows with an SGB model: open to the label holder, sealed in SPU, complete at one party."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from secretflow.device import PYUObject, SPUObject
from secretflow.ml.boost.sgb_v.core.distributed_tree.split_tree import from_dict as split_tree_from_dict
from secretflow.ml.boost.sgb_v.model import SgbModel

from runner.engine.site import Site
from runner.policy.flows import LEAVES
from runner.prepare.problems import UnfitColumns
from runner.stages.context import Context
from runner.stages.multiclass import OneVsRest, score_classes
from runner.stages.predict import Scores
from runner.stages.prepare import preparation_of, unfit_error

Array = Any
BLOCK_CELLS = 1 << 19  # rows x leaves that enter the SPU at once


def score_openly(context: Context, model: SgbModel | OneVsRest) -> Scores:
    """SGB's ordinary way: the evaluators tell the label holder which leaves a row can reach; it computes the scores."""
    if isinstance(model, OneVsRest):
        return Scores(score_classes(context, model), None, _same, model.names)
    scores = model.predict(context.test_features())
    return Scores(scores.device(lambda values: np.asarray(values).reshape(-1))(scores), None, _same)


def score_sealed(context: Context, model: SgbModel) -> Scores:
    """The sum of leaf weights, computed on secret shares: nobody but a recipient learns a score.

    A row reaches the one leaf of a tree that every party's splits leave open. Each party's open leaves (0/1) enter the
    SPU as private inputs, the label holder's already times their weights; they are multiplied and summed there.
    Agrees with the open way within 1e-6. Nobody learns which leaf a row reaches.
    """
    features = context.test_features().partitions
    holder = context.spec.label.holder
    weights = [tree.leaf_weight for tree in model.trees]
    selections = []
    for party, device in context.devices.items():
        trees = [tree.split_tree_dict[device] for tree in model.trees]
        if party == holder:
            value = context.at(party, _weighted_leaves, features[device], trees, weights)
        else:
            value = context.at(party, lambda site, x, trees: _open_leaves(x, trees), features[device], trees)
        selections.append(value)
    raw = sum_in_blocks(context, selections, len(model.trees), _multiply_and_sum)
    return Scores(raw, _classes(context, raw, model.base), finisher(model.objective.value, model.base))


def sum_in_blocks(
    context: Context, selections: list[PYUObject], trees: int, weigh: Callable[..., Any], *shared: Any
) -> SPUObject:
    """Share the parties' leaf selections block of rows by block, and weigh them in the SPU; the blocks joined.

    A cell (row x leaf) costs some hundred bytes over all processes: blocks bound the memory.
    """
    sgb = context.spec.sgb
    leaves = trees * (2**sgb.max_depth if sgb.tree_growing_method == "level" else sgb.max_leaf)
    rows = int(next(iter(context.sites.values())).table.test.sum())
    step = max(1, BLOCK_CELLS // leaves)
    sums = []
    for start in range(0, rows, step):
        block = [value.device(_rows(start, start + step))(value) for value in selections]
        entered = [
            context.gate.share(value, context.spu, stage="predict", kind="shares", form=LEAVES) for value in block
        ]
        sums.append(context.spu(weigh)(entered, *shared))
    return sums[0] if len(sums) == 1 else context.spu(_join)(sums)


def _rows(start: int, end: int) -> Callable[[Any], Any]:
    def rows(values: Any) -> Any:
        return values[start:end]

    return rows


def _join(blocks: list[Array]) -> Array:
    return jnp.concatenate(blocks)


def _classes(context: Context, raw: SPUObject, base: float) -> SPUObject | None:
    """0/1 by the sign of the raw score (probability 0.5), computed on shares, where a recipient may see no more."""
    predictions = context.spec.policy.predictions
    if "class" not in {predictions.form_for(party) for party in context.spec.prediction_recipients()}:
        return None
    return context.spu(lambda raw: (raw + base >= 0).astype(jnp.int32))(raw)


def _open_leaves(features: Array, trees: list[Any]) -> Array:
    """Shape (rows, leaves of all trees), int8: 1 where this party's splits let the row reach the leaf."""
    return np.concatenate([np.asarray(tree.predict_leaf_select(features)) for tree in trees], axis=1).astype(np.int8)


def _weighted_leaves(site: Site, features: Array, trees: list[Any], weights: list[Any]) -> Array:
    """The label holder's open leaves, each times its leaf's weight: float32."""
    flat = np.concatenate([np.asarray(weight).reshape(-1) for weight in weights])
    return (_open_leaves(features, trees) * flat).astype(np.float32)


def _multiply_and_sum(entered: list[Array]) -> Array:
    """The label holder's weighted leaves come first; a fraction times a whole number loses no bits."""
    reached = entered[0]
    for open_leaves in entered[1:]:
        reached = reached * open_leaves
    return jnp.sum(reached, axis=1)


def score_completely(context: Context, parts: PYUObject) -> Scores:
    """``predict.at`` applies the whole model on its own table, which has every party's columns.

    Args:
        parts: all parties' parts of the model, at ``predict.at``.
    """
    at = str(context.spec.predict.at)
    objective, base = context.spec.sgb.objective, context.spec.sgb.stated_base()

    def apply(site: Site, parts: list[dict[str, Any]]) -> Array:
        batch = site.table.columns.filter(pa.array(site.table.test))
        features = [_prepared(site, part, batch) for part in parts]
        weights = next(part["leaf_weights"] for part in parts if "leaf_weights" in part)
        raw = np.zeros(len(batch), dtype=np.float32)
        for index, leaf_weights in enumerate(weights):
            reached: Any = True
            for part, columns in zip(parts, features, strict=True):
                tree = split_tree_from_dict(part["trees"][index])
                reached = reached & (np.asarray(tree.predict_leaf_select(columns)) != 0)
            raw += reached.astype(np.float32) @ np.asarray(leaf_weights, dtype=np.float32).reshape(-1)
        return finisher(objective, base)(raw)

    return Scores(context.at(at, apply, parts), None, _same)


def _prepared(site: Site, part: dict[str, Any], batch: pa.Table) -> Array:
    """The features that one party's part of the model looks at, made as that party makes them."""
    try:
        return preparation_of(part).apply(batch)
    except UnfitColumns as unfit:
        raise unfit_error(site, unfit) from None


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
