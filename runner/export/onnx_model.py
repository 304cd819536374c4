"""A complete model as ONNX: a tree ensemble, and the function from the raw score to the final one.

https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleRegressor.html
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from runner.export.trees import LEAF, CompleteModel

FINAL = {"logistic": "Sigmoid", "linear": "Identity", "tweedie": "Exp"}
OPSETS = {"": 15, "ai.onnx.ml": 3}  # old enough for every runtime of the last years
IR_VERSION = 8


def onnx_model(model: CompleteModel) -> bytes:
    """The file's content.

    Input ``features``: float64, shape (rows, features), columns in the order that the file's metadata
    (``feature_names``) gives. Output ``score``: float32, shape (rows, 1), a probability for a logistic model. The
    thresholds stay float64, so every row reaches the leaf that it reaches in SecretFlow; missing values go right.
    """
    import onnx
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node(
            "TreeEnsembleRegressor", ["features"], ["raw"], domain="ai.onnx.ml", **_ensemble(model), n_targets=1
        ),
        helper.make_node(FINAL[model.objective], ["raw"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "sgb",
        [helper.make_tensor_value_info("features", TensorProto.DOUBLE, [None, len(model.features)])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    content = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="sgb-runner")
    helper.set_model_props(content, {"feature_names": json.dumps(model.features), "objective": model.objective})
    onnx.checker.check_model(content)
    serialised: bytes = content.SerializeToString()
    return serialised


def _ensemble(model: CompleteModel) -> dict[str, Any]:
    placed = [(tree, position, node) for tree, nodes in enumerate(model.trees) for position, node in enumerate(nodes)]
    leaves = [(tree, position, node) for tree, position, node in placed if node.feature == LEAF]
    return {
        "aggregate_function": "SUM",
        "post_transform": "NONE",
        "base_values_as_tensor": _doubles("base_values", [model.base_score]),
        "nodes_treeids": [tree for tree, _, _ in placed],
        "nodes_nodeids": [position for _, position, _ in placed],
        "nodes_featureids": [max(node.feature, 0) for _, _, node in placed],
        "nodes_modes": ["LEAF" if node.feature == LEAF else "BRANCH_LT" for _, _, node in placed],
        "nodes_values_as_tensor": _doubles("nodes_values", [node.threshold for _, _, node in placed]),
        "nodes_truenodeids": [max(node.left, 0) for _, _, node in placed],
        "nodes_falsenodeids": [max(node.right, 0) for _, _, node in placed],
        "nodes_missing_value_tracks_true": [0] * len(placed),
        "target_treeids": [tree for tree, _, _ in leaves],
        "target_nodeids": [position for _, position, _ in leaves],
        "target_ids": [0] * len(leaves),
        "target_weights_as_tensor": _doubles("target_weights", [node.weight for _, _, node in leaves]),
    }


def _doubles(name: str, values: list[float]) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.array(values, dtype=np.float64), name)
