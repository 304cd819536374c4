"""Checkpoints of a training: each party's state, sealed with its own key, and how a training goes on from them.

A party's checkpoint holds its splits of the trees so far, the states of the generators that its process draws from, and
a keyed digest of its table; the label holder's also leaf weights, the raw scores of the training rows, and the learning
curve. Only its own party can read it; the parties tell each other the numbers of trees of their checkpoints, and
nothing else of them leaves its party. The homomorphic keys are not kept: no bit of a model depends on them.

The order of writing, so that a kill at any moment leaves a number of trees that all parties have:

1. every party writes its new file under a temporary name, flushes it, and renames it;
2. the parties exchange what they have, which nobody has done before its own file is whole;
3. only then does each remove its older files.

A training has a random name, which goes on with it from run to run: parties that each point at a run folder of their
own must not join the states of two trainings. A run that goes on keeps the checkpoint that it began with as its own.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from secretflow.device import PYUObject

from runner.bundle.checkpoint import (
    checkpoint_folder,
    list_checkpoints,
    newest_common,
    read_checkpoint,
    remove_checkpoints,
    write_checkpoint,
)
from runner.engine.resume import Moment, Start, join_tree, pack_array, pack_splits, unpack_array, unpack_splits
from runner.engine.site import Site
from runner.errors import BundleError, DataError
from runner.files import canonical_json
from runner.policy.flows import CHECKPOINTS, TRAINING
from runner.spec.identity import training_digest
from runner.stages.context import Context

FORMAT = 2


def name_of_new(context: Context) -> str:
    """The name of a training that begins with this run: the same at all parties, and of no other run."""
    return hashlib.sha256(f"training {context.nonce}".encode()).hexdigest()


def save_checkpoint(context: Context, moment: Moment, curve: PYUObject, training: str) -> None:
    """Write every party's checkpoint of this moment, and then remove the older ones.

    Args:
        context: the run.
        moment: the training, just before its next tree.
        curve: the points of the learning curve before this moment, a list at the label holder.
        training: its name.
    """
    holder, trees = context.holder.party, len(moment.trees)
    generators = moment.generators.states()
    written = {}
    for party, device in context.devices.items():
        state: dict[str, Any] = {
            "splits": [tree.get_split_tree_dict()[device] for tree in moment.trees],
            "generators": generators[party],
            "training": training,
        }
        if party == holder:
            weights = [tree.get_leaf_weight() for tree in moment.trees]
            state |= {"leaf_weights": weights, "scores": moment.scores, "curve": curve}

        def write(site: Site, state: dict[str, Any]) -> str:
            folder = own_folder(site)
            sealed = site.keys.seal(_packed(site, state), _binding(context, site, trees))
            write_checkpoint(folder, trees, sealed)
            return _told(list_checkpoints(folder))

        written[party] = context.at(party, write, state)
    _exchange(context, written)

    def remove_older(site: Site) -> None:
        remove_checkpoints(own_folder(site), before=trees)
        print(f"checkpoint after tree {trees}", flush=True)

    context.gate.finish(context.everywhere(remove_older))


def drop_checkpoints(context: Context) -> None:
    """Remove this run's checkpoints: the model is saved."""
    context.gate.finish(context.everywhere(lambda site: remove_checkpoints(own_folder(site))))


def load_checkpoint(context: Context, label: PYUObject) -> tuple[Start, PYUObject]:
    """The state that the run ``resume`` left, after the newest tree of which all parties have it.

    Args:
        context: this run.
        label: the label of the training rows, at the label holder.

    Returns:
        where to start, and the points of the learning curve so far, a list at the label holder.

    Raises:
        BundleError: at a party whose checkpoint is missing, altered, another party's or another training's; at all
            where they are of different trainings.
        DataError: at a party whose table is not the one of that training.
    """
    run = Path(str(context.spec.resume))

    def look(site: Site) -> str:
        return _told(list_checkpoints(checkpoint_folder(run, site.party)))

    found = _exchange(context, context.everywhere(look))
    trees = newest_common(found, str(run))

    def read(site: Site) -> dict[str, Any]:
        path = checkpoint_folder(run, site.party)
        sealed = read_checkpoint(path, site.party, trees)
        try:
            state: dict[str, Any] = json.loads(site.keys.unseal(sealed, _binding(context, site, trees)))
        except ValueError:
            raise _unreadable(site.party, path) from None
        if state["table"] != _table_digest(site):
            raise _other_table(site.party)
        return {**state, "trees": trees}

    states = {party: context.at(party, read) for party in context.devices}
    context.gate.finish(states)
    training = _require_one_training(context, states)

    def keep(site: Site) -> None:
        sealed = read_checkpoint(checkpoint_folder(run, site.party), site.party, trees)
        write_checkpoint(own_folder(site), trees, sealed)

    context.gate.finish(context.everywhere(keep))
    of_holder = states[context.holder.party]
    scores = context.at(context.holder.party, _fitting_scores, of_holder, label)
    context.gate.finish(scores)
    start = Start(
        trees=[
            join_tree(
                context.holder,
                {
                    device: _take(states[party], lambda state, at: unpack_splits(state["splits"][at]), at)
                    for party, device in context.devices.items()
                },
                _take(of_holder, lambda state, at: unpack_array(state["leaf_weights"][at]), at),
            )
            for at in range(trees)
        ],
        scores=scores,
        generators={party: _take(state, lambda state: state["generators"]) for party, state in states.items()},
        training=training,
    )
    return start, _take(of_holder, lambda state: state["curve"])


