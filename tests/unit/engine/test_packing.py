"""Sums in slots: what is packed comes out again, whatever its sign; a plan has as many slots as fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.engine.packing import Plan, join, make_plan, split, sum_bits

ROOM = 1022  # ou with 3072 bits


@given(st.data(), st.integers(2, 64), st.integers(2, 64), st.integers(1, 5))
def test_slots_keep_their_sums(data: st.DataObject, gradient_bits: int, hessian_bits: int, slots: int) -> None:
    def signed(bits: int) -> st.SearchStrategy[list[int]]:
        return st.lists(st.integers(1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1), min_size=slots, max_size=slots)

    plan = Plan(gradient_bits, hessian_bits, slots)
    gradients, hessians = data.draw(signed(gradient_bits)), data.draw(signed(hessian_bits))
    cells = join(np.array(gradients), np.array(hessians), plan)
    packed = np.array([sum(cells[slot, 0] << (plan.width * slot) for slot in range(slots))], dtype=object)
    again = split(packed, plan)
    assert again[0].tolist() == gradients
    assert again[1].tolist() == hessians


def test_packs_are_unpacked_one_after_another() -> None:
    plan = Plan(8, 8, 2)
    cells = join(np.array([1, -2, 3, -4]), np.array([5, 6, -7, 0]), plan)
    packed = np.array([[cells[0, 0] + (cells[1, 0] << 16)], [cells[2, 0] + (cells[3, 0] << 16)]], dtype=object)
    assert [sums.tolist() for sums in split(packed, plan)] == [[1, -2, 3, -4], [5, 6, -7, 0]]


@pytest.mark.parametrize(("rows", "largest"), [(1, 1.0), (455, 1.0), (455, 0.25), (2**20, 1.0), (3, 0.3)])
def test_bits_hold_the_largest_sum(rows: int, largest: float) -> None:
    scale, bits = 2**20, sum_bits(rows, 2**20, largest)
    assert rows * int(largest * scale) < 2 ** (bits - 1)
    assert rows * largest * scale >= 2 ** (bits - 2), "and not one bit more"


def test_bits_of_what_nobody_knows_are_those_of_an_int64() -> None:
    assert sum_bits(10, 2**20, None) == 64
    assert sum_bits(2**50, 2**20, 1.0) == 64


@pytest.mark.parametrize(("room", "bits", "slots"), [(ROOM, (37, 35), 14), (ROOM, (64, 64), 7), (100, (64, 64), 1)])
def test_plan_has_as_many_slots_as_fit(room: int, bits: tuple[int, int], slots: int) -> None:
    plan = make_plan(room, bits)
    assert plan == Plan(*bits, slots)
    assert plan.width * slots <= room < plan.width * (slots + 1) or slots == 1
