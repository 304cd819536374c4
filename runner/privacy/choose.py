"""Which mechanism a spec's settings come to."""

from __future__ import annotations

from runner.privacy.mechanisms import Bins, LabelNoise, Laplace, RandomisedResponse
from runner.spec.check_privacy import label_domain, label_mechanism
from runner.spec.model import Spec
from runner.spec.privacy import LabelDp

STEPS = 1000  # of the range of labels, where no step is given


def label_noise(spec: Spec) -> LabelNoise | None:
    """The noise that every label owner adds to its training labels, or None."""
    privacy = spec.privacy
    if not isinstance(privacy, LabelDp) or "label" not in spec.stages():
        return None
    mechanism = label_mechanism(spec, privacy)
    if mechanism == "bins":
        return Bins(privacy.epsilon, privacy.bins or ())
    if mechanism == "laplace":
        low, high = privacy.bounds or (0.0, 0.0)
        step = privacy.step or (high - low) / STEPS
        return Laplace(privacy.epsilon, low, high, step, nonnegative=spec.sgb.objective == "tweedie")
    if label_domain(spec) == "binary":
        return RandomisedResponse(privacy.epsilon, 2, (0, 1))
    names, kept = ordered_classes(privacy), privacy.kept_classes()
    return RandomisedResponse(privacy.epsilon, len(names), tuple(range(len(kept))), names)


def ordered_classes(privacy: LabelDp) -> tuple[str, ...]:
    """The classes of a multiclass label by their numbers: those that may come out of the noise first."""
    kept = privacy.kept_classes()
    return (*sorted(kept), *sorted(set(privacy.named_classes()) - set(kept)))
