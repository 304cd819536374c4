"""Columns of numbers: what a hole becomes, and scikit-learn as the judge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.impute import SimpleImputer

from runner.prepare.numbers import exact_mean, fit_number
from runner.prepare.problems import Unfit
from runner.spec.prepare import Numbers

NAN = float("nan")
VALUES = np.array([3.0, NAN, 1.0, 1.0, 7.5, NAN, 2.0])
NEW = np.array([NAN, 100.0, -100.0])


@pytest.mark.parametrize("missing", ["median", "mean", "most_frequent", "constant"])
def test_holes_are_filled_as_scikit_learn_fills_them(missing: Any) -> None:
    fitted = fit_number(VALUES, Numbers(missing=missing, constant=-7.0))
    judge = SimpleImputer(strategy=missing, fill_value=-7.0 if missing == "constant" else None)
    judge.fit(VALUES.reshape(-1, 1))
    for rows in (VALUES, NEW):
        (made,) = fitted.apply(rows)
        assert made.tolist() == judge.transform(rows.reshape(-1, 1)).reshape(-1).tolist()


@given(arrays(np.float64, st.integers(1, 20), elements=st.sampled_from([1.0, 2.0, 3.0, 4.0, NAN])))
def test_most_frequent_and_median_are_scikit_learns_for_any_column(values: Any) -> None:
    if np.isnan(values).all():
        return
    for missing in ("median", "most_frequent"):
        judge = SimpleImputer(strategy=missing).fit(values.reshape(-1, 1))
        assert fit_number(values, Numbers(missing=missing)).fill == judge.statistics_[0]  # type: ignore[arg-type]


def test_indicator_is_there_where_the_training_has_holes() -> None:
    settings = Numbers(missing="median", indicator=True)
    fitted = fit_number(VALUES, settings)
    assert fitted.endings() == ("", "__missing")
    assert fitted.apply(NEW)[1].tolist() == [1.0, 0.0, 0.0]
    assert fit_number(VALUES[2:5], settings).endings() == ("",)


@given(arrays(np.float64, st.integers(1, 30), elements=st.floats(-1e100, 1e100)))
def test_sentinel_is_below_every_training_row(values: Any) -> None:
    fill = fit_number(values, Numbers(missing="sentinel")).fill
    assert fill is not None
    assert np.isfinite(fill)
    assert fill < values.min()


def test_sentinel_that_cannot_be_is_refused() -> None:
    with pytest.raises(Unfit, match="too wide a range"):
        fit_number(np.array([-1.7e308, 1.7e308]), Numbers(missing="sentinel"))


def test_numbers_are_cut_off_at_the_quantiles_of_the_training_rows() -> None:
    values = np.append(np.arange(101.0), NAN)
    fitted = fit_number(values, Numbers(missing="sentinel", clip=(0.1, 0.9)))
    assert fitted.clip == (10.0, 90.0)
    assert fitted.fill == 10.0 - 80.0, "the sentinel is below what is left"
    assert fitted.apply(np.array([-5.0, 50.0, 1000.0, NAN]))[0].tolist() == [10.0, 50.0, 90.0, -70.0]


def test_holes_are_refused_unless_something_fills_them() -> None:
    fitted = fit_number(VALUES[2:5], Numbers())
    assert fitted.apply(VALUES[2:5])[0].tobytes() == VALUES[2:5].tobytes()
    with pytest.raises(Unfit, match="have holes") as caught:
        fitted.apply(VALUES)
    assert caught.value.rows == 2


@pytest.mark.parametrize("missing", ["error", "sentinel", "median", "mean", "most_frequent"])
def test_column_without_a_training_value_is_refused(missing: Any) -> None:
    with pytest.raises(Unfit, match="no value in the training rows"):
        fit_number(np.array([NAN, NAN]), Numbers(missing=missing))


def test_constant_needs_no_training_value() -> None:
    fitted = fit_number(np.array([NAN, NAN]), Numbers(missing="constant", constant=4.0, clip=(0.1, 0.9)))
    assert fitted.apply(np.array([NAN, 2.0]))[0].tolist() == [4.0, 2.0]


@given(arrays(np.float64, st.integers(1, 30), elements=st.floats(-1e9, 1e9)), st.randoms())
def test_mean_is_the_same_in_any_order(values: Any, random: Any) -> None:
    turned = values.tolist()
    random.shuffle(turned)
    assert exact_mean(values) == exact_mean(np.array(turned))
    assert np.isclose(exact_mean(values), values.mean())
