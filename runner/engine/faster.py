"""SGB's components that encrypt gradients and sum histograms, as one call a level and party (engine/encryption.py).

They take the place of SecretFlow's own; the shuffles are drawn in the same order, and the sums are the same integers.
What a party sees that it did not see before: nothing. The label holder works on its own gradients in plain inside its
process, and opens the same shuffled sums of evaluators, in fewer ciphertexts. (It needs no encrypted sum of a whole
node, which it knows.) An evaluator gets each row's gradients encrypted once a tree, as before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from secretflow.device import PYUObject
from secretflow.ml.boost.sgb_v.factory.components.bucket_sum_calculator import (
    BucketSumCalculator,
    LeafWiseBucketSumCalculator,
)
from secretflow.ml.boost.sgb_v.factory.components.gradient_encryptor import GradientEncryptor

from runner.engine.encryption import PackedHeu, PlanInput, Work
from runner.engine.histogram import Family, pack_selects

# Whose plaintexts have room for a gradient and a hessian of 64 bits side by side.
SCHEMES = frozenset({"ou", "paillier", "zpaillier"})
BLOCK = 1 << 16  # rows that travel, and are summed, at once; with 2048 bits one takes 0.3 kB on its way, then 0.7 kB


def applies_to(parameters: Mapping[str, Any], heu: Any) -> bool:
    """Whether these components know what the parameters ask for; if not, SecretFlow's own stay."""
    known = isinstance(heu, PackedHeu) and heu.config["he_parameters"]["schema"] in SCHEMES
    return known and parameters["batch_encoding_enabled"] and not parameters["audit_paths"]


def use(booster: Any, parameters: Mapping[str, Any], ordinary: bool) -> None:
    """Put the components into a booster that has not begun.

    Args:
        ordinary: whether rows have no weights, and labels are such as the objective knows (0 to 1 for logistic); else
            a row's gradient may be of any size.
    """
    components = booster.tree_trainer.components
    leaf_wise = isinstance(components.bucket_sum_calculator, LeafWiseBucketSumCalculator)
    encryptor = _Encryptor(_plan_input(parameters, ordinary), booster.tree_trainer)
    components.gradient_encryptor = encryptor
    components.bucket_sum_calculator = (_LeafWise if leaf_wise else _LevelWise)(encryptor)


def _plan_input(parameters: Mapping[str, Any], ordinary: bool) -> PlanInput:
    known = ordinary and not parameters["enable_goss"]
    largest = {"logistic": (1.0, 0.25), "linear": (None, 1.0)}.get(parameters["objective"], (None, None))
    return PlanInput(2 ** parameters["fixed_point_parameter"], largest if known else (None, None))


@dataclass(frozen=True)
class _Gradients:
    """A tree's gradients: in plain at the label holder, encrypted at the others.

    Attributes:
        plain: shape (rows, 2), at the label holder.
        plan: how sums are packed, at the label holder; None where only it has a part in the tree.
        taken: evaluator → how many rows it took in, there.
    """

    plain: PYUObject
    plan: Any
    taken: Mapping[str, Any]


class _Encryptor(GradientEncryptor):  # type: ignore[misc]
    """Sends a tree's gradients in blocks: one is sent and taken in while the next is encrypted, and none is kept.

    Args:
        trainer: it knows how many rows a tree has, as all parties do.
    """

    def __init__(self, given: PlanInput, trainer: Any) -> None:
        super().__init__()
        self.given = given
        self._trainer = trainer

    def encrypt(self, gh: PYUObject, tree_index: int) -> _Gradients:
        if self.params.label_holder_feature_only:
            return _Gradients(gh, None, {})
        rows, keeper = self._trainer.node_select_shape[1], self.heu.sk_keeper
        plan = keeper.plan_tree.remote(gh.data, self.given)
        taken: dict[str, Any] = {worker.party: 0 for worker in self.workers if worker != self.label_holder}
        for start in range(0, rows, BLOCK):
            block = keeper.encrypt_rows.remote(plan, start, min(start + BLOCK, rows))
            for party, before in taken.items():
                taken[party] = self.heu.get_participant(party).take_in.remote(block, before)
        return _Gradients(gh, plan, taken)

    def cache_to_workers(self, encrypted_gh: _Gradients, gh: PYUObject) -> _Gradients:
        return encrypted_gh


