"""Settings of privacy that contradict each other or the rest."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Literal

from runner.errors import SpecError
from runner.spec.label import SAME, JointLabel, RowShardedLabel, SecretLabel
from runner.spec.model import Spec
from runner.spec.privacy import LabelDp, LabelMechanism

LabelDomain = Literal["binary", "classes", "numbers"]
OF_MECHANISM: dict[str, tuple[str, ...]] = {
    "laplace": ("bounds", "step"),
    "bins": ("bins",),
    "randomised_response": ("classes", "prior"),
}
MOST_STEPS = 2**24
Finding = tuple[str, bool, str, str, str]


def check_privacy(spec: Spec) -> None:
    if not isinstance(spec.privacy, LabelDp):
        return
    for check in (_of_plan, _of_mechanism, _of_numbers, _of_classes, _of_debiasing):
        for what, wrong, where, why, fix in check(spec, spec.privacy):
            if wrong:
                raise SpecError(what, where=where, why=why, fix=fix)


def label_domain(spec: Spec) -> LabelDomain:
    """Of what kind each owner's label column is, to which its owner adds noise."""
    label = spec.label
    if isinstance(label, (JointLabel, SecretLabel)):
        return "binary" if label.rule in ("any", "all", "majority") else "numbers"
    kinds: dict[str, LabelDomain] = {"logistic": "binary", "multiclass": "classes"}
    return kinds.get(spec.sgb.objective, "numbers")


def label_mechanism(spec: Spec, privacy: LabelDp) -> LabelMechanism:
    """The mechanism, with ``auto`` resolved."""
    if privacy.mechanism != "auto":
        return privacy.mechanism
    if label_domain(spec) != "numbers":
        return "randomised_response"
    return "laplace" if privacy.bins is None else "bins"


def _of_plan(spec: Spec, privacy: LabelDp) -> Iterator[Finding]:
    yield (
        f"privacy=label_dp has no effect with task={spec.task.to_run()}",
        "label" not in spec.stages(),
        "privacy",
        "it protects the labels of a training, and nothing is trained",
        "leave it out: a model that was trained with it stays what it is",
    )
    several = spec.label.mode != "single"
    yield (
        "test labels of several owners cannot be compared with predictions",
        several and spec.evaluator() is not None and spec.label.predict == SAME,
        "label.predict",
        "for that true labels would have to leave their owners, which privacy=label_dp rules out",
        "set label.predict=none, or to a party that compares with a column of its own (label.predict_column)",
    )


def _of_mechanism(spec: Spec, privacy: LabelDp) -> Iterator[Finding]:
    domain, mechanism = label_domain(spec), label_mechanism(spec, privacy)
    fitting = "laplace or bins" if domain == "numbers" else "randomised_response"
    yield (
        f"privacy.mechanism = {mechanism!r} does not fit this label",
        (mechanism == "randomised_response") == (domain == "numbers"),
        "privacy.mechanism",
        f"each owner's label column holds {'numbers' if domain == 'numbers' else 'classes'}",
        f"set privacy.mechanism to auto or {fitting}",
    )
    for other, names in OF_MECHANISM.items():
        for name in names:
            yield (
                f"privacy.{name} has no effect",
                getattr(privacy, name) is not None and (other != mechanism or domain == "binary"),
                f"privacy.{name}",
                f"the mechanism is {mechanism}, of {'0 and 1' if domain == 'binary' else domain}",
                f"remove privacy.{name}",
            )


