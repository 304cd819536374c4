"""A cross-validation's folds, whatever labels they happen to have; on SecretFlow's devices in one process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.stages.trainings import ORDER, House, draw_features

from runner.data.folds import blocks_of
from runner.errors import DataError

ROWS = 90
FOLDS = 3
X = draw_features(ROWS)


@pytest.fixture(scope="module")
def house(
    secretflow: None, changed: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """Three parties in one process."""
    from secretflow.device import PYU
    from secretflow.device.driver import shutdown

    from runner.engine.start import start_debug

    start_debug(ORDER)
    yield House(tmp_path_factory.mktemp("house"), {party: PYU(party) for party in ORDER}, changed)
    shutdown()


def validate(house: House, label: Any) -> Path:
    """Cross-validate; carol's folder."""
    from runner.stages.folds import cross_validate
    from runner.stages.score import score_openly
    from runner.stages.train import train

    context = house.context(X, label, {"task.name": "cv", "cv.folds": FOLDS, "sgb.num_boost_round": 1})
    cross_validate(context, train, score_openly)
    folder: Path = context.sites["carol"].folder
    return folder


def test_fold_whose_test_rows_have_one_label_has_no_auc_and_the_others_have(house: House) -> None:
    blocks = blocks_of(np.arange(ROWS), FOLDS, "folds-1")
    label = np.where(blocks == 0, 0.0, (X[:, 0] > 4).astype(float))
    found = json.loads((validate(house, label) / "cv.json").read_bytes())
    assert [fold["auc"] is None for fold in found["folds"]] == [True, False, False]
    assert all(0 <= fold["accuracy"] <= 1 for fold in found["folds"])


def test_fold_whose_training_rows_have_one_label_is_refused(house: House) -> None:
    blocks = blocks_of(np.arange(ROWS), FOLDS, "folds-1")
    with pytest.raises(DataError, match="constant in the training rows"):
        validate(house, (blocks == 0).astype(float))
