"""Stage `save`: each party writes its own part of the model, then all write one manifest."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from secretflow.ml.boost.sgb_v.model import SgbModel

from runner import __version__
from runner.bundle.layout import FORMAT, Manifest, PartyEntry, write_manifest, write_part
from runner.engine.site import Site
from runner.policy.flows import PART
from runner.spec.identity import spec_digest
from runner.stages.context import Context


def save(context: Context, model: SgbModel) -> Manifest:
    """Write the bundle: the parts first, and the manifest, which makes it complete, last.

    A part holds its party's split features, values, leaf order and feature names; the label holder's holds the leaf
    weights too. Nobody sees another's part; the parties exchange its digest, each under its own key.
    """
    content = model.to_dict()

    def write(site: Site, trees: list[dict[str, Any]], weights: list[Any]) -> str:
        part: dict[str, Any] = {"party": site.party, "features": list(site.table.names), "trees": trees}
        if weights:
            part["leaf_weights"] = weights
        digest = write_part(context.bundles[site.party], part, site.derive("bundle"))
        return f"{len(site.table.names)} {digest}"

    written = {
        party: context.at(
            party,
            write,
            content["split_trees"][device],
            content["leaf_weights"] if device == context.holder else [],
        )
        for party, device in context.devices.items()
    }
    spec = context.spec
    entries = {}
    for party, text in context.gate.exchange(written, stage="save", kind="model_parts", form=PART).items():
        features, digest = text.split()
        entries[party] = PartyEntry(features=int(features), part=digest)
    manifest = Manifest(
        format=FORMAT,
        bundle="",
        engine="sgb",
        spec=spec_digest(spec),
        objective=spec.sgb.objective,
        base_score=spec.sgb.base_score,
        trees=len(model.trees),
        label_holder=spec.label.holder,
        parties=entries,
        scheme=spec.crypto.scheme,
        key_bits=spec.crypto.key_bits,
        versions={"runner": __version__, "secretflow": version("secretflow"), "heu": version("sf-heu")},
    ).identified()

    def complete(site: Site) -> None:
        write_manifest(context.bundles[site.party], manifest)

    context.gate.finish(context.everywhere(complete))
    return manifest
