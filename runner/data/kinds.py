"""What a party's feature columns hold, by their types, and in which form they are handed over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import polars as pl
import pyarrow as pa

from runner.data.contract import Contract
from runner.errors import DataError
from runner.prepare.rules import Kind, Rule, rule_for
from runner.spec.model import Spec

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


def rules_of(spec: Spec, party: str, schema: pl.Schema, contract: Contract) -> tuple[Rule, ...]:
    """How each feature of a table that keeps its contract is prepared.

    Args:
        spec: the run, with the defaults for each kind of column.
        party: whose table it is.
        schema: the table's columns and types.
        contract: its contract, which may say something else of single columns.

    Raises:
        DataError: where no setting lets a column in, or what the contract says of one is not valid.
    """
    rules = []
    own = contract.preparations()
    for name in contract.features:
        where = f"data.tables.{party}, column {name}"
        kind = kind_of(schema[name])
        if kind is None:
            raise DataError(
                f"{party}'s column {name!r} cannot be a feature",
                where=where,
                why=f"its type, {schema[name].base_type()}, is neither number, boolean, text nor date",
                fix=f"write it as one of these, or name it in data.tables.{party}.ignore",
            )
        try:
            rule = rule_for(kind, spec.prepare, own.get(name, {}))
        except ValueError as error:
            raise DataError(
                f"{party}'s contract says of column {name!r} what cannot be done",
                where=f"{where}, metadata 'prepare'",
                why=str(error),
                fix="correct the column's metadata in the contract",
            ) from None
        _refuse_kind(party, name, where, rule)
        if name in contract.nullable and not rule.takes_holes():
            raise DataError(
                f"{party}'s contract lets column {name!r} have holes",
                where=where,
                why="it is nullable, and prepare.numbers.missing is error",
                fix="set prepare=auto or prepare.numbers.missing, take nullable out of the contract, or say there how "
                'holes are filled: prepare: {missing: …}, in Python metadata={"prepare": {"missing": …}}',
            )
        if rule.kind == "category" and rule.categories.encode == "target" and spec.task.to_run() != "predict":
            _require_label(spec, party, name, where)
        rules.append(rule)
    return tuple(rules)


def _refuse_kind(party: str, name: str, where: str, rule: Rule) -> None:
    setting = rule.refused()
    if setting is not None:
        raise DataError(
            f"{party}'s column {name!r} holds no numbers",
            where=where,
            why=f"it is a {rule.kind} column, and prepare.{setting} is error",
            fix=f"set prepare=auto or prepare.{setting}, name the column in data.tables.{party}.ignore, or say in the "
            'contract how it becomes a number: prepare: {encode: …}, in Python metadata={"prepare": {"encode": …}}',
        )


def _require_label(spec: Spec, party: str, name: str, where: str) -> None:
    """Target encoding needs a label with a mean, the whole of it before training, at the party that may see it."""
    if spec.sgb.objective == "multiclass":
        raise DataError(
            f"{party}'s column {name!r} cannot be encoded by the label",
            where=f"{where}, metadata 'prepare'",
            why="with sgb.objective=multiclass the label is a name, and the mean of classes' numbers says nothing",
            fix="use encode onehot, ordinal or frequency",
        )
    if party != spec.label.holder or spec.label.mode != "single":
        raise DataError(
            f"{party}'s column {name!r} cannot be encoded by the label",
            where=f"{where}, metadata 'prepare'",
            why=f"only a label holder that has the whole label by itself can; here it is {spec.label.holder}, with "
            f"label.mode={spec.label.mode}",
            fix="use encode onehot, ordinal or frequency",
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
