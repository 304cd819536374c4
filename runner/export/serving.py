"""A party's package for SecretFlow-Serving: its own side of the trees, as a graph that all parties have alike.

Each party has the same nodes, named alike: a select per tree (which leaves its own splits leave open), then, at the
label holder alone, a merge per tree and the prediction. Source: SecretFlow 1.14, ``component/ml/boost/boost.py``; but
the order of the leaves is taken from the model, while that exporter derives one that is wrong for leaf-wise trees.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from runner.export.trees import LEAF, Part, SplitTree, flat

LINK = {"logistic": "LF_SIGMOID_RAW", "linear": "LF_IDENTITY", "tweedie": "LF_EXP"}
LARGEST_NUMBER = 2**31 - 1
SCORE = "pred_y"  # SecretFlow's own name of the column


class Ensemble(NamedTuple):
    """What every party knows of the whole model."""

    name: str
    objective: str
    base_score: float
    trees: int


def serving_package(part: Part, ensemble: Ensemble) -> bytes:
    """The ``.tar.gz`` of one party. Its features enter as float64, under the names of the part.

    Args:
        part: the party's own; that of the label holder has the leaf weights.
    """
    from secretflow_serving_lib import build_serving_tar

    archive = build_serving_tar(ensemble.name, "SGB", serving_graph(part, ensemble).build_proto())
    content: bytes = archive.getvalue()
    return content


def serving_graph(part: Part, ensemble: Ensemble) -> Any:
    """The graph's builder, checked by SecretFlow-Serving's own rules when its protobuf is built."""
    from secretflow_serving_lib import GraphBuilder

    holds_weights = "leaf_weights" in part
    graph = GraphBuilder()
    for index, tree in enumerate(part["trees"]):
        graph.add_node(f"sgb_select_{index}", "tree_select", [], **select_attributes(tree, part["features"]))
    graph.begin_new_execution("DP_SPECIFIED", specific_flag=holds_weights)
    for index in range(ensemble.trees):
        weights = {"leaf_weights": flat(part["leaf_weights"][index])} if holds_weights else {}
        columns = {"input_col_name": "selects", "output_col_name": "weights"}
        graph.add_node(f"sgb_merge_{index}", "tree_merge", [f"sgb_select_{index}"], **columns, **weights)
    graph.add_node(
        "sgb_predict",
        "tree_ensemble_predict",
        [f"sgb_merge_{index}" for index in range(ensemble.trees)],
        input_col_name="weights",
        output_col_name=SCORE,
        algo_func=LINK[ensemble.objective],
        num_trees=ensemble.trees,
        base_score=ensemble.base_score,
    )
    return graph


def select_attributes(tree: SplitTree, features: list[str]) -> dict[str, Any]:
    """A tree's nodes as parallel lists, inner nodes first; ``leaf_node_ids`` in the order of the leaf weights.

    Nodes keep SecretFlow's numbers, unless a deep tree has numbers that do not fit Serving's 32 bits: then they are
    numbered in their order, the same at every party.
    """
    inner, leaves = list(tree["split_indices"]), list(tree["leaf_indices"])
    number = {node: node for node in [*inner, *leaves]}
    if max(number) > LARGEST_NUMBER:
        number = {node: position for position, node in enumerate(sorted(number))}
    no_child = [-1] * len(leaves)
    return {
        "input_feature_names": list(features),
        "input_feature_types": ["DT_DOUBLE"] * len(features),
        "output_col_name": "selects",
        "root_node_id": 0,
        "node_ids": [number[node] for node in [*inner, *leaves]],
        "lchild_ids": [*(number[2 * node + 1] for node in inner), *no_child],
        "rchild_ids": [*(number[2 * node + 2] for node in inner), *no_child],
        "leaf_node_ids": [number[leaf] for leaf in leaves],
        "split_feature_idxs": [*tree["split_features"], *([LEAF] * len(leaves))],
        "split_values": [*tree["split_values"], *([0.0] * len(leaves))],
    }
