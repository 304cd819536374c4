"""An evaluator's histograms over ciphertexts: decrypted, they are those over the plain integers."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from runner.engine.histogram import ALL, bucket_numbers, count_rows, cumulate, representatives, sum_rows
from runner.engine.packing import Plan, join, split

BUCKETS = 5
ROWS = 120


@pytest.fixture(scope="module")
def sealed(secretflow: None) -> ModuleType:
    from runner.engine import sealed

    return sealed


class Table:
    """Rows of one evaluator, with gradients, in plain and encrypted."""

    def __init__(self, sealed: ModuleType, encryption: Any, features: int, plan: Plan) -> None:
        from heu import phe

        generator = np.random.default_rng(3)
        self.plan = plan
        self.order_map = generator.integers(0, BUCKETS, (ROWS, features)).astype(np.int8)
        self.gradients = generator.integers(-1000, 1000, (ROWS, 2))
        self.size = features * BUCKETS
        self.numbers = bucket_numbers(self.order_map, BUCKETS)
        self.arithmetic = sealed.Arithmetic(encryption)
        self._encryption = encryption
        self._encoder = phe.BigintEncoder(encryption.get_schema())
        plain = join(self.gradients[:, 0], self.gradients[:, 1], plan)
        self.rows = encryption.encryptor().encrypt(encryption.array(plain, self._encoder))

    def expected(self, select: Any) -> list[list[int]]:
        """Cumulated sums of gradients, and of hessians."""
        sums = (sum_rows(self.numbers, select, self.gradients[:, kind], self.size) for kind in range(2))
        return [cumulate(one, BUCKETS).tolist() for one in sums]

    def counts(self, select: Any) -> Any:
        return count_rows(self.numbers, select, self.size)

    def open(self, array: Any) -> Any:
        return self._encryption.decryptor().decrypt(array).to_numpy(self._encoder)

    def sums(self, array: Any) -> list[list[int]]:
        """The sums of an array of single ones."""
        single = Plan(self.plan.gradient_bits, self.plan.hessian_bits, 1)
        return [one.tolist() for one in split(self.open(array), single)]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8])
def test_every_number_is_negated(sealed: ModuleType, encryption: Any, count: int) -> None:
    table = Table(sealed, encryption, 1, Plan(20, 20, 1))
    array = table.arithmetic.take(table.rows, range(count))
    negative = table.arithmetic.negate(array)
    assert (table.open(negative) == -table.open(array)).all()
    assert table.open(array).shape == (count, 1)


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("features", [1, 4, 5])
def test_large_nodes_by_pairs_and_small_ones_singly(
    sealed: ModuleType, encryption: Any, features: int, blocks: int
) -> None:
    table = Table(sealed, encryption, features, Plan(20, 20, 1))
    selects = [np.ones(ROWS, dtype=bool), np.arange(ROWS) < 20]
    assert selects[0].sum() > (1 + blocks) * BUCKETS**2 > selects[1].sum()
    rows = [table.arithmetic.take(table.rows, places) for places in np.array_split(np.arange(ROWS), blocks)]
    nodes = sealed.sum_nodes(table.arithmetic, rows, selects, table.order_map, BUCKETS)
    assert [table.sums(node.sums) for node in nodes] == [table.expected(select) for select in selects]


@pytest.mark.parametrize("plan", [Plan(20, 18, slots) for slots in (1, 3, 8)])
def test_what_is_packed_is_every_buckets_sum(sealed: ModuleType, encryption: Any, plan: Plan) -> None:
    table = Table(sealed, encryption, 5, plan)
    parent, child = np.arange(ROWS) < 100, np.arange(ROWS) < 6
    other = parent & ~child
    whole, summed = sealed.sum_nodes(table.arithmetic, [table.rows], [parent, child], table.order_map, BUCKETS)
    sibling = sealed.subtract(table.arithmetic, whole, summed, table.counts(other), BUCKETS)
    nodes, generator = [], np.random.default_rng(5)
    for node, select in ((summed, child), (sibling, other)):
        shuffle = generator.permutation(table.size)
        nodes.append((node, representatives(table.counts(select), BUCKETS), shuffle))
    packs, numbers = sealed.pack(table.arithmetic, plan, nodes)
    assert packs.rows < len(np.unique(numbers)) or plan.slots == 1
    told = split(table.open(packs), plan)
    for (_, _, shuffle), select, row in zip(nodes, (child, other), numbers, strict=True):
        for kind in range(2):
            expected = np.array(table.expected(select)[kind])
            total = int(table.gradients[select, kind].sum())
            values = np.where(row == ALL, total, np.append(told[kind], 0)[np.maximum(row, -1)])
            assert values.tolist() == expected[shuffle].tolist()


def test_numbers_do_not_tell_the_order_of_buckets(sealed: ModuleType, encryption: Any) -> None:
    """They are given as sums first appear in their shuffled places."""
    table = Table(sealed, encryption, 1, Plan(20, 18, 1))
    select = np.ones(ROWS, dtype=bool)
    (node,) = sealed.sum_nodes(table.arithmetic, [table.rows], [select], table.order_map, BUCKETS)
    same = representatives(table.counts(select), BUCKETS)
    _, numbers = sealed.pack(table.arithmetic, table.plan, [(node, same, np.array([2, 0, 3, 1, 4]))])
    assert numbers.tolist() == [[0, 1, 2, 3, ALL]]


def test_one_row_needs_no_ciphertext(sealed: ModuleType, encryption: Any) -> None:
    """Its sums are nothing, or the node's whole, which the label holder knows."""
    table = Table(sealed, encryption, 2, Plan(20, 18, 8))
    one, all_rows = np.arange(ROWS) == 3, np.ones(ROWS, dtype=bool)
    whole, rest = sealed.sum_nodes(table.arithmetic, [table.rows], [all_rows, ~one], table.order_map, BUCKETS)
    sibling = sealed.subtract(table.arithmetic, whole, rest, table.counts(one), BUCKETS)
    same = representatives(table.counts(one), BUCKETS)
    packs, numbers = sealed.pack(table.arithmetic, table.plan, [(sibling, same, np.arange(table.size))])
    assert packs is None
    assert (numbers < 0).all()
