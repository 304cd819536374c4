"""Columns of numbers: holes filled, and outliers cut off, by what the training rows say."""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from runner.prepare.problems import Unfit
from runner.spec.prepare import Numbers

Array = NDArray[np.float64]
INDICATOR = "__missing"


class Number(Struct, frozen=True, kw_only=True, tag="number", forbid_unknown_fields=True):
    """A fitted column of numbers.

    Attributes:
        fill: what a hole becomes; None: holes are refused.
        indicator: whether a column of 0 and 1 that says where holes were follows.
        clip: the least and the largest value; what lies outside becomes these.
    """

    fill: float | None = None
    indicator: bool = False
    clip: tuple[float, float] | None = None

    def endings(self) -> tuple[str, ...]:
        """What the produced columns' names end in."""
        return ("", INDICATOR) if self.indicator else ("",)

    def described(self) -> tuple[str, ...]:
        """What each produced column says."""
        return ("the value", "1 where there was a hole") if self.indicator else ("the value",)

    def apply(self, values: Array) -> list[Array]:
        """The produced columns: shape (rows,), float64, finite.

        Args:
            values: shape (rows,), float64; NaN is a hole.

        Raises:
            Unfit: where there are holes and none is allowed.
        """
        holes = np.isnan(values)
        if self.clip is not None:
            values = np.clip(values, *self.clip)
        if holes.any():
            if self.fill is None:
                raise Unfit("have holes, which the training did not allow", int(holes.sum()))
            values = np.where(holes, self.fill, values)
        return [values, holes.astype(np.float64)] if self.indicator else [values]


def fit_number(values: Array, settings: Numbers) -> Number:
    """Fit to the training rows. The result does not depend on their order.

    Args:
        values: shape (training rows,), float64; NaN is a hole.
        settings: what is meant for the column.

    Raises:
        Unfit: where no training row has a value that a hole could become.
    """
    present = values[~np.isnan(values)]
    if not len(present) and settings.missing != "constant":
        raise Unfit("have no value in the training rows", len(values))
    clip = None
    if settings.clip is not None and len(present):
        low, high = np.quantile(present, settings.clip)
        clip = (float(low), float(high))
        present = np.clip(present, low, high)
    return Number(
        fill=_fill(present, settings),
        indicator=settings.indicator and len(present) < len(values),
        clip=clip,
    )


def _fill(present: Array, settings: Numbers) -> float | None:
    match settings.missing:
        case "error":
            return None
        case "constant":
            return settings.constant
        case "sentinel":
            return _below(present)
        case "median":
            return float(np.median(present))
        case "mean":
            return exact_mean(present)
        case "most_frequent":  # the smallest, where several are
            found, counts = np.unique(present, return_counts=True)
            return float(found[np.argmax(counts)])


def exact_mean(values: Array) -> float:
    """The mean, rounded once: the same in any order of the values."""
    return math.fsum(values) / len(values)


def _below(present: Array) -> float:
    """A number below all of them by at least as much as they span: SGB's bins are quantiles, so the gap costs none."""
    low, high = float(present.min()), float(present.max())
    below = low - max(1.0, abs(low), high - low)
    if not np.isfinite(below) or below >= low:
        raise Unfit("span too wide a range for a number below it", len(present))
    return below
