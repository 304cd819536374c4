"""Folds: balanced, the same whatever the order of rows, and what each way of dealing promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.data.folds import blocks_of, rows_of_fold
from runner.errors import DataError
from runner.spec.evaluation import FoldsBy

WAYS: tuple[FoldsBy, ...] = ("random", "stratified", "group", "time")


def ids_of(rows: int) -> Any:
    return np.array([f"P{row:04d}" for row in range(rows)])


def values_of(by: FoldsBy, rows: int) -> Any:
    draw = np.random.default_rng(7)
    return draw.integers(0, 2 if by == "stratified" else 30, rows)


@pytest.mark.parametrize("by", WAYS)
def test_folds_do_not_depend_on_the_order_of_rows(by: FoldsBy) -> None:
    ids, values = ids_of(203), values_of(by, 203)
    order = np.random.default_rng(1).permutation(203)
    shuffled = blocks_of(ids[order], 5, "k", by, values[order])
    assert np.array_equal(blocks_of(ids, 5, "k", by, values)[order], shuffled)


@pytest.mark.parametrize("by", ["random", "stratified", "group"])
def test_every_row_is_tested_on_once_and_trained_on_else(by: FoldsBy) -> None:
    blocks = blocks_of(ids_of(100), 4, "k", by, values_of(by, 100))
    tested = np.zeros(100, dtype=int)
    for fold in range(4):
        rows, test = rows_of_fold(blocks, fold, by)
        assert len(rows) == 100
        tested[rows[test]] += 1
    assert (tested == 1).all()


def test_random_folds_are_as_large_as_each_other_and_change_with_the_key() -> None:
    blocks = blocks_of(ids_of(103), 5, "k")
    assert sorted(np.bincount(blocks)) == [20, 20, 21, 21, 21]
    assert not np.array_equal(blocks, blocks_of(ids_of(103), 5, "another"))


def test_stratified_folds_have_as_many_of_each_class() -> None:
    label = np.arange(100) % 10 == 0
    blocks = blocks_of(ids_of(100), 5, "k", "stratified", label)
    assert [int(label[blocks == fold].sum()) for fold in range(5)] == [2] * 5


def test_a_group_is_never_in_two_folds() -> None:
    groups = values_of("group", 100)
    blocks = blocks_of(ids_of(100), 5, "k", "group", groups)
    assert all(len(set(blocks[groups == group])) == 1 for group in set(groups))


@given(st.lists(st.integers(0, 12), min_size=4, max_size=60), st.integers(2, 4))
def test_by_time_nothing_later_is_trained_on_and_no_block_is_empty(times: list[int], folds: int) -> None:
    values = np.array(times)
    if len(set(times)) <= folds:
        with pytest.raises(DataError, match="too few different times"):
            blocks_of(ids_of(len(times)), folds, "k", "time", values)
        return
    blocks = blocks_of(ids_of(len(times)), folds, "k", "time", values)
    assert set(blocks) == set(range(folds + 1))
    for fold in range(folds):
        rows, test = rows_of_fold(blocks, fold, "time")
        assert values[rows[~test]].max() < values[rows[test]].min()


@pytest.mark.parametrize(
    ("by", "values", "what"),
    [
        ("random", None, "rows"),
        ("stratified", [0, 0, 0, 1], "rows of the rarest class"),
        ("group", [1, 1, 2, 2], "groups"),
        ("time", [1, 2, 2, 2], "different times"),
    ],
)
def test_what_cannot_be_dealt_is_refused(by: FoldsBy, values: list[int] | None, what: str) -> None:
    with pytest.raises(DataError, match=f"too few {what} for the folds"):
        blocks_of(ids_of(4), 5 if by == "random" else 3, "k", by, None if values is None else np.array(values))


@pytest.mark.filterwarnings("ignore:The least populated class")
def test_rows_without_a_label_are_dealt_evenly_too() -> None:
    label = np.where(np.arange(100) % 5 == 0, np.nan, np.arange(100) % 2)
    blocks = blocks_of(ids_of(100), 4, "k", "stratified", label)
    assert [int(np.isnan(label[blocks == fold]).sum()) for fold in range(4)] == [5] * 4
    assert [int((label[blocks == fold] == 1).sum()) for fold in range(4)] == [10] * 4
    blocks_of(ids_of(100), 4, "k", "stratified", np.where(np.arange(100) == 7, np.nan, np.arange(100) % 2))
