"""SecretFlow's homomorphic encryption device, whose actors carry out a whole level of a tree in one call.

The label holder's own features need no encryption: it sums its gradients in plain, inside its process. Evaluators send
packed sums (:mod:`runner.engine.packing`). What travels is what travels in stock SecretFlow, in fewer ciphertexts: the
gradients of all rows, encrypted; who is in which node; and each shuffled histogram's sums, encrypted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

import numpy as np
import secretflow.distributed as sfd
from heu import phe
from numpy.typing import NDArray
from secretflow.device import HEU
from secretflow.device.device.heu import HEUEvaluator, HEUSkKeeper

from runner.engine import histogram
from runner.engine.histogram import ALL, NOTHING, Bits, Family, Integers, Places, unpack_selects
from runner.engine.packing import Plan, join, make_plan, split, sum_bits
from runner.engine.sealed import Arithmetic, Sealed, pack, subtract, sum_nodes
from runner.errors import StageError

Message = dict[str, Any]
_LARGEST = 2.0**62


@dataclass(frozen=True)
class Work:
    """One call's work; every party knows it.

    Attributes:
        families: the nodes wanted, by their numbers in this tree.
        order: their numbers in the order of the result.
        forget: nodes whose histograms are no longer needed, None for all of an earlier tree.
        buckets: of each feature.
    """

    families: Sequence[Family]
    order: Sequence[int]
    forget: Sequence[int] | None
    buckets: int


@dataclass(frozen=True)
class PlanInput:
    """What a plan is made from, besides the number of rows and the key.

    Attributes:
        scale: that gradients are multiplied with before they become integers.
        largest: what a row's gradient and hessian are at most, or None: not known beforehand.
    """

    scale: int
    largest: tuple[float | None, float | None]


def encode(gradients: NDArray[Any], scale: int) -> Integers:
    """Gradients and hessians as the integers that SecretFlow's batch encoder makes: int64, shape (rows, 2).

    Raises:
        StageError: where their sums would not fit into 64 bits.
    """
    scaled = np.asarray(gradients, dtype=np.float64) * scale
    if not np.abs(scaled).sum() < _LARGEST:
        raise _too_large()
    return scaled.astype(np.int64)


def _too_large() -> StageError:
    return StageError(
        "gradients do not fit into the numbers that are encrypted",
        where="sgb.fixed_point_parameter, label.column",
        why="training diverged, or the label, its weights or the fixed point are too large",
        fix="lower sgb.learning_rate or sgb.fixed_point_parameter, or scale the label",
    )


class LabelHolder(HEUSkKeeper):  # type: ignore[misc]
    """The party with the secret key and the gradients."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._encoder = phe.BigintEncoder(self.hekit.get_schema())
        self._plan: Plan | None = None
        self._rows: Integers = np.empty((0, 2), dtype=np.int64)
        self._own: dict[int, Integers] = {}

    def plan_tree(self, gradients: Any, given: PlanInput) -> list[int]:
        """Take a tree's gradients, shape (rows, 2), and say how sums of them are to be packed."""
        rows = encode(gradients, given.scale)
        room = self.hekit.public_key().plaintext_bound().bit_count() - 2
        gradient_bits, hessian_bits = (sum_bits(len(rows), given.scale, largest) for largest in given.largest)
        sums = np.abs(rows.astype(np.float64)).sum(axis=0)
        if sums[0] >= 2.0 ** (gradient_bits - 1) or sums[1] >= 2.0 ** (hessian_bits - 1):
            raise _too_large()
        self._rows, self._plan = rows, make_plan(room, (gradient_bits, hessian_bits))
        return list(astuple(self._plan))

    def encrypt_rows(self, plan: Sequence[int], start: int, stop: int) -> Any:
        """A block of the tree's rows for the evaluators, shape (rows, 1).

        Args:
            plan: what ``plan_tree`` gave.
        """
        block = self._rows[start:stop]
        return self.encrypt(self.hekit.array(join(block[:, 0], block[:, 1], Plan(*plan)), self._encoder))

    def sum_level(
        self,
        gradients: Any,
        scale: int,
        selects: Sequence[Any],
        work: Work,
        own: tuple[Any, Sequence[Sequence[int]]] | None,
        sealed: Sequence[Message],
    ) -> tuple[list[Any], list[Any]]:
        """Histograms of nodes over all parties' features, the label holder's first.

        Args:
            gradients: shape (rows, 2).
            selects: for each family's summed node, who is in it.
            own: the label holder's order map, and a shuffle for each node; None where it has no features.
            sealed: what each evaluator sent, in the order of the parties.

        Returns:
            Sums of gradients and of hessians, for each node an array of float64, shape (1, buckets of all features).
        """
        if work.forget is None:
            self._own, self._rows = {}, encode(gradients, scale)
        for node in work.forget or ():
            self._own.pop(node, None)
        order_map, masks = own if own is not None else (np.empty((len(self._rows), 0), dtype=np.int8), None)
        self._sum_own(np.asarray(order_map), np.stack([np.asarray(s).ravel() for s in selects]).astype(bool), work)
        opened = [self._open(message, work) for message in sealed]
        results: tuple[list[Any], list[Any]] = ([], [])
        for at, node in enumerate(work.order):
            sums = self._own[node][:, 1:]
            mine = [histogram.cumulate(one, work.buckets) for one in sums] if masks is not None else [sums, sums]
            for kind in range(2):
                parts = [mine[kind][list(masks[at])]] if masks is not None else []
                parts.extend(one[kind][at] for one in opened)
                results[kind].append((np.concatenate(parts) / scale).reshape(1, -1))
        return results

    def forget(self) -> None:
        """Drop what is left of a training; the keys stay."""
        self._plan, self._own, self._rows = None, {}, np.empty((0, 2), dtype=np.int64)

    def _sum_own(self, order_map: NDArray[np.int8], selects: NDArray[np.bool_], work: Work) -> None:
        """Own histograms, not cumulated, and before them the sum of all the node's rows: shape (2, 1 + buckets)."""
        numbers = histogram.bucket_numbers(order_map, work.buckets)
        size = order_map.shape[1] * work.buckets
        for family, select in zip(work.families, selects, strict=True):
            sums = [histogram.sum_rows(numbers, select, self._rows[:, kind], size) for kind in range(2)]
            total = self._rows[select].sum(axis=0, keepdims=True).T
            self._own[family.summed] = np.concatenate([total, np.stack(sums)], axis=1)
            if family.sibling is not None and family.parent is not None:
                self._own[family.sibling] = self._own.pop(family.parent) - self._own[family.summed]

    def _open(self, message: Message, work: Work) -> tuple[Integers, Integers]:
        """One evaluator's sums in their shuffled places: gradients and hessians, int64, shape (nodes, its buckets)."""
        if self._plan is None:
            raise AssertionError("sums came back before gradients went out")
        numbers = message["numbers"]
        told: tuple[Integers, Integers] = (np.zeros(0, dtype=np.int64),) * 2
        if message["packs"] is not None:
            told = split(self.decrypt(message["packs"]).to_numpy(self._encoder), self._plan)
        totals = np.stack([self._own[node][:, 0] for node in work.order])
        return _place(numbers, told[0], totals[:, :1]), _place(numbers, told[1], totals[:, 1:])


