"""Cross-validation in real processes, and against XGBoost on the pooled columns with the same folds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import xgboost
from integration.launch import SMALL, Finish, Finished, table_path, write_tables
from sklearn.metrics import roc_auc_score
from support import type_command

from runner.data.folds import blocks_of

pytestmark = pytest.mark.processes

PARTIES = ("carol", "alice", "bob")
ONE_LABEL = ("data=clinics", "label.column=confirmed")


@pytest.fixture(scope="module")
def grouped(finish: Finish, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Two folds, dealt by a column of alice."""
    by_finding = ("cv.by=group", "cv.at=alice", "cv.column=finding", "cv.folds=2")
    place = tmp_path_factory.mktemp("grouped")
    write_tables(place, "clinics")
    return finish(place, "task=cv", *ONE_LABEL, *by_finding, "policy.metrics.recipients=[carol,bob]", *SMALL)


def test_each_fold_is_measured_and_told_to_those_whom_the_policy_names(grouped: Finished) -> None:
    found = json.loads(grouped.own("carol", "cv.json").read_bytes())
    aucs = [fold["auc"] for fold in found["folds"]]
    assert found["mean"]["auc"] == pytest.approx(np.mean(aucs))
    assert found["sd"]["auc"] == pytest.approx(np.std(aucs, ddof=1))
    assert aucs[0] != aucs[1]
    assert json.loads(grouped.own("bob", "cv.json").read_bytes()) == found
    assert f"AUC {found['mean']['auc']:.4f} ({found['sd']['auc']:.4f})" in grouped.ended.out


def test_no_prediction_and_no_model_is_left_and_alice_learns_nothing(grouped: Finished) -> None:
    left = {path.name for path in grouped.own("alice").rglob("*")}
    assert "cv.json" not in left
    assert not {"predictions.parquet", "bundle", "metrics.json"} & {p.name for p in grouped.folder.rglob("*")}


def test_alice_alone_deals_and_each_other_party_is_told_once(grouped: Finished) -> None:
    for party in ("bob", "carol"):
        log = [json.loads(line) for line in grouped.own(party, "audit.jsonl").read_text().splitlines()]
        (told,) = [entry for entry in log if entry["stage"] == "folds"]
        assert (told["direction"], told["from"], told["shape"]) == ("received", "alice", [569])


def test_folds_agree_with_xgboost_on_the_pooled_columns_and_the_refit_model_is_kept(tmp_path: Path) -> None:
    settings = ("sgb=accurate", "sgb.num_boost_round=10", "cluster=debug", "crypto.scheme=mock")
    folds = ("task=cv", "cv.by=stratified", "cv.folds=3", "cv.refit=true")
    done = type_command(*folds, *settings, cwd=tmp_path, PYTEST_CURRENT_TEST="test_cv")
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = tmp_path.glob("outputs/2*/*")
    found = json.loads((folder / "parties" / "carol" / "cv.json").read_bytes())
    expected = _expected(tmp_path, json.loads((folder / "spec.json").read_bytes()))
    assert [fold["auc"] for fold in found["folds"]] == pytest.approx(expected, abs=0.01)
    assert (folder / "parties" / "alice" / "bundle" / "manifest.json").exists()


def _expected(place: Path, spec: dict[str, Any]) -> list[float]:
    """XGBoost's test AUC in each of the same folds."""
    tables = [pl.read_parquet(table_path(place, party)).sort("patient_id") for party in PARTIES]
    features = np.hstack([table.drop("patient_id", "target", strict=False).to_numpy() for table in tables])
    label = tables[0]["target"].to_numpy()
    ids = tables[0]["patient_id"].to_numpy().astype(str)
    blocks = blocks_of(ids, 3, spec["cv"]["key"], "stratified", label.astype(float))
    aucs = []
    for fold in range(3):
        test, sgb = blocks == fold, spec["sgb"]
        trained = xgboost.train(
            {
                "objective": "binary:logistic",
                "tree_method": "hist",
                "max_depth": sgb["max_depth"],
                "eta": sgb["learning_rate"],
                "reg_lambda": sgb["reg_lambda"],
                "gamma": sgb["gamma"],
                "max_bin": int(1 / sgb["sketch_eps"]),
                "base_score": 0.5,
                "min_child_weight": 0,
            },
            xgboost.DMatrix(features[~test], label[~test]),
            sgb["num_boost_round"],
        )
        aucs.append(float(roc_auc_score(label[test], trained.predict(xgboost.DMatrix(features[test])))))
    return aucs
