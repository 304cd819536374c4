"""Stage `load`: each party reads its own part from its disk, and the parts are joined to a model again."""

from __future__ import annotations

from typing import Any

from secretflow.device import PYUObject
from secretflow.ml.boost.sgb_v.core.distributed_tree.distributed_tree import from_dict as tree_from_dict
from secretflow.ml.boost.sgb_v.core.params import RegType
from secretflow.ml.boost.sgb_v.model import SgbModel

from runner.bundle.layout import Manifest, read_manifest, read_part
from runner.engine.site import Site
from runner.errors import BundleError
from runner.stages.context import Context


def load(context: Context) -> SgbModel:
    """Load the bundle, never anything that is still in memory.

    Before anything is computed: every party holds the same manifest, each part is the one that the manifest names,
    the roles are those of the training, and each party's table has the features that its part was trained on.

    Raises:
        BundleError: where any of this does not hold.
    """
    manifests = {party: read_manifest(context.bundles[party], party) for party in context.sites}
    own = {party: context.at(party, lambda site: manifests[site.party].bundle) for party in context.devices}
    ids = context.gate.exchange(own, stage="load", kind="model")
    if len(set(ids.values())) > 1:
        raise BundleError(
            "the parties hold parts of different models",
            where=", ".join(f"{party}: {bundle[:8]}" for party, bundle in ids.items()),
            why="their manifests are not the same",
            fix="let every party use its part of one training",
        )
    manifest = next(iter(manifests.values()))
    _check_roles(context, manifest)
    return _assemble(context, manifest)


def _check_roles(context: Context, manifest: Manifest) -> None:
    spec = context.spec
    if set(manifest.parties) != set(spec.parties) or manifest.label_holder != spec.label.holder:
        raise BundleError(
            "the model was trained with other roles",
            where="parties, label.holder",
            why=f"in training: {', '.join(sorted(manifest.parties))}, label holder {manifest.label_holder}; "
            f"now: {', '.join(sorted(spec.parties))}, label holder {spec.label.holder}",
            fix="use the parties and the label holder of the training",
        )
    if manifest.objective != spec.sgb.objective:
        raise BundleError(
            f"the model was trained for objective {manifest.objective!r}",
            where="sgb.objective",
            why=f"this run says {spec.sgb.objective!r}, which reads its scores in another way",
            fix=f"set sgb.objective={manifest.objective}",
        )


def _assemble(context: Context, manifest: Manifest) -> SgbModel:
    def read(site: Site) -> list[Any]:
        part = read_part(context.bundles[site.party], site.party, manifest, site.derive("bundle"))
        if part["features"] != list(site.table.names):
            raise BundleError(
                f"{site.party}'s features are not those of the training",
                where=f"data.tables.{site.party}.contract",
                why="names, number or order of the contract's columns differ from the model's part",
                fix=f"use the contract of the training; {site.party} finds the names in its part",
            )
        return list(part["trees"]) + list(part.get("leaf_weights", []))

    parts = {party: context.at(party, read) for party in context.devices}
    context.gate.finish(parts)
    model = SgbModel(context.holder, RegType(manifest.objective), manifest.base_score)
    model.partition_column_counts = {
        context.devices[party]: entry.features for party, entry in manifest.parties.items()
    }
    for index in range(manifest.trees):
        model.trees.append(
            tree_from_dict(
                {
                    "split_tree_dict": {
                        device: _item(parts[party], index) for party, device in context.devices.items()
                    },
                    "leaf_weight": _item(parts[manifest.label_holder], manifest.trees + index),
                    "label_holder": context.holder,
                    "partition_column_counts": model.partition_column_counts,
                }
            )
        )
    return model


def _item(values: PYUObject, index: int) -> PYUObject:
    return values.device(lambda values: values[index])(values)
