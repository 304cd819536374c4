"""Stage `save`: each party writes its own part of the model, encrypted, and the manifest that all have signed."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from secretflow.device import PYUObject

from runner import __version__
from runner.bundle.manifest import FORMAT, Manifest, PartyEntry, write_manifest
from runner.bundle.part import columns_digest, content_digest, part_bytes, write_part
from runner.engine.site import Site
from runner.policy.flows import PART, SEALED, SIGNATURE
from runner.spec.identity import spec_digest
from runner.spec.model import Spec
from runner.stages.context import Context
from runner.stages.drift import PROFILE, training_profile
from runner.stages.multiclass import OneVsRest
from runner.stages.secret import dump_shares, split_part
from runner.stages.signing import exchange_signatures
from runner.stages.trees import split_contents


def save(context: Context, model: Any) -> Manifest:
    """Write the bundle into each party's own folder; nothing of a part leaves its party but keyed digests and counts.

    Returns:
        the manifest, the same at every party.
    """
    contents = _part_contents(context, model)
    manifest = _manifest(context, model, _entries(context, contents))

    def write(site: Site, content: bytes) -> str:
        return write_part(context.bundles[site.party], site.party, manifest, site.keys, content)

    sealed = {party: context.at(party, write, content) for party, content in contents.items()}
    manifest = manifest.sealed(context.gate.exchange(sealed, stage="save", kind="model_parts", form=SEALED))
    signatures = exchange_signatures(context, dict.fromkeys(context.sites, manifest), "save", SIGNATURE)

    def complete(site: Site) -> None:
        site.note("save", "bundle", manifest.bundle.encode())
        write_manifest(context.bundles[site.party], manifest, signatures)

    context.gate.finish(context.everywhere(complete))
    return manifest


def _entries(context: Context, contents: dict[str, PYUObject]) -> dict[str, PartyEntry]:
    made_by = "train" if "train" in context.spec.stages() else "import"

    def describe(site: Site, content: bytes) -> str:
        preparation = site.preparation
        site.note(made_by, "model part", content)
        columns = columns_digest(preparation.features, preparation.dtypes, site.keys)
        return f"{len(preparation.features)} {columns} {content_digest(content, site.keys)}"

    described = {party: context.at(party, describe, content) for party, content in contents.items()}
    entries = {}
    for party, text in context.gate.exchange(described, stage="save", kind="model_parts", form=PART).items():
        features, columns, content = text.split()
        entries[party] = PartyEntry(features=int(features), columns=columns, content=content)
    return entries


def _manifest(context: Context, model: Any, entries: dict[str, PartyEntry]) -> Manifest:
    spec = context.spec
    scheme, key_bits = _encryption(spec)
    return Manifest(
        format=FORMAT,
        bundle="",
        engine=spec.engine(),
        spec=spec_digest(spec),
        objective=spec.sgb.objective,
        base_score=spec.sgb.stated_base(),
        trees=len(model.trees),
        label_holder=spec.label.holder,
        recipients=spec.prediction_recipients(),
        parties=entries,
        scheme=scheme,
        key_bits=key_bits,
        versions={"runner": __version__, "secretflow": version("secretflow"), "heu": version("sf-heu")},
        classes=model.counts() if isinstance(model, OneVsRest) else (),
    ).identified()


def _encryption(spec: Spec) -> tuple[str, int]:
    """The scheme and the key size that the gradients travelled under, as far as this run knows."""
    if "train" not in spec.stages():
        return "trained elsewhere", 0
    return (spec.crypto.scheme, spec.crypto.key_bits) if spec.engine() == "sgb" else ("secret shares", 0)


def _part_contents(context: Context, model: Any) -> dict[str, PYUObject]:
    """Each party's part as bytes, at the party."""
    if context.spec.engine() == "ss_xgb":
        shares = dump_shares(context, model)

        def share(site: Site, trees: list[Any]) -> bytes:
            return _part(
                context, site, {"trees": [split_part(tree) for tree in trees], "leaf_shares": shares[site.party]}
            )

        return {
            party: context.at(party, share, [tree[device] for tree in model.trees])
            for party, device in context.devices.items()
        }

    def plain(site: Site, trees: list[Any], weights: list[Any], names: list[Any] | None) -> bytes:
        own = {"leaf_weights": [weight.tolist() for weight in weights]} if weights else {}
        classes = {} if names is None else {"classes": names}
        return _part(context, site, {"trees": [split_contents(tree) for tree in trees], **own, **classes})

    return {
        party: context.at(
            party,
            plain,
            [tree.split_tree_dict[device] for tree in model.trees],
            [tree.leaf_weight for tree in model.trees] if device == context.holder else [],
            model.names if isinstance(model, OneVsRest) and device == context.holder else None,
        )
        for party, device in context.devices.items()
    }


def _part(context: Context, site: Site, model: dict[str, Any]) -> bytes:
    preparation = site.preparation
    profile = {PROFILE: training_profile(site)} if "train" in context.spec.stages() else {}
    columns = {"features": list(preparation.features), "prepare": preparation.to_json()}
    return part_bytes({"party": site.party, **columns, **profile, **model})
