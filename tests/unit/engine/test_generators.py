"""States of generators, arrays and splits: what is put back is what was there."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="module")
def generators(secretflow: None) -> ModuleType:
    from runner.engine import generators

    return generators


@pytest.fixture(scope="module")
def resume(secretflow: None) -> ModuleType:
    from runner.engine import resume

    return resume


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("drawn", [0, 1, 623, 1000])
def test_legacy_generator_draws_the_same_again(generators: ModuleType, drawn: int) -> None:
    generator = np.random.RandomState((1, 2, 3))
    generator.normal(size=drawn)  # an odd number leaves half a pair behind
    state = through_json(generators.legacy_state(generator))
    expected = [generator.normal(), *generator.permutation(9), generator.uniform()]
    other = np.random.RandomState(0)
    generators.restore_legacy(other, state)
    assert [other.normal(), *other.permutation(9), other.uniform()] == expected


def test_process_wide_generator_draws_the_same_again(generators: ModuleType) -> None:
    before = np.random.get_state()
    try:
        state = through_json(generators.legacy_state(np.random))
        expected = np.random.uniform(size=3).tolist()
        np.random.seed(0)
        generators.restore_legacy(np.random, state)
        assert np.random.uniform(size=3).tolist() == expected
    finally:
        np.random.set_state(before)


def test_private_shuffles_go_on_where_they_were(generators: ModuleType) -> None:
    from runner.engine.shuffle import _PrivateWorkerShuffler

    first, second = (_PrivateWorkerShuffler(lambda party, seed=seed: seed, "bob") for seed in (7, 8))
    first.create_shuffle_mask(0, [9, 5])
    second.restore(through_json(first.state()))
    assert second.create_shuffle_mask(1, [9, 5]) == first.create_shuffle_mask(1, [9, 5])


def test_sampler_draws_secretflows_numbers_and_goes_on_where_it_was(generators: ModuleType) -> None:
    from secretflow.ml.boost.sgb_v.factory.components.sampler.sample_actor import SampleActor

    stock, kept, other = SampleActor(3), generators.KeptSampleActor(3), generators.KeptSampleActor(4)
    assert kept.generate_row_choices(50, 0.3).tolist() == stock.generate_row_choices(50, 0.3).tolist()
    other.restore(through_json(kept.state()))
    assert other.generate_row_choices(50, 0.3).tolist() == stock.generate_row_choices(50, 0.3).tolist()


@pytest.mark.parametrize(
    "array",
    [
        np.array([[0.1], [-0.0], [np.inf], [np.nan], [5e-324]]),
        np.full((5, 1), 0.3, order="F"),
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(12.0).reshape(3, 4)[:, ::2],
        np.empty((0, 1)),
    ],
)
def test_array_keeps_every_bit_its_dtype_and_its_layout(resume: ModuleType, array: Any) -> None:
    again = resume.unpack_array(through_json(resume.pack_array(array)))
    assert (again.dtype, again.shape, again.tobytes()) == (array.dtype, array.shape, array.tobytes())
    if array.flags.c_contiguous or array.flags.f_contiguous:
        assert again.strides == array.strides
    assert again.flags.writeable


def test_splits_keep_their_gains(resume: ModuleType) -> None:
    from secretflow.ml.boost.sgb_v.core.distributed_tree.split_tree import SplitTree

    splits = SplitTree()
    splits.insert_split_node(3, 0.25, 0, 1.5)
    splits.insert_split_node(-1, float("inf"), 1, 0)
    splits.extend_leaf_indices([2, 3, 4])
    again = resume.unpack_splits(through_json(resume.pack_splits(splits)))
    assert vars(again) == vars(splits)
    assert again.gain_statistics() == ({3: 1.5}, {3: 1})
