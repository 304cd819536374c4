"""What a party's training rows were like, column by column, and how far other rows are from it.

The population stability index compares two distributions over bins: sum of (a - e) ln(a / e), where e and a are a bin's
shares in training and now (Siddiqi 2006, Credit Risk Scorecards). Numbers have ten bins with equal shares in training,
fewer where values repeat; texts a bin for each of the most frequent values and one for all others. Missing values are
counted apart. Shares are smoothed by half a row a bin, so that an empty bin is no infinite drift.

Two samples of one distribution have an index above 0 too: it is nearly (1/n + 1/m) times a chi-squared variable with
one degree of freedom less than there are bins (Yurdakul and Naranjo 2020, Journal of Risk Model Validation). ``noise``
is what it exceeds by sampling alone for one feature in a thousand: 0.28 for ten bins and 200 rows in both tables.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from runner.data.table import CheckedTable
from runner.prepare.columns import numbers_of

BINS = 10
MOST_VALUES = 50
TAIL = 3.0902  # standard deviations that a normal variable exceeds once in a thousand

Columns = Mapping[str, NDArray[Any]]


class ColumnDrift(NamedTuple):
    """How far one column is from the training's.

    Attributes:
        psi: the population stability index, or None where one of the tables has no value.
        noise: what sampling alone would make of it, at most, for 999 of 1,000 features.
        missing: share of missing values less that of the training, from -1 to 1.
        missing_noise: the same for ``missing``.
        outside: share of the values that are outside of the training's range, or, of texts, are none of the training's;
            None where that is not known.
    """

    psi: float | None
    noise: float
    missing: float
    missing_noise: float
    outside: float | None


def feature_columns(table: CheckedTable, rows: NDArray[np.bool_]) -> Columns:
    """The features of some rows by name, shape (rows,): texts as objects, everything else as float64."""
    chosen = table.columns.filter(pa.array(rows))
    return {name: _plain(column) for name, column in zip(chosen.column_names, chosen.columns, strict=True)}


def _plain(column: pa.ChunkedArray) -> NDArray[Any]:
    """Numbers and booleans as they are, times in microseconds; None and NaN where a value is missing."""
    if pa.types.is_large_string(column.type):
        return np.array(column.to_pylist(), dtype=object)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return numbers_of(column)


def profile_of(columns: Columns) -> dict[str, Any]:
    """What columns are like, as plain values: counts by bin, bounds of bins, extremes. It holds single values.

    Args:
        columns: name → shape (rows,), float64 with NaN where a value is missing, or texts as objects with None there.
    """
    rows = max((len(column) for column in columns.values()), default=0)
    return {"rows": rows, "columns": {name: _profile(column) for name, column in columns.items()}}


class Tally(NamedTuple):
    """One column's rows by the bins of a profile; those of two pieces of a table add up.

    Attributes:
        counts: rows in each bin, shape (bins,).
        rows: with the missing ones; present: without.
        beyond: outside of the training's range; 0 of texts.
    """

    counts: NDArray[np.int64]
    rows: int
    present: int
    beyond: int

    def and_of(self, other: Tally) -> Tally:
        """The tally of both."""
        return Tally(
            self.counts + other.counts,
            self.rows + other.rows,
            self.present + other.present,
            self.beyond + other.beyond,
        )


def tally(profile: Mapping[str, Any], columns: Columns) -> dict[str, Tally]:
    """Count columns by a profile's bins; columns that either does not know are left out."""
    return {
        name: _tally(trained, columns[name])
        for name, trained in profile["columns"].items()
        if name in columns and (columns[name].dtype == object) == ("values" in trained)
    }


def drift_of(profile: Mapping[str, Any], tallies: Mapping[str, Tally]) -> dict[str, ColumnDrift]:
    """How far the columns that were counted are from a profile."""
    return {name: _drift(profile["rows"], profile["columns"][name], counted) for name, counted in tallies.items()}


def _profile(column: NDArray[Any]) -> dict[str, Any]:
    present = _present(column)
    missing = {"missing": len(column) - len(present)}
    if column.dtype == object:
        values, counts = np.unique(present.astype(str), return_counts=True)
        kept = values[np.lexsort((values, -counts))][:MOST_VALUES]
        bins: dict[str, Any] = {"values": sorted(kept.tolist()), "complete": len(values) == len(kept)}
    elif len(present):
        quantiles = np.quantile(present, np.arange(1, BINS) / BINS, method="inverted_cdf")
        low, high = float(present.min()), float(present.max())
        bins = {"edges": [float(edge) for edge in np.unique(quantiles) if edge < high], "min": low, "max": high}
    else:
        bins = {"edges": []}
    return {**missing, **bins, "counts": _count(bins, present).tolist()}


def _present(column: NDArray[Any]) -> NDArray[Any]:
    texts = column.dtype == object
    there = np.array([value is not None for value in column], dtype=np.bool_) if texts else ~np.isnan(column)
    present: NDArray[Any] = column[there]
    return present


def _count(bins: Mapping[str, Any], present: NDArray[Any]) -> NDArray[np.int64]:
    """Rows in each bin."""
    if "values" in bins:
        known = np.array(bins["values"], dtype=str)
        texts = present.astype(str)
        places = np.searchsorted(known, texts)
        hit = places < len(known)
        hit[hit] = known[places[hit]] == texts[hit]
        return np.bincount(np.where(hit, places, len(known)), minlength=len(known) + 1)
    return np.bincount(np.searchsorted(bins["edges"], present, side="left"), minlength=len(bins["edges"]) + 1)


def _tally(trained: Mapping[str, Any], column: NDArray[Any]) -> Tally:
    present = _present(column)
    beyond = 0 if "min" not in trained else np.sum((present < trained["min"]) | (present > trained["max"]))
    return Tally(_count(trained, present), len(column), len(present), int(beyond))


def _drift(rows: int, trained: Mapping[str, Any], counted: Tally) -> ColumnDrift:
    before, now = np.array(trained["counts"], dtype=np.int64), counted.counts
    shares = trained["missing"] / max(rows, 1), 1 - counted.present / max(counted.rows, 1)
    pooled = (trained["missing"] + counted.rows - counted.present) / max(rows + counted.rows, 1)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / max(rows, 1) + 1 / max(counted.rows, 1)))
    known = before.sum() > 0 and now.sum() > 0
    return ColumnDrift(
        psi=stability_index(before, now) if known else None,
        noise=_noise(before, now) if known else math.inf,
        missing=shares[1] - shares[0],
        missing_noise=TAIL * spread,
        outside=_outside(trained, counted),
    )


def _outside(trained: Mapping[str, Any], counted: Tally) -> float | None:
    if not counted.present:
        return None
    if "values" in trained:
        return float(counted.counts[-1] / counted.present) if trained["complete"] else None
    return counted.beyond / counted.present if "min" in trained else None


def stability_index(before: NDArray[np.int64], now: NDArray[np.int64]) -> float:
    """The population stability index of two counts over the same bins."""
    expected, actual = ((counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (before, now))
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def _noise(before: NDArray[np.int64], now: NDArray[np.int64]) -> float:
    """The 99.9th percentile of the index under sampling alone; chi-squared by Wilson and Hilferty (1931)."""
    free = len(before) - 1
    if free == 0:
        return 0.0
    step = 2 / (9 * free)
    return float(free * (1 - step + TAIL * math.sqrt(step)) ** 3 * (1 / before.sum() + 1 / now.sum()))
