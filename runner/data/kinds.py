"""What a party's feature columns hold, by their types, and in which form they are handed over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl
import pyarrow as pa

from runner.errors import DataError
from runner.prepare.rules import Kind, Rule, rule_for
from runner.spec.prepare import Prepare

_FORMS: dict[Kind, Any] = {
    "number": pl.Float64,
    "boolean": pl.Boolean,
    "category": pl.String,
    "date": pl.Datetime("us"),
}


def kind_of(dtype: pl.DataType) -> Kind | None:
    """What a column of this type holds, or None where it cannot be a feature."""
    if dtype.is_numeric():
        return "number"
    if isinstance(dtype, pl.Boolean):
        return "boolean"
    if isinstance(dtype, (pl.String, pl.Categorical, pl.Enum)):
        return "category"
    return "date" if isinstance(dtype, (pl.Date, pl.Datetime)) else None


def rules_of(
    party: str,
    frame: pl.DataFrame,
    features: Iterable[str],
    own: Mapping[str, Any],
    holed: Iterable[str],
    spec: Prepare,
) -> tuple[Rule, ...]:
    """How each feature is prepared.

    Args:
        party: whose table it is.
        frame: the table, which keeps its contract.
        features: the feature columns.
        own: column → what the contract says of its preparation.
        holed: the columns that the contract lets have holes.
        spec: the run's defaults.

    Raises:
        DataError: where no setting lets a column in, or what the contract says of one is not valid.
    """
    rules = []
    may_have_holes = set(holed)
    for name in features:
        where = f"data.tables.{party}, column {name}"
        kind = kind_of(frame.schema[name])
        if kind is None:
            raise DataError(
                f"{party}'s column {name!r} cannot be a feature",
                where=where,
                why=f"its type, {frame.schema[name].base_type()}, is neither number, boolean, text nor date",
                fix=f"write it as one of these, or name it in data.tables.{party}.ignore",
            )
        try:
            rule = rule_for(kind, spec, own.get(name, {}))
        except ValueError as error:
            raise DataError(
                f"{party}'s contract says what cannot be done with column {name!r}",
                where=f"{where}, metadata 'prepare'",
                why=str(error),
                fix="correct the column's metadata in the contract",
            ) from None
        _refuse(party, name, where, rule, may_have_holes)
        rules.append(rule)
    return tuple(rules)


def _refuse(party: str, name: str, where: str, rule: Rule, may_have_holes: set[str]) -> None:
    if (setting := rule.refused()) is not None:
        raise DataError(
            f"{party}'s column {name!r} holds no numbers",
            where=where,
            why=f"it is a {rule.kind} column, and prepare.{setting} is error",
            fix=f"set prepare=auto or prepare.{setting}, name the column in data.tables.{party}.ignore, or give it "
            'metadata={"prepare": {"encode": …}} in the contract',
        )
    if name in may_have_holes and not rule.takes_holes():
        raise DataError(
            f"{party}'s contract lets column {name!r} have holes",
            where=where,
            why="it is nullable, and prepare.numbers.missing is error",
            fix="set prepare=auto or prepare.numbers.missing, take nullable=True out of the contract, or give the "
            'column metadata={"prepare": {"missing": …}} there',
        )


def raw_columns(frame: pl.DataFrame, features: Iterable[str], rules: Iterable[Rule]) -> pa.Table:
    """The features as they are handed over; NaN, which is no number, becomes a hole."""
    made = []
    for name, rule in zip(features, rules, strict=True):
        column = pl.col(name)
        if isinstance(frame.schema[name], pl.Datetime) and getattr(frame.schema[name], "time_zone", None):
            column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        column = column.cast(_FORMS[rule.kind])
        made.append(column.fill_nan(None) if rule.kind == "number" else column)
    return frame.select(made).rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
