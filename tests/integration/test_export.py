"""A model taken to other programs and read by them, and one brought in; with real processes and the real libraries."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import polars as pl
import pytest
import xgboost
from integration.launch import PARTIES, Finish, Finished, Launch, table_path, write_tables
from numpy.typing import NDArray
from support import PROJECT, type_command

pytestmark = pytest.mark.processes

LEAF_WISE = (
    "crypto=ou_2048",
    "sgb=lightgbm",
    "sgb.max_leaf=6",
    "sgb.num_boost_round=2",
    "sgb.sketch_eps=0.25",
    "sgb.base_score=0.3",
    "sgb.first_tree_with_label_holder_feature=false",
)
LOADER = Path(__file__).with_name("load_with_secretflow.py")


@pytest.fixture(scope="module")
def trained(finish: Finish, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A model of leaf-wise trees, whose leaves stand in no simple order, with a base score."""
    place = tmp_path_factory.mktemp("export")
    write_tables(place)
    return finish(place, *LEAF_WISE, "explain.importance=true")


@pytest.fixture(scope="module")
def applied(finish: Finish, trained: Finished) -> Finished:
    """The model loaded again, applied to all rows, and explained."""
    return finish(trained.place, "task=predict", f"model={trained.folder}", "explain.importance=true")


@pytest.fixture(scope="module")
def for_secretflow(finish: Finish, trained: Finished) -> Finished:
    return finish(trained.place, "task=export", f"model={trained.folder}", "export.format=secretflow")


def features(run: Finished, names: list[str]) -> NDArray[np.float64]:
    """All parties' features, in the order of the ids."""
    tables = [pl.read_parquet(table_path(run.place, party)).sort("patient_id") for party in PARTIES]
    joined = pl.concat([table.drop("patient_id") for table in tables], how="horizontal")
    return joined.select(names).to_numpy().astype(np.float64)


def exported(run: Finished) -> set[str]:
    return {str(path.relative_to(run.folder / "parties")) for path in run.folder.glob("parties/*/export/*")}


def sent(run: Finished, party: str) -> list[Any]:
    lines = run.own(party, "audit.jsonl").read_text().splitlines()
    return [(entry["kind"], entry["to"]) for entry in map(json.loads, lines) if entry["direction"] == "sent"]


def test_xgboost_loads_the_file_and_scores_alike(finish: Finish, trained: Finished, applied: Finished) -> None:
    run = finish(
        trained.place,
        "task=export",
        f"model={trained.folder}",
        "export.format=xgboost",
        "export.at=bob",
        "policy.complete_model.recipients=[bob]",
    )
    assert exported(run) == {"bob/export/model.json"}
    assert "Revealed     to bob" in run.ended.out
    assert "WARNING: the complete model goes to bob" in run.ended.err
    for party in ("alice", "carol"):
        assert ("complete_model", "bob") in sent(run, party)
    assert {kind for kind, _ in sent(run, "bob")} == {"model_parts"}
    booster = xgboost.Booster(model_file=run.own("bob", "export", "model.json"))
    rows = xgboost.DMatrix(features(run, booster.feature_names or []), feature_names=booster.feature_names)
    np.testing.assert_allclose(booster.predict(rows), applied.predictions()["score"].to_numpy(), atol=1e-6)
    gains = sum(booster.get_score(importance_type="total_gain").values())
    importance = json.loads(applied.own("carol", "importance.json").read_bytes())
    assert gains == pytest.approx(sum(party["total"] for party in importance.values()), rel=1e-6)


def test_onnxruntime_loads_the_file_and_scores_alike(finish: Finish, trained: Finished, applied: Finished) -> None:
    run = finish(
        trained.place,
        "task=export",
        f"model={trained.folder}",
        "export.format=onnx",
        "export.at=alice",
        "policy=lab",
        "cluster=debug",
    )
    assert exported(run) == {"alice/export/model.onnx"}
    path = run.own("alice", "export", "model.onnx")
    names = json.loads({entry.key: entry.value for entry in onnx.load(path).metadata_props}["feature_names"])
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (scores,) = session.run(["score"], {"features": features(run, names)})
    np.testing.assert_allclose(scores[:, 0], applied.predictions()["score"].to_numpy(), atol=1e-6)


def test_a_complete_model_is_denied_before_anything_starts(trained: Finished) -> None:
    before = set(trained.place.glob("outputs/2*/*"))
    export = ("task=export", f"model={trained.folder}", "export.format=xgboost", "export.at=carol")
    done = type_command(*export, cwd=trained.place)
    assert done.returncode == 3
    assert "policy.complete_model.recipients" in done.stderr
    assert set(trained.place.glob("outputs/2*/*")) == before, "no run folder, hence no process"


