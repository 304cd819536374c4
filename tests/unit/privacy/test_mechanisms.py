"""Noisy labels are distributed as the mechanisms' theory says: counted draws of OpenDP against exact probabilities."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import beta

from runner.errors import SpecError
from runner.privacy.debias import unbiased, unbiased_membership
from runner.privacy.mechanisms import Bins, LabelNoise, Laplace, RandomisedResponse
from runner.privacy.randomness import STAND_IN, draw_categories
from runner.spec.privacy import LabelDp, keep_probability

DRAWS = 3000
UNLIKELY = 1e-6  # by chance a test fails once in a million times


def interval(hits: int, trials: int) -> tuple[float, float]:
    """Clopper and Pearson, Biometrika 26 (1934)."""
    low = float(beta.ppf(UNLIKELY / 2, hits, trials - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - UNLIKELY / 2, hits + 1, trials - hits)) if hits < trials else 1.0
    return low, high


def require_share(hits: int, trials: int, expected: float) -> None:
    low, high = interval(hits, trials)
    assert low <= expected <= high, f"{hits} of {trials}, expected {expected:.4f}"


@pytest.mark.parametrize("epsilon", [0.5, 2.0])
@pytest.mark.parametrize("true", [0, 1])
def test_labels_flip_as_often_as_warner_says(epsilon: float, true: int) -> None:
    drawn = RandomisedResponse(epsilon, 2, (0, 1)).draw(np.full(DRAWS, true))
    require_share(int(np.sum(drawn != true)), DRAWS, 1 / (1 + math.exp(epsilon)))


def test_each_other_class_comes_out_as_often() -> None:
    drawn = RandomisedResponse(1.0, 4, (0, 1, 2, 3)).draw(np.full(DRAWS, 2))
    keep = math.e / (math.e + 3)
    for number in range(4):
        require_share(int(np.sum(drawn == number)), DRAWS, keep if number == 2 else (1 - keep) / 3)


def test_class_that_is_not_kept_becomes_any_kept_one() -> None:
    drawn = RandomisedResponse(1.0, 5, (0, 1, 2)).draw(np.full(DRAWS, 4))
    for number in range(3):
        require_share(int(np.sum(drawn == number)), DRAWS, 1 / 3)


def test_bins_take_the_nearest_and_answer_at_random() -> None:
    noise = Bins(2.0, (0.0, 10.0, 100.0))
    assert noise.encode(np.array([-5.0, 4.9, 5.1, 54.0, 56.0, 1e9])).tolist() == [0, 0, 1, 1, 2, 2]
    drawn = noise.decode(noise.draw(noise.encode(np.full(DRAWS, 9.0))))
    assert set(drawn) == {0.0, 10.0, 100.0}
    require_share(int(np.sum(drawn == 10.0)), DRAWS, keep_probability(2.0, 3))


@pytest.mark.parametrize("within", [0, 3, 10])
def test_laplace_noise_is_as_wide_as_the_range_asks(within: int) -> None:
    """P(|noise| <= t) of the discrete Laplace distribution with ratio a = e^(-epsilon / span)."""
    noise = Laplace(2.0, low=0.0, high=10.0, step=1.0)
    steps = np.abs(noise.draw(np.full(3 * DRAWS, 5)) - 5)
    ratio = math.exp(-2.0 / 10)
    require_share(int(np.sum(steps <= within)), len(steps), 1 - 2 * ratio ** (within + 1) / (1 + ratio))


def test_labels_beyond_the_bounds_count_as_the_bounds() -> None:
    noise = Laplace(1.0, low=-1.0, high=1.0, step=0.5)
    assert noise.encode(np.array([-9.0, -1.0, 0.2, 0.3, 1.0, 9.0])).tolist() == [0, 0, 2, 3, 4, 4]
    assert noise.span == 4
    assert noise.decode(np.array([-2, 0, 4])).tolist() == [-2.0, -1.0, 1.0]


def test_tweedie_labels_stay_nonnegative() -> None:
    assert Laplace(1.0, 0.0, 4.0, 1.0, nonnegative=True).decode(np.array([-3, 0, 7])).tolist() == [0.0, 0.0, 7.0]


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 3.0, 8.0, 32.0])
@pytest.mark.parametrize("classes", [2, 3, 100])
def test_no_two_labels_differ_by_more_than_epsilon(epsilon: float, classes: int) -> None:
    """The largest ratio of probabilities of one outcome, that of a label which is not kept included."""
    keep = keep_probability(epsilon, classes)
    other = (1 - keep) / (classes - 1)
    ratios = [keep / other, keep * classes, 1 / classes / other] if other else [1.0]
    assert math.log(max(ratios)) <= epsilon + 1e-3


@pytest.mark.parametrize("true", [0, 1])
def test_corrected_binary_label_is_right_on_average(true: int) -> None:
    noise = RandomisedResponse(0.7, 2, (0, 1))
    keep = keep_probability(0.7, 2)
    corrected = unbiased(np.array([0.0, 1.0]), noise)
    chances = np.array([keep, 1 - keep]) if true == 0 else np.array([1 - keep, keep])
    assert chances @ corrected == pytest.approx(true)


def test_corrected_bins_and_classes_are_right_on_average() -> None:
    bins = Bins(0.7, (1.0, 2.0, 30.0))
    keep = keep_probability(0.7, 3)
    chances = np.full((3, 3), (1 - keep) / 2) + np.eye(3) * (keep - (1 - keep) / 2)
    assert chances @ unbiased(np.array(bins.values), bins) == pytest.approx(bins.values)
    classes = RandomisedResponse(0.7, 3, (0, 1, 2))
    for number in range(3):
        corrected = unbiased_membership(np.arange(3.0), number, classes)
        assert chances @ corrected == pytest.approx(np.eye(3)[number])


def test_laplace_has_nothing_to_correct() -> None:
    label = np.array([1.0, 2.0])
    assert unbiased(label, Laplace(1.0, 0.0, 2.0, 1.0)).tolist() == [1.0, 2.0]


@pytest.mark.parametrize(("epsilon", "kept"), [(0.1, ("a",)), (1.5, ("a", "b")), (6.0, ("a", "b", "c"))])
def test_prior_decides_how_many_classes_are_kept(epsilon: float, kept: tuple[str, ...]) -> None:
    """By hand: k maximises e^epsilon / (e^epsilon + k - 1) times the mass of the k most frequent classes."""
    privacy = LabelDp(epsilon=epsilon, prior={"b": 0.35, "a": 0.6, "c": 0.05})
    assert privacy.kept_classes() == kept


@pytest.mark.parametrize("noise", [RandomisedResponse(1.0, 2, (0, 1)), Laplace(1.0, 0.0, 9.0, 1.0)])
def test_noise_is_fresh_at_every_call(noise: LabelNoise) -> None:
    codes = np.zeros(200, np.int64)
    assert noise.draw(codes).tolist() != noise.draw(codes).tolist()


def test_stand_in_is_for_tests_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STAND_IN, "7")
    codes = np.zeros(3 * DRAWS, np.int64)
    first, again = (draw_categories(codes, (0, 1, 2), 1.0) for _ in range(2))
    assert first.tolist() == again.tolist()
    require_share(int(np.sum(first == 0)), len(codes), keep_probability(1.0, 3))
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    with pytest.raises(SpecError, match="protects nobody"):
        draw_categories(codes, (0, 1, 2), 1.0)
