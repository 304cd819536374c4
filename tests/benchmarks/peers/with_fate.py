"""FATE's Hetero SecureBoost, a process a party: ``python with_fate.py FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fate.arch.context import Context
from fate.arch.dataframe import PandasReader
from fate.arch.launchers.multiprocess_launcher import launch
from fate.arch.unify import device
from fate.ml.ensemble import HeteroSecureBoostGuest, HeteroSecureBoostHost
from measure import Task, measured, read_task, write_result

FOLDER = Path(sys.argv[1])
GUEST = "guest:9999"  # has the label
HOSTS = ("host:10000", "host:10001", "host:10002", "host:10003")


def run(ctx: Context) -> None:
    """One party's program."""
    task = read_task(FOLDER)
    me = ":".join(ctx.local.party)
    place = [GUEST, *HOSTS].index(me)
    share = np.array_split(np.arange(task.features.shape[1]), task.parties)[place]
    ctx.cipher.set_phe(device.CPU, {"kind": task.scheme, "key_length": task.bits})
    training = frame(ctx, task.features[:, share], task.label if place == 0 else None, place)
    held_out = frame(ctx, task.held_out[:, share], np.zeros(len(task.held_out)) if place == 0 else None, place)
    model = guest(task) if place == 0 else HeteroSecureBoostHost(task.trees, task.depth, max_bin=task.bins + 1)
    _, cost = measured(lambda: model.fit(ctx.sub_ctx("train"), training))
    found = model.predict(ctx.sub_ctx("predict"), held_out)
    scores = None
    if place == 0:
        table = found.as_pd_df()
        table[["id"]] = table[["id"]].astype(int)
        scores = table.sort_values("id")["predict_score"].astype(float).to_numpy()
    write_result(FOLDER, f"{place}", cost, scores)


def guest(task: Task) -> HeteroSecureBoostGuest:
    """The label holder's side."""
    return HeteroSecureBoostGuest(
        num_trees=task.trees,
        max_depth=task.depth,
        learning_rate=task.rate,
        objective="binary:bce",
        max_bin=task.bins + 1,
        l2=1.0,
        min_impurity_split=0.0,
        min_child_weight=0.0,
    )


def frame(ctx: Context, features: Any, label: Any, place: int) -> Any:
    """A table as FATE has it."""
    columns = {f"f{place}_{number:03}": features[:, number] for number in range(features.shape[1])}
    ids = [str(number) for number in range(len(features))]
    table = pd.DataFrame({"sample_id": ids, "id": ids, **columns})
    names = {"sample_id_name": "sample_id", "match_id_name": "id", "dtype": "float32"}
    if label is not None:
        table["y"] = label.astype(int)
        return PandasReader(**names, label_name="y", label_type="int32").to_frame(ctx, table)
    return PandasReader(**names).to_frame(ctx, table)


if __name__ == "__main__":
    parties = [GUEST, *HOSTS[: read_task(FOLDER).parties - 1]]
    sys.argv += ["--parties", *parties, "--data_dir", str(FOLDER / "fate"), "--log_level", "ERROR"]
    launch(run)