def _place(numbers: NDArray[Any], told: Integers, totals: Integers) -> Integers:
    padded = np.append(told, 0)
    return np.select([numbers == NOTHING, numbers == ALL], [0, totals], padded[np.maximum(numbers, -1)])


@dataclass
class _Node:
    sealed: Sealed
    counts: Integers = field(repr=False)


class Evaluator(HEUEvaluator):  # type: ignore[misc]
    """A party that sums over ciphertexts."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._arithmetic = Arithmetic(self.hekit)
        self._nodes: dict[int, _Node] = {}
        self._gradients: list[Any] = []
        self._numbers: Places = np.empty((0, 0), dtype=np.int32)

    def take_in(self, block: Any, before: int) -> int:
        """Take a block of a tree's encrypted gradients, in the order of rows.

        Args:
            block: shape (rows of the block, 1).
            before: what was given back for the block before; 0: it is the first, and those of the last tree go.

        Returns:
            How many rows are there now.
        """
        if before == 0:
            self.forget()
        self._gradients.append(block)
        return before + int(block.rows)

    def forget(self) -> None:
        """Drop what is left of a training."""
        self._nodes, self._gradients, self._numbers = {}, [], np.empty((0, 0), dtype=np.int32)

    def sum_level(
        self,
        given: tuple[Sequence[int], int],
        selects: Bits,
        work: Work,
        order_map: Any,
        masks: Sequence[Sequence[int]],
    ) -> Message:
        """The nodes' histograms over this party's features, shuffled and packed, for the label holder.

        Args:
            given: the tree's plan, and how many rows were taken in.
            selects: who is in each family's summed node.
            order_map: this party's, int8, shape (rows, features).
            masks: this party's shuffle for each node of ``work.order``.
        """
        plan, order_map = Plan(*given[0]), np.asarray(order_map)
        if work.forget is None:
            self._numbers = histogram.bucket_numbers(order_map, work.buckets)
        for node in work.forget or ():
            self._nodes.pop(node, None)
        self._sum(unpack_selects(selects), work, order_map)
        nodes = []
        for node, mask in zip(work.order, masks, strict=True):
            same = histogram.representatives(self._nodes[node].counts, work.buckets)
            nodes.append((self._nodes[node].sealed, same, np.asarray(mask)))
        packs, numbers = pack(self._arithmetic, plan, nodes)
        return {"packs": packs, "numbers": numbers}

    def _sum(self, selects: NDArray[np.bool_], work: Work, order_map: Any) -> None:
        size = order_map.shape[1] * work.buckets
        made = sum_nodes(self._arithmetic, self._gradients, selects, order_map, work.buckets)
        for family, select, sealed in zip(work.families, selects, made, strict=True):
            summed = _Node(sealed, histogram.count_rows(self._numbers, select, size))
            self._nodes[family.summed] = summed
            if family.sibling is not None and family.parent is not None:
                parent = self._nodes.pop(family.parent)
                counts = parent.counts - summed.counts
                sibling = subtract(self._arithmetic, parent.sealed, summed.sealed, counts, work.buckets)
                self._nodes[family.sibling] = _Node(sibling, counts)


class PackedHeu(HEU):  # type: ignore[misc]
    """SecretFlow's device with these actors; all that it did, it still does."""

    def init(self) -> None:
        keeper = self.config["sk_keeper"]["party"]
        identity = id(self)
        common = (self.cleartext_type, self.encoder)
        self.sk_keeper = sfd.remote(LabelHolder).party(keeper).remote(identity, self.config, *common)
        key = sfd.get(self.sk_keeper.public_key.remote())
        for evaluator in self.config["evaluators"]:
            party = evaluator["party"]
            make = sfd.remote(Evaluator).party(party)
            self.evaluators[party] = make.remote(identity, party, self.config, key, *common)

    def forget(self) -> None:
        """Drop what trainings left at the parties; the keys stay."""
        for actor in (self.sk_keeper, *self.evaluators.values()):
            actor.forget.remote()
