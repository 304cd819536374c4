"""SecretFlow's trees as plain values and back, with what its own files lose: the gains of the splits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from secretflow.device import PYUObject
from secretflow.ml.boost.sgb_v.core.distributed_tree.distributed_tree import DistributedTree
from secretflow.ml.boost.sgb_v.core.distributed_tree.split_tree import SplitTree
from secretflow.ml.boost.sgb_v.core.distributed_tree.split_tree import from_dict as split_tree_from_dict
from secretflow.ml.boost.sgb_v.core.params import RegType
from secretflow.ml.boost.sgb_v.model import SgbModel

from runner.export.trees import GAINS, has_gains
from runner.stages.context import Context


def split_contents(tree: SplitTree) -> dict[str, Any]:
    """A party's own side of one tree: SecretFlow's own lists, and ``split_gains``, which training showed to all.

    A split of another party has feature -1 and gain 0. A tree that was brought in without gains has none here either.
    """
    content: dict[str, Any] = tree.to_dict()
    gains = [float(gain) for gain in tree.split_gains]
    return {**content, GAINS: gains} if has_gains({**content, GAINS: gains}) else content


def restore_split_tree(content: Mapping[str, Any]) -> SplitTree:
    """The inverse of :func:`split_contents`."""
    tree = split_tree_from_dict(content)
    tree.split_gains = list(content.get(GAINS, []))
    return tree


def assemble(
    context: Context, objective: str, base_score: float, trees: Iterable[int], parts: Mapping[str, PYUObject]
) -> SgbModel:
    """SecretFlow's model from each party's own part, which stays at that party.

    Args:
        trees: their places in the parts.
        parts: party → its part, at that party; the label holder's has the leaf weights.
    """
    model = SgbModel(context.holder, RegType(objective), base_score)
    for index in trees:
        tree = DistributedTree()
        for party, device in context.devices.items():
            tree.insert_split_tree(device, context.at(party, _split_tree(index), parts[party]))
        weights = context.at(context.spec.label.holder, _leaf_weights(index), parts[context.spec.label.holder])
        tree.set_leaf_weight(context.holder, weights)
        model.trees.append(tree)
    return model


def _split_tree(index: int) -> Any:
    return lambda site, part: restore_split_tree(part["trees"][index])


def _leaf_weights(index: int) -> Any:
    return lambda site, part: np.array(part["leaf_weights"][index])
