"""The contract of a party's table: the user's own, and what every table of a run must keep besides.

A contract is a file of the party's own: YAML (see :mod:`runner.data.contract_yaml`), named in the spec as
``file.yaml`` or ``file.yaml:Name``, or Python with a pandera model, ``file.py:Class``:

    import pandera.polars as pa

    class Alice(pa.DataFrameModel):
        patient_id: str
        mean_radius: float = pa.Field(gt=0)

Its columns, in its order, are the id, the label (at the label holder) and the features. On top of what it says, the
runner holds every table to this: ids are unique and not null; no number is infinite, and no whole one beyond 2^53;
where the contract does not say ``nullable=True``, no feature is null or NaN; a label fits the objective. Ids are
normalised before anything is checked. What a contract says of a column besides (:mod:`runner.data.rules`), such as how
it is prepared or which name it has in the table, stays at the party.
"""

from __future__ import annotations

import copy
import importlib.util
import inspect
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pandera.polars as pa
import polars as pl
from pandera.api.polars.types import PolarsData
from pandera.engines.polars_engine import Engine

from runner.data.classes import is_whole
from runner.data.contract_yaml import is_yaml, read_yaml_contract
from runner.data.place import contract_path
from runner.data.rules import ColumnRules, normalise_ids, parse_rules
from runner.data.synthetic import synthetic_columns
from runner.errors import DataError
from runner.spec.columns import columns_of
from runner.spec.label import JointLabel, RowShardedLabel, SecretLabel
from runner.spec.model import Spec
from runner.spec.suggest import advise

LARGEST = 2**53  # up to here float64 has every whole number
TEXT = Engine.dtype(pl.String)


