"""The fitted preparation of one party's table: what makes its matrix, in training and at every later prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Struct
from numpy.typing import NDArray

from runner.prepare.categories import Category, fit_category
from runner.prepare.columns import numbers_of
from runner.prepare.dates import Date, fit_date
from runner.prepare.numbers import Number, fit_number
from runner.prepare.problems import Unfit, UnfitColumns
from runner.prepare.rules import Rule
from runner.spec.prepare import Prepare

Matrix = NDArray[np.float64]


class Column(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One column of the party's table, and what was fitted to it.

    Attributes:
        name: its name in the table.
        dtype: its type in the party's file, as polars names it.
        fitted: what makes numbers of it.
    """

    name: str
    dtype: str
    fitted: Number | Category | Date

    def outputs(self) -> list[str]:
        """The names of the columns that it becomes."""
        return [self.name + ending for ending in self.fitted.endings()]

    def apply(self, values: pa.ChunkedArray) -> list[Matrix]:
        """The columns that it becomes, each of shape (rows,)."""
        return self.fitted.apply(numbers_of(values) if isinstance(self.fitted, Number) else values)


class Difference(NamedTuple):
    """How a table's columns differ from those of the training: names, and name → what type it has and had."""

    missing: list[str]
    retyped: dict[str, str]


class Preparation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was fitted to a party's training rows. Plain values throughout: JSON keeps it exactly.

    Attributes:
        columns: those of the party's table that features are made of, in the contract's order.
        features: the names of the matrix's columns, in order.

    It holds values of the party's data (medians, levels), and is seen by nobody else.
    """

    columns: tuple[Column, ...]
    features: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the table's columns."""
        return tuple(column.name for column in self.columns)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The types of the table's columns, as polars names them."""
        return tuple(column.dtype for column in self.columns)

    def difference(self, dtypes: Mapping[str, str]) -> Difference:
        """Compare a table's columns (name → type, as polars names it) with those of the training."""
        trained = {column.name: column.dtype for column in self.columns}
        missing = [name for name in trained if name not in dtypes]
        retyped = {
            name: f"{dtypes[name]}, in training {dtype}"
            for name, dtype in trained.items()
            if dtypes.get(name, dtype) != dtype
        }
        return Difference(missing, retyped)

    def apply(self, table: pa.Table) -> Matrix:
        """The features of a table's rows: shape (rows, features), float64, finite.

        Raises:
            UnfitColumns: where a column has what the training did not allow.
        """
        found: dict[str, Matrix] = {}
        unfit: dict[str, Unfit] = {}
        for column in self.columns:
            try:
                made = column.apply(table[column.name])
            except Unfit as error:
                unfit[column.name] = error
                continue
            found.update(zip(column.outputs(), made, strict=True))
        if unfit:
            raise UnfitColumns(unfit)
        return np.column_stack([found[name] for name in self.features])

    def described(self) -> dict[str, str]:
        """Feature → what it says of which column; it may hold values of the data."""
        said = {
            name: f"{column.name}: {text}"
            for column in self.columns
            for name, text in zip(column.outputs(), column.fitted.described(), strict=True)
        }
        return {name: said[name] for name in self.features}

    def to_json(self) -> dict[str, Any]:
        """Plain values for a bundle part."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values


def restore(values: Any) -> Preparation:
    """The inverse of :meth:`Preparation.to_json`.

    Raises:
        ValueError: where the values are not what it gives.
    """
    return msgspec.convert(values, Preparation)


def as_it_is(names: Sequence[str], dtypes: Sequence[str]) -> Preparation:
    """The preparation that takes columns of numbers without holes, and changes nothing."""
    columns = [Column(name=name, dtype=dtype, fitted=Number()) for name, dtype in zip(names, dtypes, strict=True)]
    return Preparation(columns=tuple(columns), features=tuple(names))


class Fitted(NamedTuple):
    """A fitted preparation, and how many of the columns that it could make it leaves out, by why."""

    preparation: Preparation
    constant: int
    duplicates: int


def fit(
    table: pa.Table,
    dtypes: Sequence[str],
    rules: Sequence[Rule],
    settings: Prepare,
    label: NDArray[np.float64] | None = None,
) -> Fitted:
    """Fit to the training rows. The result does not depend on their order.

    Args:
        table: the party's columns, in the contract's order; the training rows only.
        dtypes: each column's type, as polars names it.
        rules: each column's rule.
        settings: what is left out.
        label: shape (training rows,), float64, where a rule says ``target``.

    Raises:
        UnfitColumns: where a column cannot be prepared as its rule says, or where nothing is left.
    """
    columns: list[Column] = []
    made: dict[str, Matrix] = {}
    unfit: dict[str, Unfit] = {}
    for name, dtype, rule in zip(table.column_names, dtypes, rules, strict=True):
        try:
            column = Column(name=name, dtype=dtype, fitted=_fit_column(table[name], rule, label))
            if set(column.outputs()) & set(made):
                raise Unfit("would become a feature of a name that another one has", len(table))
            made.update(zip(column.outputs(), column.apply(table[name]), strict=True))
        except Unfit as error:
            unfit[name] = error
            continue
        columns.append(column)
    if unfit:
        raise UnfitColumns(unfit)
    varied = [name for name in made if not settings.drop_constant or np.ptp(made[name]) > 0]
    kept = _first_of_each(varied, made) if settings.drop_duplicates else varied
    if not kept:
        raise UnfitColumns(
            {name: Unfit("are constant in the training rows", len(table)) for name in table.column_names}
        )
    used = tuple(column for column in columns if not set(column.outputs()).isdisjoint(kept))
    preparation = Preparation(columns=used, features=tuple(kept))
    return Fitted(preparation, constant=len(made) - len(varied), duplicates=len(varied) - len(kept))


def _fit_column(values: pa.ChunkedArray, rule: Rule, label: NDArray[np.float64] | None) -> Number | Category | Date:
    match rule.kind:
        case "category":
            return fit_category(values, rule.categories, label)
        case "date":
            return fit_date(values, rule.dates, rule.numbers)
        case _:
            return fit_number(numbers_of(values), rule.numbers)


def _first_of_each(names: Sequence[str], made: Mapping[str, Matrix]) -> list[str]:
    """The names without those whose values an earlier one has too."""
    first: dict[bytes, str] = {}
    for name in names:
        first.setdefault((made[name] + 0.0).tobytes(), name)  # -0.0 is 0.0
    return list(first.values())
