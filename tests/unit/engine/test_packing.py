"""Sums in slots: what is packed comes out again, whatever its sign; plans are the cheapest that fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.engine.packing import COSTS, Plan, join, make_plan, split, sum_bits

ROOM = 1022  # ou with 3072 bits


@given(st.data(), st.integers(2, 64), st.integers(2, 64), st.integers(1, 5))
def test_slots_keep_their_sums(data: st.DataObject, gradient_bits: int, hessian_bits: int, slots: int) -> None:
    def signed(bits: int) -> st.SearchStrategy[list[int]]:
        return st.lists(st.integers(1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1), min_size=slots, max_size=slots)

    plan = Plan(gradient_bits, hessian_bits, slots, slots)
    gradients, hessians = data.draw(signed(gradient_bits)), data.draw(signed(hessian_bits))
    cells = join(np.array(gradients), np.array(hessians), plan)
    packed = np.array([sum(cells[slot, slot] for slot in range(slots))], dtype=object)
    again = split(packed, plan)
    assert again[0].tolist() == gradients
    assert again[1].tolist() == hessians


def test_packs_are_unpacked_one_after_another() -> None:
    plan = Plan(8, 8, 2, 2)
    cells = join(np.array([1, -2, 3, -4]), np.array([5, 6, -7, 0]), plan)
    packed = np.array([[cells[0, 0] + cells[1, 1]], [cells[2, 0] + cells[3, 1]]], dtype=object)
    assert [sums.tolist() for sums in split(packed, plan)] == [[1, -2, 3, -4], [5, 6, -7, 0]]


@pytest.mark.parametrize(("rows", "largest"), [(1, 1.0), (455, 1.0), (455, 0.25), (2**20, 1.0), (3, 0.3)])
def test_bits_hold_the_largest_sum(rows: int, largest: float) -> None:
    scale, bits = 2**20, sum_bits(rows, 2**20, largest)
    assert rows * int(largest * scale) < 2 ** (bits - 1)
    assert rows * largest * scale >= 2 ** (bits - 2), "and not one bit more"


def test_bits_of_what_nobody_knows_are_those_of_an_int64() -> None:
    assert sum_bits(10, 2**20, None) == 64
    assert sum_bits(2**50, 2**20, 1.0) == 64


@pytest.mark.parametrize("scheme", sorted(COSTS))
@pytest.mark.parametrize("rows", [10, 455, 50_000])
@pytest.mark.parametrize("bits", [(30, 28), (64, 64)])
def test_slots_fit_into_a_plaintext(scheme: str, rows: int, bits: tuple[int, int]) -> None:
    plan = make_plan(scheme, ROOM, bits, rows, [110, 110], 31)
    assert plan.width * plan.slots <= ROOM
    assert plan.columns in (1, plan.slots)
    assert (plan.gradient_bits, plan.hessian_bits) == bits


def test_plans_follow_the_costs() -> None:
    few_rows = make_plan("ou", ROOM, (30, 28), 455, [110, 110], 31)
    assert few_rows.columns == few_rows.slots > 4, "rows are cheap to encrypt once more"
    many_rows = make_plan("ou", ROOM, (37, 35), 50_000, [110, 110], 31)
    assert (many_rows.columns, many_rows.slots) == (1, ROOM // 72), "shifting is cheaper than decrypting"
    paillier = make_plan("paillier", 3069, (30, 28), 455, [110, 110], 31)
    assert (paillier.columns, paillier.slots) == (1, 3069 // 58)
    assert make_plan("ou", ROOM, (64, 64), 50_000, [110], 31) == Plan(64, 64, 1, 1), "shifting would cost more"
    assert make_plan("ou", 100, (64, 64), 455, [110], 31) == Plan(64, 64, 1, 1), "no room for two"
