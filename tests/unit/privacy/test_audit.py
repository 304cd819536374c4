"""An attack on the mechanisms: what it learns stays below the epsilon that is claimed, and a broken one is found out.

The attacker sees everything that training sees of a row, its noisy label, and tells two true labels apart. Its rates of
right and wrong guesses bound epsilon from below, with exact intervals: M. Jagielski, J. Ullman, A. Oprea, "Auditing
differentially private machine learning" (NeurIPS 2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import beta

from runner.privacy.mechanisms import Bins, LabelNoise, Laplace, RandomisedResponse

TRIALS = 3000
ERROR = 1e-5
Guess = Callable[[NDArray[np.float64]], NDArray[np.bool_]]
CLAIM = 1.5


def least_epsilon(noise: LabelNoise, pair: tuple[float, float], guess: Guess) -> float:
    """The epsilon that the attack proves: ``guess`` says whether a noisy label was made of the second of the pair."""
    wrong, right = (int(np.sum(guess(noisy(noise, true)))) for true in pair)
    ratios = [low(right) / high(wrong), low(TRIALS - wrong) / high(TRIALS - right)]
    return max(0.0, *(math.log(ratio) for ratio in ratios if ratio > 0))


def noisy(noise: LabelNoise, true: float) -> NDArray[np.float64]:
    return noise.decode(noise.draw(noise.encode(np.full(TRIALS, true))))


def low(hits: int) -> float:
    return float(beta.ppf(ERROR, hits, TRIALS - hits + 1)) if hits else 0.0


def high(hits: int) -> float:
    return float(beta.ppf(1 - ERROR, hits + 1, TRIALS - hits)) if hits < TRIALS else 1.0


def made(epsilon: float) -> dict[str, tuple[LabelNoise, tuple[float, float], Guess]]:
    """Each mechanism, the two labels that are told apart best, and how."""
    return {
        "binary": (RandomisedResponse(epsilon, 2, (0, 1)), (0.0, 1.0), lambda seen: seen == 1),
        "classes": (RandomisedResponse(epsilon, 4, (0, 1, 2, 3)), (0.0, 3.0), lambda seen: seen == 3),
        "kept classes": (RandomisedResponse(epsilon, 4, (0, 1)), (0.0, 1.0), lambda seen: seen == 1),
        "bins": (Bins(epsilon, (0.0, 5.0, 50.0)), (0.0, 50.0), lambda seen: seen == 50),
        "laplace": (Laplace(epsilon, 0.0, 20.0, 1.0), (0.0, 20.0), lambda seen: seen >= 20),
    }


@pytest.mark.parametrize("mechanism", made(CLAIM))
def test_attack_learns_no_more_than_is_claimed(mechanism: str) -> None:
    measured = least_epsilon(*made(CLAIM)[mechanism])
    assert measured <= CLAIM
    assert measured >= 0.7 * CLAIM, "an attack this weak would find nothing out"


@pytest.mark.parametrize("mechanism", made(CLAIM))
def test_attack_finds_out_half_the_noise(mechanism: str) -> None:
    broken = made(2 * CLAIM)[mechanism]
    assert least_epsilon(*broken) > CLAIM


def test_attack_finds_out_noise_that_leaves_rare_labels_alone() -> None:
    class Leaky(RandomisedResponse):
        """Randomised response that shows one row in ten as it is."""

        def draw(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
            drawn = super().draw(codes)
            shown = np.arange(len(codes)) % 10 == 0
            return np.where(shown, codes + 2, drawn)

    assert least_epsilon(Leaky(CLAIM, 2, (0, 1)), (0.0, 1.0), lambda seen: seen == 3) > CLAIM
