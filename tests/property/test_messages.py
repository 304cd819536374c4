"""Whatever a peer sends: plain values arrive, and other bytes are refused in words."""

from __future__ import annotations

import pickle
from typing import Any

import cloudpickle
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.engine.unpickle import loads
from runner.errors import SecurityError

DTYPES = ("f4", "f8", "i4", "i8", "u1", "?")
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=10,
)


@given(value=plain, protocol=st.integers(3, pickle.HIGHEST_PROTOCOL))
@settings(max_examples=100, deadline=None)
def test_plain_values_arrive(value: Any, protocol: int) -> None:
    taken = loads(cloudpickle.dumps(value, protocol=protocol), "bob")
    assert taken == value
    assert type(taken) is type(value)


@given(shape=st.lists(st.integers(0, 4), max_size=3), dtype=st.sampled_from(DTYPES), seed=st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_arrays_arrive(shape: list[int], dtype: str, seed: int) -> None:
    array = np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)
    taken = loads(cloudpickle.dumps([array, array.T]), "bob")
    for before, after in zip((array, array.T), taken, strict=True):
        assert (after.dtype, after.shape) == (before.dtype, before.shape)
        assert np.array_equal(after, before)


def refused_in_words_or_read(content: bytes) -> bool:
    """Read a message; any error but one that names its sender goes through."""
    try:
        loads(content, "bob")
    except SecurityError as error:
        return error.where == "message from bob"
    return True


@given(content=st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_other_bytes_are_a_plain_value_or_refused(content: bytes) -> None:
    assert refused_in_words_or_read(content)


@given(value=plain, position=st.integers(0, 500), mask=st.integers(1, 255))
@settings(max_examples=200, deadline=None)
def test_flipped_byte_is_another_value_or_refused(value: Any, position: int, mask: int) -> None:
    content = bytearray(cloudpickle.dumps(value))
    content[position % len(content)] ^= mask
    assert refused_in_words_or_read(bytes(content))
