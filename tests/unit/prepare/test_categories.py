"""Columns of text: levels, rare and unseen ones, and scikit-learn as the judge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from runner.prepare.categories import Category, fit_category
from runner.prepare.problems import Unfit
from runner.spec.prepare import Categories

TEXTS = ["low", "high", "low", None, "mid", "high", "low", "odd"]
LABEL = np.array([0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0])
NEW = ["high", "never", None, "odd"]
COLUMNS = st.lists(st.sampled_from(["a", "b", "c", "d", "é", ""]), min_size=1, max_size=40)


def column(texts: list[str | None]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(texts, type=pa.large_string())])


def matrix(fitted: Any, texts: list[str | None]) -> list[list[float]]:
    return np.column_stack(fitted.apply(column(texts))).tolist()


def test_levels_become_columns() -> None:
    fitted = fit_category(column(TEXTS), Categories(encode="onehot"))
    assert fitted.levels == ("high", "low", "mid", "odd")
    assert fitted.endings() == ("__1", "__2", "__3", "__4", "__missing")
    assert matrix(fitted, NEW) == [[1, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 1, 0]]
    assert fitted.described()[0] == "the level 'high'"
    assert not any("high" in ending for ending in fitted.endings()), "names may be shown to others, values may not"


def test_rare_levels_are_one_with_those_that_come_later() -> None:
    fitted = fit_category(column(TEXTS), Categories(encode="onehot", min_frequency=2))
    assert (fitted.levels, fitted.rare) == (("high", "low"), ("mid", "odd"))
    assert fitted.endings() == ("__1", "__2", "__other", "__missing")
    assert matrix(fitted, NEW) == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 1, 0]]


def test_unseen_levels_obey_the_rule() -> None:
    as_hole = fit_category(column(TEXTS), Categories(encode="onehot", min_frequency=2, unseen="missing"))
    assert matrix(as_hole, NEW) == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 1, 0]]
    strict = fit_category(column(TEXTS), Categories(encode="onehot", min_frequency=2, unseen="error"))
    assert matrix(strict, ["odd", None]) == [[0, 0, 1, 0], [0, 0, 0, 1]], "rare is not unseen"
    with pytest.raises(Unfit, match="no training row has") as caught:
        matrix(strict, [*NEW, "never again"])
    assert caught.value.rows == 2


def test_ordinal_and_frequency() -> None:
    ordinal = fit_category(column(TEXTS), Categories(encode="ordinal", min_frequency=2))
    assert matrix(ordinal, NEW) == [[0.0], [2.0], [-1.0], [2.0]]
    assert ordinal.endings() == ("",)
    frequency = fit_category(column(TEXTS), Categories(encode="frequency", min_frequency=2))
    assert matrix(frequency, NEW) == [[2 / 8], [2 / 8], [1 / 8], [2 / 8]]
    assert matrix(fit_category(column(["a"]), Categories(encode="frequency")), NEW[1:3]) == [[0.0], [0.0]]


def full(fitted: Category, most: int | None) -> bool:
    """As many levels as there may be columns: scikit-learn would make one of them "other", and it alone."""
    return not fitted.rare and len(fitted.levels) == most


@given(COLUMNS, COLUMNS, st.integers(1, 3), st.none() | st.integers(2, 4))
def test_columns_of_levels_are_scikit_learns(train: Any, new: Any, least: int, most: int | None) -> None:
    fitted = fit_category(column(train), Categories(encode="onehot", min_frequency=least, max_levels=most))
    judge = OneHotEncoder(
        handle_unknown="infrequent_if_exist", min_frequency=least, max_categories=most, sparse_output=False
    ).fit(np.array(train, dtype=object).reshape(-1, 1))
    if fitted.levels and not full(fitted, most):
        assert matrix(fitted, new) == judge.transform(np.array(new, dtype=object).reshape(-1, 1)).tolist()
    assert most is None or len(fitted.endings()) <= most


@given(COLUMNS, st.integers(1, 3), st.none() | st.integers(2, 4))
def test_codes_are_scikit_learns(train: Any, least: int, most: int | None) -> None:
    fitted = fit_category(column(train), Categories(encode="ordinal", min_frequency=least, max_levels=most))
    judge = OrdinalEncoder(min_frequency=least, max_categories=most)
    assume(not full(fitted, most))
    assert matrix(fitted, train) == judge.fit_transform(np.array(train, dtype=object).reshape(-1, 1)).tolist()


@given(COLUMNS, st.randoms(), st.sampled_from([0.0, 1.0, 10.0]))
def test_smoothed_means_are_scikit_learns(train: Any, random: Any, smoothing: float) -> None:
    label = np.array([random.random() for _ in train])
    fitted = fit_category(column(train), Categories(encode="target", smoothing=smoothing), label)
    judge = TargetEncoder(smooth=smoothing, target_type="continuous").fit(
        np.array(train, dtype=object).reshape(-1, 1), label
    )
    assert fitted.numbers is not None
    assert list(fitted.levels) == judge.categories_[0].tolist()
    assert np.allclose(fitted.numbers[: len(fitted.levels)], judge.encodings_[0], atol=1e-12)
    assert np.isclose(fitted.numbers[-2], label.mean()), "an unseen level says nothing"


def test_rows_without_a_label_do_not_count_for_the_means() -> None:
    label = np.array([*LABEL, np.nan])
    settings = Categories(encode="target", smoothing=1.0)
    fitted = fit_category(column([*TEXTS, "high"]), settings, label)
    assert fitted.numbers == fit_category(column(TEXTS), settings, LABEL).numbers
    assert matrix(fitted, ["high", None]) == [[(2 + 5 / 8) / 3], [(1 + 5 / 8) / 2]]


def test_column_without_a_level_is_refused() -> None:
    with pytest.raises(Unfit, match="no value in the training rows"):
        fit_category(column([None, None]), Categories(encode="onehot"))
