"""A first draft of a contract from a table: types, ranges, the form of ids; no value of the table stands in it.

A range's ends are rounded outward, to at most two digits and to at least a tenth of the range. They are never a value
of the table, but for 0, where all values lie on one side of it: that a number has no negative values is worth checking,
and 0 is written whether or not the least value is 0. Dates go to whole years. Of ids only the form stays: kinds of
characters, how many, and separators. Values are listed (``isin``) only if the party asks for it.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import polars as pl

from runner.data.contract_yaml import DTYPES

LARGEST = 2**53  # up to here float64 has every whole number
MOST_VALUES = 20  # a column with more different values has no list of them
_NAMES: dict[type[pl.DataType], str] = {
    **{dtype: name for name, dtype in DTYPES.items() if name not in ("int64", "float64")},
    pl.Categorical: "category",
    pl.Enum: "category",
}
_SEPARATORS = "-_./: "
_CLASSES = {"9": "0-9", "A": "A-Z", "a": "a-z"}


@dataclass
class ColumnDraft:
    """What a draft says of one column.

    Attributes:
        settings: the keys of a column in a YAML contract.
        note: a word for the reader, or nothing.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    note: str = ""


def infer_columns(
    frame: pl.DataFrame, ids: Collection[str], others: Collection[str], include_values: bool
) -> list[ColumnDraft]:
    """A draft for each column of a table; the table keeps the contract that they make.

    Args:
        ids: the id columns.
        others: columns that are no features by what the spec says, such as the label.
        include_values: whether columns of few values list them.
    """
    return [_draft(frame[name], name in ids, name in others, include_values) for name in frame.columns]


def _draft(column: pl.Series, is_id: bool, is_other: bool, include_values: bool) -> ColumnDraft:
    draft = ColumnDraft(column.name)
    dtype = _NAMES.get(column.dtype.base_type())
    if dtype is not None:
        draft.settings["dtype"] = dtype
    if is_id:
        _describe_ids(column, draft)
        return draft
    if column.null_count():
        draft.settings["nullable"] = True
    values = _few_values(column) if include_values and dtype is not None else None
    if values is not None:
        draft.settings["isin"] = values
    elif dtype is not None:
        draft.settings |= _range(column)
    why = None if is_other else _why_no_feature(column)
    if why is not None:
        draft.settings["feature"] = False
        draft.note = why
    return draft


def _why_no_feature(column: pl.Series) -> str | None:
    """Why training cannot take a column as it is, or None."""
    if _NAMES.get(column.dtype.base_type()) in (None, "str", "category", "date", "datetime", "bool"):
        return "no feature as it is: it holds no numbers (prepare=auto makes them of text, booleans and dates)"
    if column.null_count():
        return "no feature as it is: it has missing values (prepare=auto fills them)"
    if column.dtype.is_integer() and max(abs(value) for value in (*column.top_k(1), *column.bottom_k(1))) > LARGEST:
        return "no feature as it is: it has whole numbers beyond 2^53"
    return None if column.is_finite().all() else "no feature as it is: not all of its numbers are finite"


def _few_values(column: pl.Series) -> list[Any] | None:
    if not (column.dtype.is_integer() or isinstance(column.dtype, (pl.String, pl.Categorical, pl.Enum))):
        return None
    values = column.drop_nulls().unique()
    if not 0 < len(values) <= MOST_VALUES:
        return None
    listed = values.to_list()
    interpolated = any("${" in str(value) for value in listed)  # which YAML's reader would look into
    return None if interpolated else sorted(listed)


def _range(column: pl.Series) -> dict[str, Any]:
    dtype = column.dtype
    if dtype.is_numeric():
        values = column.drop_nulls().drop_nans() if dtype.is_float() else column.drop_nulls()
        low, high = values.min(), values.max()
        if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):  # type: ignore[arg-type]
            return {}
        ends = outward(low, high, dtype.is_integer())  # type: ignore[arg-type]
        return {key: end for key, end in zip(("ge", "le"), ends, strict=True) if end is not None}
    if isinstance(dtype, (pl.Date, pl.Datetime)) and getattr(dtype, "time_zone", None) is None:
        return _years(column)
    return {}


