"""SGB that can be looked at before each tree, and that can go on from a state of an earlier training.

SecretFlow's own ``checkpoint_data`` does not do: it predicts the training rows again, in single precision, and starts
every generator anew, so that another model comes out. Here the next tree starts from the very scores and generator
states that it would have started from.

Everything else that SGB holds is made anew for each tree (histogram caches, leaves, split candidates, shuffle masks),
or follows from tables and settings (the order map).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from secretflow.device import PYU, PYUObject, wait
from secretflow.ml.boost.sgb_v.core.distributed_tree.distributed_tree import DistributedTree
from secretflow.ml.boost.sgb_v.core.distributed_tree.split_tree import SplitTree
from secretflow.ml.boost.sgb_v.core.distributed_tree.split_tree import from_dict as split_tree_from_dict
from secretflow.ml.boost.sgb_v.core.pure_numpy_ops.pred import init_pred
from secretflow.ml.boost.sgb_v.factory.components import ModelBuilder
from secretflow.ml.boost.sgb_v.model import SgbModel

from runner.engine.early_metric import mend_metric
from runner.engine.faster import applies_to, use
from runner.engine.generators import Generators, KeptSampler
from runner.engine.shuffle import PrivateSgb, SeedOf


@dataclass(frozen=True)
class Start:
    """Where a training begins that goes on from an earlier one.

    Attributes:
        trees: the trees so far; each party's splits are at that party, leaf weights at the label holder.
        scores: the raw scores of the training rows after these trees, shape (rows, 1), at the label holder.
        generators: party → the states of its generators, at that party.
        training: the name of that training, which all parties know.
    """

    trees: Sequence[DistributedTree]
    scores: PYUObject
    generators: Mapping[str, PYUObject]
    training: str


@dataclass(frozen=True)
class Moment:
    """A training just before it grows its next tree: nothing of that tree has been drawn yet.

    Attributes:
        trees: the trees so far.
        label: the label of the training rows, shape (rows, 1), at the label holder.
        scores: their raw scores after these trees, shape (rows, 1), at the label holder.
        generators: all that the training draws from.
    """

    trees: Sequence[DistributedTree]
    label: PYUObject
    scores: PYUObject
    generators: Generators


class ResumableSgb(PrivateSgb):
    """SecretFlow's SGB, with private shuffles or without.

    Args:
        heu: the device for homomorphic encryption.
        seed_of: party → its shuffle seed, or None for stock SecretFlow's shuffles.
        before_tree: called in every process before each tree.
        start: where to go on from, or None to begin with the first tree.
        base: the initial raw score of every row, a number at the label holder that no other party sees; None for the
            one in the parameters. :func:`fold_base` ends such a training.
        faster: whether to sum histograms as in :mod:`runner.engine.faster`; the model is the same, bit for bit.
        plain_labels: whether labels are such as the objective knows, and not, for instance, corrected for noise.
    """

    def __init__(
        self,
        heu: Any,
        seed_of: SeedOf | None,
        before_tree: Callable[[Moment], None],
        start: Start | None = None,
        base: PYUObject | None = None,
        faster: bool = True,
        plain_labels: bool = True,
    ) -> None:
        super().__init__(heu, seed_of)
        self._faster = faster
        self._plain_labels = plain_labels
        self._weighted = False
        self._private = seed_of is not None
        self._before_tree = before_tree
        self._start = start
        self._base = base

    def fit(self, *arguments: Any, **named: Any) -> SgbModel:
        self._weighted = named.get("sample_weight") is not None
        return super().fit(*arguments, **named)

    def _produce(self) -> Any:
        booster = super()._produce()
        booster.tree_trainer.components.sampler = KeptSampler()
        if self._start is not None or self._base is not None:
            booster.components.model_builder = _PreparedModelBuilder(self._start, self._base)
        if self._faster and applies_to(self.params_dict, self.heu):
            use(booster, self.params_dict, self._plain_labels and not self._weighted)
        booster.set_params(self.params_dict)  # once more: the new components have not seen them
        self._watch(booster)
        mend_metric(booster, self.params_dict)
        return booster

    def _watch(self, booster: Any) -> None:
        grow = booster.tree_trainer.train_tree
        first = 0 if self._start is None else len(self._start.trees)

        def train_tree(index: int, orders: Any, label: Any, scores: Any, *others: Any, **named: Any) -> Any:
            generators = Generators(booster, self._private)
            if self._start is not None and index == first:  # after the order map, which seeds NumPy again
                wait(generators.restore(dict(self._start.generators)))
            self._before_tree(Moment(booster.components.model_builder.model.trees, label, scores, generators))
            return grow(index, orders, label, scores, *others, **named)

        booster.tree_trainer.train_tree = train_tree


class _PreparedModelBuilder(ModelBuilder):  # type: ignore[misc]
    def __init__(self, start: Start | None, base: PYUObject | None) -> None:
        super().__init__()
        self._start = start
        self._base = base

    def init_pred(self, sample_num: Any, checkpoint_model: Any = None, x: Any = None) -> PYUObject:
        if self._start is not None:
            return self._start.scores
        return self.label_holder(init_pred)(base=self._base, samples=sample_num)

    def init_model(self, checkpoint_model: Any = None) -> None:
        base = self.params.base_score if self._base is None else self._base
        self.model = SgbModel(self.label_holder, self.params.objective, base)
        if self._start is not None:
            self.model.trees.extend(self._start.trees)


def fold_base(model: SgbModel) -> None:
    """Move a base score that is at the label holder into the leaf weights of the first tree, which are there too.

    Every row reaches one leaf of each tree, so the scores stay what they are; the model's own base score is then 0.
    """
    if isinstance(model.base, PYUObject):
        first = model.trees[0]
        weights = model.label_holder(lambda weights, base: np.asarray(weights) + base)(
            first.get_leaf_weight(), model.base
        )
        first.set_leaf_weight(model.label_holder, weights)
        model.base = 0.0


def join_tree(holder: PYU, splits: Mapping[PYU, PYUObject], leaf_weight: PYUObject) -> DistributedTree:
    """A distributed tree from each party's splits, in canonical order, and the label holder's leaf weights."""
    tree = DistributedTree()
    for device, own in splits.items():
        tree.insert_split_tree(device, own)
    tree.set_leaf_weight(holder, leaf_weight)
    return tree


def pack_splits(splits: SplitTree) -> dict[str, Any]:
    """One party's splits of a tree as plain values, with their gains, which SecretFlow's own form leaves out."""
    return {**splits.to_dict(), "split_gains": splits.split_gains}


def unpack_splits(packed: dict[str, Any]) -> SplitTree:
    """The splits that :func:`pack_splits` packed."""
    splits: SplitTree = split_tree_from_dict(packed)
    splits.split_gains = packed["split_gains"]
    return splits


def pack_array(array: Any) -> dict[str, Any]:
    """An array of numbers as plain values: every bit, its dtype, and its layout in memory.

    (Sums over an array may differ in the last bit with its layout, and one column can be laid out in two ways.)
    """
    array = np.asarray(array)
    by_rows, by_columns = np.empty_like(array, order="C").strides, np.empty_like(array, order="F").strides
    order: Literal["C", "F"] = "F" if array.strides == by_columns != by_rows else "C"
    content = base64.b64encode(array.tobytes(order)).decode()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "order": order, "content": content}


def unpack_array(packed: dict[str, Any]) -> Any:
    """The array that :func:`pack_array` packed."""
    flat = np.frombuffer(base64.b64decode(packed["content"]), np.dtype(packed["dtype"]))
    return np.array(flat.reshape(packed["shape"], order=packed["order"]), order=packed["order"])
