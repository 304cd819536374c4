"""Each party's own files: SecretFlow's, out and in, and its package for SecretFlow-Serving."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import secretflow_serving_lib as serving_lib
from google.protobuf import json_format
from hypothesis import given, settings
from made_models import FEATURES, Made, made_models

from runner.errors import BundleError
from runner.export.secretflow_files import Common, Declared, read_secretflow_files, secretflow_files
from runner.export.serving import Ensemble, select_attributes, serving_graph, serving_package

DECLARED = Declared("carol", "logistic", 0.5)
SIDE = {"split_features": [0], "split_values": [0.25], "split_indices": [0], "leaf_indices": [1, 2]}
OTHERS = {**SIDE, "split_features": [-1], "split_values": [float("inf")]}
COLUMNS = {party: len(names) for party, names in FEATURES.items()}


def write(folder: Path, party: str, tree: dict[str, Any], trees: int = 2) -> Path:
    """What SecretFlow would write for one party of a model of equal trees."""
    part: dict[str, Any] = {"party": party, "features": FEATURES[party], "trees": [tree] * trees}
    common = None
    if party == "carol":
        part["leaf_weights"] = [[[0.5], [-0.5]]] * trees
        common = Common("logistic", 0.5, trees, COLUMNS)
    for name, content in secretflow_files(part, common).items():
        (folder / name).write_bytes(content)
    return folder


def read(folder: Path, party: str = "carol", declared: Declared = DECLARED) -> dict[str, Any]:
    return read_secretflow_files(folder, party, len(FEATURES[party]), declared)


def test_only_the_label_holder_has_weights_and_common_settings(tmp_path: Path) -> None:
    assert {path.name for path in write(tmp_path, "alice", SIDE).iterdir()} == {"split_tree.json"}
    assert read(tmp_path, "alice") == {"trees": [SIDE] * 2}
    write(tmp_path, "carol", OTHERS)
    assert {path.name for path in tmp_path.iterdir()} == {"split_tree.json", "leaf_weight.json", "common.json"}


def test_files_are_read_back_as_they_were(tmp_path: Path) -> None:
    found = read(write(tmp_path, "carol", OTHERS))
    assert found == {"trees": [OTHERS] * 2, "leaf_weights": [[[0.5], [-0.5]]] * 2, "columns": COLUMNS}


def test_gains_are_not_in_secretflows_files(tmp_path: Path) -> None:
    write(tmp_path, "alice", {**SIDE, "split_gains": [7.0]})
    assert "gain" not in (tmp_path / "split_tree.json").read_text()


Change = Callable[[Any], Any]


def in_tree(**values: Any) -> Change:
    return lambda trees: [trees[0], {**trees[1], **values}]


FAULTS: dict[str, tuple[str, Change, str]] = {
    "no list": ("split_tree.json", lambda trees: {}, "not what SecretFlow writes"),
    "no trees": ("split_tree.json", lambda trees: [], "no trees"),
    "one tree": ("split_tree.json", lambda trees: trees[:1], "2 trees"),
    "text": ("split_tree.json", in_tree(split_features=["age"]), "not what SecretFlow writes"),
    "no indices": ("split_tree.json", lambda trees: [{"split_features": [0]}], "not what SecretFlow writes"),
    "short list": ("split_tree.json", in_tree(split_values=[]), "differ in length"),
    "feature too high": ("split_tree.json", in_tree(split_features=[2]), "does not have"),
    "feature too low": ("split_tree.json", in_tree(split_features=[-2]), "does not have"),
    "infinite threshold": ("split_tree.json", in_tree(split_values=[float("inf")]), "finite"),
    "threshold NaN": ("split_tree.json", in_tree(split_values=[float("nan")]), "finite"),
    "leaf missing": ("split_tree.json", in_tree(leaf_indices=[1]), "binary tree"),
    "leaf twice": ("split_tree.json", in_tree(leaf_indices=[1, 1]), "binary tree"),
    "loose node": ("split_tree.json", in_tree(leaf_indices=[1, 5]), "binary tree"),
    "weight missing": ("leaf_weight.json", lambda weights: [weights[0], [[0.5]]], "one weight for each leaf"),
    "weight twice": ("leaf_weight.json", lambda weights: [weights[0], [[0.5, 0.1], [0.2]]], "one weight"),
    "weight NaN": ("leaf_weight.json", lambda weights: [weights[0], [[float("nan")], [0.2]]], "finite"),
    "weights of one tree": ("leaf_weight.json", lambda weights: weights[:1], "1 trees"),
    "other objective": ("common.json", lambda common: {**common, "objective": "linear"}, "sgb.objective"),
    "other base score": ("common.json", lambda common: {**common, "base": 0.0}, "sgb.base_score"),
    "other tree number": ("common.json", lambda common: {**common, "tree_num": 3}, "3 trees"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_file_that_does_not_fit_is_refused_in_words(tmp_path: Path, fault: str) -> None:
    name, change, told = FAULTS[fault]
    read(write(tmp_path, "carol", SIDE))
    path = tmp_path / name
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(BundleError) as refused:
        read(tmp_path)
    assert told in refused.value.why
    assert refused.value.where.startswith(str(tmp_path))
    assert "0.25" not in str(refused.value), "no value of the file is told"


@pytest.mark.parametrize("content", [b"", b"\xff", b"[1,", b"[" * 100_000])
def test_a_file_that_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    (write(tmp_path, "carol", SIDE) / "leaf_weight.json").write_bytes(content)
    with pytest.raises(BundleError, match="cannot be taken in"):
        read(tmp_path)


def test_a_label_holder_without_weights_is_told_to_look_at_the_roles(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as refused:
        read(write(tmp_path, "alice", SIDE), "alice", DECLARED._replace(holder="alice"))
    assert "label.holder" in refused.value.fix


def unpack(package: bytes) -> Any:
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        content = {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr]
    assert json.loads(content["MANIFEST"]) == {"bundle_path": "model_file", "bundle_format": "FF_JSON"}
    return json_format.Parse(content["model_file"], serving_lib.bundle_pb2.ModelBundle())


@settings(max_examples=5, deadline=None)
@given(made=made_models())
def test_serving_packages_hold_the_model_and_fit_each_other(made: Made) -> None:
    ensemble = Ensemble("a model", made.objective, made.base_score, len(made.parts[0]["trees"]))
    views = {}
    for part in made.parts:
        bundle = unpack(serving_package(part, ensemble))
        nodes = {node.name: node.attr_values for node in bundle.graph.node_list}
        for index, tree in enumerate(part["trees"]):
            select = nodes[f"sgb_select_{index}"]
            inner = len(tree["split_indices"])
            assert select["leaf_node_ids"].i32s.data == tree["leaf_indices"]
            assert select["node_ids"].i32s.data == [*tree["split_indices"], *tree["leaf_indices"]]
            assert select["split_feature_idxs"].i32s.data[:inner] == tree["split_features"]
            assert select["split_values"].ds.data[:inner] == tree["split_values"]
            assert select["input_feature_names"].ss.data == part["features"]
            merge = nodes[f"sgb_merge_{index}"]
            expected = [weight for (weight,) in part["leaf_weights"][index]] if part["party"] == "carol" else []
            assert merge["leaf_weights"].ds.data == expected
        predict = nodes["sgb_predict"]
        assert predict["base_score"].d == made.base_score
        assert predict["num_trees"].i32 == len(part["trees"])
        assert [execution.config.specific_flag for execution in bundle.graph.execution_list] == [
            False,
            part["party"] == "carol",
        ]
        views[part["party"]] = json_format.MessageToJson(serving_graph(part, ensemble).build_view_proto())
    serving_lib.check_graph_views(views)


@pytest.mark.parametrize(
    ("objective", "function"),
    [("logistic", "LF_SIGMOID_RAW"), ("linear", "LF_IDENTITY"), ("tweedie", "LF_EXP")],
)
def test_serving_turns_raw_scores_into_those_of_the_objective(objective: str, function: str) -> None:
    part = {"party": "alice", "features": ["a0"], "trees": [SIDE]}
    graph = unpack(serving_package(part, Ensemble("a model", objective, 0.5, 1))).graph
    (predict,) = [node for node in graph.node_list if node.name == "sgb_predict"]
    assert predict.attr_values["algo_func"].s == function


def test_serving_numbers_a_very_deep_tree_anew() -> None:
    chain = [0]
    for _ in range(40):
        chain.append(2 * chain[-1] + 2)
    leaves = [2 * node + 1 for node in chain] + [2 * chain[-1] + 2]
    tree = {
        "split_features": [-1] * len(chain),
        "split_values": [float("inf")] * len(chain),
        "split_indices": chain,
        "leaf_indices": leaves,
    }
    attributes = select_attributes(tree, ["a0"])
    ids = attributes["node_ids"]
    assert sorted(ids) == list(range(len(chain) + len(leaves)))
    assert attributes["lchild_ids"][: len(chain)] == attributes["leaf_node_ids"][: len(chain)]
    assert attributes["rchild_ids"][: len(chain) - 1] == ids[1 : len(chain)]
    part = {"party": "alice", "features": FEATURES["alice"], "trees": [tree]}
    serving_package(part, Ensemble("a model", "linear", 0.0, 1))
