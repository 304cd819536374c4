"""Stage `load`: each party reads its own part from its disk, and the parts are joined to a model again."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
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
from runner.prepare.preparation import Preparation
from runner.stages.context import Context
from runner.stages.drift import PROFILE, compare_with_training
from runner.stages.multiclass import OneVsRest
from runner.stages.prepare import apply_preparation, preparation_of, turn_to
from runner.stages.secret import restore
from runner.stages.signing import exchange_signatures
from runner.stages.trees import assemble

MISMATCH_FILE = "feature_mismatch.json"


def load(context: Context) -> Any:
    """Load the bundle, never anything that is still in memory.

    Before anything is computed: every party holds the same manifest and signs it with the key that the others know,
    each part is the one that the manifest names, the roles are those of the training, and each party's table has the
    columns that its part was trained on. The features are then made of them as in the training.

    Raises:
        BundleError: where any of this does not hold.
        DataError: where a column has what its preparation does not allow, or a table to predict has drifted too far
            from that of the training.
    """
    manifest = _agreed_manifest(context)

    def read(site: Site) -> dict[str, Any]:
        part, profile = _read_part(context, site, manifest)
        _make_features(site, part, tells=context.spec.task.to_run() == "predict")
        _look_for_drift(context, site, profile)
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
    """The manifest, and each party's own part, at that party; no part moves, and no table is put in order.

    Raises:
        BundleError, DataError: as :func:`load` does.
    """
    manifest = _agreed_manifest(context)

    def read(site: Site) -> dict[str, Any]:
        part, profile = _read_part(context, site, manifest)
        _look_for_drift(context, site, profile)
        return part

    parts = context.everywhere(read)
    context.gate.finish(parts)
    return manifest, parts


def collect_parts(context: Context, at: str) -> PYUObject:
    """Bring every party's part to ``at``, which then has the complete model: splits, leaf weights, names.

    To predict, the parts hold what was fitted to the parties' columns too (medians, levels of text); to export, not.

    Returns:
        a list of the parts in canonical order, at ``at``.

    Raises:
        BundleError: as :func:`load` does, or where ``at`` has brought a table that lacks a feature of the model.
    """
    _, own = own_parts(context)
    received = []
    for party, part in own.items():
        if party != at:
            if "export" in context.spec.stages():
                part = context.at(party, _without_preparation, part)
            part = context.gate.deliver(part, at, stage="load", kind="complete_model", form=WHOLE_PART)
        received.append(part)

    def gather(site: Site, *parts: dict[str, Any]) -> list[dict[str, Any]]:
        if site.checked is not None:
            preparations = [preparation_of(part) for part in parts]
            _refuse_shared_names(site, preparations)
            _require_columns(site, *preparations)
        return list(parts)

    parts = context.at(at, gather, *received)
    context.gate.finish(parts)
    return parts


def _without_preparation(site: Site, part: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name != "prepare"}


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


def _read_part(context: Context, site: Site, manifest: Manifest) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The party's part of the model, and apart from it, as it never leaves the party, the profile of its table."""
    site.note("load", "bundle", manifest.bundle.encode())
    trained = context.spec.trained_as(site.party)
    part = read_part(context.bundles[site.party], trained, manifest, site.keys)
    return part, part.pop(PROFILE, None)


def _look_for_drift(context: Context, site: Site, profile: dict[str, Any] | None) -> None:
    """A test split is drawn from the training's own table: only tables that come later can have drifted."""
    if context.spec.task.to_run() == "predict" and site.checked is not None:
        compare_with_training(site, profile, context.spec.drift)


def _make_features(site: Site, part: dict[str, Any], *, tells: bool) -> None:
    """Make the features as in the training; leave out what the model does not know, and tell so if that is news."""
    preparation = preparation_of(part)
    extra = _require_columns(site, preparation)
    if extra and tells:
        site.emit(event="notice", text=f"{site.party}: {extra} of its columns are not in the model, and are not used")
    apply_preparation(site, preparation)
    for piece in site.pieces or ():  # all are looked at before a score of one is computed
        turn_to(site, piece)


def _refuse_shared_names(site: Site, preparations: Sequence[Preparation]) -> None:
    """One table has one column of a name; two parties' columns of that name may say different things.

    Raises:
        BundleError: that all may read; the names go to the party's own folder.
    """
    counted = Counter(name for preparation in preparations for name in preparation.names)
    shared = sorted(name for name, times in counted.items() if times > 1)
    if shared:
        write_json(site.folder / MISMATCH_FILE, {"of_several_parties": shared})
        raise BundleError(
            "the complete model cannot be applied to one table",
            where="predict.mode",
            why=f"{len(shared)} of its columns have a name that columns of several parties had in the training",
            fix="set predict.mode=auto, or train a model of columns with names of their own; "
            f"{site.party} finds the names in {site.folder / MISMATCH_FILE}",
        )


def _require_columns(site: Site, *preparations: Preparation) -> int:
    """The number of the table's columns that no preparation knows, where it has all that they do know.

    Raises:
        BundleError: that all may read, where it has not; the names go to the party's own folder.
    """
    table, known = site.table, set[str]()
    missing: list[str] = []
    retyped: dict[str, str] = {}
    for preparation in preparations:
        difference = preparation.difference(dict(zip(table.names, table.dtypes, strict=True)))
        missing += difference.missing
        retyped |= difference.retyped
        known |= set(preparation.names)
    if not missing and not retyped:
        return len(set(table.names) - known)
    write_json(site.folder / MISMATCH_FILE, {"missing": missing, "retyped": retyped})
    raise BundleError(
        f"{site.party}'s features are not those of the training",
        where=f"data.tables.{site.party}",
        why=f"{len(missing)} of the model's features are missing in its table or contract, "
        f"{len(retyped)} have another type",
        fix=f"bring a table like that of the training; {site.party} finds the names in {site.folder / MISMATCH_FILE}",
    )
