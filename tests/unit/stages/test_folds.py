"""What comes of the folds together."""

from __future__ import annotations

import numpy as np
import pytest

from runner.files import canonical_json
from runner.stages.folds import summarise


def test_mean_and_deviation_are_over_the_folds() -> None:
    found = summarise(({"auc": 0.5}, {"auc": 0.75}, {"auc": 0.625}))
    assert found["mean"]["auc"] == 0.625
    assert found["sd"]["auc"] == pytest.approx(np.std([0.5, 0.75, 0.625], ddof=1))
    assert [fold["auc"] for fold in found["folds"]] == [0.5, 0.75, 0.625]


def test_folds_of_one_class_have_no_auc_and_the_others_count() -> None:
    found = summarise(({"auc": None, "ks": None}, {"auc": 0.5, "ks": 0.5}, {"auc": 0.75, "ks": None}))
    assert found["mean"] == {"auc": 0.625, "ks": 0.5}
    assert found["sd"]["ks"] is None
    canonical_json(found)
