"""Columns of dates and times."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from runner.prepare.dates import fit_date
from runner.prepare.problems import Unfit
from runner.spec.prepare import Dates, Numbers

LEAP = datetime(2024, 2, 29)
EVENING = datetime(1969, 12, 31, 18)


def column(*times: datetime | None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(times, type=pa.timestamp("us"))])


def matrix(fitted: Any, *times: datetime | None) -> list[list[float]]:
    return np.column_stack(fitted.apply(column(*times))).tolist()


def test_days_are_counted_from_1970_with_their_fractions() -> None:
    fitted = fit_date(column(LEAP, EVENING), Dates(encode="days"), Numbers())
    assert fitted.endings() == ("",)
    assert matrix(fitted, LEAP, EVENING) == [[19782.0], [-0.25]]


def test_parts_of_times_and_of_dates() -> None:
    timed = fit_date(column(LEAP, EVENING), Dates(encode="parts"), Numbers())
    assert timed.endings() == ("__year", "__month", "__day", "__weekday", "__hour")
    assert matrix(timed, LEAP, EVENING) == [[2024, 2, 29, 4, 0], [1969, 12, 31, 3, 18]]
    dated = fit_date(column(LEAP), Dates(encode="parts"), Numbers())
    assert dated.endings() == ("__year", "__month", "__day", "__weekday")


def test_holes_in_dates_are_filled_as_in_numbers() -> None:
    fitted = fit_date(column(LEAP, None), Dates(encode="parts"), Numbers(missing="median", indicator=True))
    assert fitted.endings()[-1] == "__missing"
    assert len(fitted.described()) == len(fitted.endings())
    assert matrix(fitted, None, EVENING) == [[2024, 2, 29, 4, 1], [1969, 12, 31, 3, 0]]
    with pytest.raises(Unfit, match="have holes"):
        matrix(fit_date(column(LEAP), Dates(encode="days"), Numbers()), LEAP, None)
