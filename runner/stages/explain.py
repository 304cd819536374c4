"""Stage `explain`: feature importance by gain, each party's computed at that party."""

from __future__ import annotations

import json
from typing import Any

from secretflow.ml.boost.sgb_v.model import SgbModel

from runner.engine.site import Site
from runner.errors import BundleError
from runner.export.trees import GAINS, has_gains
from runner.files import write_json
from runner.stages.context import Context

IMPORTANCE_FILE = "importance.json"


def explain(context: Context, model: SgbModel) -> None:
    """Write ``importance.json`` in each recipient's folder: total gain by party, or by party and feature.

    Every party learns the gains of its own splits in training; it tells others no more than the policy's form says.
    """
    form = context.spec.policy.importance.form
    totals = {}
    for party, device in context.devices.items():
        trees = [tree.split_tree_dict[device] for tree in model.trees]
        totals[party] = context.at(party, _gains(form), *trees)
    effects = []
    for recipient in context.spec.party_order():
        if context.spec.policy.importance.includes(recipient):
            received = [
                gains
                if party == recipient
                else context.gate.deliver(gains, recipient, stage="explain", kind="importance", form=form)
                for party, gains in totals.items()
            ]
            effects.append(context.at(recipient, _write(tuple(totals)), *received))
    context.gate.finish(effects)


def _gains(form: str) -> Any:
    def gains(site: Site, *trees: Any) -> dict[str, float]:
        names = site.preparation.features
        found = dict.fromkeys(names, 0.0)
        for tree in trees:
            if not has_gains({**tree.to_dict(), GAINS: tree.split_gains}):
                raise BundleError(
                    "the model has no split gains",
                    where="explain.importance",
                    why="SecretFlow's own files do not have them, and this model was brought in from such files",
                    fix="set explain.importance=false, or train a model with this runner",
                )
            for feature, gain in tree.gain_statistics()[0].items():
                found[names[feature]] += float(gain)
        return found if form == "by_name" else {"total": sum(found.values())}

    return gains


def _write(parties: tuple[str, ...]) -> Any:
    def write(site: Site, *gains: dict[str, float]) -> None:
        importance = dict(zip(parties, gains, strict=True))
        site.note("explain", "importance", json.dumps(importance, sort_keys=True).encode())
        write_json(site.folder / IMPORTANCE_FILE, importance)

    return write
