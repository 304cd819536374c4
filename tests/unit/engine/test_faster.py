"""Trainings with the faster components give the trees, gains, weights and scores of SecretFlow's own, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from support import make_spec

PARTIES = ("carol", "alice", "bob")
FEATURES = (4, 5, 3)
Trained = tuple[str, bytes]


@pytest.fixture(scope="module")
def encryption_of(secretflow: None) -> Callable[[str], Any]:
    """The device of a scheme, with short keys, which take little time."""
    from runner.engine.encryption import PackedHeu
    from runner.engine.start import start_debug

    start_debug(PARTIES)

    @cache
    def make(scheme: str) -> Any:
        return PackedHeu(
            {
                "sk_keeper": {"party": PARTIES[0]},
                "evaluators": [{"party": party} for party in PARTIES[1:]],
                "mode": "PHEU",
                "he_parameters": {"schema": scheme, "key_pair": {"generate": {"bit_size": 1024}}},
            },
            "FM128",
        )

    return make


def train(
    device: Any, faster: bool, rows: int, private: bool, weighted: bool, columns_of: Any = PARTIES, **changes: Any
) -> Trained:
    from secretflow.data import FedNdarray, PartitionWay
    from secretflow.device import PYU

    from runner.engine.resume import ResumableSgb

    def fed(parts: dict[str, Any]) -> Any:
        held = {PYU(party): PYU(party)(lambda part=part: part)() for party, part in parts.items()}
        return FedNdarray(partitions=held, partition_way=PartitionWay.VERTICAL)

    generator = np.random.default_rng(1)
    tables = [generator.normal(size=(rows, features)).round(1) for features in FEATURES]
    tables[1][:, 0] = tables[1][:, 0] > 0
    signal = sum(table[:, 0] - table[:, -1] for table in tables) + generator.normal(size=rows)
    label = (signal > 0).astype(float) if changes.get("objective") is None else np.maximum(100 * signal, 0)
    features = fed({party: table for party, table in zip(PARTIES, tables, strict=True) if party in columns_of})
    np.random.seed(0)
    trainer = ResumableSgb(
        device, (lambda party: len(party)) if private else None, before_tree=lambda moment: None, faster=faster
    )
    model = trainer.train(
        {**make_spec("sgb.num_boost_round=3", "sgb.max_depth=3").sgb.parameters(), **changes},
        features,
        fed({PARTIES[0]: label.reshape(-1, 1)}),
        sample_weight=fed({PARTIES[0]: generator.uniform(0.5, 2, (rows, 1))}) if weighted else None,
    )
    trees = [
        ([vars(part.data) for part in tree.split_tree_dict.values()], np.asarray(tree.leaf_weight.data).tolist())
        for tree in model.trees
    ]
    assert len(trees) > 1
    return json.dumps(trees, default=float), np.asarray(model.predict(features).data).tobytes()


@pytest.mark.parametrize(
    ("scheme", "rows", "private", "weighted", "changes"),
    [
        ("ou", 150, True, False, {}),
        ("ou", 150, False, False, {"first_tree_with_label_holder_feature": False, "gamma": 1.0}),
        ("ou", 150, True, False, {"tree_growing_method": "leaf", "max_leaf": 6}),
        ("ou", 150, False, False, {"rowsample_by_tree": 0.6, "colsample_by_tree": 0.6, "sketch_eps": 0.03}),
        ("ou", 150, True, False, {"enable_goss": True, "tree_growing_method": "leaf", "max_leaf": 4}),
        ("ou", 700, True, True, {"enable_packbits": True}),
        ("ou", 150, True, False, {"objective": "linear"}),
        ("paillier", 150, True, False, {"objective": "tweedie", "enable_quantization": True}),
        ("paillier", 150, True, False, {"num_boost_round": 2}),
    ],
)
def test_the_model_is_stock_secretflows(
    encryption_of: Callable[[str], Any],
    scheme: str,
    rows: int,
    private: bool,
    weighted: bool,
    changes: dict[str, Any],
) -> None:
    device = encryption_of(scheme)
    stock = train(device, False, rows, private, weighted, **changes)
    assert train(device, True, rows, private, weighted, **changes) == stock


@pytest.mark.parametrize("block", [1, 64, 90, 150])
def test_gradients_travel_in_blocks(
    encryption_of: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    from runner.engine import encryption, faster

    device, changes, taken = encryption_of("ou"), {"rowsample_by_tree": 0.6, "num_boost_round": 2}, []

    def take_in(self: Any, rows: Any, *others: Any) -> int:
        taken.append(rows.rows)
        return original(self, rows, *others)

    original = encryption.Evaluator.take_in
    stock = train(device, False, 150, True, False, **changes)
    monkeypatch.setattr(faster, "BLOCK", block)
    monkeypatch.setattr(encryption.Evaluator, "take_in", take_in)
    assert train(device, True, 150, True, False, **changes) == stock
    assert max(taken) == min(block, 90)  # of the 90 rows that were drawn
    assert sum(taken) == 2 * 90  # at two evaluators; the first tree is the label holder's alone


def test_nothing_of_a_training_is_kept(encryption_of: Callable[[str], Any]) -> None:
    device = encryption_of("ou")
    train(device, True, 150, True, False)
    actors = [actor._actor_handle for actor in (device.sk_keeper, *device.evaluators.values())]
    assert [len(actors[0]._rows), *(sum(block.rows for block in actor._gradients) for actor in actors[1:])] == [150] * 3
    device.forget()
    assert [len(actors[0]._rows), *(len(actor._gradients) for actor in actors[1:])] == [0] * 3


def test_a_label_holder_without_features_knows_the_sum_of_a_node(encryption_of: Callable[[str], Any]) -> None:
    device, others = encryption_of("ou"), PARTIES[1:]
    stock = train(device, False, 150, True, False, others)
    assert train(device, True, 150, True, False, others) == stock


def test_gradients_are_the_integers_of_the_batch_encoder(encryption: Any) -> None:
    from heu import phe

    from runner.engine.encryption import encode

    generator = np.random.default_rng(2)
    gradients = np.concatenate([generator.normal(size=(200, 2)), [[0.5 / 2**20, -0.5 / 2**20], [-1.0, 0.0]]])
    encoder = phe.BatchFloatEncoderParams(scale=2**20).instance(encryption.get_schema())
    decoded = encryption.array(gradients, encoder).to_numpy(encoder)
    assert (encode(gradients, 2**20) / 2**20).tobytes() == decoded.tobytes()


@pytest.mark.parametrize("wrong", [1e13, float("nan"), float("inf")])
def test_gradients_beyond_64_bits_are_refused(secretflow: None, wrong: float) -> None:
    from runner.engine.encryption import encode
    from runner.errors import StageError

    with pytest.raises(StageError, match="do not fit"):
        encode(np.array([[wrong, 1.0]]), 2**20)
