"""Noise on what is released of test rows: counts of scores and labels, and single scores.

**Metrics and counts.** The test rows are counted by cell of the score and by label. One row that is replaced by another
changes two counts by one, so discrete Laplace noise of scale 2 / epsilon on every count makes them epsilon-DP
(Ghosh, Roughgarden and Sundararajan, STOC 2009). Cells are of equal width, whatever the data; the number of rows is no
secret. All that is told of the rows is computed of these counts and is post-processing: metrics, confusion, curves and
tables have the same epsilon together as one of them.

**Scores.** Every released score is rounded to a grid in [0, 1] and gets discrete Laplace noise of scale (number of
steps) / epsilon: one row that is replaced changes its own score only, by the whole range at most.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.privacy.randomness import draw_laplace

Array = NDArray[np.float64]
Counts = NDArray[np.int64]
CHANGED = 2  # L1 distance of the counts of two tables that differ in one row


def count_cells(label: Any, score: Any, bins: int) -> Counts:
    """How many rows have a score in each cell, by label.

    Args:
        label: shape (rows,), 0 or 1; score: shape (rows,), in [0, 1].

    Returns:
        shape (bins, 2), int64.
    """
    cells = np.clip((np.asarray(score, dtype=np.float64) * bins).astype(np.int64), 0, bins - 1)
    flat = np.bincount(2 * cells + (np.asarray(label) > 0.5), minlength=2 * bins)
    return flat.reshape(bins, 2).astype(np.int64)


def add_noise(counts: Counts, epsilon: float) -> Counts:
    """The counts, each with discrete Laplace noise of scale 2 / epsilon; of the same shape. Some are below 0 then."""
    return draw_laplace(counts.reshape(-1), CHANGED, epsilon).reshape(counts.shape)


def fit_counts(noisy: Counts, rows: int) -> Counts:
    """The nearest counts that are not below 0 and have the sum ``rows``, as whole numbers.

    The Euclidean projection onto a simplex (Duchi, Shalev-Shwartz, Singer and Chandra, ICML 2008), and the largest
    remainders rounded up.
    """
    values = noisy.reshape(-1).astype(np.float64)
    descending = np.sort(values)[::-1]
    surplus = (np.cumsum(descending) - rows) / np.arange(1, values.size + 1)
    shift = surplus[np.flatnonzero(descending > surplus)[-1]] if rows else np.inf
    fitted = np.maximum(values - shift, 0.0)
    whole = np.floor(fitted + 1e-9).astype(np.int64)
    short = rows - int(whole.sum())
    whole[np.argsort(-(fitted - whole), kind="stable")[:short]] += 1
    counts: Counts = whole.reshape(noisy.shape)
    return counts


def rows_like(counts: Counts) -> tuple[Array, Array]:
    """Labels and scores of made-up rows with these counts: each has the score in the middle of its cell."""
    bins = len(counts)
    middles = (np.arange(bins) + 0.5) / bins
    numbers = counts.reshape(-1)
    return np.repeat(np.tile([0.0, 1.0], bins), numbers), np.repeat(np.repeat(middles, 2), numbers)


def score_steps(scores: Any, steps: int) -> Counts:
    """Scores in [0, 1] rounded to a grid: shape (rows,), int64, from 0 to ``steps``."""
    rounded: Counts = np.clip(np.rint(np.asarray(scores, dtype=np.float64) * steps), 0, steps).astype(np.int64)
    return rounded


def add_noise_to_scores(rounded: Counts, steps: int, epsilon: float) -> Counts:
    """The scores on the grid with noise, cut to 0 and ``steps``: shape (rows,), int64."""
    noisy: Counts = np.clip(draw_laplace(rounded, steps, epsilon), 0, steps)
    return noisy
