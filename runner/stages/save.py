"""Stage `save`: each party writes its own part of the model, then all write one manifest."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from secretflow.device import PYUObject

from runner import __version__
from runner.bundle.layout import FORMAT, Manifest, PartyEntry, write_manifest, write_part
from runner.engine.site import Site
from runner.policy.flows import PART
from runner.spec.identity import spec_digest
from runner.spec.model import Spec
from runner.stages.context import Context
from runner.stages.secret import dump_shares, split_part
from runner.stages.trees import split_contents


def save(context: Context, model: Any) -> Manifest:
    """Write the bundle: the parts first, and the manifest, which makes it complete, last.

    A part holds its party's feature names and splits; the label holder's holds the leaf weights too, or, in secret
    mode, everyone's a share of them. Nobody sees another's part; the parties exchange its digest, each under its own
    key.
    """
    written = _write_parts(context, model)
    spec = context.spec
    entries = {}
    for party, text in context.gate.exchange(written, stage="save", kind="model_parts", form=PART).items():
        features, digest = text.split()
        entries[party] = PartyEntry(features=int(features), part=digest)
    scheme, key_bits = _encryption(spec)
    manifest = Manifest(
        format=FORMAT,
        bundle="",
        engine=spec.engine(),
        spec=spec_digest(spec),
        objective=spec.sgb.objective,
        base_score=spec.sgb.base_score,
        trees=len(model.trees),
        label_holder=spec.label.holder,
        parties=entries,
        scheme=scheme,
        key_bits=key_bits,
        versions={"runner": __version__, "secretflow": version("secretflow"), "heu": version("sf-heu")},
    ).identified()

    def complete(site: Site) -> None:
        write_manifest(context.bundles[site.party], manifest)

    context.gate.finish(context.everywhere(complete))
    return manifest


def _encryption(spec: Spec) -> tuple[str, int]:
    """The scheme and the key size that the gradients travelled under, as far as this run knows."""
    if "train" not in spec.stages():
        return "trained elsewhere", 0
    return (spec.crypto.scheme, spec.crypto.key_bits) if spec.engine() == "sgb" else ("secret shares", 0)


def _write_parts(context: Context, model: Any) -> dict[str, PYUObject]:
    """Each party's part on its disk; returns the number of its features and the part's digest, at the party."""
    if context.spec.engine() == "ss_xgb":
        shares = dump_shares(context, model)

        def write_share(site: Site, trees: list[Any]) -> str:
            splits = [split_part(tree) for tree in trees]
            return _write_part(context, site, {"trees": splits, "leaf_shares": shares[site.party]})

        return {
            party: context.at(party, write_share, [tree[device] for tree in model.trees])
            for party, device in context.devices.items()
        }

    def write(site: Site, trees: list[Any], weights: list[Any]) -> str:
        splits = [split_contents(tree) for tree in trees]
        own_weights = {"leaf_weights": [weight.tolist() for weight in weights]} if weights else {}
        return _write_part(context, site, {"trees": splits, **own_weights})

    return {
        party: context.at(
            party,
            write,
            [tree.split_tree_dict[device] for tree in model.trees],
            [tree.leaf_weight for tree in model.trees] if device == context.holder else [],
        )
        for party, device in context.devices.items()
    }


def _write_part(context: Context, site: Site, model: dict[str, Any]) -> str:
    part = {"party": site.party, "features": list(site.table.names), **model}
    digest = write_part(context.bundles[site.party], part, site.derive("bundle"))
    return f"{len(site.table.names)} {digest}"
