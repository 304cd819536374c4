"""Contracts in YAML, for those who do not write Python.

    columns:
      customer: {dtype: str, matches: '^C\\d{5}$', id: {strip: true, case: upper}}
      income: {dtype: float, ge: 0}
      debt: {dtype: float, ge: 0, nullable: true, feature: false}
      joined: {dtype: date, ge: 2001-01-01, feature: false}
    checks:
      - {name: debt_is_bounded, expr: debt <= 10 * income}

The columns are in order. Several contracts in one file stand below ``contracts``, by name. A limit is on what is there:
a missing value is a matter of ``nullable``; a condition across columns that comes to null is kept, as in SQL.
(pandera's own YAML has no conditions across columns, takes any key without a word, and is longer to write.)
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
import pandera.polars as pa
import polars as pl
from msgspec import Meta
from pandera.api.polars.types import PolarsData

from runner.data.expression import parse_condition, require_boolean
from runner.data.rules import ColumnRules, IdRules, explain
from runner.errors import DataError
from runner.spec.base import Section
from runner.spec.suggest import advise

SUFFIXES = (".yaml", ".yml")
Dtype = Literal[
    "str", "category", "bool", "date", "datetime", "int", "float", "float32",
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
]  # fmt: skip
DTYPES: Mapping[str, type[pl.DataType]] = {
    "str": pl.String,
    "bool": pl.Boolean,
    "date": pl.Date,
    "datetime": pl.Datetime,
    "int": pl.Int64,
    "float": pl.Float64,
    **{dtype.__name__.lower(): dtype for dtype in (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Float32)},
    **{dtype.__name__.lower(): dtype for dtype in (pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)},
}
_LIMITS: Mapping[str, Callable[..., pa.Check]] = {
    "ge": pa.Check.ge,
    "gt": pa.Check.gt,
    "le": pa.Check.le,
    "lt": pa.Check.lt,
}
_TEXT = ("str", "category")
_FAMILIES: Mapping[str | None, tuple[type[pl.DataType], ...]] = {
    "category": (pl.String, pl.Categorical, pl.Enum),
    "datetime": (pl.Datetime,),
}
_DATES = {"date": datetime.date, "datetime": datetime.datetime}
_Limit = int | float | str | None


class Condition(Section, frozen=True, kw_only=True):
    """A check across columns: a condition in SQL that every row keeps."""

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*\Z")]
    expr: str


class ColumnContract(ColumnRules, frozen=True, kw_only=True):
    """One column: its type (``None``: any), its checks, and its rules."""

    dtype: Dtype | None = None
    nullable: bool = False
    unique: bool = False
    ge: _Limit = None
    gt: _Limit = None
    le: _Limit = None
    lt: _Limit = None
    isin: Annotated[tuple[bool | int | float | str, ...], Meta(min_length=1)] | None = None
    matches: str | None = None


class TableContract(Section, frozen=True, kw_only=True):
    """One table. With ``strict`` it has no other columns."""

    columns: dict[str, Any]
    checks: tuple[Condition, ...] = ()
    strict: bool = False


def is_yaml(path: Path) -> bool:
    """Whether a contract's file is YAML."""
    return path.suffix in SUFFIXES


def read_yaml_contract(party: str, path: Path, name: str, where: str) -> pa.DataFrameSchema:
    """The contract in a file, or the one called ``name`` there.

    Raises:
        DataError: where the file is no YAML, or holds no such contract, or one that is not valid.
    """
    values = _values(party, path, where)
    if "contracts" in values or name:
        several = values.get("contracts")
        named = several if isinstance(several, dict) else {}
        if set(values) != {"contracts"} or name not in named:
            raise DataError(
                f"{party}'s contract has no entry {name!r}",
                where=where,
                why="with several contracts in one file, all below contracts, one is named as file.yaml:Name",
                fix=advise(name, map(str, named)),
            )
        values, where = named[name], f"{where}: contracts.{name}"
    return _schema(party, values, where)


def _values(party: str, path: Path, where: str) -> dict[Any, Any]:
    from omegaconf import OmegaConf  # late, as in policy.grants
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        values: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (OSError, ValueError, RecursionError, YAMLError, OmegaConfBaseException) as error:
        raise DataError(
            f"{party}'s contract cannot be read",
            where=where,
            why=" ".join(str(error).split()) or type(error).__name__,
            fix="write it as YAML; see 'Contracts' in the README",
        ) from None
    return values if isinstance(values, dict) else {}


