"""FedTree's vertical training under encryption, all parties in one process: ``python with_fedtree.py FOLDER``.

Its package on PyPI (1.0.5) has Paillier with a key of 512 bits, which cannot be chosen and protects nothing today.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fedtree import FLClassifier
from measure import measured, read_task, write_result

folder = Path(sys.argv[1])
task = read_task(folder)
model = FLClassifier(
    n_parties=task.parties,
    mode="vertical",
    partition_mode="vertical",
    privacy_tech="he",
    objective="binary:logistic",
    n_trees=task.trees,
    max_depth=task.depth,
    max_num_bin=task.bins + 1,
    learning_rate=task.rate,
    lambda_ft=1.0,
    gamma=0.0,
    min_child_weight=0.0,
)
_, cost = measured(lambda: model.fit(task.features, task.label))
write_result(folder, "all", cost, model.predict_proba(task.held_out)[:, 1])
