"""A complete model as a file of XGBoost's own: its JSON format, as XGBoost 2.1 writes it and later versions read it.

https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from runner.errors import BundleError
from runner.export.trees import LEAF, CompleteModel, Node

FORMAT_VERSION = [2, 1, 4]
NO_PARENT = 2**31 - 1
LARGEST = float(np.finfo(np.float32).max)


def xgboost_model(model: CompleteModel) -> bytes:
    """The file's content. XGBoost's scores are the model's within float32.

    XGBoost compares float32 values with float32 thresholds, SecretFlow float64 with float64. Each threshold becomes the
    nearest float32: a value that is at least the threshold then goes right in both, and a value below it goes left in
    both, unless it is so near that float32 cannot tell the two apart: then it goes right in XGBoost.

    A missing value, which the runner refuses, goes right. ``loss_changes`` are SecretFlow's gains (0 where they are not
    known). The sums of hessians are not kept by SGB: ``sum_hessian`` is the number of leaves below the node, so what is
    weighed by it (cover, SHAP values that follow the trees' paths) takes all leaves for equally full. A base score
    other than 0 is a first tree of one leaf: XGBoost stores its own as a probability, or through exp, which loses
    digits.

    Raises:
        BundleError: where a feature's name has a character that XGBoost does not take.
    """
    if any(character in name for name in model.features for character in "[]<"):
        raise BundleError(
            "XGBoost does not take the name of a feature",
            where="export.format",
            why="it has one of the characters [ ] <",
            fix="rename the column in table and contract, and train again; or use export.format=onnx",
        )
    objective, neutral = _objective(model)
    width = len(model.features)
    constant = [(Node(LEAF, 0.0, -1, -1, -1, 0.0, model.base_score, 1),)] if model.base_score else []
    trees = [_tree(index, nodes, width) for index, nodes in enumerate([*constant, *model.trees])]
    booster = {
        "name": "gbtree",
        "model": {
            "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(len(trees))},
            "iteration_indptr": list(range(len(trees) + 1)),
            "tree_info": [0] * len(trees),
            "trees": trees,
        },
    }
    learner = {
        "attributes": {},
        "feature_names": list(model.features),
        "feature_types": [],
        "gradient_booster": booster,
        "learner_model_param": {
            "base_score": neutral,
            "boost_from_average": "0",
            "num_class": "0",
            "num_feature": str(width),
            "num_target": "1",
        },
        "objective": objective,
    }
    return json.dumps({"learner": learner, "version": FORMAT_VERSION}, allow_nan=False).encode()


def float32_threshold(threshold: float) -> float:
    """The nearest float32, finite, in the fewest digits that give it back."""
    with np.errstate(over="ignore"):
        nearest = np.float32(threshold)
    return float(str(np.clip(nearest, -LARGEST, LARGEST).astype(np.float32)))


def _objective(model: CompleteModel) -> tuple[dict[str, Any], str]:
    """XGBoost's objective, and the base score that adds nothing to the raw score under it."""
    match model.objective:
        case "logistic":
            return {"name": "binary:logistic", "reg_loss_param": {"scale_pos_weight": "1"}}, "5E-1"
        case "tweedie":
            power = {"tweedie_variance_power": f"{model.variance_power:g}"}
            return {"name": "reg:tweedie", "tweedie_regression_param": power}, "1E0"
        case _:
            return {"name": "reg:squarederror", "reg_loss_param": {"scale_pos_weight": "1"}}, "0E0"


def _tree(index: int, nodes: Sequence[Node], width: int) -> dict[str, Any]:
    weights = [float(str(np.float32(node.weight))) for node in nodes]
    return {
        "base_weights": weights,
        "categories": [],
        "categories_nodes": [],
        "categories_segments": [],
        "categories_sizes": [],
        "default_left": [0] * len(nodes),
        "id": index,
        "left_children": [node.left for node in nodes],
        "loss_changes": [float(str(np.float32(node.gain))) for node in nodes],
        "parents": [node.parent if node.parent >= 0 else NO_PARENT for node in nodes],
        "right_children": [node.right for node in nodes],
        "split_conditions": [
            weight if node.feature == LEAF else float32_threshold(node.threshold)
            for node, weight in zip(nodes, weights, strict=True)
        ],
        "split_indices": [max(node.feature, 0) for node in nodes],
        "split_type": [0] * len(nodes),
        "sum_hessian": [float(node.leaves) for node in nodes],
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(width),
            "num_nodes": str(len(nodes)),
            "size_leaf_vector": "1",
        },
    }