def _schema(party: str, values: Any, where: str) -> pa.DataFrameSchema:
    try:
        table = msgspec.convert(values, TableContract)
    except msgspec.ValidationError as error:
        raise explain(error, party, where, {"": TableContract, "checks[...]": Condition}) from None
    columns, contracts = {}, {}
    for name, settings in table.columns.items():
        place = f"{where}, columns.{name}"
        try:
            contracts[name] = msgspec.convert({} if settings is None else settings, ColumnContract)
        except msgspec.ValidationError as error:
            raise _explain_column(error, party, place, settings) from None
        columns[name] = _column(party, name, contracts[name], place)
    dtypes = {name: _dtype(contract) for name, contract in contracts.items()}
    checks = [_check(party, condition, dtypes, where) for condition in table.checks]
    return pa.DataFrameSchema(columns, checks=checks, strict=table.strict)


def _explain_column(error: Exception, party: str, where: str, settings: Any) -> DataError:
    dtype = settings.get("dtype") if isinstance(settings, dict) else None
    if dtype is not None and "$.dtype" in str(error):
        known = get_args(Dtype)
        why = f"{dtype!r} is no dtype of a contract"
        return DataError(
            f"{party}'s contract is not valid", where=f"{where}.dtype", why=why, fix=advise(str(dtype), known)
        )
    return explain(error, party, where, {"": ColumnContract, "id": IdRules})


def _dtype(contract: ColumnContract) -> type[pl.DataType] | None:
    if contract.dtype == "category":
        return pl.String  # as conditions take it
    return None if contract.dtype is None else DTYPES[contract.dtype]


def _column(party: str, name: str, contract: ColumnContract, where: str) -> pa.Column:
    rules = msgspec.to_builtins(contract)
    given = {key: rules[key] for key in ColumnRules.__struct_fields__ if rules[key] != getattr(ColumnRules(), key)}
    try:
        checks = _checks(contract)
    except ValueError as error:
        raise DataError(
            f"{party}'s contract is not valid",
            where=where,
            why=str(error),
            fix="see 'Contracts' in the README",
        ) from None
    dtype = None if contract.dtype in _FAMILIES else _dtype(contract)
    return pa.Column(
        dtype, checks=checks, nullable=contract.nullable, unique=contract.unique, name=name, metadata=given or None
    )


def _checks(contract: ColumnContract) -> list[pa.Check]:
    dtype = contract.dtype
    checks = [_one_of(str(dtype), _FAMILIES[dtype])] if dtype in _FAMILIES else []
    for name, make in _LIMITS.items():
        limit = getattr(contract, name)
        if limit is not None:
            if dtype in (None, "bool", *_TEXT):
                raise ValueError(f"{name} needs a dtype of numbers or dates")
            checks.append(make(_typed(limit, dtype, name)))
    if contract.isin is not None:
        checks.append(pa.Check.isin([_typed(value, dtype, "isin") for value in contract.isin]))
    if contract.matches is not None:
        if dtype != "str":
            raise ValueError("matches needs dtype str")
        try:
            pl.Series([""]).str.contains(contract.matches)
        except pl.exceptions.ComputeError:
            raise ValueError("matches is no regular expression (of Rust's regex: no look-around)") from None
        checks.append(pa.Check.str_matches(contract.matches))
    return checks


def _typed(value: Any, dtype: str | None, key: str) -> Any:
    """A limit or an allowed value as the column's type has it."""
    if dtype in _DATES and isinstance(value, str):
        try:
            return _DATES[dtype].fromisoformat(value)
        except ValueError:
            raise ValueError(f"{key} is no {dtype} as 2001-02-03") from None
    if dtype is None:
        return value
    text, truth, number = isinstance(value, str), isinstance(value, bool), isinstance(value, (int, float))
    if (dtype in _TEXT and text) or (dtype == "bool" and truth):
        return value
    if dtype not in (*_TEXT, *_DATES, "bool") and number and not truth:
        return value
    raise ValueError(f"{key} has a value that is no {dtype}")


def _one_of(name: str, family: tuple[type[pl.DataType], ...]) -> pa.Check:
    """The column's type is one of a family, whatever its unit, time zone or categories."""

    def is_one(data: PolarsData) -> pl.LazyFrame:
        found = data.lazyframe.collect_schema()[data.key].base_type()
        return data.lazyframe.select(pl.lit(found in family))

    return pa.Check(is_one, name="dtype", error=f"dtype({name!r})")


def _check(party: str, condition: Condition, dtypes: Mapping[str, type[pl.DataType] | None], where: str) -> pa.Check:
    try:
        holds = parse_condition(condition.expr, dtypes)
        require_boolean(holds, {name: pl.Null if dtype is None else dtype for name, dtype in dtypes.items()})
    except ValueError as error:
        raise DataError(
            f"{party}'s contract is not valid",
            where=f"{where}, checks.{condition.name}",
            why=str(error),
            fix="write a condition over the contract's columns, such as min_x <= max_x",
        ) from None

    def keeps(data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(holds.fill_null(True))

    return pa.Check(keeps, name=condition.name, error=condition.name)
