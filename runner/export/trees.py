"""The parts of a model, joined to ordinary decision trees; only who may have the complete model can do that.

A part is a plain dict: ``party``, ``features`` (names), ``trees`` and, at the label holder, ``leaf_weights``. (What was
fitted to the party's columns, ``prepare``, is for prediction only; no export has it.) A party's side of a tree has
SecretFlow's lists: of every inner node the own feature (-1: another party splits it), the threshold and the number
(root 0, children 2n + 1 and 2n + 2), and the numbers of the leaves in the order of the leaf weights. A row goes left
where its value is less than the threshold; both are float64.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from runner.errors import BundleError
from runner.files import canonical_json

Part = Mapping[str, Any]
SplitTree = Mapping[str, Any]
GAINS = "split_gains"
LEAF = -1


class Node(NamedTuple):
    """A node of a joined tree.

    Attributes:
        feature: its column among all features, or ``LEAF``.
        threshold: rows with less go left; of a leaf 0.
        left, right, parent: positions in the tree's list, -1 where there is none.
        gain: of its split, as SecretFlow computes it; 0 of a leaf and where gains are not known.
        weight: of a leaf; of an inner node the mean over the leaves below it.
        leaves: number of leaves below it; 1 for a leaf.
    """

    feature: int
    threshold: float
    left: int
    right: int
    parent: int
    gain: float
    weight: float
    leaves: int


class CompleteModel(NamedTuple):
    """A whole model in one place.

    Attributes:
        objective: logistic, linear or tweedie.
        base_score: the raw score of every row before the first tree.
        variance_power: of a tweedie model.
        features: names, the parties' in canonical order (label holder first).
        trees: each a list of nodes, the root first, level by level.
    """

    objective: str
    base_score: float
    variance_power: float
    features: tuple[str, ...]
    trees: tuple[tuple[Node, ...], ...]


def has_gains(tree: SplitTree) -> bool:
    """Whether the gains of a tree's splits are known."""
    return len(tree.get(GAINS, ())) == len(tree["split_features"])


def join_parts(
    parts: Sequence[Part], *, objective: str, base_score: float, variance_power: float = 1.5
) -> CompleteModel:
    """Join all parties' parts.

    Args:
        parts: one of each party, in canonical order.

    Raises:
        BundleError: where they do not make whole trees: a node that no party splits, or more than one.
    """
    offsets = [sum(len(part["features"]) for part in parts[:index]) for index in range(len(parts))]
    weights = next(part["leaf_weights"] for part in parts if "leaf_weights" in part)
    if len({len(weights), *(len(part["trees"]) for part in parts)}) > 1:
        raise _not_whole("their numbers of trees differ")
    trees = tuple(
        _join_tree([part["trees"][index] for part in parts], offsets, flat(weights[index]))
        for index in range(len(weights))
    )
    return CompleteModel(objective, base_score, variance_power, _feature_names(parts), trees)


def flat(weights: Any) -> list[float]:
    """A tree's leaf weights, which SecretFlow writes as a column, as a list."""
    return [float(weight[0] if isinstance(weight, (list, tuple)) else weight) for weight in weights]


def is_whole(tree: SplitTree) -> bool:
    """Whether inner nodes and leaves make one binary tree: each reached from the root once, and no other."""
    inner, leaves = tree["split_indices"], tree["leaf_indices"]
    expected = Counter([0, *(child for node in inner for child in (2 * node + 1, 2 * node + 2))])
    return expected == Counter([*inner, *leaves])


def shape_digest(trees: Sequence[SplitTree]) -> str:
    """SHA-256 of the trees' shape, which all parties of a training know: the same at each of them."""
    return hashlib.sha256(canonical_json([[tree["split_indices"], tree["leaf_indices"]] for tree in trees])).hexdigest()


def _feature_names(parts: Sequence[Part]) -> tuple[str, ...]:
    """A name that several parties use is written ``party.name``."""
    used = Counter(name for part in parts for name in part["features"])
    return tuple(name if used[name] == 1 else f"{part['party']}.{name}" for part in parts for name in part["features"])


def _join_tree(sides: Sequence[SplitTree], offsets: Sequence[int], weights: Sequence[float]) -> tuple[Node, ...]:
    first = sides[0]
    if not is_whole(first) or len({shape_digest([side]) for side in sides}) > 1:
        raise _not_whole("a tree does not have one shape at all of them")
    splits: dict[int, tuple[int, float, float]] = {}
    for side, offset in zip(sides, offsets, strict=True):
        gains = side[GAINS] if has_gains(side) else [0.0] * len(side["split_features"])
        own = zip(side["split_indices"], side["split_features"], side["split_values"], gains, strict=True)
        for number, feature, threshold, gain in own:
            if feature != LEAF:
                if number in splits:
                    raise _not_whole("two of them split the same node")
                splits[number] = (offset + feature, float(threshold), float(gain))
    if len(splits) != len(first["split_indices"]):
        raise _not_whole("a node is split by none of them")
    if len(weights) != len(first["leaf_indices"]):
        raise _not_whole("the leaf weights are not those of the trees")
    return _nodes(splits, dict(zip(first["leaf_indices"], weights, strict=True)))


def _nodes(splits: Mapping[int, tuple[int, float, float]], weights: Mapping[int, float]) -> tuple[Node, ...]:
    numbers = sorted({*splits, *weights})  # a parent's number is less than its children's
    place = {number: position for position, number in enumerate(numbers)}
    nodes: list[Node] = []
    below: dict[int, tuple[float, int]] = {}
    for number in reversed(numbers):
        parent = place[(number - 1) // 2] if number else -1
        if number in weights:
            node = Node(LEAF, 0.0, -1, -1, parent, 0.0, weights[number], 1)
        else:
            children = 2 * number + 1, 2 * number + 2
            leaves = sum(below[child][1] for child in children)
            mean = sum(below[child][0] * below[child][1] for child in children) / leaves
            feature, threshold, gain = splits[number]
            node = Node(feature, threshold, place[children[0]], place[children[1]], parent, gain, mean, leaves)
        below[number] = node.weight, node.leaves
        nodes.append(node)
    return tuple(reversed(nodes))


def _not_whole(why: str) -> BundleError:
    return BundleError(
        "the parts do not make a whole model",
        where="model",
        why=why,
        fix="let every party use its part of one training",
    )
