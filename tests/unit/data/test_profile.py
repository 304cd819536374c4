"""The profile of training rows, and how far other rows are from it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from runner.data.drift import Finding, judge
from runner.data.profile import ColumnDrift, drift_of, profile_of, stability_index, tally
from runner.spec.drift import Drift

RANDOM = np.random.default_rng(11)
NORMAL = RANDOM.normal(50, 10, 2000)


def texts(*values: str | None) -> NDArray[Any]:
    return np.array(values, dtype=object)


def drift(before: NDArray[Any], now: NDArray[Any]) -> ColumnDrift:
    """From a profile as it is after its way through the disk."""
    profile = json.loads(json.dumps(profile_of({"x": before})))
    found = drift_of(profile, tally(profile, {"x": now}))["x"]
    pieces = [tally(profile, {"x": piece})["x"] for piece in (now[:7], now[7:])]
    assert drift_of(profile, {"x": pieces[0].and_of(pieces[1])})["x"] == found
    return found


def test_index_is_that_of_the_definition() -> None:
    before, now = np.array([500, 300, 200]), np.array([100, 300, 600])
    expected = (0.1 - 0.5) * np.log(0.1 / 0.5) + (0.6 - 0.2) * np.log(0.6 / 0.2)
    assert stability_index(before * 1000, now * 1000) == pytest.approx(expected, rel=1e-5)
    assert stability_index(before, before) == 0
    assert np.isfinite(stability_index(np.array([10, 0]), np.array([0, 10])))


def test_profile_has_tenths_of_the_rows_and_the_extremes() -> None:
    profile = profile_of({"x": NORMAL})
    column = profile["columns"]["x"]
    assert profile["rows"] == 2000
    assert column["counts"] == [200] * 10
    assert (column["min"], column["max"], column["missing"]) == (NORMAL.min(), NORMAL.max(), 0)


def test_repeated_values_share_a_bin() -> None:
    flags = np.array([0.0] * 700 + [1.0] * 300)
    assert profile_of({"x": flags})["columns"]["x"]["counts"] == [700, 300]
    assert drift(flags, np.array([0.0] * 300 + [1.0] * 700)).psi == pytest.approx(0.8 * np.log(7 / 3), rel=0.01)


def test_same_rows_do_not_drift() -> None:
    found = drift(NORMAL, NORMAL)
    assert (found.psi, found.missing, found.outside) == (0, 0, 0)


@pytest.mark.parametrize("shift", [5, 10, 40])
def test_shifted_rows_drift_the_more_the_further(shift: float) -> None:
    found, further = (drift(NORMAL, NORMAL + amount) for amount in (shift, 2 * shift))
    assert found.psi is not None
    assert further.psi is not None
    assert found.noise < found.psi < further.psi
    assert found.outside == pytest.approx(np.mean(NORMAL + shift > NORMAL.max()))


def test_values_beyond_both_ends_are_outside() -> None:
    assert drift(np.array([1.0, 2.0, 3.0]), np.array([0.9, 1.0, 3.0, 3.1])).outside == 0.5


def test_missing_values_are_counted_apart() -> None:
    holes = np.where(np.arange(2000) % 4 == 0, np.nan, NORMAL)
    found = drift(NORMAL, holes)
    assert found.missing == 0.25
    assert found.psi is not None
    assert found.psi < found.noise
    assert drift(holes, NORMAL).missing == -0.25


@pytest.mark.parametrize("empty", [np.full(5, np.nan), np.array([])])
def test_column_without_values_has_no_index(empty: NDArray[Any]) -> None:
    assert drift(NORMAL, empty)[:2] == (None, np.inf)
    assert drift(empty, NORMAL)[:2] == (None, np.inf)
    assert drift(empty, NORMAL).outside is None


def test_constant_column_drifts_by_its_range_alone() -> None:
    found = drift(np.ones(300), np.full(300, 2.0))
    assert (found.psi, found.noise, found.outside) == (0, 0, 1)


def test_texts_have_a_bin_for_each_value_and_unseen_ones_are_outside() -> None:
    before = texts(*["north"] * 60, *["south"] * 40)
    found = drift(before, texts(*["north"] * 50, *["west"] * 40, None, None))
    assert found.outside == pytest.approx(40 / 90)
    assert found.missing == pytest.approx(2 / 92)
    assert found.psi is not None
    assert found.psi > found.noise
    assert drift(before, before[::-1]).psi == 0


def test_of_many_texts_the_rarest_share_a_bin() -> None:
    before = texts(*[f"{number}" for number in range(80) for _ in range(1 + (number < 49))])
    column = profile_of({"x": before})["columns"]["x"]
    assert len(column["values"]) == 50
    assert column["counts"][-1] == 30
    assert drift(before, before).outside is None, "rare ones cannot be told from unseen ones"


def test_text_that_were_numbers_is_not_compared() -> None:
    profile = profile_of({"x": NORMAL, "y": NORMAL})
    assert set(tally(profile, {"x": texts("a"), "y": NORMAL, "z": NORMAL})) == {"y"}


def test_profile_does_not_depend_on_the_order_of_rows() -> None:
    mixed = {"x": NORMAL, "t": texts(*map(str, range(2000)))}
    order = RANDOM.permutation(2000)
    assert profile_of(mixed) == profile_of({name: column[order] for name, column in mixed.items()})


@pytest.mark.parametrize(("before", "now"), [(200, 200), (400, 150), (2000, 200), (100, 100)])
def test_sampling_alone_seldom_exceeds_the_noise(before: int, now: int) -> None:
    found = [drift(RANDOM.normal(size=before), RANDOM.normal(size=now)) for _ in range(400)]
    beyond = [drift for drift in found if drift.psi is not None and drift.psi > drift.noise]
    assert len(beyond) <= 4, "one in a thousand is meant"
    assert np.mean([drift.psi for drift in found]) == pytest.approx(9 * (1 / before + 1 / now), rel=0.15)


def test_index_of_small_tables_passes_the_common_threshold_by_sampling_alone() -> None:
    found = [drift(RANDOM.normal(size=150), RANDOM.normal(size=150)).psi or 0 for _ in range(200)]
    assert np.mean(np.array(found) > 0.1) > 0.5


GOOD = ColumnDrift(psi=0.01, noise=0.02, missing=0.0, missing_noise=0.01, outside=0.0)


@pytest.mark.parametrize(
    ("changes", "limits", "expected"),
    [
        ({}, {}, []),
        ({"psi": 0.11}, {}, ["psi_warn"]),
        ({"psi": 0.11, "noise": 0.2}, {}, []),
        ({"psi": 0.3}, {"psi_fail": 0.25}, ["psi_fail"]),
        ({"psi": 0.3}, {"psi_warn": None}, []),
        ({"psi": None}, {}, []),
        ({"missing": 0.06}, {}, ["missing_warn"]),
        ({"missing": 0.06, "missing_noise": 0.1}, {}, []),
        ({"missing": -0.5}, {}, []),
        ({"missing": 0.6}, {"missing_fail": 0.5}, ["missing_fail"]),
        ({"outside": 0.06}, {}, ["range_warn"]),
        ({"outside": None}, {}, []),
        ({"outside": 0.5, "psi": 2.0}, {"range_fail": 0.4}, ["psi_warn", "range_fail"]),
    ],
)
def test_what_is_beyond_a_threshold(changes: dict[str, Any], limits: dict[str, Any], expected: list[str]) -> None:
    found = judge({"x": GOOD._replace(**changes)}, Drift(**limits), 200, 200)
    assert found == [Finding("x", threshold) for threshold in expected]


@pytest.mark.parametrize(("rows", "training"), [(199, 5000), (5000, 199)])
def test_few_rows_are_not_judged(rows: int, training: int) -> None:
    assert judge({"x": GOOD._replace(psi=9.0)}, Drift(psi_fail=0.2), rows, training) == []
    assert judge({"x": GOOD._replace(psi=9.0)}, Drift(psi_fail=0.2, min_rows=100), rows, training)