class _Sums:
    """What both ways of growing share: one call to each evaluator, and one to the label holder."""

    params: Any
    workers: Sequence[Any]
    label_holder: Any
    heu: Any

    def __init__(self, encryptor: _Encryptor) -> None:
        super().__init__()
        self._encryptor = encryptor

    def _sum(
        self,
        shuffler: Any,
        gradients: _Gradients,
        selects: PYUObject,
        work: Work,
        keys: Sequence[int],
        order_map: Any,
        bucket_lists: Sequence[PYUObject],
    ) -> tuple[PYUObject, PYUObject]:
        scale = self._encryptor.given.scale
        bits = self.label_holder(pack_selects)(selects)
        own, sealed = None, []
        for place, worker in enumerate(self.workers):
            if worker != self.label_holder and worker.party not in gradients.taken:
                continue
            masks = [shuffler.create_shuffle_mask(place, key, bucket_lists[place]).data for key in keys]
            mine = order_map.partitions[worker].data
            if worker == self.label_holder:
                own = (mine, masks)
                continue
            evaluator = self.heu.get_participant(worker.party)
            given = (gradients.plan, gradients.taken[worker.party])
            sealed.append(evaluator.sum_level.remote(given, bits.data, work, mine, masks))
        call = self.heu.sk_keeper.sum_level.options(num_returns=2)
        sums = call.remote(gradients.plain.data, scale, selects.data, work, own, sealed)
        return PYUObject(self.label_holder, sums[0]), PYUObject(self.label_holder, sums[1])


class _LevelWise(_Sums, BucketSumCalculator):  # type: ignore[misc]
    """A level at a time. Nodes have the numbers of their places: (level's first number) + place."""

    def reset_cache(self) -> None:
        self._parents: list[int] | None = None
        self._latest: list[int] = []
        self._forget: list[int] = []

    def calculate_bucket_sum_level_wise(
        self,
        shuffler: Any,
        encrypted_gh_dict: _Gradients,
        children_split_node_selects: PYUObject,
        is_lefts: Sequence[bool],
        order_map_sub: Any,
        bucket_num: int,
        bucket_lists: Sequence[PYUObject],
        gradient_encryptor: Any,
        node_num: Any,
        node_select_shape: Any,
    ) -> tuple[PYUObject, PYUObject]:
        shuffler.reset_shuffle_masks()
        if self._parents is None:
            families, order, forget = [Family(0)], [0], None
        else:
            first = self._latest[-1] + 1
            order = list(range(first, first + 2 * len(is_lefts)))
            pairs = zip(order[::2], order[1::2], is_lefts, self._parents, strict=True)
            families = [Family(a, b, parent) if left else Family(b, a, parent) for a, b, left, parent in pairs]
            forget = self._forget
        self._latest = order
        work = Work(families, order, forget, bucket_num + 1)
        return self._sum(
            shuffler,
            encrypted_gh_dict,
            children_split_node_selects,
            work,
            range(len(order)),
            order_map_sub,
            bucket_lists,
        )

    def update_level_cache(self, is_last_level: bool, gain_is_cost_effective: Sequence[bool]) -> None:
        split = list(zip(self._latest, gain_is_cost_effective, strict=True))
        self._parents = [node for node, effective in split if effective]
        self._forget = [node for node, effective in split if not effective]


class _LeafWise(_Sums, LeafWiseBucketSumCalculator):  # type: ignore[misc]
    """The two children of a node at a time. The root has number 0, children of n have 2n + 1 and 2n + 2."""

    def reset_cache(self) -> None:
        self._forget: list[int] | None = None

    def calculate_bucket_sum(
        self,
        shuffler: Any,
        encrypted_gh_dict: _Gradients,
        selected_children_node_indices: Sequence[int],
        all_children_node_indices: Sequence[int],
        children_split_node_selects: PYUObject,
        order_map_sub: Any,
        bucket_num: int,
        bucket_lists: Sequence[PYUObject],
        gradient_encryptor: Any,
        node_num: Any,
        node_select_shape: Any,
    ) -> tuple[PYUObject, PYUObject]:
        (summed,) = (int(node) for node in selected_children_node_indices)
        order = [int(node) for node in all_children_node_indices]
        family = Family(summed)
        if summed:
            (sibling,) = (node for node in order if node != summed)
            family = Family(summed, sibling, (summed - 1) // 2)
        work = Work([family], order, self._forget, bucket_num + 1)
        self._forget = []
        return self._sum(
            shuffler, encrypted_gh_dict, children_split_node_selects, work, order, order_map_sub, bucket_lists
        )

    def remove_pruned_node_cache(self, all_node_indices: Sequence[int], gain_is_cost_effective: Sequence[bool]) -> None:
        if self._forget is None:
            raise AssertionError("nodes are pruned after their sums were made")
        pruned = zip(all_node_indices, gain_is_cost_effective, strict=True)
        self._forget.extend(int(node) for node, effective in pruned if not effective)
