"""What a party says of drift, and what it keeps to itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_tables import made_table
from numpy.typing import NDArray

from runner.engine.site import Site
from runner.errors import DataError
from runner.keys.keyring import Keyring
from runner.policy.audit import AuditLog
from runner.spec.drift import Drift
from runner.stages.drift import DRIFT_FILE, compare_with_training, training_profile

ROWS = 600
FEATURES = np.random.default_rng(5).normal(7391.73, 1, (ROWS, 2))


class Desk:
    """Alice's process, with a table of her own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[dict[str, Any]] = []

    def site(self, features: NDArray[np.float64], test: NDArray[np.bool_]) -> Site:
        table = made_table(np.arange(len(features)), features, ("canary_width", "height"), test)
        keys = Keyring("alice", b"k" * 32)
        return Site("alice", self.folder, keys, AuditLog(self.folder / "audit.jsonl", b"a"), self._tell, table)

    def _tell(self, **event: Any) -> None:
        self.told.append(event)

    def compare(self, features: NDArray[np.float64], limits: Drift | None = None) -> dict[str, Any]:
        """The report, after comparing with a training on ``FEATURES``."""
        profile = training_profile(self.site(FEATURES, np.zeros(ROWS, bool)))
        compare_with_training(self.site(features, np.ones(len(features), bool)), profile, limits or Drift())
        return self.report()

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / DRIFT_FILE).read_text())
        return found


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_profile_is_of_the_training_rows_alone(desk: Desk) -> None:
    features = np.vstack([FEATURES, np.full((5, 2), 1e6)])
    test = np.arange(ROWS + 5) >= ROWS
    profile = training_profile(desk.site(features, test))
    assert profile["rows"] == ROWS
    assert profile["columns"]["height"]["max"] == FEATURES[:, 1].max()


def test_same_table_says_nothing(desk: Desk) -> None:
    report = desk.compare(FEATURES)
    assert desk.told == []
    assert report["judged"]
    assert report["features"]["height"] == {
        "psi": 0.0,
        "noise": pytest.approx(0.0929, abs=0.001),
        "missing": 0.0,
        "missing_noise": 0.0,
        "outside": 0.0,
        "beyond": [],
    }


def test_drift_is_told_by_counts_and_written_by_name(desk: Desk) -> None:
    report = desk.compare(FEATURES + np.array([0.0, 3.0]))
    (notice,) = desk.told
    assert notice["event"] == "notice"
    assert "1 feature is beyond drift.psi_warn, 1 feature is beyond drift.range_warn" in notice["text"]
    assert str(desk.folder / DRIFT_FILE) in notice["text"]
    assert not [word for word in ("canary", "height", "7391") if word in notice["text"].replace(str(desk.folder), "")]
    assert report["features"]["height"]["beyond"] == ["psi_warn", "range_warn"]
    assert report["features"]["canary_width"]["beyond"] == []
    assert (desk.folder / DRIFT_FILE).stat().st_mode & 0o777 == 0o600


def test_drift_that_fails_is_a_data_error(desk: Desk) -> None:
    with pytest.raises(DataError) as caught:
        desk.compare(FEATURES + 3.0, Drift(psi_fail=0.25))
    error = caught.value
    assert error.code == 4
    assert "2 features are beyond drift.psi_fail" in error.why
    assert not [word for word in ("canary", "height", "7391") if word in str(error).replace(str(desk.folder), "")]
    assert desk.report()["features"]["height"]["beyond"] == ["psi_fail", "range_warn"]
    assert desk.told == []


def test_few_rows_are_reported_and_not_judged(desk: Desk) -> None:
    report = desk.compare(FEATURES[:20] + 3.0, Drift(psi_fail=0.25))
    assert not report["judged"]
    assert report["features"]["height"]["psi"] > 1
    assert "drift is not judged" in desk.told[0]["text"], "a limit that would fail was asked for"


def test_few_rows_are_no_news_where_no_limit_fails(desk: Desk) -> None:
    assert not desk.compare(FEATURES[:20] + 3.0)["judged"]
    assert desk.told == []


def test_model_without_a_profile_is_told(desk: Desk) -> None:
    compare_with_training(desk.site(FEATURES, np.ones(ROWS, bool)), None, Drift())
    assert "no profile" in desk.told[0]["text"]
    assert not (desk.folder / DRIFT_FILE).exists()
