"""Columns of text: levels become columns of 0 and 1, or one number each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct
from numpy.typing import NDArray

from runner.prepare.numbers import INDICATOR, Array
from runner.prepare.problems import Unfit
from runner.spec.prepare import Categories

OTHER = "__other"
Codes = NDArray[np.int64]


class Category(Struct, frozen=True, kw_only=True, tag="category", forbid_unknown_fields=True):
    """A fitted column of text. A level's code is its place in ``levels``; then come "other" and the hole.

    Attributes:
        levels: in the order of the text.
        rare: levels of the training rows that are "other".
        unseen: what a level of no training row is: other, missing (a hole), or an error.
        numbers: code → the number that it becomes; None: columns of 0 and 1 are made.
        columns: the codes that have a column of 0 and 1: every level, and those of the other two that are in the
            training rows. A row of a code without one has 0 in all of them.
    """

    levels: tuple[str, ...]
    rare: tuple[str, ...] = ()
    unseen: Literal["other", "missing", "error"] = "other"
    numbers: tuple[float, ...] | None = None
    columns: tuple[int, ...] = ()

    def endings(self) -> tuple[str, ...]:
        """What the produced columns' names end in: numbers, not levels, since the names may be shown."""
        if self.numbers is not None:
            return ("",)
        special = {len(self.levels): OTHER, len(self.levels) + 1: INDICATOR}
        return tuple(special.get(code, f"__{code + 1}") for code in self.columns)

    def described(self) -> tuple[str, ...]:
        """What each produced column says, with the levels: for the owner."""
        if self.numbers is not None:
            return (f"{len(self.levels)} levels as numbers",)
        special = {len(self.levels): "any other level", len(self.levels) + 1: "a hole"}
        return tuple(special.get(code) or f"the level {self.levels[code]!r}" for code in self.columns)

    def apply(self, texts: pa.ChunkedArray) -> list[Array]:
        """The produced columns: shape (rows,), float64.

        Raises:
            Unfit: where there is a level of no training row, and that is an error.
        """
        codes = self.codes(texts)
        if self.numbers is not None:
            return [np.array(self.numbers, dtype=np.float64)[codes]]
        return [(codes == code).astype(np.float64) for code in self.columns]

    def codes(self, texts: pa.ChunkedArray) -> Codes:
        """Each row's code: shape (rows,), int64."""
        other, hole = len(self.levels), len(self.levels) + 1
        codes = _places(texts, self.levels, absent=other)
        codes[texts.is_null().to_numpy()] = hole
        if self.unseen != "other":
            unseen = (codes == other) & (_places(texts, self.rare, absent=-1) < 0)
            if self.unseen == "error" and unseen.any():
                raise Unfit("have levels that no training row has", int(unseen.sum()))
            codes[unseen] = hole
        return codes


def fit_category(texts: pa.ChunkedArray, settings: Categories, label: Array | None = None) -> Category:
    """Fit to the training rows. The result does not depend on their order.

    Args:
        texts: the column in the training rows, with nulls for holes.
        settings: what is meant for the column.
        label: shape (training rows,), float64, for ``target``; NaN where a row has none.

    Raises:
        Unfit: where no training row has a level.
    """
    counted = pc.value_counts(texts.drop_null())
    counts = dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))
    if not counts:
        raise Unfit("have no value in the training rows", len(texts))
    levels = _frequent(counts, settings)
    rare = sorted(set(counts) - set(levels))
    fitted = Category(levels=tuple(levels), rare=tuple(rare), unseen=settings.unseen)
    codes = fitted.codes(texts)
    match settings.encode:
        case "onehot":
            found = set(codes.tolist())
            columns = tuple(code for code in range(len(levels) + 2) if code < len(levels) or code in found)
            return _with(fitted, columns=columns)
        case "ordinal":
            return _with(fitted, numbers=(*map(float, range(len(levels) + 1)), -1.0))
        case "frequency":
            shares = np.bincount(codes, minlength=len(levels) + 2) / len(codes)
            return _with(fitted, numbers=tuple(shares.tolist()))
        case "target" if label is not None:
            return _with(fitted, numbers=_smoothed_means(codes, label, len(levels) + 2, settings.smoothing))
        case _:
            raise AssertionError(f"nothing encodes {settings.encode!r} here")


def _with(fitted: Category, *, numbers: tuple[float, ...] | None = None, columns: tuple[int, ...] = ()) -> Category:
    return Category(levels=fitted.levels, rare=fitted.rare, unseen=fitted.unseen, numbers=numbers, columns=columns)


def _frequent(counts: dict[str, int], settings: Categories) -> list[str]:
    """The levels that are not "other"; among equally frequent ones the later in the order of the text stay."""
    levels = sorted(level for level, count in counts.items() if count >= settings.min_frequency)
    limit = settings.max_levels
    if limit is None or len(levels) + (len(levels) < len(counts)) <= limit:
        return levels
    by_count = sorted(levels, key=lambda level: counts[level])  # stable
    return sorted(by_count[len(levels) - (limit - 1) :])


def _smoothed_means(codes: Codes, label: Array, size: int, smoothing: float) -> tuple[float, ...]:
    """Each code's mean label, drawn to the mean of all as if by ``smoothing`` more rows of it.

    Source: D. Micci-Barreca, "A preprocessing scheme for high-cardinality categorical attributes in classification and
    prediction problems", SIGKDD Explorations 3(1), 2001, equation 3 with weights n / (n + smoothing).
    """
    known = ~np.isnan(label)
    codes, label = codes[known], label[known]
    mean = math.fsum(label) / len(label)
    by_code = np.argsort(codes, kind="stable")
    groups = np.split(label[by_code], np.cumsum(np.bincount(codes, minlength=size))[:-1])
    return tuple(
        (math.fsum(group) + smoothing * mean) / (len(group) + smoothing) if len(group) else mean for group in groups
    )


def _places(texts: pa.ChunkedArray, levels: Sequence[str], *, absent: int) -> Codes:
    found = pc.index_in(texts, value_set=pa.array(levels, type=pa.large_string()))
    places: Codes = pc.fill_null(found, absent).to_numpy().astype(np.int64)
    return places
