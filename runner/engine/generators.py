"""The random generators that SGB draws from, and their states as plain values.

A training draws from three kinds of generator, and in each party's process from its own:

- the sampler's (rows, columns, GOSS), one per party, seeded with the public ``sgb.seed``;
- the private shuffles' (:mod:`runner.engine.shuffle`), one per party;
- NumPy's process-wide one: the noise on split gains at the label holder, and stock SecretFlow's shuffles at everyone.

A generator whose state is put back draws the same numbers again. NumPy's process-wide one is read and put back by the
party's actor, which does one thing after another: SecretFlow's order map, which the same actor makes, seeds it, and any
other function might run beside that one, or before it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from secretflow.device import PYUObject
from secretflow.ml.boost.sgb_v.factory.components.sampler import Sampler
from secretflow.ml.boost.sgb_v.factory.components.sampler.sample_actor import SampleActor


def legacy_state(generator: Any) -> dict[str, Any]:
    """The state of one of NumPy's legacy generators (MT19937), as plain values.

    Args:
        generator: an ``np.random.RandomState``, or the module ``np.random`` itself for the process-wide one.
    """
    state = generator.get_state(legacy=False)
    inner = {"key": state["state"]["key"].tolist(), "pos": int(state["state"]["pos"])}
    return {**state, "state": inner}


def restore_legacy(generator: Any, state: dict[str, Any]) -> None:
    """Put a state of :func:`legacy_state` back."""
    inner = {**state["state"], "key": np.array(state["state"]["key"], dtype=np.uint32)}
    generator.set_state({**state, "state": inner})


class KeptSampleActor(SampleActor):  # type: ignore[misc]
    """SecretFlow's sampler of one party, whose generator can be read and put back; so can NumPy's process-wide one."""

    def state(self) -> dict[str, Any]:
        """The generator's state, as plain values."""
        state: dict[str, Any] = self.rng.bit_generator.state
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Put a state back."""
        self.rng.bit_generator.state = state

    def process_state(self) -> dict[str, Any]:
        """The state of the generator that all of the party's process share."""
        return legacy_state(np.random)

    def restore_process(self, state: dict[str, Any]) -> None:
        """Put a state of it back."""
        restore_legacy(np.random, state)


class KeptSampler(Sampler):  # type: ignore[misc]
    """SecretFlow's sampler, with :class:`KeptSampleActor` at each party."""

    def set_actors(self, actors: list[Any]) -> None:
        self.sample_actors = {actor.device: actor for actor in actors}
        for actor in actors:
            actor.register_class("SampleActor", KeptSampleActor, self.params.seed)

    def generate_col_choices(self, feature_buckets: list[PYUObject]) -> tuple[list[PYUObject], list[PYUObject]]:
        choices, self.total_buckets = super().generate_col_choices(feature_buckets)
        return choices, self.total_buckets


class Generators:
    """All generators of one training in progress.

    Args:
        booster: SecretFlow's booster, after its ``fit`` has made the parties' actors.
        private_shuffles: whether shuffles are the parties' own; else they come from the process-wide generator.
    """

    def __init__(self, booster: Any, private_shuffles: bool) -> None:
        components = booster.tree_trainer.components
        self._samplers = components.sampler.sample_actors
        self._shufflers = {actor.device: actor for actor in components.shuffler.worker_shufflers}
        self._private = private_shuffles
        self._holder = booster.devices.label_holder

    def states(self) -> dict[str, PYUObject]:
        """Party → the states of its generators, as plain values, at that party."""
        return {device.party: self._state(device) for device in self._samplers}

    def restore(self, states: dict[str, PYUObject]) -> list[PYUObject]:
        """Put the parties' states back; returns what to wait for."""
        effects: list[PYUObject] = []
        for device, sampler in self._samplers.items():
            state = states[device.party]
            effects.append(sampler.invoke_class_method("SampleActor", "restore", _item(state, "sampler")))
            if self._private:
                shuffler = self._shufflers[device]
                effects.append(shuffler.invoke_class_method("WorkerShuffler", "restore", _item(state, "shuffler")))
            if self._draws_from_process(device):
                process = _item(state, "process")
                effects.append(sampler.invoke_class_method("SampleActor", "restore_process", process))
        return effects

    def _state(self, device: Any) -> PYUObject:
        sampler = self._samplers[device]
        parts = {"sampler": sampler.invoke_class_method("SampleActor", "state")}
        if self._private:
            parts["shuffler"] = self._shufflers[device].invoke_class_method("WorkerShuffler", "state")
        if self._draws_from_process(device):
            parts["process"] = sampler.invoke_class_method("SampleActor", "process_state")
        names = tuple(parts)
        return device(lambda *states: dict(zip(names, states, strict=True)))(*parts.values())

    def _draws_from_process(self, device: Any) -> bool:
        return not self._private or device == self._holder


def _item(states: PYUObject, name: str) -> PYUObject:
    return states.device(lambda states: states[name])(states)