def _require_one_training(context: Context, states: dict[str, PYUObject]) -> str:
    """The name of the training that all parties' checkpoints are of, after the same number of trees at all of them.

    (Where one party told the others different numbers, they would train past each other.)
    """
    own = {party: _take(state, _name_and_number) for party, state in states.items()}
    named = context.gate.exchange(own, stage="train", kind="model_parts", form=TRAINING)
    if len(set(named.values())) > 1:
        together = [[party for party in named if named[party] == name] for name in dict.fromkeys(named.values())]
        raise BundleError(
            "the parties go on from different trainings",
            where="resume",
            why="the checkpoints are of one training and tree at "
            + ", of another at ".join(map(" and ".join, together)),
            fix="let every party name the run folder that the same interrupted run left at its site",
        )
    return str(named[context.spec.label.holder]).partition(" ")[0]


def _name_and_number(state: dict[str, Any]) -> str:
    return f"{state['training']} {state['trees']}"


def own_folder(site: Site) -> Path:
    """Where a party's checkpoints of this run lie."""
    return checkpoint_folder(site.folder.parent.parent, site.party)


def _take(state: PYUObject, work: Any, *arguments: Any) -> PYUObject:
    return state.device(work)(state, *arguments)


def _exchange(context: Context, told: dict[str, PYUObject]) -> dict[str, list[int]]:
    """Every party's numbers of trees; each has them when all have told theirs, so that this is also a meeting point."""
    shown = context.gate.exchange(told, stage="train", kind="model_parts", form=CHECKPOINTS)
    return {party: [int(number) for number in text.split()] for party, text in shown.items()}


def _told(numbers: list[int]) -> str:
    return " ".join(map(str, numbers))


def _packed(site: Site, state: dict[str, Any]) -> bytes:
    values = {
        "table": _table_digest(site),
        "splits": [pack_splits(splits) for splits in state["splits"]],
        "generators": state["generators"],
        "training": state["training"],
    }
    if "scores" in state:
        values["leaf_weights"] = [pack_array(weights) for weights in state["leaf_weights"]]
        values["scores"] = pack_array(state["scores"])
        values["curve"] = state["curve"]
    return json.dumps(values).encode()


def _binding(context: Context, site: Site, trees: int) -> bytes:
    """What a checkpoint is sealed for: it opens for this party, this training and this number of trees only."""
    return canonical_json(
        {"checkpoint": FORMAT, "party": site.party, "training": training_digest(context.spec), "trees": trees}
    )


def _table_digest(site: Site) -> str:
    return site.table.digest(site.derive("checkpoint"))


def _fitting_scores(site: Site, state: dict[str, Any], label: Any) -> Any:
    scores = unpack_array(state["scores"])
    if scores.shape != np.shape(label):
        raise DataError(
            "the checkpoint and the label do not fit",
            where="label",
            why=f"the interrupted training had {len(scores)} rows with a label, and now there are {len(label)}",
            fix="bring the labels of the interrupted training, or train from the start",
        )
    return scores


def _other_table(party: str) -> DataError:
    return DataError(
        f"{party}'s table is not the one of the interrupted training",
        where=f"data.tables.{party}",
        why="the digest of its table is not the one in its checkpoint",
        fix="bring the table of that training, or train from the start",
    )


def _unreadable(party: str, path: Path) -> BundleError:
    return BundleError(
        f"{party}'s checkpoint cannot be read",
        where=str(path),
        why="it was altered, or is another party's or another training's, or of another key or version of the runner",
        fix=f"restore the file and {party}'s key from a copy, or train from the start",
    )
