"""Labels that make up for the known noise, so that the loss is right on average.

N. Natarajan, I. Dhillon, P. Ravikumar, A. Tewari, "Learning with noisy labels" (NeurIPS 2013), and the backward
correction of G. Patrini et al., "Making deep neural networks robust to label noise" (CVPR 2017): the loss of a noisy
label is replaced by a combination of the losses of all labels whose mean over the noise is the loss of the true one.
The gradients of the logistic and of the squared loss are linear in the label, and their hessians do not depend on it.
So it is enough to replace the label: with keep probability p and q for each other value, y becomes (y - q · sum of the
values) / (p - q), which may lie outside of 0 to 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runner.privacy.mechanisms import Bins, LabelNoise, RandomisedResponse
from runner.spec.privacy import keep_probability

Array = NDArray[np.float64]


def unbiased(label: Array, noise: LabelNoise) -> Array:
    """Numbers whose mean over the noise are the true labels: of 0/1 labels, or of bins' values; shape as ``label``."""
    if isinstance(noise, RandomisedResponse):
        return _corrected(label, 1.0, 2, noise.epsilon)
    if isinstance(noise, Bins):
        return _corrected(label, float(np.sum(noise.values)), len(noise.values), noise.epsilon)
    return label


def unbiased_membership(label: Array, number: int, noise: RandomisedResponse) -> Array:
    """The same for "is of class ``number``", of a noisy label of several classes."""
    return _corrected((label == number).astype(np.float64), 1.0, noise.classes, noise.epsilon)


def _corrected(label: Array, total: float, values: int, epsilon: float) -> Array:
    keep = keep_probability(epsilon, values)
    other = (1 - keep) / (values - 1)
    return (label - other * total) / (keep - other)
