"""One party of a training by the runner's engine, over its own transport; what is around it is the hand-written's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import secretflow.distributed.fed.api as fed_api
from integration.handwritten import read_rows
from secretflow.data import FedNdarray, PartitionWay
from secretflow.device import PYU, wait
from secretflow.device.driver import init, shutdown

from runner.engine.encryption import PackedHeu
from runner.engine.resume import ResumableSgb
from runner.engine.transport import SecureProxy, secure_proxy


def main(settings: dict[str, Any], me: str, together: Any, meter: Any) -> None:
    """Start, train, save and predict, as the hand-written program does with stock SecretFlow."""
    order = settings["order"]
    addresses = {party: f"127.0.0.1:{port}" for party, port in settings["ports"].items()}

    def meet(port: int) -> dict[str, str]:
        together.wait(600)
        return addresses

    proxy = secure_proxy(settings["identities"][me], ("127.0.0.1", settings["ports"][me]), meet)
    made: list[SecureProxy] = []

    def make(*arguments: Any) -> SecureProxy:
        made.append(proxy(*arguments))
        return made[0]

    fed_api.GrpcProxy = make
    init(
        ray_mode=False,
        cluster_config={"parties": {party: {"address": "127.0.0.1:0"} for party in order}, "self_party": me},
        cross_silo_comm_backend="grpc",
        cross_silo_comm_options={"timeout_in_ms": 600_000},
        enable_waiting_for_other_parties_ready=False,
        job_name=settings["job"],
        logging_level="warning",
    )
    meter.sent = lambda: sum(counts["bytes"] for counts in made[0].counts.values())
    train_and_predict(settings, me, Path(settings["folder"]) / "shared")
    shutdown()


def train_and_predict(settings: dict[str, Any], me: str, folder: Path) -> None:
    """The same steps as the hand-written program's, with the runner's device and trainer."""
    order = settings["order"]
    holder = PYU(order[0])
    parties = [PYU(party) for party in order]
    features, test, label = read_rows(settings, me)

    def rows(chosen: np.ndarray) -> FedNdarray:
        held = {party: party(lambda: features[chosen])() for party in parties}
        return FedNdarray(partitions=held, partition_way=PartitionWay.VERTICAL)

    heu = PackedHeu(
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
    target = {holder: holder(lambda: label[~test].reshape(-1, 1))()}
    trainer = ResumableSgb(heu, None, lambda moment: None)
    model = trainer.train(
        settings["parameters"], rows(~test), FedNdarray(partitions=target, partition_way=PartitionWay.VERTICAL)
    )
    model.save_model({party: str(folder / party.party) for party in parties})
    scores = model.predict(rows(test))
    wait(holder(lambda values: np.save(folder / "scores.npy", np.asarray(values)))(scores))
