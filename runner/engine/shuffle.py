"""SGB's histogram shuffles, drawn from each party's own secret.

An evaluator permutes the buckets of its encrypted histograms before the label holder decrypts them. Stock SecretFlow
seeds every party's permutations with the one public ``seed`` and the process-wide generator, so the label holder can
undo them, and a single-process run gives other models. Here each party has a generator of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from secretflow.ml.boost.sgb_v import Sgb
from secretflow.ml.boost.sgb_v.factory.components.shuffler import Shuffler
from secretflow.ml.boost.sgb_v.factory.components.shuffler.shuffler_core import Shuffler as Masks
from secretflow.ml.boost.sgb_v.factory.components.shuffler.worker_shuffler import WorkerShuffler

from runner.engine.generators import legacy_state, restore_legacy

SeedOf = Callable[[str], Sequence[int] | int]  # party → its seed; called in that party's process only


class _PrivateMasks(Masks):  # type: ignore[misc]
    def __init__(self, seed: Sequence[int] | int) -> None:
        super().__init__()
        # The legacy generator, so that a program that calls np.random.seed with this seed draws the same masks.
        self.generator = np.random.RandomState(seed)

    def create_shuffle_mask(self, key: int, bucket_list: list[int]) -> None:
        """Permute each feature's buckets; the last one, which holds all that is left, stays in its place."""
        indices: list[int] = []
        for buckets in bucket_list:
            offset = len(indices)
            indices.extend(offset + int(place) for place in self.generator.permutation(buckets - 1))
            indices.append(offset + buckets - 1)
        self.reindex_list_map[key] = indices


class _PrivateWorkerShuffler(WorkerShuffler):  # type: ignore[misc]
    def __init__(self, seed_of: SeedOf, party: str) -> None:
        self.shuffler = _PrivateMasks(seed_of(party))

    def state(self) -> dict[str, Any]:
        return legacy_state(self.shuffler.generator)

    def restore(self, state: dict[str, Any]) -> None:
        restore_legacy(self.shuffler.generator, state)


class _PrivateShuffler(Shuffler):  # type: ignore[misc]
    def __init__(self, seed_of: SeedOf) -> None:
        super().__init__()
        self._seed_of = seed_of

    def set_actors(self, actors: list[Any]) -> None:
        self.worker_shufflers = actors
        for actor in actors:
            actor.register_class("WorkerShuffler", _PrivateWorkerShuffler, self._seed_of, actor.device.party)


class PrivateSgb(Sgb):  # type: ignore[misc]
    """SecretFlow's SGB with private shuffles, or, without ``seed_of``, as it is.

    (As it is, the label holder's shuffles and the noise that breaks its ties come from one process-wide generator.)
    """

    def __init__(self, heu: Any, seed_of: SeedOf | None) -> None:
        super().__init__(heu)
        self._seed_of = seed_of

    def _produce(self) -> Any:
        booster = super()._produce()
        if self._seed_of is not None:
            booster.tree_trainer.components.shuffler = _PrivateShuffler(self._seed_of)
        return booster