@pytest.fixture(scope="module")
def secretflow_says(for_secretflow: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where SecretFlow's own loader left its scores, and the model that it saved again."""
    target = tmp_path_factory.mktemp("secretflow")
    tables = table_path(for_secretflow.place, "alice").parent.parent
    command = [sys.executable, str(LOADER), str(for_secretflow.folder), str(tables), str(target)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def test_secretflow_loads_its_files_and_writes_the_same_again(for_secretflow: Finished, secretflow_says: Path) -> None:
    common = {f"carol/export/{name}.json" for name in ("common", "leaf_weight")}
    assert exported(for_secretflow) == {f"{party}/export/split_tree.json" for party in PARTIES} | common
    for path in for_secretflow.folder.glob("parties/*/export/*"):
        again = secretflow_says / path.parent.parent.name / path.name
        assert path.read_bytes() == again.read_bytes(), path
    for party in PARTIES:
        assert {kind for kind, _ in sent(for_secretflow, party)} == {"model_parts"}, "no part went anywhere"


def test_saved_model_scores_as_secretflow_does(secretflow_says: Path, applied: Finished) -> None:
    scores = applied.predictions()["score"].to_numpy()
    np.testing.assert_allclose(np.load(secretflow_says / "scores.npy"), scores, atol=1e-6)


def test_serving_packages_have_the_model_of_each_party(
    finish: Finish, trained: Finished, for_secretflow: Finished
) -> None:
    run = finish(trained.place, "task=export", f"model={trained.folder}", "export.format=serving", "cluster=debug")
    assert exported(run) == {f"{party}/export/serving.tar.gz" for party in PARTIES}
    weights = for_secretflow.json("parties", "carol", "export", "leaf_weight.json")
    for party in PARTIES:
        trees = for_secretflow.json("parties", party, "export", "split_tree.json")
        with tarfile.open(run.own(party, "export", "serving.tar.gz")) as package:
            content = package.extractfile("model_file")
            assert content is not None
            graph = json.load(content)["graph"]
        nodes = {node["name"]: node["attr_values"] for node in graph["node_list"]}
        for index, tree in enumerate(trees):
            select, merge = nodes[f"sgb_select_{index}"], nodes[f"sgb_merge_{index}"]
            assert select["leaf_node_ids"]["i32s"]["data"] == tree["leaf_indices"]
            splits = select["split_values"]["ds"]["data"][: len(tree["split_values"])]
            assert [float(value) for value in splits] == tree["split_values"]
            if party == "carol":
                assert merge["leaf_weights"]["ds"]["data"] == [weight for (weight,) in weights[index]]
            else:
                assert "leaf_weights" not in merge


def test_importance_after_loading_is_that_after_training(trained: Finished, applied: Finished) -> None:
    after_training = trained.json("parties", "carol", "importance.json")
    assert sum(party["total"] for party in after_training.values()) > 0
    assert applied.json("parties", "carol", "importance.json") == after_training


def import_from(folders: dict[str, Path]) -> tuple[str, ...]:
    listed = ", ".join(f"{party}: {folder}" for party, folder in folders.items())
    return "task=import", f"import_from={{{listed}}}", "sgb.base_score=0.3"


def export_folders(run: Finished) -> dict[str, Path]:
    return {party: run.own(party, "export") for party in PARTIES}


def test_a_model_that_was_brought_in_gives_the_same_scores(
    finish: Finish, for_secretflow: Finished, applied: Finished
) -> None:
    brought = finish(for_secretflow.place, *import_from(export_folders(for_secretflow)))
    assert "take parts in" in brought.ended.out
    again = finish(brought.place, "task=predict", f"model={brought.folder}")
    assert again.predictions().equals(applied.predictions())


def test_a_part_of_another_model_is_refused(for_secretflow: Finished, tmp_path: Path) -> None:
    """Its trees have the right shape and number, but not the nodes that the other parties leave to it."""
    trees = for_secretflow.json("parties", "bob", "export", "split_tree.json")
    for tree in trees:
        owned = [feature >= 0 for feature in tree["split_features"]]
        tree["split_features"] = [-1 if own else 0 for own in owned]
        tree["split_values"] = [0.5] * len(owned)
    tmp_path.joinpath("split_tree.json").write_text(json.dumps(trees))
    folders = {**export_folders(for_secretflow), "bob": tmp_path}
    with Launch(*import_from(folders), place=for_secretflow.place) as launch:
        ended = launch.end()
    assert ended.code == 8
    assert ended.err.count("bundle error:") == 1
    assert "split by none of them" in ended.err
    assert "Traceback" not in ended.out + ended.err
    assert not list(launch.folder.glob("parties/*/bundle/manifest.json")), "nothing looks like a saved model"
