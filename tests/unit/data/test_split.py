"""The split depends on ids and key alone."""

from __future__ import annotations

import numpy as np
import pytest

from runner.data.split import held_out, split_rows
from runner.spec.model import Split

IDS = np.array([f"P{row:05d}" for row in range(4000)])


def test_split_repeats() -> None:
    assert np.array_equal(held_out(IDS, Split()), held_out(IDS, Split()))


def test_split_is_pinned() -> None:
    """Another hash would silently move rows between training and test, and an old run could not be repeated."""
    assert np.flatnonzero(held_out(IDS[:24], Split(test_fraction=0.25, key="split-1"))).tolist() == [6, 11, 13, 22]


def test_order_of_rows_does_not_count() -> None:
    order = np.random.default_rng(0).permutation(len(IDS))
    assert np.array_equal(held_out(IDS[order], Split()), held_out(IDS, Split())[order])


def test_other_rows_do_not_count() -> None:
    assert np.array_equal(held_out(IDS[::7], Split()), held_out(IDS, Split())[::7])


@pytest.mark.parametrize("fraction", [0.01, 0.25, 0.5, 0.9])
def test_share_is_near_the_fraction(fraction: float) -> None:
    share = held_out(IDS, Split(test_fraction=fraction)).mean()
    assert abs(share - fraction) < 5 * np.sqrt(fraction * (1 - fraction) / len(IDS))


def test_larger_fraction_holds_out_more_of_the_same() -> None:
    small, large = (held_out(IDS, Split(test_fraction=fraction)) for fraction in (0.2, 0.4))
    assert np.all(large[small])
    assert large.sum() > small.sum()


def test_keys_differ() -> None:
    first, second = (held_out(IDS, Split(test_fraction=0.5, key=key)) for key in ("a", "b"))
    assert abs(np.mean(first == second) - 0.5) < 0.05, "and have nothing to do with each other"


@pytest.mark.parametrize("key", ["", "x" * 1000, "ключ"])
def test_any_text_is_a_key(key: str) -> None:
    assert 0 < held_out(IDS, Split(key=key)).sum() < len(IDS)


def test_whole_numbers_are_ids_too() -> None:
    numbers = np.arange(1000)
    assert np.array_equal(held_out(numbers, Split()), held_out(numbers.astype(str), Split()))


def test_no_rows_give_no_places() -> None:
    assert held_out(IDS[:0], Split()).shape == (0,)


def test_validation_rows_are_other_than_the_test_rows_which_are_not_used() -> None:
    test, split = held_out(IDS, Split()), Split(hold_out="validation")
    used, validation = split_rows(IDS, split)
    assert np.array_equal(used, ~test)
    assert not np.any(validation & test)
    assert abs(validation.sum() / used.sum() - split.validation_fraction) < 0.03
    assert np.array_equal(split_rows(IDS[::7], split)[1], validation[::7])


def test_without_validation_rows_all_rows_are_used() -> None:
    used, test = split_rows(IDS, Split())
    assert used.all()
    assert np.array_equal(test, held_out(IDS, Split()))
