"""A training that goes on where SecretFlow's functions run in threads, beside each other, as they do in a run."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from support import make_spec

TREES, AFTER = 3, 1
ROWS, COLUMNS = 40, 8
BUSY = 0.5  # seconds for which the party's actor has something else to do before it makes the order map


@pytest.fixture
def carol(secretflow: None) -> Iterator[Any]:
    """The device of a party that is alone in a run of the kind that has processes."""
    from secretflow.device import PYU
    from secretflow.device.driver import init, shutdown

    root, interrupt = logging.getLogger(), signal.getsignal(signal.SIGINT)
    handlers = list(root.handlers)
    init(
        ray_mode=False,
        cluster_config={"parties": {"carol": {"address": "127.0.0.1:0"}}, "self_party": "carol"},
        cross_silo_comm_backend="grpc",
        enable_waiting_for_other_parties_ready=False,
        logging_level="warning",
    )
    try:
        yield PYU("carol")
    finally:
        shutdown()
        signal.signal(signal.SIGINT, interrupt)
        root.handlers[:] = handlers


def test_order_map_that_comes_late_does_not_seed_again_what_was_put_back(carol: Any) -> None:
    """SecretFlow seeds the generator of the gains' noise when it makes its order map, in a thread of its own."""
    from secretflow.data import FedNdarray, PartitionWay
    from secretflow.device import reveal

    from runner.engine.encryption import PackedHeu
    from runner.engine.resume import Moment, ResumableSgb, Start

    draw = np.random.default_rng(1)
    columns = draw.normal(size=(ROWS, COLUMNS))
    label = (columns[:, :1] + draw.normal(size=(ROWS, 1)) > 0).astype(float)
    parameters = make_spec(f"sgb.num_boost_round={TREES}", "sgb.max_depth=2").sgb.parameters()
    key = {"schema": "ou", "key_pair": {"generate": {"bit_size": 1024}}}
    heu = PackedHeu({"sk_keeper": {"party": "carol"}, "evaluators": [], "mode": "PHEU", "he_parameters": key}, "FM128")
    kept: list[Start] = []

    def keep(moment: Moment) -> None:
        if len(moment.trees) == AFTER:
            kept.append(Start(list(moment.trees), moment.scores, moment.generators.states(), "a training"))

    def seed_of(party: str) -> int:
        time.sleep(BUSY)
        return 7

    def gains(start: Start | None) -> list[list[float]]:
        held = [
            FedNdarray({carol: carol(lambda part=part: part)()}, PartitionWay.VERTICAL) for part in (columns, label)
        ]
        trainer = ResumableSgb(heu, seed_of, before_tree=keep, start=start)
        model = trainer.train(parameters, *held)
        return [reveal(carol(lambda splits: splits.split_gains)(tree.split_tree_dict[carol])) for tree in model.trees]

    whole = gains(None)
    assert len(whole) == TREES
    assert gains(kept[0]) == whole
