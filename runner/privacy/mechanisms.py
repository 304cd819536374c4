"""The mechanisms of label differential privacy.

Each takes the labels of a table's rows and gives a noisy one for each, row by row and independently. If one row's label
were another, the distribution of what comes out would change by a factor of at most e^epsilon: pure epsilon label DP,
with tables that differ in the label of one row (replace-one adjacency on labels; Chaudhuri and Hsu, "Sample complexity
bounds for differentially private learning", COLT 2011). What is computed of the noisy labels later, a model for
instance, is post-processing and costs nothing. Features, ids, and which rows have a label, are not protected.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.privacy.randomness import Codes, draw_categories, draw_laplace

Array = NDArray[np.float64]


class LabelNoise(ABC):
    """One way to make labels noisy.

    A label becomes a code (:meth:`encode`), the code is drawn a noisy one (:meth:`draw`, the only step that is random
    and the only one that costs), and that is read as a number again (:meth:`decode`). All arrays have shape (rows,).
    """

    name: str
    epsilon: float

    @abstractmethod
    def encode(self, label: Array) -> Codes:
        """The code of each true label; it depends on that label alone."""

    @abstractmethod
    def draw(self, codes: Codes) -> Codes:
        """A noisy code for each code, with fresh noise."""

    @abstractmethod
    def decode(self, codes: Codes) -> Array:
        """What training takes for the label."""

    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """What makes it this mechanism: plain values."""

    @abstractmethod
    def described(self) -> str:
        """What is done to each label, in words."""


@dataclass(frozen=True)
class RandomisedResponse(LabelNoise):
    """Randomised response among classes: S. Warner, "Randomized response", JASA 60 (1965).

    With some classes in ``kept`` only it is RRTop-k, the core of RRWithPrior: B. Ghazi, N. Golowich, R. Kumar,
    P. Manurangsi, C. Zhang, "Deep learning with label differential privacy" (NeurIPS 2021). A label that is not kept
    becomes any kept class, all as likely. Sound: among the kept it is Warner's; and a factor of at most e^epsilon lies
    between 1/k and either of the two probabilities e^epsilon / (e^epsilon + k - 1) and 1 / (e^epsilon + k - 1).

    Attributes:
        epsilon: what the label of one row costs.
        classes: the number of classes; a true label is one of 0 to classes - 1.
        kept: the classes that may come out, ascending.
        names: of the classes, by number, where they have any: noise is kept for these and no others.
    """

    epsilon: float
    classes: int
    kept: tuple[int, ...]
    names: tuple[str, ...] = ()
    name: str = "randomised_response"

    def encode(self, label: Array) -> Codes:
        return label.astype(np.int64)

    def draw(self, codes: Codes) -> Codes:
        return draw_categories(codes, self.kept, self.epsilon)

    def decode(self, codes: Codes) -> Array:
        return codes.astype(np.float64)

    def parameters(self) -> dict[str, Any]:
        found = {"mechanism": self.name, "epsilon": self.epsilon, "classes": self.classes, "kept": list(self.kept)}
        return {**found, "names": list(self.names)} if self.names else found

    def described(self) -> str:
        return f"randomised response among {len(self.kept)} classes"


@dataclass(frozen=True)
class Bins(LabelNoise):
    """Randomised response on bins: B. Ghazi, P. Kamath, R. Kumar, E. Leeman, P. Manurangsi, A. Varadarajan, C. Zhang,
    "Regression with label differential privacy" (ICLR 2023).

    A label goes to the nearest of ``values``, and randomised response among these follows. Sound: the first step looks
    at the label of the row alone, whatever bins there are, and the second is Warner's. (The paper also chooses the
    bins, from a prior; here they are given, and must not be taken from the labels.)
    """

    epsilon: float
    values: tuple[float, ...]
    name: str = "bins"

    def encode(self, label: Array) -> Codes:
        values = np.array(self.values)
        return np.searchsorted((values[1:] + values[:-1]) / 2, label, side="right").astype(np.int64)

    def draw(self, codes: Codes) -> Codes:
        return draw_categories(codes, tuple(range(len(self.values))), self.epsilon)

    def decode(self, codes: Codes) -> Array:
        return np.array(self.values)[codes]

    def parameters(self) -> dict[str, Any]:
        return {"mechanism": self.name, "epsilon": self.epsilon, "values": list(self.values)}

    def described(self) -> str:
        return f"randomised response among {len(self.values)} numbers"


@dataclass(frozen=True)
class Laplace(LabelNoise):
    """Discrete Laplace noise on the label cut to ``low`` … ``high``, on a grid of ``step``.

    C. Dwork, F. McSherry, K. Nissim, A. Smith, "Calibrating noise to sensitivity" (TCC 2006); for its discrete form see
    :func:`runner.privacy.randomness.draw_laplace`. Two labels of one row are at most the range apart. With
    ``nonnegative`` (Tweedie), what falls below 0 is 0: post-processing.
    """

    epsilon: float
    low: float
    high: float
    step: float
    nonnegative: bool = False
    name: str = "laplace"

    @property
    def span(self) -> int:
        """The range, in steps."""
        return max(1, math.ceil((self.high - self.low) / self.step))

    def encode(self, label: Array) -> Codes:
        steps = np.rint((np.clip(label, self.low, self.high) - self.low) / self.step)
        codes: Codes = np.clip(steps, 0, self.span).astype(np.int64)
        return codes

    def draw(self, codes: Codes) -> Codes:
        return draw_laplace(codes, self.span, self.epsilon)

    def decode(self, codes: Codes) -> Array:
        found: Array = self.low + codes * self.step
        return np.array(np.maximum(found, 0.0)) if self.nonnegative else found

    def parameters(self) -> dict[str, Any]:
        limits = {"low": self.low, "high": self.high, "step": self.step}
        return {"mechanism": self.name, "epsilon": self.epsilon, **limits}

    def described(self) -> str:
        return f"discrete Laplace noise on labels of {self.low:g} to {self.high:g}"
