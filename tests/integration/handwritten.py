"""One party of a SecretFlow SGB program as a user would write it by hand: no line of the runner is in it.

``python handwritten.py settings.json <party>``. With several parties it forks a process for each: fewer imports.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow.parquet as parquet
import secretflow as sf
from secretflow.data import FedNdarray, PartitionWay
from secretflow.ml.boost.sgb_v import Sgb
from secretflow.ml.boost.sgb_v.factory.components.shuffler import shuffler_core


def read_rows(settings: dict[str, Any], party: str) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The features in the file's order with the rows in the order of their ids, which rows are for test, the label."""
    table = parquet.read_table(settings["tables"][party]).sort_by(settings["id"])
    key = hashlib.sha256(settings["split_key"].encode()).digest()
    places = [
        int.from_bytes(hashlib.blake2b(value.encode(), key=key, digest_size=8).digest(), "big")
        for value in table[settings["id"]].to_pylist()
    ]
    test = np.array([place / 2**64 < settings["test_fraction"] for place in places])
    names = [name for name in table.column_names if name not in (settings["id"], settings["label"])]
    features = np.column_stack([table[name].to_numpy() for name in names])
    label = table[settings["label"]].to_numpy().astype(float) if settings["label"] in table.column_names else None
    return features, test, label


def draw_shuffles_from(seed: list[int]) -> None:
    """SecretFlow's shuffles with this party's own generator in the place of the process-wide one."""
    generator = np.random.RandomState(seed)

    def permutation_with_last_number_fixed(size: int) -> np.ndarray:
        return np.append(generator.permutation(size - 1), size - 1)

    shuffler_core.create_permuation_with_last_number_fixed = permutation_with_last_number_fixed


def train_and_predict(settings: dict[str, Any], me: str, folder: Path) -> None:
    """The program proper: the same lines in every party's process, each on its own rows."""
    order = settings["order"]
    holder = sf.PYU(order[0])
    parties = [sf.PYU(party) for party in order]
    features, test, label = read_rows(settings, me)

    def rows(chosen: np.ndarray) -> FedNdarray:
        return FedNdarray(
            partitions={party: party(lambda: features[chosen])() for party in parties},
            partition_way=PartitionWay.VERTICAL,
        )

    heu = sf.HEU(
        {
            "sk_keeper": {"party": order[0]},
            "evaluators": [{"party": party} for party in order[1:]],
            "mode": "PHEU",
            "he_parameters": {
                "schema": settings["scheme"],
                "key_pair": {"generate": {"bit_size": settings["key_bits"]}},
            },
        },
        "FM128",
    )
    target = FedNdarray(
        partitions={holder: holder(lambda: label[~test].reshape(-1, 1))()}, partition_way=PartitionWay.VERTICAL
    )
    model = Sgb(heu).train(settings["parameters"], rows(~test), target)
    model.save_model({party: str(folder / party.party) for party in parties})
    scores = model.predict(rows(test))
    sf.wait(holder(lambda values: np.save(folder / "scores.npy", np.asarray(values)))(scores))


def main(settings: dict[str, Any], me: str) -> None:
    """Train with stock shuffles first, and then, if there are seeds, with private ones on the same data."""
    sf.init(
        ray_mode=False,
        cluster_config={
            "parties": {
                party: {"address": f"127.0.0.1:{port}", "listen_addr": f"127.0.0.1:{port}"}
                for party, port in settings["ports"].items()
            },
            "self_party": me,
        },
        cross_silo_comm_backend="grpc",
        job_name=settings["job"],
        logging_level="warning",
    )
    train_and_predict(settings, me, Path(settings["folder"]) / "shared")
    if settings["shuffle_seeds"] is not None:
        draw_shuffles_from(settings["shuffle_seeds"][me])
        train_and_predict(settings, me, Path(settings["folder"]) / "private")
    sf.shutdown()


def be(settings: dict[str, Any], me: str) -> NoReturn:
    """One party's process."""
    code = 1
    try:
        main(settings, me)
        code = 0
    except BaseException:  # noqa: BLE001 - SecretFlow's threads would keep a failed process alive
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def be_all(settings: dict[str, Any], parties: list[str]) -> int:
    """A process for each party; the first that fails ends all."""
    for party in parties:
        if os.fork() == 0:
            be(settings, party)
    codes = (os.waitstatus_to_exitcode(os.wait()[1]) for _ in parties)
    return next((abs(code) for code in codes if code != 0), 0)


if __name__ == "__main__":
    _, file, *names = sys.argv
    given = json.loads(Path(file).read_text())
    if len(names) == 1:
        be(given, names[0])
    sys.exit(be_all(given, names))
