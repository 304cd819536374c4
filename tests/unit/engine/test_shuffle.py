"""The parties' shuffles: permutations within a feature, from the party's own generator."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import numpy as np
import pytest

BUCKETS = [5, 2, 1, 11]


@pytest.fixture(scope="module")
def shuffle(secretflow: None) -> ModuleType:
    from runner.engine import shuffle

    return shuffle


def masks(shuffle: ModuleType, seed: Sequence[int] | int, keys: Sequence[int] = (0,)) -> list[list[int]]:
    made = shuffle._PrivateMasks(seed)
    for key in keys:
        made.create_shuffle_mask(key, BUCKETS)
    return [made.reindex_list_map[key] for key in keys]


def test_buckets_stay_within_their_feature_and_the_last_in_its_place(shuffle: ModuleType) -> None:
    (mask,) = masks(shuffle, 7)
    ends = np.cumsum(BUCKETS)
    for first, end in zip(ends - BUCKETS, ends, strict=True):
        assert sorted(mask[first:end]) == list(range(first, end))
        assert mask[end - 1] == end - 1
    assert mask != list(range(sum(BUCKETS)))


def test_masks_repeat_with_the_seed_and_differ_without(shuffle: ModuleType) -> None:
    assert masks(shuffle, (1, 2), range(3)) == masks(shuffle, (1, 2), range(3))
    assert masks(shuffle, (1, 2)) != masks(shuffle, (1, 3))
    first, second = masks(shuffle, (1, 2), (0, 1))
    assert first != second, "each node has a mask of its own"


def test_masks_are_stock_secretflows_under_the_same_seed(shuffle: ModuleType) -> None:
    """What `sgb.shuffle=shared` rests on: the library itself seeds NumPy's global generator."""
    stock = shuffle.Masks()
    state = np.random.get_state()
    try:
        np.random.seed(1212)
        for key in range(3):
            stock.create_shuffle_mask(key, BUCKETS)
    finally:
        np.random.set_state(state)
    assert masks(shuffle, 1212, range(3)) == [list(stock.reindex_list_map[key]) for key in range(3)]


def test_global_generator_is_left_alone(shuffle: ModuleType) -> None:
    before = np.random.get_state()[1].tolist()  # type: ignore[union-attr, index]
    masks(shuffle, 7, range(3))
    assert np.random.get_state()[1].tolist() == before  # type: ignore[union-attr, index]
