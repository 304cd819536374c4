"""The contract of a party's table: the user's pandera model, and what every table of a run must keep besides.

A contract is a class in a Python file of the party's own, named in the spec as ``file.py:Class``:

    import pandera.polars as pa

    class Alice(pa.DataFrameModel):
        patient_id: str
        mean_radius: float = pa.Field(gt=0)

Its columns, in its order, are the id, the label (at the label holder) and the features. On top of what it says, the
runner holds every table to this: ids are unique and not null; features are numbers, not null, not NaN and not
infinite; a label fits the objective.
"""

from __future__ import annotations

import copy
import importlib.util
import inspect
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pandera.polars as pa
import polars as pl
from pandera.api.polars.types import PolarsData

from runner.data.place import contract_path
from runner.errors import DataError
from runner.spec.columns import columns_of
from runner.spec.label import JointLabel, RowShardedLabel, SecretLabel
from runner.spec.model import Spec
from runner.spec.suggest import advise


@dataclass(frozen=True)
class Contract:
    """A contract, ready to validate one party's table.

    Attributes:
        schema: the pandera schema with the runner's own checks added.
        features: the feature columns, in order.
    """

    schema: pa.DataFrameSchema
    features: tuple[str, ...]


def build_contract(spec: Spec, party: str) -> Contract:
    """Read the contract of ``party``'s table and add what every table must keep.

    The file is looked for beside the caller, then among the bundled contracts.

    Raises:
        DataError: where the file, the class or one of its columns is not there.
    """
    reference = spec.data.tables[party].contract
    where = f"data.tables.{party}.contract = {reference}"
    named = columns_of(spec, party)
    schema = copy.deepcopy(_load(party, reference).to_schema())
    columns = schema.columns
    for name in (*named.ids, named.owns, *named.read):
        if name is not None and name not in columns:
            raise DataError(
                f"{party}'s contract has no column {name!r}",
                where=where,
                why="data.id, data.tables.<party>.owns and the label section name columns of the contract",
                fix=advise(name, columns),
            )
    features = tuple(name for name in columns if name not in named.not_features())
    if not features:
        raise DataError(
            f"{party}'s contract has no feature",
            where=where,
            why="besides the id and the label it names no column",
            fix="add the party's feature columns to the class",
        )
    alone = len(named.ids) == 1
    checked = {name: _strengthen(columns[name], unique=alone) for name in named.ids}
    checked |= {name: _strengthen(columns[name], _finite()) for name in features}
    if named.owns is not None:
        checked[named.owns] = _strengthen(columns[named.owns])
    if named.label in named.read:
        checked[named.label] = _strengthen(
            columns[named.label], _finite(), *_label_checks(spec), nullable=isinstance(spec.label, RowShardedLabel)
        )
    if named.truth in named.read and named.truth not in checked:
        checked[named.truth] = _strengthen(columns[named.truth], _finite(), *_domain(spec.sgb.objective))
    for name in set(columns) - set(checked):  # what this run does not read may be missing, empty or anything
        checked[name] = pa.Column(None, name=name, required=False, nullable=True)
    schema.columns = checked
    if not alone:
        schema.unique = list(named.ids)
    return Contract(schema, features)


def _load(party: str, reference: str) -> Any:
    where = f"data.tables.{party}.contract = {reference}"
    file, _, class_name = reference.partition(":")
    path = contract_path(reference)
    if not path.is_file():
        raise DataError(
            f"{party}'s contract is not there",
            where=where,
            why=f"{file} is neither in {Path.cwd()} nor among the bundled contracts",
            fix="write the path as file.py:Class, relative to where you start the runner",
        )
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
    return models[class_name]


def _import(party: str, path: Path, where: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(f"contract_{party}", path)
    if specification is None or specification.loader is None:
        raise DataError(
            f"{party}'s contract is not a Python file",
            where=where,
            why=f"{path} cannot be imported",
            fix="name a .py file",
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


def _finite() -> pa.Check:
    def finite(data: PolarsData) -> pl.LazyFrame:
        column = pl.col(data.key)
        is_number = data.lazyframe.collect_schema()[data.key].is_numeric()
        return data.lazyframe.select((column.is_null() | column.is_finite()) if is_number else pl.lit(False))

    return pa.Check(finite, name="finite_number", error="finite_number")


def _label_checks(spec: Spec) -> list[pa.Check]:
    """What a (part of a) training label must be, by the label mode and the objective."""
    label = spec.label
    if isinstance(label, (JointLabel, SecretLabel)):
        return [_values_in((0, 1))] if label.rule in ("any", "all", "majority") else []
    constant_allowed = spec.task.to_run() == "predict" or isinstance(label, RowShardedLabel)
    return _domain(spec.sgb.objective) + ([] if constant_allowed else [_not_constant()])


def _domain(objective: str) -> list[pa.Check]:
    if objective == "logistic":
        return [_values_in((0, 1))]
    return [pa.Check.ge(0)] if objective == "tweedie" else []


def _values_in(values: Iterable[float]) -> pa.Check:
    return pa.Check.isin(list(values), name="label_domain", error=f"label_is_one_of_{list(values)}")


def _not_constant() -> pa.Check:
    def not_constant(data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(pl.col(data.key).n_unique() > 1)

    return pa.Check(not_constant, name="not_constant", error="label_not_constant")
