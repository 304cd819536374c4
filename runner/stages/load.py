"""Stage `load`: each party reads its own part from its disk, and the parts are joined to a model again."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from secretflow.device import PYUObject

from runner.bundle.layout import damaged
from runner.bundle.manifest import Manifest, read_manifest, read_signatures
from runner.bundle.part import read_part
from runner.bundle.roles import require_roles
from runner.engine.site import Site
from runner.errors import BundleError
from runner.files import write_json
from runner.policy.flows import SIGNATURE, WHOLE_PART
from runner.stages.context import Context
from runner.stages.multiclass import OneVsRest
from runner.stages.secret import restore
from runner.stages.signing import exchange_signatures
from runner.stages.trees import assemble

MISMATCH_FILE = "feature_mismatch.json"


def load(context: Context) -> Any:
    """Load the bundle, never anything that is still in memory.

    Before anything is computed: every party holds the same manifest and signs it with the key that the others know,
    each part is the one that the manifest names, the roles are those of the training, and each party's table has the
    features that its part was trained on. The table's columns are then put in the order of the training.

    Raises:
        BundleError: where any of this does not hold.
    """
    manifest = _agreed_manifest(context)

    def read(site: Site) -> dict[str, Any]:
        part = _read_part(context, site, manifest)
        _arrange(site, part)
        return part

    parts = {party: context.at(party, read) for party in context.devices}
    context.gate.finish(parts)
    if manifest.engine == "ss_xgb":
        return restore(context, parts, manifest.trees)
    if manifest.classes:
        return _of_classes(context, manifest, parts)
    return assemble(context, manifest.objective, manifest.base_score, range(manifest.trees), parts)


def _of_classes(context: Context, manifest: Manifest, parts: Mapping[str, PYUObject]) -> OneVsRest:
    """The model of each class, from its own trees among all; the classes' names stay at the label holder."""
    ends = list(itertools.accumulate(manifest.classes))
    trees = [range(end - count, end) for end, count in zip(ends, manifest.classes, strict=True)]
    models = tuple(assemble(context, "logistic", manifest.base_score, own, parts) for own in trees)
    holder = context.spec.label.holder
    return OneVsRest(models, context.at(holder, lambda site, part: part["classes"], parts[holder]))


def own_parts(context: Context) -> tuple[Manifest, dict[str, PYUObject]]:
    """The manifest, and each party's own part, at that party; no part moves, and no table is looked at.

    Raises:
        BundleError: as :func:`load` does.
    """
    manifest = _agreed_manifest(context)
    parts = context.everywhere(lambda site: _read_part(context, site, manifest))
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
        if site.prepared is not None and (missing := sorted(features - set(site.prepared.names))):
            raise _other_features(site, missing, {})
        return list(parts)

    parts = context.at(at, gather, *received)
    context.gate.finish(parts)
    return parts


def _agreed_manifest(context: Context) -> Manifest:
    """The manifest, after making sure that it is the same at every party and fits this run's roles."""
    manifests = {party: _own_manifest(context, site) for party, site in context.sites.items()}
    exchange_signatures(context, manifests, "load", SIGNATURE)
    manifest = next(iter(manifests.values()))
    require_roles(context.spec, manifest)
    return manifest


def _own_manifest(context: Context, site: Site) -> Manifest:
    """A party's manifest, which the party itself has signed."""
    folder, trained = context.bundles[site.party], context.spec.trained_as(site.party)
    manifest = read_manifest(folder, site.party)
    signatures = read_signatures(folder, site.party, manifest)
    own_keys = {site.keys.public, *(former.key for former in site.keys.former)}
    if trained not in signatures or signatures[trained].key not in own_keys:
        raise damaged(folder, site.party, f"it was not signed with the key of {site.party}")
    return manifest


def _read_part(context: Context, site: Site, manifest: Manifest) -> dict[str, Any]:
    site.note("load", "bundle", manifest.bundle.encode())
    trained = context.spec.trained_as(site.party)
    return read_part(context.bundles[site.party], trained, manifest, site.keys)


def _arrange(site: Site, part: dict[str, Any]) -> None:
    """Put the table's features in the order of the training; leave out what the model does not know."""
    found = dict(zip(site.table.names, site.table.dtypes, strict=True))
    trained = dict(zip(part["features"], part["dtypes"], strict=True))
    missing = [name for name in trained if name not in found]
    retyped = {
        name: f"{found[name]}, in training {dtype}"
        for name, dtype in trained.items()
        if found.get(name, dtype) != dtype
    }
    if missing or retyped:
        raise _other_features(site, missing, retyped)
    extra = len(found) - len(trained)
    if extra:
        site.emit(event="notice", text=f"{site.party}: {extra} of its columns are not in the model, and are not used")
    site.use_features(tuple(trained))


def _other_features(site: Site, missing: list[str], retyped: Mapping[str, str]) -> BundleError:
    """The error that all may read; the names go to the party's own folder."""
    write_json(site.folder / MISMATCH_FILE, {"missing": missing, "retyped": dict(retyped)})
    return BundleError(
        f"{site.party}'s features are not those of the training",
        where=f"data.tables.{site.party}",
        why=f"{len(missing)} of the model's features are missing in its table or contract, "
        f"{len(retyped)} have another type",
        fix=f"bring a table like that of the training; {site.party} finds the names in {site.folder / MISMATCH_FILE}",
    )
