"""Each party signs the model's manifest, and sees that the others signed the same one with the keys it knows."""

from __future__ import annotations

import json
from collections.abc import Mapping

from runner.bundle.manifest import Manifest, Signature, is_signed, sign
from runner.bundle.roles import require_one_model
from runner.engine.site import Site
from runner.errors import BundleError
from runner.keys.keyring import Former
from runner.keys.trust import recognise
from runner.spec.model import Stage
from runner.stages.context import Context


def exchange_signatures(
    context: Context, manifests: Mapping[str, Manifest], stage: Stage, form: str
) -> dict[str, Signature]:
    """Show all parties' signatures to all.

    Args:
        manifests: party → its manifest, for the parties whose process this is.

    Returns:
        party → its signature, all under the same manifest.

    Raises:
        BundleError: where the manifests differ, or a signature is not by the key that a party is known by.
    """

    def show(site: Site) -> str:
        manifest = manifests[site.party]
        signature = sign(manifest, site.keys)
        return json.dumps([manifest.digest(), signature.key, signature.signature, site.keys.former])

    shown = context.gate.exchange(context.everywhere(show), stage=stage, kind="model_parts", form=form)
    cards = {party: json.loads(text) for party, text in shown.items()}
    require_one_model({party: card[0] for party, card in cards.items()})
    manifest = next(iter(manifests.values()))
    signatures = {party: Signature(key=card[1], signature=card[2]) for party, card in cards.items()}
    for peer, signature in signatures.items():
        if not is_signed(manifest, signature):
            raise BundleError(
                f"{peer}'s signature is not one under this model",
                where=f"party {peer}",
                why="it does not fit the manifest and the key that came with it",
                fix=f"ask {peer}'s operator which software and which files sent it",
            )
        for party in manifests:
            if party != peer:
                former = [Former(*link) for link in cards[peer][3]]
                recognise(party, context.spec.parties, peer, signature.key, former)
    return signatures
