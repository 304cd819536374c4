"""Loads what it exported with SecretFlow's own `load_model`, predicts, and saves it again.

Arguments: the folder of a run that exported, the folder with the parties' tables, the folder to write to.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl

from runner.engine.narrow import import_secretflow

import_secretflow()  # the half of it that SGB needs, unchanged

from secretflow.data import FedNdarray, PartitionWay  # noqa: E402
from secretflow.device import PYU, reveal  # noqa: E402
from secretflow.device.driver import init  # noqa: E402
from secretflow.ml.boost.sgb_v.model import load_model  # noqa: E402

PARTIES = ("carol", "alice", "bob")
NOT_FEATURES = ("patient_id", "target")


def main(run: Path, tables: Path, target: Path) -> None:
    init(list(PARTIES), debug_mode=True)
    devices = {party: PYU(party) for party in PARTIES}
    model = load_model(
        {device: str(run / "parties" / party / "export") for party, device in devices.items()}, devices["carol"]
    )
    columns = {}
    for party, device in devices.items():
        table = pl.read_parquet(tables / party / "table.parquet").sort("patient_id").drop(NOT_FEATURES, strict=False)
        columns[device] = device(lambda values: values)(table.to_numpy().astype(np.float64))
    rows = FedNdarray(partitions=columns, partition_way=PartitionWay.VERTICAL)
    np.save(target / "scores.npy", np.asarray(reveal(model.predict(rows))).reshape(-1))
    model.save_model({device: str(target / party) for party, device in devices.items()})


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:]))
