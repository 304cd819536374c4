"""XGBoost on the pooled columns, in plain: ``python with_xgboost.py FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

import xgboost
from measure import measured, read_task, write_result

folder = Path(sys.argv[1])
task = read_task(folder)
settings = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_depth": task.depth,
    "eta": task.rate,
    "reg_lambda": 1.0,
    "gamma": 0.0,
    "max_bin": task.bins + 1,
    "base_score": 0.5,
    "min_child_weight": 0,
}
booster, cost = measured(
    lambda: xgboost.train(settings, xgboost.DMatrix(task.features, task.label), num_boost_round=task.trees)
)
write_result(folder, "all", cost, booster.predict(xgboost.DMatrix(task.held_out)))
