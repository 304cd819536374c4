"""Noise that protects what tables say of single rows: differential privacy. ``privacy.name`` says which kind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from runner.spec.base import Section

LabelMechanism = Literal["auto", "randomised_response", "laplace", "bins"]


class NoPrivacy(Section, frozen=True, kw_only=True, tag_field="name", tag="none"):
    """No noise."""

    name: ClassVar[str] = "none"


class LabelDp(Section, frozen=True, kw_only=True, tag_field="name", tag="label_dp"):
    """Every label owner adds noise to its training labels, before anything else is done with them.

    Whoever is not the label's owner learns of the training label of one row no more than ``epsilon`` allows.

    ``mechanism``: ``randomised_response`` for classes; for numbers ``laplace`` (discrete, on the label cut to
    ``bounds`` and rounded to ``step``) or ``bins`` (randomised response among the numbers in ``bins``); ``auto``: the
    first for classes, else ``bins`` where these are given and ``laplace`` where they are not. ``classes`` are those of
    a multiclass label, which must not be taken from the data; ``prior`` names them with what is publicly known of how
    frequent they are. ``debias`` corrects the loss for the known noise. The noise is drawn once and kept; ``redraw``
    draws anew, and spends ``epsilon`` again.
    """

    name: ClassVar[str] = "label_dp"
    epsilon: Annotated[float, Meta(gt=0, le=32)]
    mechanism: LabelMechanism = "auto"
    bounds: tuple[float, float] | None = None
    step: Annotated[float, Meta(gt=0)] | None = None
    bins: Annotated[tuple[float, ...], Meta(min_length=2, max_length=1000)] | None = None
    classes: Annotated[tuple[str, ...], Meta(min_length=2, max_length=100)] | None = None
    prior: Annotated[dict[str, Annotated[float, Meta(gt=0)]], Meta(min_length=2, max_length=100)] | None = None
    debias: bool = False
    redraw: bool = False

    def named_classes(self) -> tuple[str, ...]:
        """The classes of a multiclass label, in no order."""
        return tuple(self.prior) if self.prior is not None else self.classes or ()

    def kept_classes(self) -> tuple[str, ...]:
        """The classes that may come out of the noise: all; with a prior, those of RRWithPrior.

        These are the k most frequent ones, for the k with the largest probability that a label drawn from the prior is
        kept (Ghazi et al., "Deep learning with label differential privacy", NeurIPS 2021, algorithm 2).
        """
        if self.prior is None:
            return self.named_classes()
        prior = self.prior
        ordered: Sequence[str] = sorted(prior, key=lambda name: (-prior[name], name))
        sizes = range(1, len(ordered) + 1)
        best = max(sizes, key=lambda k: keep_probability(self.epsilon, k) * sum(prior[name] for name in ordered[:k]))
        return tuple(ordered[:best])


class OutputDp(Section, frozen=True, kw_only=True, tag_field="name", tag="output_dp"):
    """What others learn of the test rows has noise; training and its rows are not protected by it.

    Metrics, curves and tables that leave the evaluator, and those on the terminal, come of noisy counts of the test
    rows, by ``bins`` cells of the score and by label: of the label and score of one test row whoever sees all of them
    learns no more than ``epsilon`` allows. The evaluator has every label and score; its own files are exact.

    With ``scores_epsilon`` every score that leaves the party which computes it is rounded to one of ``scores_steps``
    steps and gets noise: of what one row's features make of its score, others learn no more than that allows. It hides
    one row's score, nothing of the training, and is large: at ``scores_epsilon`` 1 a score says next to nothing.
    """

    name: ClassVar[str] = "output_dp"
    epsilon: Annotated[float, Meta(gt=0, le=32)]
    bins: Annotated[int, Meta(ge=2, le=200)] = 20
    scores_epsilon: Annotated[float, Meta(gt=0, le=32)] | None = None
    scores_steps: Annotated[int, Meta(ge=2, le=10000)] = 100


def keep_probability(epsilon: float, categories: int) -> float:
    """With which probability randomised response among so many categories keeps the true one."""
    return 1 / (1 + (categories - 1) * math.exp(-epsilon))


Privacy = NoPrivacy | LabelDp | OutputDp

# Choices that there could be, and why there are none.
LEFT_OUT = {
    "leaf_dp": "its proof does not carry over to SGB: at every split all parties see, row by row, which rows go left, "
    "and noise in histograms and leaves hides nothing of that"
}
