"""One party's table, from its file to the form that training takes, or an error that holds no value of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandera.errors
import polars as pl
from numpy.typing import NDArray

from runner.data.contract import Contract, build_contract
from runner.data.ids import join_ids
from runner.data.split import held_out
from runner.data.table import PreparedTable
from runner.data.usable import require_usable
from runner.errors import DataError
from runner.files import write_bytes
from runner.spec.columns import columns_of
from runner.spec.model import Spec

FAILURES = "data_failures.json"


def check_table(spec: Spec, party: str, folder: Path) -> PreparedTable:
    """Read ``party``'s table, hold it to its contract, and put its rows in the order of their ids.

    The full report of a failure, with the values, goes to ``data_failures.json`` in the party's own ``folder``;
    the error itself names columns, checks and counts only.

    Raises:
        DataError: for a missing, unreadable or empty file, a broken contract, or a split without rows.
    """
    contract = build_contract(spec, party)
    named = columns_of(spec, party)
    frame = _read(party, Path(spec.data.tables[party].path))
    if spec.cluster.shuffle_rows:
        frame = frame.sample(fraction=1.0, shuffle=True)
    _validate(party, frame, contract, folder)
    ids = join_ids(frame, named.ids)
    order = np.argsort(ids, kind="stable")
    ordered, ids = frame[order], ids[order]
    test = _test_rows(spec, ids)
    label = _numbers(ordered, named.label) if named.label in named.read else None
    table = PreparedTable(
        ids=ids,
        features=np.ascontiguousarray(ordered.select(pl.col(contract.features).cast(pl.Float64)).to_numpy()),
        names=contract.features,
        dtypes=tuple(str(frame.schema[name]) for name in contract.features),
        test=test,
        label=label,
        truth=_numbers(ordered, named.truth) if named.truth in named.read else None,
        owns=ordered[named.owns].cast(pl.Boolean).to_numpy() if named.owns is not None else None,
    )
    require_usable(spec, table)
    return table


def _test_rows(spec: Spec, ids: NDArray[np.generic]) -> NDArray[np.bool_]:
    """The rows that are held out of training; to apply a model, all rows."""
    test = held_out(ids, spec.data.split)
    if spec.task.to_run() == "predict":
        return np.ones_like(test)
    return test


def _numbers(frame: pl.DataFrame, column: str | None) -> NDArray[np.float64]:
    """A column as float64; null becomes NaN."""
    values: NDArray[np.float64] = frame[str(column)].cast(pl.Float64).to_numpy()
    return values


def _read(party: str, path: Path) -> pl.DataFrame:
    where = f"data.tables.{party}.path = {path}"
    if not path.is_file():
        raise DataError(
            f"{party}'s table is not there",
            where=where,
            why=f"there is no file {path.absolute()}",
            fix=f"put the Parquet file there, or set data.tables.{party}.path",
        )
    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"{party}'s table cannot be read",
            where=where,
            why=f"it is no whole Parquet file ({type(error).__name__})",
            fix="write it again, for instance with polars' write_parquet",
        ) from error
    if frame.is_empty():
        raise DataError(f"{party}'s table is empty", where=where, why="it has no rows", fix="bring a table with rows")
    return frame


def _validate(party: str, frame: pl.DataFrame, contract: Contract, folder: Path) -> None:
    try:
        contract.schema.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as broken:
        cases = broken.failure_cases
        report = folder / FAILURES
        write_bytes(report, cases.write_json().encode())
        missing = pl.col("check") == "column_in_dataframe"
        named = cases.with_columns(column=pl.when(missing).then("failure_case").otherwise("column").fill_null("table"))
        counts = named.group_by("column", "check", maintain_order=True).len().rows()
        listed = [_name_failure(str(column), str(check), number) for column, check, number in counts[:6]]
        more = f"; and {len(counts) - 6} more" if len(counts) > 6 else ""
        raise DataError(
            f"{party}'s table breaks its contract",
            where=f"data.tables.{party}, {', '.join(dict.fromkeys(str(column) for column, _, _ in counts[:6]))}",
            why="; ".join(listed) + more,
            fix=f"mend the table or its contract; {party} finds every case in {report}",
        ) from None


def _name_failure(column: str, check: str, number: int) -> str:
    if check == "column_in_dataframe":
        return f"{column}: the contract has it, and it is missing in the table"
    name = check.partition("(")[0]
    return f"{column}: {name} fails {number} time{'s' if number != 1 else ''}"