@dataclass(frozen=True)
class Contract:
    """A contract, ready to validate one party's table.

    Attributes:
        schema: the pandera schema with the runner's own checks added.
        features: the feature columns, in order.
        nullable: those of them that may have holes.
        rules: column → what the contract says of it besides its checks.
    """

    schema: pa.DataFrameSchema
    features: tuple[str, ...]
    nullable: frozenset[str]
    rules: Mapping[str, ColumnRules]

    def preparations(self) -> dict[str, Any]:
        """Feature → what the contract says of its preparation."""
        return {name: self.rules[name].prepare for name in self.features if self.rules[name].prepare is not None}

    def rename(self) -> dict[str, str]:
        """Name in the contract → name in the table, where that is another."""
        return {name: rules.source for name, rules in self.rules.items() if rules.source is not None}

    def needed(self) -> Collection[str] | None:
        """The columns that are to be read; None: all, where there may be no others."""
        return None if self.schema.strict else self.schema.columns

    def types(self) -> dict[str, Any]:
        """Column → its polars type, where the contract says one."""
        return {name: column.dtype.type for name, column in self.schema.columns.items() if column.dtype is not None}

    def normalise(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The table with its ids written alike; done before anything is checked."""
        ids = {name: rules.id for name, rules in self.rules.items() if rules.id is not None and name in frame.columns}
        return frame.with_columns(normalise_ids(frame[name], rules) for name, rules in ids.items())


def build_contract(spec: Spec, party: str) -> Contract:
    """Read the contract of ``party``'s table and add what every table must keep.

    The file is looked for beside the caller, then among the bundled contracts.

    Raises:
        DataError: where the file, the class or one of its columns is not there.
    """
    reference = spec.data.contract_of(party)
    where = f"data.tables.{party}.contract = {reference}"
    named = columns_of(spec, party)
    schema = copy.deepcopy(_load(party, reference))
    if spec.data.is_drawn():
        schema.columns |= synthetic_columns(spec, party)
    columns = schema.columns
    rules = {name: parse_rules(column.metadata or {}, party, f"{where}, {name}") for name, column in columns.items()}
    for name in (*named.ids, named.owns, named.folds, named.group, *sorted(named.read)):
        if name is not None and name not in columns:
            raise DataError(
                f"{party}'s contract has no column {name!r}",
                where=where,
                why="data.id, data.tables.<party>.owns, cv.column, evaluate.group_by and label name columns of it",
                fix=advise(name, columns),
            )
    features = tuple(name for name in columns if name not in named.not_features() and rules[name].feature)
    if not features:
        raise DataError(
            f"{party}'s contract has no feature",
            where=where,
            why="besides the id and the label it names no column",
            fix="add the party's feature columns to the class",
        )
    alone = len(named.ids) == 1
    checked = {name: _strengthen(columns[name], unique=alone) for name in named.ids}
    nullable = frozenset(name for name in features if columns[name].nullable)
    checked |= {
        name: _strengthen(columns[name], _finite(holes=name in nullable), _exact(), nullable=name in nullable)
        for name in features
    }
    for name in (named.owns, named.folds):
        if name is not None:
            checked[name] = _strengthen(columns[name])
    if named.group is not None and named.group not in checked:
        checked[named.group] = _strengthen(columns[named.group], nullable=True)
    if named.label in named.read:
        holed = isinstance(spec.label, RowShardedLabel)
        checked[named.label] = _strengthen(columns[named.label], *_label_checks(spec), nullable=holed)
    if named.truth in named.read and named.truth not in checked:
        checked[named.truth] = _strengthen(columns[named.truth], *_domain(spec.sgb.objective))
    if named.weight in named.read:
        checked[named.weight] = _strengthen(columns[named.weight], _number(), pa.Check.gt(0))
    for name in set(columns) - set(checked):  # what this run does not read may be missing, empty or anything
        checked[name] = pa.Column(None, name=name, required=False, nullable=True)
    schema.columns = checked
    if not alone:
        schema.unique = list(named.ids)
    _refuse_idle_rules(party, columns, rules, named.ids, where)
    return Contract(schema, features, nullable, rules)


def _refuse_idle_rules(
    party: str, columns: Mapping[str, Any], rules: Mapping[str, ColumnRules], ids: Iterable[str], where: str
) -> None:
    """Rules of ids are for the id columns, and for text."""
    for name in (name for name, rule in rules.items() if rule.id is not None):
        if name not in ids or columns[name].dtype is None or not columns[name].dtype.check(TEXT):
            raise DataError(
                f"{party}'s contract has rules for ids that have no effect",
                where=f"{where}, {name}",
                why="rules of id are for the column that data.id names, and for text",
                fix="remove them; or make the id's dtype str, which with zero_pad the file's whole numbers become",
            )


def _load(party: str, reference: str) -> pa.DataFrameSchema:
    where = f"data.tables.{party}.contract = {reference}"
    file, _, class_name = reference.partition(":")
    path = contract_path(reference)
    if not path.is_file():
        raise DataError(
            f"{party}'s contract is not there",
            where=where,
            why=f"{file} is neither in {Path.cwd()} nor among the bundled contracts",
            fix="write the path as file.py:Class, file.yaml or file.yaml:Name, relative to where you start the runner",
        )
    if is_yaml(path):
        return read_yaml_contract(party, path, class_name, where)
    module = _import(party, path, where)
    models = {
        name: value
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, pa.DataFrameModel) and value is not pa.DataFrameModel
    }
    if class_name not in models:
        raise DataError(
            f"{party}'s contract has no class {class_name!r}",
            where=where,
            why="the file defines no pandera DataFrameModel of that name",
            fix=advise(class_name, models),
        )
    return _schema_of(party, models[class_name], where)


def _schema_of(party: str, model: type[pa.DataFrameModel], where: str) -> pa.DataFrameSchema:
    try:
        return model.to_schema()
    except Exception as error:
        raise DataError(
            f"{party}'s contract is not valid",
            where=where,
            why=f"pandera makes no schema of it: {type(error).__name__}: {error}",
            fix="compare it with the README's example",
        ) from error


def _import(party: str, path: Path, where: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"contract_{party}", path)
    if specification is None or specification.loader is None:
        raise DataError(
            f"{party}'s contract is not a Python file",
            where=where,
            why=f"{path} cannot be imported",
            fix="name a .py or .yaml file",
        )
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # where typing looks the annotations up
    try:
        specification.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise DataError(
            f"{party}'s contract cannot be read",
            where=where,
            why=f"importing it raised {type(error).__name__}: {error}",
            fix="run the file with python to see the line",
        ) from error
    return module


def _strengthen(column: Any, *checks: pa.Check, unique: bool = False, nullable: bool = False) -> pa.Column:
    return pa.Column(
        column.dtype,
        checks=[*column.checks, *checks],
        nullable=nullable,
        unique=unique or column.unique,
        name=column.name,
    )


def _number() -> pa.Check:
    """A label is a finite number, or null where the column may be."""

    def finite(data: PolarsData) -> pl.LazyFrame:
        column = pl.col(data.key)
        is_number = data.lazyframe.collect_schema()[data.key].is_numeric()
        return data.lazyframe.select((column.is_null() | column.is_finite()) if is_number else pl.lit(False))

    return pa.Check(finite, name="finite_number", error="finite_number")


def _finite(*, holes: bool) -> pa.Check:
    """A feature that is a number is not infinite, and not NaN where there may be no holes."""

    def finite(data: PolarsData) -> pl.LazyFrame:
        column = pl.col(data.key)
        if not data.lazyframe.collect_schema()[data.key].is_numeric():
            return data.lazyframe.select(pl.lit(True))
        allowed = ~column.is_infinite() if holes else column.is_finite()
        return data.lazyframe.select(column.is_null() | allowed)

    return pa.Check(finite, name="finite_number", error="finite_number")


EXACT = "exact_in_float64"


def _exact() -> pa.Check:
    """Whole numbers that float64, in which SGB computes, can hold."""

    def exact(data: PolarsData) -> pl.LazyFrame:
        column = pl.col(data.key)
        is_whole = data.lazyframe.collect_schema()[data.key].is_integer()
        within = column.is_between(-LARGEST, LARGEST)
        return data.lazyframe.select((column.is_null() | within) if is_whole else pl.lit(True))

    return pa.Check(exact, name=EXACT, error=EXACT)


def _label_checks(spec: Spec) -> list[pa.Check]:
    """What a (part of a) training label must be, by the label mode and the objective."""
    label = spec.label
    if isinstance(label, (JointLabel, SecretLabel)):
        return [_number(), *([_values_in((0, 1))] if label.rule in ("any", "all", "majority") else [])]
    constant_allowed = spec.task.to_run() == "predict" or isinstance(label, RowShardedLabel)
    return _domain(spec.sgb.objective) + ([] if constant_allowed else [_not_constant()])


def _domain(objective: str) -> list[pa.Check]:
    if objective == "multiclass":
        return [_class_column()]
    if objective == "logistic":
        return [_number(), _values_in((0, 1))]
    return [_number(), *([pa.Check.ge(0)] if objective == "tweedie" else [])]


def _class_column() -> pa.Check:
    def text_or_whole(data: PolarsData) -> pl.LazyFrame:
        dtype = data.lazyframe.collect_schema()[data.key]
        texts = (pl.String, pl.Categorical, pl.Enum)
        return data.lazyframe.select(pl.lit(is_whole(dtype) or dtype in texts))

    return pa.Check(text_or_whole, name="text_or_whole_number", error="text_or_whole_number")


def _values_in(values: Iterable[float]) -> pa.Check:
    return pa.Check.isin(list(values), name="label_domain", error=f"label_is_one_of_{list(values)}")


def _not_constant() -> pa.Check:
    def not_constant(data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(pl.col(data.key).n_unique() > 1)

    return pa.Check(not_constant, name="not_constant", error="label_not_constant")