def _of_numbers(spec: Spec, privacy: LabelDp) -> Iterator[Finding]:
    mechanism, tweedie = label_mechanism(spec, privacy), spec.sgb.objective == "tweedie"
    if mechanism == "laplace":
        low, high = privacy.bounds or (0.0, 0.0)
        yield (
            "privacy.bounds is missing"
            if privacy.bounds is None
            else f"privacy.bounds = [{low:g}, {high:g}] is no range",
            low >= high,
            "privacy.bounds",
            "Laplace noise is as large as labels can differ, and what is taken from the data would tell about them",
            "give the least and the greatest label that general knowledge allows, for instance [0, 300]",
        )
        yield (
            f"privacy.step = {privacy.step} does not fit privacy.bounds",
            privacy.step is not None and not 1 <= (high - low) / privacy.step <= MOST_STEPS,
            "privacy.step",
            f"the range takes 1 to {MOST_STEPS} steps",
            "leave it out: then it is a thousandth of the range",
        )
    least = (privacy.bounds or (0.0,))[0] if mechanism == "laplace" else (privacy.bins or (0.0,))[0]
    yield (
        "a Tweedie label is never below 0",
        tweedie and least < 0,
        f"privacy.{'bounds' if mechanism == 'laplace' else 'bins'}",
        "objective 'tweedie' is for labels of at least 0",
        "begin with 0",
    )
    if mechanism == "bins":
        bins = privacy.bins or ()
        yield (
            "privacy.bins is missing" if not bins else "privacy.bins does not ascend",
            len(bins) < 2 or any(low >= high for low, high in itertools.pairwise(bins)),
            "privacy.bins",
            "each label becomes one of these numbers, which must not be taken from the data",
            "give them in ascending order, for instance [0, 50, 100, 200]",
        )


def _of_classes(spec: Spec, privacy: LabelDp) -> Iterator[Finding]:
    if label_domain(spec) != "classes":
        return
    yield (
        "the classes must be named once",
        (privacy.classes is None) == (privacy.prior is None),
        "privacy.classes",
        "which classes there are must not be taken from the labels, where a single row may show one",
        "set privacy.classes=[a,b,c], or privacy.prior={a: 0.7, b: 0.2, c: 0.1}, as they stand in the table",
    )
    yield (
        "privacy.classes names a class twice",
        len(set(privacy.named_classes())) != len(privacy.named_classes()),
        "privacy.classes",
        "each is one class",
        "name each once",
    )
    yield (
        "with this prior every label would become the same class",
        len(privacy.kept_classes()) < 2,
        "privacy.prior",
        f"at epsilon {privacy.epsilon:g} guessing the most frequent class is right more often than any noisy answer",
        "raise privacy.epsilon, or set privacy.classes instead of a prior",
    )


def _of_debiasing(spec: Spec, privacy: LabelDp) -> Iterator[Finding]:
    if not privacy.debias:
        return
    fix = "set privacy.debias=false"
    where = "privacy.debias"
    for what, wrong, why in (
        (
            f"label.mode={spec.label.mode}",
            isinstance(spec.label, (JointLabel, SecretLabel)),
            "what the noise of several columns does to their combination depends on the true ones",
        ),
        (
            "label.on_conflict=any",
            isinstance(spec.label, RowShardedLabel) and spec.label.on_conflict == "any",
            "the larger of two noisy labels is 1 more often than the noise of either makes it",
        ),
        (
            "laplace",
            label_mechanism(spec, privacy) == "laplace",
            "its noise has mean 0: there is nothing to correct",
        ),
        (
            "tweedie",
            spec.sgb.objective == "tweedie",
            "its loss is not convex where a corrected label is negative",
        ),
        (
            "this prior",
            len(privacy.kept_classes()) < len(privacy.named_classes()),
            "some classes never come out of the noise, and no correction brings them back",
        ),
        (
            "sgb.enable_monitor or sgb.enable_early_stop",
            spec.sgb.enable_monitor or spec.sgb.enable_early_stop,
            "SecretFlow measures with labels of 0 and 1, and corrected ones are others",
        ),
        (
            "label.class_weight",
            spec.label.class_weight is not None,
            "weights that depend on the noisy label would bias what is corrected",
        ),
    ):
        yield f"privacy.debias does not go with {what}", wrong, where, why, fix
