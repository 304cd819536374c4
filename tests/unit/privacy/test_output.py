"""Noise on outputs: what it is added to, how much of it there is, and that a test of it finds a broken one out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from runner.privacy.output import (
    CHANGED,
    add_noise,
    add_noise_to_scores,
    count_cells,
    fit_counts,
    rows_like,
    score_steps,
)

LABEL = np.array([0.0, 0.0, 1.0, 1.0, 1.0, 0.0])
SCORE = np.array([0.0, 0.49, 0.5, 0.99, 1.0, 0.2])


def test_rows_are_counted_by_cell_and_label() -> None:
    assert count_cells(LABEL, SCORE, 2).tolist() == [[3, 0], [0, 3]]
    assert count_cells(LABEL, SCORE, 4).tolist() == [[2, 0], [1, 0], [0, 1], [0, 2]]


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.floats(0, 1)), min_size=1, max_size=20),
    st.tuples(st.sampled_from([0.0, 1.0]), st.floats(0, 1)),
    st.integers(2, 50),
)
def test_one_row_changes_the_counts_by_what_the_noise_is_made_for(
    rows: list[tuple[float, float]], other: tuple[float, float], bins: int
) -> None:
    one, another = (count_cells(*np.array(table).T, bins) for table in (rows, [other, *rows[1:]]))
    assert np.abs(one - another).sum() <= CHANGED
    assert one.sum() == another.sum() == len(rows)


@given(
    st.lists(st.integers(-30, 60), min_size=4, max_size=24).filter(lambda found: len(found) % 2 == 0),
    st.integers(0, 99),
)
def test_fitted_counts_are_counts_of_that_many_rows(noisy: list[int], rows: int) -> None:
    fitted = fit_counts(np.array(noisy).reshape(-1, 2), rows)
    assert fitted.min() >= 0
    assert fitted.sum() == rows


def test_counts_without_noise_stay() -> None:
    cells = count_cells(LABEL, SCORE, 4)
    assert (fit_counts(cells, len(LABEL)) == cells).all()
    label, score = rows_like(cells)
    assert (count_cells(label, score, 4) == cells).all()


def test_noise_has_the_variance_of_the_discrete_laplace() -> None:
    """Of parameter q = exp(-epsilon / 2), it is 2 q / (1 - q)^2; 4 standard errors of its estimate."""
    epsilon, q = 1.0, math.exp(-0.5)
    drawn = add_noise(np.zeros((2000, 2), np.int64), epsilon)
    assert abs(drawn.mean()) < 4 * math.sqrt(2 * q / (1 - q) ** 2 / drawn.size)
    assert drawn.var() == pytest.approx(2 * q / (1 - q) ** 2, rel=0.15)


def test_scores_stay_on_their_grid() -> None:
    rounded = score_steps(np.array([0.0, 0.004, 0.006, 0.5, 1.0]), 100)
    assert rounded.tolist() == [0, 0, 1, 50, 100]
    noisy = add_noise_to_scores(rounded, 100, 1.0)
    assert noisy.dtype == np.int64
    assert noisy.min() >= 0
    assert noisy.max() <= 100


def audited(release: Callable[[int], Any], event: Callable[[Any], Any]) -> float:
    """A lower bound on epsilon (wrong once in 50,000 times) from how often an event happens on two neighbouring tables.

    Jagielski, Ullman and Oprea, "Auditing differentially private machine learning" (NeurIPS 2020), with the exact
    intervals of Clopper and Pearson (1934).

    Args:
        release: what is released of one of two tables, TIMES times over; event: in which of these it happens.
    """
    hits = [int(np.count_nonzero(event(release(world)))) for world in (0, 1)]
    low = beta.ppf(MISS, hits[0], TIMES - hits[0] + 1) if hits[0] else 0.0
    high = beta.ppf(1 - MISS, hits[1] + 1, TIMES - hits[1]) if hits[1] < TIMES else 1.0
    return math.log(low / high) if low > 0 else -math.inf


TIMES, MISS = 5000, 1e-5
WORLDS = np.array([[[5, 4], [3, 9]], [[5, 4], [4, 8]]])  # one row has another label


def released(world: int, epsilon: float) -> Any:
    """Shape (TIMES, 2, 2): the counts of one world, each time with noise of its own."""
    return add_noise(np.repeat(WORLDS[world : world + 1], TIMES, axis=0), epsilon)


def more_of_the_first(noisy: Any) -> Any:
    """What is likelier in the first world: few rows of label 0 in the second cell, and many of label 1."""
    return (noisy[:, 1, 0] <= 3) & (noisy[:, 1, 1] >= 9)


@pytest.mark.parametrize("epsilon", [1.0, 3.0])
def test_what_an_attacker_learns_of_a_row_stays_below_epsilon(epsilon: float) -> None:
    found = audited(lambda world: released(world, epsilon), more_of_the_first)
    assert 0.5 * epsilon < found <= epsilon


def test_the_same_attack_finds_noise_that_is_too_small() -> None:
    """As if replacing a row changed one count by one: half the noise that it takes."""
    claimed = 1.0
    assert audited(lambda world: released(world, 2 * claimed), more_of_the_first) > claimed


def test_the_same_attack_finds_noise_that_is_used_for_two_tables() -> None:
    noise = add_noise(np.zeros((TIMES, 2, 2), np.int64), 1.0)
    found = audited(lambda world: WORLDS[world] + noise, lambda noisy: (noisy == WORLDS[0] + noise).all(axis=(1, 2)))
    assert found > 5


def test_what_an_attacker_learns_of_a_score_stays_below_epsilon() -> None:
    def release(world: int) -> Any:
        return add_noise_to_scores(np.full(TIMES, 10 * world), 10, 2.0)

    assert 1.0 < audited(release, lambda noisy: noisy == 0) <= 2.0
