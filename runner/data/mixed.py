"""Which columns of a text file hold what is not of their type: counted, without a word of what it is."""

from __future__ import annotations

from typing import Any

import polars as pl

from runner.errors import DataError
from runner.spec.source import Csv


def mixed_types(party: str, texts: pl.LazyFrame, types: dict[str, Any], dialect: Csv | None = None) -> DataError:
    """The error for a file that could not be read with ``types``.

    Args:
        texts: the same file with every column of ``types`` as text.
        types: column → type; the columns are the contract's.
        dialect: of a CSV file.
    """
    found = []
    decimal_comma = dialect is not None and dialect.decimal_comma
    settings = (
        "; or say what stands for a missing value (null_values), or that decimals are written with a comma "
        f"(decimal_comma), in data.tables.{party}.source.csv"
    )
    for name, kind in types.items():
        wrong = pl.col(name).is_not_null() & _as(pl.col(name), kind, decimal_comma).is_null()
        counted = texts.select(count=wrong.sum(), first=wrong.arg_max()).collect().row(0)
        if counted[0]:
            times = f"{counted[0]:,} value{'s are' if counted[0] != 1 else ' is'} no {kind}"
            found.append(f"{name}: {times}, the first in data row {counted[1] + 1:,}")
    return DataError(
        f"{party}'s table has values of more than one type in a column",
        where=f"data.tables.{party}, {', '.join(text.partition(':')[0] for text in found[:6]) or 'some column'}",
        why="; ".join(found[:6]) or "a value is not of the type that the contract says",
        fix="mend the values or the contract" + (settings if dialect is not None else ""),
    )


def _as(column: pl.Expr, kind: Any, decimal_comma: bool) -> pl.Expr:
    if kind.is_numeric():
        text = column.str.replace(",", ".", literal=True) if decimal_comma else column
        return text.cast(kind, strict=False)
    if kind == pl.Boolean:
        return pl.when(column.str.to_lowercase().is_in(["true", "false"])).then(pl.lit(True))
    if kind == pl.Date:
        return column.str.to_date(strict=False)
    if kind == pl.Datetime:
        return column.str.to_datetime(strict=False)
    return column
