"""The movements of information that a plan needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from runner.spec.model import Spec, Stage

TERMINAL = "the terminal"  # no party can have such a name
Kind = Literal["alignment", "training", "model", "predictions", "metrics"]


class Flow(NamedTuple):
    """One movement of information between two parties (or to the terminal of the run)."""

    stage: Stage
    kind: Kind
    form: str
    sender: str
    receiver: str
    needed: bool = True

    def __str__(self) -> str:
        return f"{self.kind} ({self.form}) from {self.sender} to {self.receiver}"


ALIGNMENT_FORM = "keyed digest and count of the ids"
GRADIENTS_FORM = "encrypted gradients, split choices, split gains, row partitions"
HISTOGRAMS_FORM = "encrypted histogram sums, shuffled; row partitions"
PART_FORM = "number of features and keyed digest of the model part"
MODEL_FORM = "bundle id"
METRICS_FORM = "test metrics"
CURVE_FORM = "training metric per tree"


def flows(spec: Spec) -> list[Flow]:
    """Every flow of the spec's plan, stage by stage; a flow that is not here does not happen."""
    found: list[Flow] = []
    for stage in spec.task.stages():
        found.extend(_BY_STAGE[stage](spec))
    return found


def _align(spec: Spec) -> Iterator[Flow]:
    yield from _everybody(spec, "align", "alignment", ALIGNMENT_FORM)


def _train(spec: Spec) -> Iterator[Flow]:
    holder, *evaluators = spec.party_order()
    for party in evaluators:
        yield Flow("train", "training", GRADIENTS_FORM, holder, party)
        yield Flow("train", "training", HISTOGRAMS_FORM, party, holder)
        if spec.sgb.enable_monitor or spec.sgb.enable_early_stop:
            yield Flow("train", "metrics", "validation metric per tree", holder, party)
    yield Flow("train", "metrics", CURVE_FORM, holder, TERMINAL, needed=False)


def _save(spec: Spec) -> Iterator[Flow]:
    yield from _everybody(spec, "save", "model", PART_FORM)


def _load(spec: Spec) -> Iterator[Flow]:
    yield from _everybody(spec, "load", "model", MODEL_FORM)


def _everybody(spec: Spec, stage: Stage, kind: Kind, form: str) -> Iterator[Flow]:
    for sender in spec.party_order():
        for receiver in spec.party_order():
            if sender != receiver:
                yield Flow(stage, kind, form, sender, receiver)


def _predict(spec: Spec) -> Iterator[Flow]:
    holder, *evaluators = spec.party_order()
    for party in evaluators:
        yield Flow("predict", "training", "row partitions by leaf", party, holder)
    form = spec.policy.predictions.form
    yield Flow("predict", "predictions", form, holder, holder)
    for recipient in spec.policy.predictions.recipients:
        if recipient != holder:
            yield Flow("predict", "predictions", form, holder, recipient)


def _evaluate(spec: Spec) -> Iterator[Flow]:
    if spec.label.predict == "none":
        return
    holder = spec.label.holder
    yield Flow("evaluate", "metrics", METRICS_FORM, holder, holder)
    for recipient in spec.policy.metrics.recipients:
        if recipient != holder:
            yield Flow("evaluate", "metrics", METRICS_FORM, holder, recipient)
    yield Flow("evaluate", "metrics", METRICS_FORM, holder, TERMINAL, needed=False)


_BY_STAGE = {
    "align": _align,
    "train": _train,
    "save": _save,
    "load": _load,
    "predict": _predict,
    "evaluate": _evaluate,
}
