"""`sgb=accurate` is as good as XGBoost on the pooled columns with the same bins, depth and number of trees."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import xgboost
from sklearn.metrics import roc_auc_score
from support import type_command

pytestmark = pytest.mark.processes

PARTIES = ("carol", "alice", "bob")


def test_accurate_stays_within_0_005_of_xgboost(tmp_path: Path) -> None:
    # The model is the same whichever scheme carries it (test_same_bits.py): one that encrypts nothing saves minutes.
    settings = ("experiment=breast_cancer_accurate", "cluster=debug", "crypto.scheme=mock")
    done = type_command(*settings, cwd=tmp_path, PYTEST_CURRENT_TEST="test_quality")
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = tmp_path.glob("outputs/2*/*")
    settings = json.loads((folder / "spec.json").read_text())["sgb"]
    tables = {
        party: pl.read_parquet(tmp_path / "outputs/data/breast_cancer" / party / "table.parquet").sort("patient_id")
        for party in PARTIES
    }
    features = np.hstack([table.drop("patient_id", "target", strict=False).to_numpy() for table in tables.values()])
    label = tables["carol"]["target"].to_numpy()
    predicted = pl.read_parquet(folder / "parties" / "carol" / "predictions.parquet")
    test = tables["carol"]["patient_id"].is_in(predicted["patient_id"].implode()).to_numpy()
    reference = xgboost.train(
        {
            "objective": "binary:logistic",
            "tree_method": "hist",
            "max_depth": settings["max_depth"],
            "eta": settings["learning_rate"],
            "reg_lambda": settings["reg_lambda"],
            "gamma": settings["gamma"],
            "max_bin": int(1 / settings["sketch_eps"]),
            "base_score": 0.5,
            "min_child_weight": 0,
        },
        xgboost.DMatrix(features[~test], label[~test]),
        settings["num_boost_round"],
    )
    expected = roc_auc_score(label[test], reference.predict(xgboost.DMatrix(features[test])))
    assert roc_auc_score(predicted["label"], predicted["score"]) == pytest.approx(expected, abs=0.005)
