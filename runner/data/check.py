"""One party's table, from its file to the form that its worker takes, or an error that holds no value of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandera.errors
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from runner.data.classes import number_classes
from runner.data.contract import EXACT, Contract, build_contract
from runner.data.ids import join_ids
from runner.data.kinds import raw_columns, rules_of
from runner.data.source import load_table
from runner.data.split import split_rows
from runner.data.table import CheckedTable
from runner.data.usable import require_usable
from runner.errors import DataError
from runner.files import write_bytes
from runner.spec.columns import columns_of
from runner.spec.model import Spec

FAILURES = "data_failures.json"
MEANINGS = {  # of checks whose names do not say it
    EXACT: "whole numbers beyond 2^53 lose digits as float64: bring them as text, or as smaller numbers",
    "dtype": "its type is not the contract's",
    "field_uniqueness": "rows with a value that others have, too",
    "finite_number": "infinite, NaN or no number",
    "label_not_constant": "all rows have the same",
    "not_nullable": "missing values; an empty text is one, too",
}


def check_table(spec: Spec, party: str, folder: Path) -> CheckedTable:
    """Read ``party``'s table, hold it to its contract, and put its rows in the order of their ids.

    The full report of a failure, with the values, goes to ``data_failures.json`` in the party's own ``folder``;
    the error itself names columns, checks and counts only.

    Raises:
        DataError: for a missing, unreadable or empty file, a broken contract, a column that nothing lets in, or a
            split without rows.
    """
    contract = build_contract(spec, party)
    frame, source = load_table(spec, party, contract.needed(), contract.types(), contract.rename())
    return check_rows(spec, party, contract, frame, source, folder)


def check_rows(
    spec: Spec, party: str, contract: Contract, frame: pl.DataFrame, source: bytes, folder: Path
) -> CheckedTable:
    """As :func:`check_table` does, with rows that were read already.

    Args:
        source: SHA-256 of what they were read from.
    """
    named = columns_of(spec, party)
    if spec.cluster.shuffle_rows:
        frame = frame.sample(fraction=1.0, shuffle=True)
    frame = contract.normalise(frame)
    _validate(party, frame, contract, folder)
    rules = rules_of(spec, party, frame.schema, contract)
    ids = join_ids(frame, named.ids)
    order = np.argsort(ids, kind="stable")
    ordered, ids = frame[order], ids[order]
    columns = raw_columns(ordered, contract.features, rules)
    if spec.task.to_run() != "predict":
        _refuse_empty(party, columns)
    label, classes = _labels(spec, ordered, named.label if named.label in named.read else None)
    truth, truth_classes = _labels(spec, ordered, named.truth if named.truth in named.read else None)
    used, test = _rows(spec, ids)
    table = CheckedTable(
        ids=ids,
        columns=columns,
        dtypes=tuple(str(frame.schema[name]) for name in contract.features),
        rules=rules,
        test=test,
        label=label,
        truth=truth,
        owns=ordered[named.owns].cast(pl.Boolean).to_numpy() if named.owns is not None else None,
        dealt_by=ordered[named.folds].rank("dense").cast(pl.Int64).to_numpy() if named.folds is not None else None,
        source=source,
        weight=_numbers(ordered, named.weight) if named.weight in named.read else None,
        classes=classes,
        truth_classes=truth_classes,
        groups=_texts(ordered, named.group) if named.group is not None else None,
    )
    if not used.all():
        table = table.with_rows(np.flatnonzero(used)).with_own_classes()
    require_usable(spec, table)
    return table


def _rows(spec: Spec, ids: NDArray[np.generic]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The rows that are used, and those held out of training; to apply a model, all; before folds are dealt, none."""
    used, test = split_rows(ids, spec.data.split)
    if spec.task.to_run() == "predict":
        return np.ones_like(test), np.ones_like(test)
    return used, np.zeros_like(test) if spec.task.to_run() == "cv" else test


