"""What expenses come to, against sums made by hand."""

from __future__ import annotations

import math

import pytest

from runner.privacy.accounting import Charge, epsilon_by, total, within, zcdp_epsilon
from runner.spec.policy import Budget


def pure(epsilon: float) -> Charge:
    return Charge(mechanism="randomised response", epsilon=epsilon)


def gaussian(sigma: float) -> Charge:
    return Charge(mechanism="Gaussian", epsilon=9.0, delta=1e-5, rho=1 / (2 * sigma**2))


def test_basic_composition_adds_up() -> None:
    spent = total([pure(0.5), pure(1.25), Charge(mechanism="m", epsilon=0.25, delta=1e-6)])
    assert (spent.epsilon, spent.delta) == (2.0, 1e-6)
    assert spent.rho == pytest.approx(0.125 + 0.78125 + 0.03125)
    assert spent.rho_delta == 1e-6


def test_zcdp_takes_the_rho_of_a_mechanism_that_has_one() -> None:
    spent = total([gaussian(2.0), gaussian(1.0), pure(1.0)])
    assert spent.rho == pytest.approx(0.125 + 0.5 + 0.5)
    assert spent.rho_delta == 0


@pytest.mark.parametrize("sigma", [0.8, 3.0])
def test_zcdp_is_no_worse_than_the_formula_of_bun_and_steinke(sigma: float) -> None:
    rho, delta = 1 / (2 * sigma**2), 1e-6
    by_hand = rho + 2 * math.sqrt(rho * math.log(1 / delta))
    found = zcdp_epsilon(total([gaussian(sigma)]), delta)
    assert 0.7 * by_hand < found <= by_hand * 1.001


def test_zcdp_is_no_better_than_the_gaussian_really_is() -> None:
    """The exact delta of a Gaussian of sigma 1 at an epsilon (Balle and Wang, ICML 2018)."""

    def tail(x: float) -> float:
        return math.erfc(x / math.sqrt(2)) / 2

    epsilon = zcdp_epsilon(total([gaussian(1.0)]), 1e-5)
    delta = tail(epsilon - 0.5) - math.exp(epsilon) * tail(epsilon + 0.5)
    assert delta <= 1e-5


def test_many_small_expenses_are_fewer_by_zcdp() -> None:
    spent = total([pure(0.1)] * 100)
    assert epsilon_by("basic", spent, 1e-6) == pytest.approx(10)
    assert epsilon_by("zcdp", spent, 1e-6) < 6


def test_without_a_delta_zcdp_promises_nothing() -> None:
    assert zcdp_epsilon(total([pure(1.0)]), 0) == math.inf
    assert zcdp_epsilon(total([]), 0) == 0


def test_ten_tenths_keep_to_one() -> None:
    assert within(Budget(epsilon=1.0), total([pure(0.1)] * 10))
    assert not within(Budget(epsilon=1.0), total([pure(0.1)] * 10 + [pure(0.001)]))


def test_a_delta_beyond_the_budgets_is_too_much() -> None:
    approximate = Charge(mechanism="m", epsilon=0.1, delta=1e-5)
    assert within(Budget(epsilon=1, delta=1e-5), total([approximate]))
    assert not within(Budget(epsilon=1, delta=1e-6), total([approximate]))
    assert not within(Budget(epsilon=9, delta=1e-6, rule="zcdp"), total([approximate]))


@pytest.mark.parametrize("wrong", [{"epsilon": -1}, {"epsilon": math.inf}, {"epsilon": 1, "delta": 1.0}])
def test_no_such_expense(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="epsilon >= 0"):
        Charge(mechanism="m", **wrong)
