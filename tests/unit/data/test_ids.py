"""Ids of one column or several: one value a row, that no other values give."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.data.ids import id_digests, join_ids, spelling_of_ids, split_ids, type_of_ids

KEY = b"k" * 32
texts = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=6)
rows = st.lists(st.tuples(texts, st.integers(-(2**63), 2**63 - 1)), min_size=1, max_size=8)


def joined(**columns: Any) -> Any:
    return join_ids(pl.DataFrame(columns), tuple(columns))


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt16, pl.Int32, pl.UInt32, pl.Int64, pl.UInt64])
def test_whole_numbers_of_any_width_are_the_same_ids(dtype: Any) -> None:
    ids = joined(a=pl.Series([3, 100], dtype=dtype))
    assert ids.dtype == np.int64
    assert ids.tolist() == [3, 100]


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical])
def test_text_is_text_however_it_is_stored(dtype: Any) -> None:
    ids = joined(a=pl.Series(["b", "ä"], dtype=dtype))
    assert ids.dtype.kind == "U"
    assert ids.tolist() == ["b", "ä"]


@given(rows=rows)
def test_several_columns_come_apart_as_they_went_together(rows: list[tuple[str, int]]) -> None:
    frame = pl.DataFrame(rows, schema={"branch": pl.String, "number": pl.Int64}, orient="row")
    ids = join_ids(frame, ("branch", "number"))
    assert len(set(ids.tolist())) == len(set(rows)), "equal only for equal rows"
    apart = split_ids(ids, ("branch", "number"))
    assert list(zip(apart["branch"].tolist(), apart["number"].tolist(), strict=True)) == rows
    assert apart["number"].dtype == np.int64


def test_no_value_leaks_into_its_neighbour() -> None:
    assert len(set(joined(a=["1", "1,2", '1","2', ""], b=["2,3", "3", "3", '1","2","3']).tolist())) == 4


def test_one_column_comes_out_as_it_is() -> None:
    ids = np.array(["a", "b"])
    assert split_ids(ids, ("x",)) == {"x": ids}


def test_type_in_words() -> None:
    assert type_of_ids(joined(a=[1]), ("a",)) == "whole numbers"
    assert type_of_ids(joined(a=["1"]), ("a",)) == "text"
    assert type_of_ids(joined(a=[datetime.date(2024, 1, 1)]), ("a",)) == "times"
    assert type_of_ids(joined(a=["1"], b=[1]), ("a", "b")) == "text and whole numbers"


@given(ids=st.lists(texts, unique=True, min_size=1), seed=st.integers(0, 1000))
def test_digest_of_an_id_depends_on_the_id_alone(ids: list[str], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(ids))
    shuffled = np.array(ids)[order]
    digests = dict(zip(ids, id_digests(np.array(ids), KEY), strict=True))
    assert id_digests(shuffled, KEY) == [digests[value] for value in shuffled.tolist()]
    assert len(set(digests.values())) == len(ids)
    assert id_digests(np.array(ids), b"other") != list(digests.values())


def test_spelling_is_counted() -> None:
    found = spelling_of_ids(np.array([" a1", "B2", "007", "12"]))
    assert found == {
        "ids": 4,
        "shortest": 2,
        "longest": 3,
        "with_outer_space": 1,
        "with_upper_case": 1,
        "with_lower_case": 1,
        "with_leading_zero": 1,
        "of_digits_only": 2,
    }