def _labels(
    spec: Spec, frame: pl.DataFrame, column: str | None
) -> tuple[NDArray[np.float64] | None, NDArray[np.generic] | None]:
    """A column of labels, and its classes where there are several; None for what there is not."""
    if column is None:
        return None, None
    if spec.sgb.objective == "multiclass":
        return number_classes(frame[column])
    return _numbers(frame, column), None


def _numbers(frame: pl.DataFrame, column: str | None) -> NDArray[np.float64]:
    """A column as float64; null becomes NaN."""
    values: NDArray[np.float64] = frame[str(column)].cast(pl.Float64).to_numpy()
    return values


def _texts(frame: pl.DataFrame, column: str) -> NDArray[np.str_]:
    """A column as texts; null has one of its own."""
    return np.array(frame[column].cast(pl.String).fill_null("(missing)").to_list(), dtype=np.str_)


def _refuse_empty(party: str, columns: pa.Table) -> None:
    """A column of holes alone says nothing; a batch that a model is applied to may have one."""
    empty = [name for name in columns.column_names if columns[name].null_count == len(columns)]
    if empty:
        raise DataError(
            f"{party}'s table has columns without any value",
            where=f"data.tables.{party}, {', '.join(empty)}",
            why="all of their rows are holes",
            fix=f"bring the values, or name the columns in data.tables.{party}.ignore",
        )


def _validate(party: str, frame: pl.DataFrame, contract: Contract, folder: Path) -> None:
    cases = _failure_cases(frame, contract)
    if cases is not None:
        report = folder / FAILURES
        write_bytes(report, cases.write_json().encode())
        missing = pl.col("check") == "column_in_dataframe"
        own = pl.when(pl.col("schema_context") == "Column").then("column").fill_null("table")
        named = cases.with_columns(column=pl.when(missing).then("failure_case").otherwise(own))
        counts = named.group_by("column", "check", maintain_order=True).len().rows()
        listed = [_name_failure(str(column), str(check), number) for column, check, number in counts[:6]]
        more = f"; and {len(counts) - 6} more" if len(counts) > 6 else ""
        raise DataError(
            f"{party}'s table breaks its contract",
            where=f"data.tables.{party}, {', '.join(dict.fromkeys(str(column) for column, _, _ in counts[:6]))}",
            why="; ".join(listed) + more,
            fix=f"mend the table or its contract; {party} finds every case in {report}",
        )


def _failure_cases(frame: pl.DataFrame, contract: Contract) -> pl.DataFrame | None:
    """Every value that breaks the contract, or None; the first check's alone where pandera cannot put them together.

    It cannot where a check of the user's own answers with a bare False, and another one with values.
    """
    try:
        contract.schema.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as broken:
        return pl.DataFrame(broken.failure_cases)
    except pl.exceptions.SchemaError:
        first = _first_failure(frame, contract)
        if first is None:
            raise
        return first
    return None


def _first_failure(frame: pl.DataFrame, contract: Contract) -> pl.DataFrame | None:
    try:
        contract.schema.validate(frame)
    except pandera.errors.SchemaError as broken:
        cases = broken.failure_cases
        rows = cases.rows() if isinstance(cases, pl.DataFrame) else [(cases,)]
        of_table = isinstance(broken.schema, type(contract.schema))
        return pl.DataFrame({"failure_case": [json.dumps(row, default=str) for row in rows]}).with_columns(
            schema_context=pl.lit("DataFrameSchema" if of_table else "Column"),
            column=pl.lit(broken.schema.name),
            check=pl.lit(str(getattr(broken.check, "error", None) or getattr(broken.check, "name", broken.check))),
        )
    return None


def _name_failure(column: str, check: str, number: int) -> str:
    if check == "column_in_dataframe":
        return f"{column}: the contract has it, and it is missing in the table"
    name = check.partition("(")[0]
    meaning = f" ({MEANINGS[name]})" if name in MEANINGS else ""
    return f"{column}: {name} fails {number} time{'s' if number != 1 else ''}{meaning}"
