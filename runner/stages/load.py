"""Stage `load`: each party reads its own part from its disk, and the parts are joined to a model again."""

from __future__ import annotations

from typing import Any

from secretflow.device import PYUObject

from runner.bundle.layout import Manifest, read_manifest, read_part
from runner.engine.site import Site
from runner.errors import BundleError
from runner.policy.flows import BUNDLE, WHOLE_PART
from runner.stages.context import Context
from runner.stages.secret import restore
from runner.stages.trees import assemble


def load(context: Context) -> Any:
    """Load the bundle, never anything that is still in memory.

    Before anything is computed: every party holds the same manifest, each part is the one that the manifest names,
    the roles are those of the training, and each party's table has the features that its part was trained on.

    Raises:
        BundleError: where any of this does not hold.
    """
    manifest = _agreed_manifest(context)

    def read(site: Site) -> dict[str, Any]:
        part = read_part(context.bundles[site.party], site.party, manifest, site.derive("bundle"))
        if part["features"] != list(site.table.names):
            raise _other_features(site.party)
        return part

    parts = {party: context.at(party, read) for party in context.devices}
    context.gate.finish(parts)
    if manifest.engine == "ss_xgb":
        return restore(context, parts, manifest.trees)
    return assemble(context, manifest.objective, manifest.base_score, manifest.trees, parts)


def own_parts(context: Context) -> tuple[Manifest, dict[str, PYUObject]]:
    """The manifest, and each party's own part, at that party; no part moves, and no table is looked at.

    Raises:
        BundleError: as :func:`load` does.
    """
    manifest = _agreed_manifest(context)

    def read(site: Site) -> dict[str, Any]:
        return read_part(context.bundles[site.party], site.party, manifest, site.derive("bundle"))

    parts = context.everywhere(read)
    context.gate.finish(parts)
    return manifest, parts


def collect_parts(context: Context, at: str) -> PYUObject:
    """Bring every party's part to ``at``, which then has the complete model: splits, leaf weights, names.

    Returns:
        a list of the parts in canonical order, at ``at``.

    Raises:
        BundleError: as :func:`load` does, or where ``at`` has brought a table that lacks a feature of the model.
    """
    _, own = own_parts(context)
    received = []
    for party, part in own.items():
        if party != at:
            part = context.gate.deliver(part, at, stage="load", kind="complete_model", form=WHOLE_PART)
        received.append(part)

    def gather(site: Site, *parts: dict[str, Any]) -> list[dict[str, Any]]:
        features = {name for part in parts for name in part["features"]}
        if site.prepared is not None and not features <= set(site.prepared.names):
            raise _other_features(site.party)
        return list(parts)

    parts = context.at(at, gather, *received)
    context.gate.finish(parts)
    return parts


def _agreed_manifest(context: Context) -> Manifest:
    """The manifest, after making sure that it is the same at every party and fits this run's roles."""
    manifests = {party: read_manifest(context.bundles[party], party) for party in context.sites}
    own = {party: context.at(party, lambda site: manifests[site.party].bundle) for party in context.devices}
    ids = context.gate.exchange(own, stage="load", kind="model_parts", form=BUNDLE)
    if len(set(ids.values())) > 1:
        raise BundleError(
            "the parties hold parts of different models",
            where=", ".join(f"{party}: {bundle[:8]}" for party, bundle in ids.items()),
            why="their manifests are not the same",
            fix="let every party use its part of one training",
        )
    manifest = next(iter(manifests.values()))
    _check_roles(context, manifest)
    return manifest


def _other_features(party: str) -> BundleError:
    return BundleError(
        f"{party}'s features are not those of the training",
        where=f"data.tables.{party}.contract",
        why="names, number or order of the contract's columns differ from the model's part",
        fix=f"use the contract of the training; {party} finds the names in its part",
    )


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
    if manifest.engine != spec.engine():
        raise BundleError(
            f"the model was trained by {manifest.engine}",
            where="label.mode",
            why=f"this run's label mode, {spec.label.mode}, uses {spec.engine()}",
            fix="use the label mode of the training",
        )
    if manifest.objective != spec.sgb.objective:
        raise BundleError(
            f"the model was trained for objective {manifest.objective!r}",
            where="sgb.objective",
            why=f"this run says {spec.sgb.objective!r}, which reads its scores in another way",
            fix=f"set sgb.objective={manifest.objective}",
        )
