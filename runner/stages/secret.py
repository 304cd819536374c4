"""The stages for a label that no party may see: SecretFlow's SS-XGB on secret shares.

Training, model and scores stay in the SPU; each party keeps the splits on its own features in the clear, and a share of
the leaf weights. The loss uses SecretFlow's stand-in for the sigmoid, x / (2 sqrt(1 + x²)) + 1/2, and so do the scores.
Ties between splits are broken by rounding on shares: two trainings may differ (the manifest's model id then does too).
Source: Fang et al., "Large-scale Secure XGB for Vertical Federated Learning", CIKM 2021 (arXiv 2005.08479).
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from heu import numpy as hnp
from secretflow.data import FedNdarray
from secretflow.device import SPUObject, wait
from secretflow.ml.boost.ss_xgb_v import Xgb, XgbModel
from secretflow.ml.boost.ss_xgb_v.core.node_split import RegType
from secretflow.ml.boost.ss_xgb_v.core.tree_worker import XgbTreeWorker
from secretflow.ml.boost.ss_xgb_v.core.xgb_tree import XgbTree

from runner.engine.site import Site
from runner.stages.context import Context
from runner.stages.labels import Labels
from runner.stages.predict import Scores
from runner.stages.score import sum_in_blocks

FRAGMENT_CELLS = 256 * 1024**2 / 16  # rows x features x buckets that SecretFlow handles at once


def train_on_shares(context: Context, labels: Labels) -> XgbModel:
    """Train on the training rows; the label is an SPU value of shape (rows,) that is never opened."""
    site = next(iter(context.sites.values()))

    def tree_done(model: Any, epoch: int, evals_log: Any) -> None:
        site.emit(event="tree", trees=epoch + 1)
        if context.pace is not None and epoch + 1 < context.spec.sgb.num_boost_round:
            context.pace(epoch + 1)

    settings = context.spec.sgb.parameters()
    return _SecretLabelXgb(context.spu).train(
        settings, context.training_features(None), labels.value, dump_function=tree_done
    )


class _SecretLabelXgb(Xgb):  # type: ignore[misc]
    """SS-XGB as it is, except that the label comes as an SPU value instead of from a party."""

    def _prepare(self, params: Mapping[str, Any], dataset: FedNdarray, label: SPUObject) -> None:
        self.spus = len(self.spu)
        self.x = dataset.partitions
        self.samples, features = dataset.shape
        self.trees, self.depth, self.lr = params["num_boost_round"], params["max_depth"], params["learning_rate"]
        self.reg_lambda, self.base, self.seed = params["reg_lambda"], params["base_score"], params["seed"]
        self.subsample, self.colsample = params["rowsample_by_tree"], params["colsample_by_tree"]
        self.obj = RegType(params["objective"])
        self.buckets = math.ceil(1.0 / params["sketch_eps"])
        self.workers = [XgbTreeWorker(index, device=device) for index, device in enumerate(self.x)]
        self.fragment_count = math.ceil(self.samples * features * self.buckets / FRAGMENT_CELLS)
        ends = np.cumsum([len(part) for part in np.array_split(np.arange(self.samples), self.fragment_count)]).tolist()
        starts = [0, *ends[:-1]]
        self.frag_samples = [end - start for start, end in zip(starts, ends, strict=True)]
        self.y = [self.spu[0](_fragment(start, end))(label) for start, end in zip(starts, ends, strict=True)]
        wait(self.y)


def _fragment(start: int, end: int) -> Callable[[Any], Any]:
    def cut(label: Any) -> Any:
        return label[start:end].astype(jnp.float32).reshape(1, -1)

    return cut


def dump_shares(context: Context, model: XgbModel) -> dict[str, str]:
    """Each of this process's parties' share of all leaf weights, as base64: worthless without the others' shares."""
    weights = context.spu(_stack)(model.weights)
    sinks = {party: _Sink() for party in context.devices}
    context.spu.dump(weights, [lambda sink=sinks[party]: sink for party in context.spu.actors])
    return {party: base64.b64encode(sinks[party].getvalue()).decode() for party in context.sites}


def _stack(weights: list[Any]) -> Any:
    return jnp.stack([weight.reshape(-1) for weight in weights])


class _Sink(io.BytesIO):
    """A file in memory that can still be read after it was closed."""

    def __exit__(self, *exception: object) -> None:
        self.flush()


def split_part(tree: XgbTree) -> dict[str, Any]:
    """A party's splits of one tree; a node that another party splits is infinity."""
    return {"split_features": tree.split_features, "split_values": tree.split_values}


def restore(context: Context, parts: Mapping[str, Any], trees: int) -> XgbModel:
    """The model from each party's own part: its splits, and its share of the leaf weights.

    Args:
        parts: party → its part, at that party.
        trees: number of trees.
    """
    own: dict[str, bytes] = {}

    def keep_share(site: Site, part: dict[str, Any]) -> None:
        own[site.party] = base64.b64decode(part["leaf_shares"])

    context.gate.finish([context.at(party, keep_share, part) for party, part in parts.items()])
    weights = context.spu.load([lambda party=party: io.BytesIO(own[party]) for party in context.spu.actors])
    settings = context.spec.sgb
    model = XgbModel(context.spu, RegType(settings.objective), settings.stated_base())
    for index in range(trees):
        model.trees.append(
            {context.devices[party]: context.at(party, _splits_of(index), part) for party, part in parts.items()}
        )
        model.weights.append(context.spu(_row(index))(weights))
    return model


def _splits_of(index: int) -> Callable[[Site, dict[str, Any]], XgbTree]:
    def splits(site: Site, part: dict[str, Any]) -> XgbTree:
        tree = XgbTree()
        tree.split_features = part["trees"][index]["split_features"]
        tree.split_values = part["trees"][index]["split_values"]
        return tree

    return splits


def _row(index: int) -> Callable[[Any], Any]:
    def row(weights: Any) -> Any:
        return weights[index]

    return row


def score_on_shares(context: Context, model: XgbModel) -> Scores:
    """Raw scores in the SPU, from each party's open leaves and the shared leaf weights."""
    features = context.test_features().partitions
    selections = [
        context.at(party, _open_leaves, features[device], [tree[device] for tree in model.trees])
        for party, device in context.devices.items()
    ]
    raw = sum_in_blocks(context, selections, len(model.trees), _weigh, model.weights)
    base, objective = model.base, model.objective

    def finish(raw: Any) -> Any:
        shifted = np.asarray(raw, dtype=np.float64) + base
        logistic = objective == RegType.Logistic
        return (0.5 * shifted / np.sqrt(1 + shifted**2) + 0.5 if logistic else shifted).astype(np.float32)

    def classify(raw: Any) -> Any:
        return (raw + base >= 0).astype(jnp.int32)

    return Scores(raw, context.spu(classify)(raw), finish)


def _open_leaves(site: Site, features: Any, trees: list[XgbTree]) -> Any:
    leaves = [np.asarray(hnp.tree_predict(features, tree.split_features, tree.split_values)) for tree in trees]
    return np.concatenate(leaves, axis=1).astype(np.int8)


def _weigh(open_leaves: list[Any], weights: list[Any]) -> Any:
    reached = open_leaves[0]
    for leaves in open_leaves[1:]:
        reached = reached * leaves
    return jnp.matmul(reached, jnp.concatenate([weight.reshape(-1) for weight in weights]))