def outward(low: float, high: float, whole: bool) -> tuple[float | None, float | None]:
    """Ends beyond ``low`` and ``high``; None for one that no number of 64 bits can be."""
    first, last = Decimal(low), Decimal(high)
    size = max(abs(first), abs(last))
    exponent = size.adjusted() if size else 0
    if first != last:
        exponent = max((last - first).adjusted(), exponent - 1)
    step = Decimal(1).scaleb(max(exponent, 0) if whole else exponent)
    below, above = first // step * step, last // step * step
    while float(below) >= low:
        below -= step
    while float(above) <= high:
        above += step
    below = max(below, Decimal(0)) if first >= 0 else below
    above = min(above, Decimal(0)) if last <= 0 and first < 0 else above
    return _number(below, whole), _number(above, whole)


def _number(end: Decimal, whole: bool) -> float | None:
    if whole:
        return int(end) if abs(end) < 2**63 else None
    value = float(end)
    if not math.isfinite(value):
        return None
    return int(end) if end == end.to_integral_value() and abs(end) < 2**53 else value


def _years(column: pl.Series) -> dict[str, Any]:
    """From a first of January before all dates to a last of December after them."""
    low, high = column.dt.year().min(), column.dt.year().max()
    if not isinstance(low, int) or not isinstance(high, int) or not 2 < low <= high < 9998:
        return {}
    return {"ge": datetime.date(low - 1, 1, 1).isoformat(), "le": datetime.date(high + 1, 12, 31).isoformat()}


def _describe_ids(ids: pl.Series, draft: ColumnDraft) -> None:
    draft.note = "the id"
    if ids.dtype != pl.String:
        return
    stripped = ids.str.strip_chars()
    if not ids.equals(stripped):
        draft.settings["id"] = {"strip": True}
    if (form := form_of(stripped)) is not None:
        draft.settings["matches"] = form


def form_of(ids: pl.Series) -> str | None:
    """A regular expression that all ids match: kinds of characters and their number; only separators as they are."""
    present = ids.drop_nulls()
    if present.is_empty():
        return None
    kinds = present.str.replace_all("[0-9]", "9").str.replace_all("[A-Z]", "A").str.replace_all("[a-z]", "a")
    kinds = kinds.str.replace_all(f"[^9Aa{re.escape(_SEPARATORS)}]", "?").unique()
    runs = kinds
    for kind in (*_CLASSES, *_SEPARATORS, "?"):
        runs = runs.str.replace_all(f"{re.escape(kind)}+", kind)
    sequences = runs.unique().to_list()
    if len(sequences) > 1 or not sequences[0]:
        return f"^{_class_of({kind for sequence in sequences for kind in sequence})}{_times(kinds)}$"
    pattern = "^" + "".join(f"({re.escape(kind)}+)" for kind in sequences[0]) + "$"
    parts = kinds.str.extract_groups(pattern).struct
    return "^" + "".join(_class_of({kind}) + _times(parts[at]) for at, kind in enumerate(sequences[0])) + "$"


def _class_of(kinds: set[str]) -> str:
    if "?" in kinds or not kinds:
        return "."
    inner = "".join(_CLASSES.get(kind, re.escape(kind)) for kind in sorted(kinds, key="9Aa_./: -".index))
    return inner if len(kinds) == 1 and inner not in _CLASSES.values() else f"[{inner}]"


def _times(texts: pl.Series) -> str:
    lengths = texts.str.len_chars().to_list()
    low, high = min(lengths), max(lengths)
    if low == high:
        return "" if low == 1 else f"{{{low}}}"
    return f"{{{low},{high}}}"
