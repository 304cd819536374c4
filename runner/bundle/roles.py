"""Whether a saved model fits the run that is to apply it: one model at all parties, each party in its role."""

from __future__ import annotations

from collections.abc import Mapping

from runner.bundle.manifest import Manifest
from runner.errors import BundleError
from runner.spec.model import Spec

WHERE = "parties, label.holder, roles"
WHO_IS_WHO = (
    "use the parties and the label holder of the training, or say with roles.<party>=<name in the training> who is who"
)


def require_one_model(digests: Mapping[str, str]) -> None:
    """Make sure that the parties' manifests are the same.

    Args:
        digests: party → digest of its manifest.

    Raises:
        BundleError: where they are not.
    """
    if len(set(digests.values())) > 1:
        raise BundleError(
            "the parties hold parts of different models",
            where=", ".join(f"{party}: {digest[:8]}" for party, digest in digests.items()),
            why="their manifests are not the same",
            fix="let every party use its part of one training",
        )


def require_roles(spec: Spec, manifest: Manifest) -> None:
    """Make sure that the parties, their roles, and the way of reading scores are those of the training.

    Raises:
        BundleError: where they are not.
    """
    now = {spec.trained_as(party) for party in spec.parties}
    holder = spec.trained_as(spec.label.holder)
    if set(manifest.parties) != now or manifest.label_holder != holder:
        raise BundleError(
            "the model was trained with other roles",
            where=WHERE,
            why=f"in training: {', '.join(sorted(manifest.parties))}, label holder {manifest.label_holder}; "
            f"now: {', '.join(sorted(now))}, label holder {holder}",
            fix=WHO_IS_WHO,
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
