"""Stage `import`: each party reads the files that SecretFlow's own ``save_model`` wrote for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from secretflow.device import PYUObject
from secretflow.ml.boost.sgb_v.model import SgbModel

from runner.engine.site import Site
from runner.errors import BundleError
from runner.export.secretflow_files import Declared, read_secretflow_files
from runner.export.trees import LEAF, shape_digest
from runner.policy.flows import OWN_SPLITS, SHAPE
from runner.stages.context import Context
from runner.stages.prepare import prepare_as_it_is
from runner.stages.trees import assemble


def import_model(context: Context) -> SgbModel:
    """The model from the parties' own files, of which none leaves its party.

    The features' names and order are those of each party's contract: the files have numbers only. All parties learn
    that their trees have one shape; the label holder, that each node is split by one party: what it sees in a training.

    Raises:
        BundleError: where a file is not SecretFlow's, does not fit the run, or belongs to another model.
    """
    spec = context.spec
    folders = spec.import_from or {}
    declared = Declared(spec.label.holder, spec.sgb.objective, spec.sgb.stated_base())

    def read(site: Site) -> dict[str, Any]:
        prepare_as_it_is(site)
        return read_secretflow_files(Path(folders[site.party]), site.party, len(site.preparation.features), declared)

    parts = context.everywhere(read)
    trees = _require_one_shape(context, parts)
    _require_whole(context, parts)
    return assemble(context, spec.sgb.objective, spec.sgb.stated_base(), range(trees), parts)


def _require_one_shape(context: Context, parts: dict[str, PYUObject]) -> int:
    """The number of trees, after making sure that it, the trees' shape and the numbers of features agree."""

    def describe(site: Site, part: dict[str, Any]) -> str:
        return f"{len(site.preparation.features)} {len(part['trees'])} {shape_digest(part['trees'])}"

    own = {party: context.at(party, describe, part) for party, part in parts.items()}
    told = context.gate.exchange(own, stage="import", kind="model_parts", form=SHAPE)
    features = {party: int(text.split()[0]) for party, text in told.items()}
    trees = {party: int(text.split()[1]) for party, text in told.items()}
    if len(set(trees.values())) > 1:
        raise _other_models(", ".join(f"{party} has {number} trees" for party, number in trees.items()))
    if len({text.split()[2] for text in told.values()}) > 1:
        raise _other_models("the shapes of their trees differ")

    def compare(site: Site, part: dict[str, Any]) -> None:
        for party, number in features.items():
            noted = part["columns"].get(party, number)
            if noted != number:
                raise _other_models(f"it was trained with {noted} features of {party}, whose contract has {number}")

    holder = context.spec.label.holder
    context.gate.finish([context.at(holder, compare, parts[holder])])
    return next(iter(trees.values()))


def _require_whole(context: Context, parts: dict[str, PYUObject]) -> None:
    """At the label holder: every node of every tree is split by exactly one party."""
    holder = context.spec.label.holder
    owners = []
    for party, part in parts.items():
        owned = context.at(party, _owned, part)
        if party != holder:
            owned = context.gate.deliver(owned, holder, stage="import", kind="model_parts", form=OWN_SPLITS)
        owners.append(owned)

    def require(site: Site, *owners: str) -> None:
        if any(nodes.count("1") != 1 for nodes in zip(*owners, strict=True)):
            raise _other_models("a node of a tree is split by none of them, or by more than one")

    context.gate.finish([context.at(holder, require, *owners)])


def _owned(site: Site, part: dict[str, Any]) -> str:
    """A character for each node of all trees, in the order of their numbers: 1 where this party splits it."""
    nodes = (sorted(zip(tree["split_indices"], tree["split_features"], strict=True)) for tree in part["trees"])
    return "".join("0" if feature == LEAF else "1" for tree in nodes for _, feature in tree)


def _other_models(why: str) -> BundleError:
    return BundleError(
        "the parties' files are not of one model",
        where="import_from",
        why=why,
        fix="let every party give what one call of SecretFlow's save_model wrote for it",
    )
