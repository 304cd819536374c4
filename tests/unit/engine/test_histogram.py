"""Histograms over plain integers: exact, and told from one another by which rows they hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.engine.histogram import (
    ALL,
    NOTHING,
    bucket_numbers,
    count_rows,
    cumulate,
    pack_selects,
    representatives,
    sum_rows,
    unpack_selects,
)

BUCKETS = 4


@given(st.integers(0, 2**32), st.sampled_from([10, 2**40, 2**55]))
def test_sums_are_exact(seed: int, largest: int) -> None:
    """2**55 is more than a float64 counts to."""
    generator = np.random.default_rng(seed)
    order_map = generator.integers(0, BUCKETS, (30, 3)).astype(np.int8)
    values = generator.integers(-largest, largest, 30)
    select = generator.random(30) < 0.5
    sums = sum_rows(bucket_numbers(order_map, BUCKETS), select, values, 3 * BUCKETS)
    assert sums.tolist() == [
        sum(int(values[row]) for row in range(30) if select[row] and order_map[row, feature] == bucket)
        for feature in range(3)
        for bucket in range(BUCKETS)
    ]


def test_no_feature_has_no_buckets() -> None:
    numbers = bucket_numbers(np.empty((5, 0), dtype=np.int8), BUCKETS)
    assert sum_rows(numbers, np.ones(5, dtype=bool), np.arange(5), 0).tolist() == []


def test_sums_are_cumulated_within_a_feature() -> None:
    assert cumulate(np.array([1, 2, 3, 4, 10, 0, 0, 5]), BUCKETS).tolist() == [1, 3, 6, 10, 10, 10, 10, 15]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([1, 1, 1, 0], [0, 1, ALL, ALL]),
        ([0, 3, 0, 1], [NOTHING, 1, 1, ALL]),
        ([0, 0, 5, 0], [NOTHING, NOTHING, ALL, ALL]),
        ([2, 0, 0, 0], [ALL, ALL, ALL, ALL]),
        ([1, 0, 1, 0, 0, 2, 2, 0], [0, 0, ALL, ALL, NOTHING, 5, ALL, ALL]),
    ],
)
def test_buckets_of_the_same_rows_have_one_representative(counts: list[int], expected: list[int]) -> None:
    assert representatives(np.array(counts), BUCKETS).tolist() == expected


@given(st.integers(0, 2**32))
def test_representatives_stand_for_the_same_sum(seed: int) -> None:
    generator = np.random.default_rng(seed)
    numbers = bucket_numbers(generator.integers(0, BUCKETS, (6, 2)).astype(np.int8), BUCKETS)
    select = generator.random(6) < 0.7
    select[0] = True
    sums = cumulate(sum_rows(numbers, select, 3 ** np.arange(6), 2 * BUCKETS), BUCKETS)
    same = representatives(count_rows(numbers, select, 2 * BUCKETS), BUCKETS)
    values = {NOTHING: 0, ALL: sums[-1], **dict(enumerate(sums.tolist()))}
    assert [values[place] for place in same.tolist()] == sums.tolist()
    for feature in same.reshape(2, BUCKETS).tolist():
        assert len({values[place] for place in feature}) == len(set(feature)), "and no two for one sum"


def test_selections_travel_as_bits() -> None:
    selects = [np.ones((1, 11), dtype=np.int8), np.arange(11, dtype=np.uint8) % 2]
    packed = pack_selects(selects)
    assert packed["bits"].nbytes == 4
    assert unpack_selects(packed).tolist() == [[True] * 11, (np.arange(11) % 2 == 1).tolist()]
