"""One party's table checked in pieces, so that it may be larger than the memory.

Each piece is read, held to the contract and written to a file without a name in the party's own folder. If the ids do
not come in their order, DuckDB sorts the rows there, on the disk where they do not fit into its memory.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from runner.data.check import check_rows
from runner.data.contract import Contract, build_contract
from runner.data.pieces import ids_of, write_pieces
from runner.data.source import count_rows, digest_of_source, read_pieces
from runner.data.table import to_arrow
from runner.errors import DataError
from runner.files import make_private_dir
from runner.spec.columns import columns_of
from runner.spec.model import Spec
from runner.spec.pieces import SORTING, USUAL_ROWS, obstacle, piece_rows

SORTING_MIB = 512
QUIET = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


class Size(NamedTuple):
    """How many rows and features a checked table has."""

    rows: int
    features: int


def is_read_in_pieces(spec: Spec, party: str) -> bool:
    """Whether the table is read in pieces: one in files that the spec lets be predicted so, if it is large enough.

    Raises:
        DataError: where there is no such table.
    """
    if obstacle(spec) or spec.data.is_drawn() or spec.data.tables[party].source.sql is not None:
        return False
    contract = build_contract(spec, party)
    rows = count_rows(spec, party, contract.needed(), contract.types(), contract.rename())
    return piece_rows(spec, rows) is not None


def check_in_pieces(spec: Spec, party: str, folder: Path, target: int) -> Size:
    """As :func:`runner.data.check.check_table`, but for what only the whole table shows.

    Args:
        folder: the party's own.
        target: the descriptor of the file that :func:`runner.data.pieces.open_table` is to read.

    Raises:
        DataError: as there, of the first piece that breaks the contract; and where the contract has a column of unique
            values besides the id, which pieces do not show.
    """
    contract = build_contract(spec, party)
    _refuse_unique(spec, party, contract)
    step = spec.predict.chunk_rows or USUAL_ROWS
    with tempfile.TemporaryFile(dir=folder, buffering=0) as spool:
        spooled = _spool(spec, party, contract, folder, spool, step)
        with pa.ipc.open_stream(_rewound(spool)) as stream, _scratch(folder) as scratch:
            batches = iter(stream) if spooled.ordered else _sorted(stream, scratch, step, _for_sorting(spec))
            write_pieces(target, _unique(batches, party, columns_of(spec, party).ids), spooled.size.rows, step)
    return spooled.size


class _Spooled(NamedTuple):
    size: Size
    ordered: bool  # whether all ids ascend


def _spool(spec: Spec, party: str, contract: Contract, folder: Path, spool: Any, step: int) -> _Spooled:
    source = digest_of_source(spec, party)
    rows, features, ordered = 0, 0, True
    last = stream = schema = None
    for frame in read_pieces(spec, party, contract.needed(), contract.types(), contract.rename(), step):
        table = check_rows(spec, party, contract, frame, source, folder)
        written = to_arrow(table)
        if stream is None:
            schema = written.schema
            stream = pa.ipc.new_stream(spool, schema)
        stream.write_table(written.cast(schema))
        ordered = ordered and (last is None or bool(table.ids[0] > last))
        rows, features, last = rows + len(table.ids), len(table.names), table.ids[-1]
    if stream is None:
        raise DataError(
            f"{party}'s table is empty",
            where=f"data.tables.{party}.path = {spec.data.tables[party].path}",
            why="it has no rows",
            fix="bring a table with rows",
        )
    stream.close()
    return _Spooled(Size(rows, features), ordered)


def _rewound(spool: Any) -> Any:
    spool.seek(0)
    return spool


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder in the party's own; where this process is killed, the driver removes it."""
    try:
        yield make_private_dir(folder / SORTING)
    finally:
        shutil.rmtree(folder / SORTING, ignore_errors=True)


def _for_sorting(spec: Spec) -> int:
    """MiB that sorting may take: half of what the process may, if that is bounded."""
    limit = spec.cluster.limits.memory
    return SORTING_MIB if limit is None else min(SORTING_MIB, int(limit * 512))


def _sorted(stream: Any, scratch: Path, step: int, memory: int) -> Iterator[pa.RecordBatch]:
    """All rows in the order of their ids, which is that of numpy: of numbers by size, of text by code points."""
    import duckdb

    schema = stream.schema
    threads = int(os.environ.get("POLARS_MAX_THREADS", "1"))
    settings = {**QUIET, "memory_limit": f"{memory}MiB", "temp_directory": str(scratch), "threads": threads}
    with duckdb.connect(":memory:", config={**settings, "arrow_large_buffer_size": "true"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        rows = pa.RecordBatchReader.from_batches(schema, iter(stream))  # noqa: F841 - the query names it
        for batch in connection.execute("SELECT * FROM rows ORDER BY ids").fetch_record_batch(step):
            yield pa.Table.from_batches([batch]).cast(schema).combine_chunks().to_batches()[0]


def _unique(batches: Iterator[pa.RecordBatch], party: str, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """The batches, if no id comes twice.

    Raises:
        DataError: at the first batch that has one.
    """
    before = None
    for batch in batches:
        ids = ids_of(batch)
        same = int(np.sum(ids[1:] == ids[:-1])) + (before is not None and bool(ids[0] == before))
        if same:
            raise DataError(
                f"{party}'s table breaks its contract",
                where=f"data.tables.{party}, {', '.join(columns)}",
                why=f"an id comes twice: at least {same} rows have one that a row before has, too",
                fix="let each row have an id of its own",
            )
        before = ids[-1]
        yield batch


def _refuse_unique(spec: Spec, party: str, contract: Contract) -> None:
    ids = columns_of(spec, party).ids
    unique = [name for name, column in contract.schema.columns.items() if column.unique and name not in ids]
    together = contract.schema.unique or ids  # columns with the whole id among them are unique as that is
    if unique or not set(ids) <= set(together):
        raise DataError(
            f"{party}'s contract asks for unique values in columns that are not the id",
            where=f"data.tables.{party}.contract",
            why=f"{len(unique) or 'several'} such columns, and the table is checked some rows at a time "
            "(predict.chunk_rows)",
            fix="leave out 'unique' for them, or set predict.chunk_rows to more rows than the table has",
        )
