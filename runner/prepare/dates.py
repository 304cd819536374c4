"""Columns of dates and times: the days since 1970, or their parts."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct
from msgspec.structs import replace

from runner.prepare.columns import numbers_of
from runner.prepare.numbers import INDICATOR, Array, Number, fit_number
from runner.spec.prepare import Dates, Numbers

Part = Literal["days", "year", "month", "day", "weekday", "hour"]
PARTS: tuple[Part, ...] = ("year", "month", "day", "weekday", "hour")
MICROSECONDS = 86_400_000_000  # in a day


class Date(Struct, frozen=True, kw_only=True, tag="date", forbid_unknown_fields=True):
    """A fitted column of dates.

    Attributes:
        parts: what is made of each.
        numbers: how the holes in each part are filled.
        indicator: whether a column of 0 and 1 that says where holes were follows.
    """

    parts: tuple[Part, ...]
    numbers: tuple[Number, ...]
    indicator: bool = False

    def endings(self) -> tuple[str, ...]:
        """What the produced columns' names end in."""
        own = ("" if part == "days" else f"__{part}" for part in self.parts)
        return (*own, INDICATOR) if self.indicator else tuple(own)

    def described(self) -> tuple[str, ...]:
        """What each produced column says."""
        own = ("days since 1970-01-01, UTC" if part == "days" else f"its {part}, UTC" for part in self.parts)
        return (*own, "1 where there was a hole") if self.indicator else tuple(own)

    def apply(self, times: pa.ChunkedArray) -> list[Array]:
        """The produced columns: shape (rows,), float64, finite.

        Raises:
            Unfit: where there are holes and none is allowed.
        """
        made = [
            column
            for part, number in zip(self.parts, self.numbers, strict=True)
            for column in number.apply(_part(times, part))
        ]
        return [*made, times.is_null().to_numpy().astype(np.float64)] if self.indicator else made


def fit_date(times: pa.ChunkedArray, settings: Dates, numbers: Numbers) -> Date:
    """Fit to the training rows. The result does not depend on their order.

    Args:
        times: the column in the training rows, timestamps in microseconds, with nulls for holes.
        settings: what is meant for the column.
        numbers: what is meant for the numbers that it becomes.

    Raises:
        Unfit: where no training row has a value that a hole could become.
    """
    parts: tuple[Part, ...] = ("days",) if settings.encode == "days" else PARTS
    if settings.encode == "parts" and not np.nansum(_part(times, "hour")):
        parts = PARTS[:-1]  # dates without a time of day
    fitted = tuple(fit_number(_part(times, part), replace(numbers, indicator=False)) for part in parts)
    return Date(parts=parts, numbers=fitted, indicator=numbers.indicator and times.null_count > 0)


def _part(times: pa.ChunkedArray, part: Part) -> Array:
    match part:
        case "days":
            return numbers_of(times.cast(pa.int64())) / MICROSECONDS
        case "weekday":
            return numbers_of(pc.day_of_week(times, count_from_zero=False))
        case _:
            return numbers_of(getattr(pc, part)(times))
