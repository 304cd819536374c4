"""Histograms over ciphertexts, at an evaluator.

Everything here adds ciphertexts, and shifts them: nothing is decrypted, and no randomness is drawn. A node's histogram
is an array of one ciphertext a bucket, features one after another, each the sum over rows up to and with the bucket.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from heu import numpy as hnp
from heu import phe
from numpy.typing import NDArray

from runner.engine.histogram import Places, representatives
from runner.engine.packing import Plan

MOST_BUCKETS = 127  # of HEU's kernel, whose order maps are int8


class Arithmetic:
    """What HEU computes on arrays of ciphertexts, shape (n, 1), under one public key."""

    def __init__(self, kit: Any) -> None:
        self.evaluator = kit.evaluator()
        self._encoder = phe.BigintEncoder(kit.get_schema())

    def take(self, array: Any, places: Sequence[int] | NDArray[Any]) -> Any:
        """The ciphertexts at these places."""
        return array[([int(place) for place in places], [0])]

    def put(self, array: Any, places: Sequence[int] | NDArray[Any], part: Any) -> None:
        """Write ``part`` to these places of ``array``."""
        array[([int(place) for place in places], [0])] = part

    def times(self, array: Any, factor: int) -> Any:
        """Each plaintext times ``factor``."""
        factors = np.full((array.rows, 1), factor, dtype=object)
        return self.evaluator.mul(array, hnp.array(factors, self._encoder))

    def negate(self, array: Any) -> Any:
        """Each plaintext times -1, with three additions each and one inversion (Montgomery 1987)."""
        count = array.rows
        if count == 1:
            return self.times(array, -1)
        even, odd = range(0, count - 1, 2), range(1, count, 2)
        first, second = self.take(array, even), self.take(array, odd)
        pairs = self.evaluator.add(first, second)
        joined = pairs
        if count % 2:
            joined = self.take(pairs, [*range(pairs.rows), 0])
            self.put(joined, [pairs.rows], self.take(array, [count - 1]))
        inverse = self.negate(joined)
        result = self.take(array, range(count))
        of_pairs = self.take(inverse, range(pairs.rows))
        self.put(result, even, self.evaluator.add(of_pairs, second))
        self.put(result, odd, self.evaluator.add(of_pairs, first))
        if count % 2:
            self.put(result, [count - 1], self.take(inverse, [inverse.rows - 1]))
        return result

    def join(self, parts: Sequence[Any]) -> Any:
        """Arrays one after another."""
        joined = self.take(parts[0], [0] * sum(part.rows for part in parts))
        at = 0
        for part in parts:
            self.put(joined, range(at, at + part.rows), part)
            at += part.rows
        return joined


@dataclass(frozen=True)
class Sealed:
    """One node's histogram: ``sums[place[b]]`` is that of bucket b, where ``place[b]`` is not negative."""

    sums: Any
    place: Places


def sum_nodes(
    arithmetic: Arithmetic, gradients: Sequence[Any], selects: Iterable[NDArray[Any]], order_map: Any, buckets: int
) -> list[Sealed]:
    """Histograms of nodes, summed over their rows; large nodes by pairs of features, where that is less work.

    Args:
        gradients: the rows', encrypted, in blocks of shape (rows of the block, 1).
        selects: for each node 0 or 1 a row.
        order_map: each row's bucket in each feature, int8, shape (rows, features).
    """
    features = order_map.shape[1]
    place = np.arange(features * buckets, dtype=np.int32)
    if not features:
        return [Sealed(None, place) for _ in selects]
    flags = [np.ascontiguousarray(select, dtype=np.int8).reshape(1, -1) for select in selects]
    pays = features > 1 and buckets * buckets <= MOST_BUCKETS
    large = [pays and int(flag.sum()) > (1 + len(gradients)) * buckets * buckets for flag in flags]
    by_pairs = _sum_pairs(
        arithmetic, gradients, [f for f, big in zip(flags, large, strict=True) if big], order_map, buckets
    )
    plain = [flag for flag, big in zip(flags, large, strict=True) if not big]
    singly = _kernel(arithmetic, gradients, plain, order_map, buckets, cumulated=True)
    return [Sealed((by_pairs if big else singly).pop(0), place) for big in large]


def _kernel(
    arithmetic: Arithmetic, gradients: Sequence[Any], flags: list[Any], order_map: Any, buckets: int, cumulated: bool
) -> list[Any]:
    """HEU's kernel, for one block after another: it copies the ciphertexts that it sums."""
    if not flags:
        return []
    evaluator, start = arithmetic.evaluator, 0
    totals: list[Any] = []
    for block in gradients:
        stop = start + block.rows
        chosen = [np.ascontiguousarray(flag[:, start:stop]) for flag in flags]
        numbers = np.ascontiguousarray(order_map[start:stop])
        sums = evaluator.batch_feature_wise_bucket_sum(block, chosen, numbers, buckets, cumulated)
        totals = [evaluator.add(*both) for both in zip(totals, sums, strict=True)] if totals else list(sums)
        start = stop
    return totals


