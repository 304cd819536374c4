"""Confidence intervals of metrics by the bootstrap's percentile method.

B. Efron: Bootstrap methods: another look at the jackknife. Annals of Statistics 7 (1979); Efron and Tibshirani: An
Introduction to the Bootstrap (1993), chapter 13. Rows are drawn with replacement, as many as there are; the interval
tells how far a metric depends on which rows happened to be tested, and nothing about another training.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from runner.stages.weighted import Measure

Array = NDArray[np.float64]
LEVEL = 0.95
AT_ONCE = 100_000  # weights in memory at a time


def intervals(measure: Measure, rows: int, resamples: int, seed: int) -> dict[str, list[float] | None]:
    """Metric → the bounds of its 95 % interval; None where most resamples do not define it.

    Args:
        rows: the number of rows that ``measure`` weighs.
        resamples: how often rows are drawn; 0: no intervals.
        seed: the same seed gives the same draws.
    """
    if not resamples:
        return {}
    found: dict[str, list[Array]] = {}
    for weights in _resampled(rows, resamples, seed):
        for name, values in measure(weights).items():
            found.setdefault(name, []).append(values)
    return {name: _bounds(np.concatenate(parts)) for name, parts in found.items()}


def _bounds(values: Array) -> list[float] | None:
    known = values[np.isfinite(values)]
    if 2 * known.size < values.size:
        return None
    low, high = np.percentile(known, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return [float(low), float(high)]


def _resampled(rows: int, resamples: int, seed: int) -> Iterator[Array]:
    """How often each row is drawn, as arrays of shape (some resamples, rows)."""
    generator = np.random.default_rng(seed)
    step = max(1, AT_ONCE // rows)
    for first in range(0, resamples, step):
        sets = min(step, resamples - first)
        drawn = generator.integers(rows, size=(sets, rows)) + rows * np.arange(sets)[:, None]
        yield np.bincount(drawn.reshape(-1), minlength=sets * rows).reshape(sets, rows).astype(np.float64)