def _sum_pairs(
    arithmetic: Arithmetic, gradients: Sequence[Any], flags: list[Any], order_map: Any, buckets: int
) -> list[Any]:
    """Sum once over the joint buckets of two features, and then over either: half the additions a row."""
    features = order_map.shape[1]
    if features % 2:
        order_map = np.concatenate([order_map, np.zeros((len(order_map), 1), dtype=np.int8)], axis=1)
    joint_map = np.ascontiguousarray(order_map[:, ::2] * np.int8(buckets) + order_map[:, 1::2])
    joint = np.arange(joint_map.shape[1] * buckets * buckets).reshape(-1, buckets, buckets)
    margins = np.stack([joint, joint.transpose(0, 2, 1)], axis=1).reshape(-1, buckets)[: features * buckets].tolist()
    up_to = [
        list(range(feature * buckets, feature * buckets + bucket + 1))
        for feature in range(features)
        for bucket in range(buckets)
    ]
    results = []
    for cells in _kernel(arithmetic, gradients, flags, joint_map, buckets * buckets, cumulated=False):
        single = arithmetic.evaluator.batch_select_sum(cells, margins)
        results.append(_as_column(arithmetic, cells, arithmetic.evaluator.batch_select_sum(single, up_to)))
    return results


def _as_column(arithmetic: Arithmetic, like: Any, flat: Any) -> Any:
    """An array of shape (n,) as one of shape (n, 1)."""
    column = arithmetic.take(like, [0] * flat.rows)
    arithmetic.put(column, range(flat.rows), flat)
    return column


def subtract(arithmetic: Arithmetic, parent: Sealed, summed: Sealed, counts: Any, buckets: int) -> Sealed:
    """The histogram of the other child, whose rows in each bucket are ``counts``; equal sums are made once."""
    same = representatives(counts, buckets)
    wanted = np.unique(same[same >= 0])
    place = np.where(same >= 0, np.searchsorted(wanted, same), same).astype(np.int32)
    if wanted.size == 0:
        return Sealed(None, place)
    less = arithmetic.negate(arithmetic.take(summed.sums, summed.place[wanted]))
    return Sealed(arithmetic.evaluator.add(arithmetic.take(parent.sums, parent.place[wanted]), less), place)


def pack(
    arithmetic: Arithmetic, plan: Plan, nodes: Sequence[tuple[Sealed, Places, NDArray[np.int64]]]
) -> tuple[Any, Places]:
    """What goes to the label holder: nodes' sums, packed, each once, numbered as they first appear after the shuffle.

    Args:
        nodes: for each its histogram, the buckets' representatives, and the shuffle: the bucket at each shuffled place.

    Returns:
        The packs, shape (packs, 1), or None where no sum is to be told; and for each node and shuffled place the number
        of its sum (pack by pack, slot by slot), NOTHING or ALL: int32, shape (nodes, buckets of all features).
    """
    numbers = np.stack([same[mask] for _, same, mask in nodes]).astype(np.int32)
    parts, before = [], 0
    for row, (sealed, _, _) in zip(numbers, nodes, strict=True):
        here = np.flatnonzero(row >= 0)
        wanted, first, inverse = np.unique(row[here], return_index=True, return_inverse=True)
        if wanted.size:
            order = np.argsort(first)
            parts.append(arithmetic.take(sealed.sums, sealed.place[wanted[order]]))
            row[here] = before + np.argsort(order)[inverse]
            before += wanted.size
    if not parts:
        return None, numbers
    sums = arithmetic.join(parts)
    packs = -(-sums.rows // plan.slots)
    slots = [arithmetic.take(sums, range(at, min(at + packs, sums.rows))) for at in range(0, sums.rows, packs)]
    told = numbers >= 0
    numbers[told] = numbers[told] % packs * plan.slots + numbers[told] // packs
    return _add_up(arithmetic, slots, plan.width), numbers


def _add_up(arithmetic: Arithmetic, slots: Sequence[Any], width: int) -> Any:
    """Add arrays, the first of which is the longest, the i-th times ``2**(width * i)`` (by Horner's scheme)."""
    total = slots[-1]
    for slot in slots[-2::-1]:
        total = arithmetic.times(total, 1 << width)
        places = range(total.rows)
        result = arithmetic.take(slot, range(slot.rows))
        arithmetic.put(result, places, arithmetic.evaluator.add(arithmetic.take(slot, places), total))
        total = result
    return total
