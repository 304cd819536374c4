"""A checked table that is gone through in pieces: some rows after others, in the order of their ids.

A table that was read in pieces lies in a file without a name, in its party's own folder: it goes when the last process
that has it open does, however that ends. One that was read whole is cut in memory.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from runner.data.table import CheckedTable, digest_of_ids, from_arrow, read_table
from runner.spec.model import Spec
from runner.spec.pieces import piece_rows

_ROWS = b"sgb-runner rows"
_SUMMED = ("rows", "training_rows", "test_rows", "labels", "labels_not_0")


class Pieces:
    """A table in pieces; iterating goes through them, as often as is asked.

    Attributes:
        rows: of all pieces.
        count: of pieces.
    """

    def __init__(self, rows: int, step: int, read: Callable[[], Iterator[CheckedTable]]) -> None:
        self.rows = rows
        self.count = -(-rows // step)
        self._read = read

    def __iter__(self) -> Iterator[CheckedTable]:
        return self._read()

    def id_digests(self, *keys: bytes) -> list[str]:
        """As :meth:`CheckedTable.id_digest` of all rows, under each key."""
        return [digest_of_ids(key, (piece.ids for piece in self)) for key in keys]

    def digest(self, key: bytes) -> str:
        """Keyed SHA-256 of the digests of all pieces."""
        return digest_of_ids(key, (np.array([piece.digest(key)]) for piece in self))

    def counts(self) -> dict[str, Any]:
        """As :meth:`CheckedTable.counts` of all rows."""
        found: dict[str, Any] = {}
        for piece in self:
            counts = piece.counts()
            known = {name: counts[name] for name in _SUMMED if counts[name] is not None}
            found = {**counts, **{name: found.get(name, 0) + value for name, value in known.items()}}
        return found


def open_table(descriptor: int, spec: Spec) -> CheckedTable | Pieces:
    """The table that a check left behind ``descriptor``: whole, or in the pieces that the spec asks for."""
    rows = _rows_in_pieces(descriptor)
    if rows is not None and (step := piece_rows(spec, rows)) is not None:
        file = io.FileIO(descriptor, "rb")
        return Pieces(rows, step, lambda: _read_pieces(file))
    table = read_table(descriptor)
    step = piece_rows(spec, len(table.ids))
    return table if step is None else Pieces(len(table.ids), step, lambda: _cut(table, step))


def write_pieces(descriptor: int, batches: Iterable[pa.RecordBatch], rows: int, step: int) -> None:
    """Write what :func:`open_table` reads: a stream of batches of ``step`` rows, the last of what is left.

    Args:
        batches: in the order of their ids, of any sizes; their schema says what a table says of itself.
        rows: of all of them.
    """
    stream: Any = None
    with io.FileIO(descriptor, "wb", closefd=False) as file:
        for batch in _of_size(batches, step):
            if stream is None:
                schema = batch.schema.with_metadata({**batch.schema.metadata, _ROWS: str(rows).encode()})
                stream = pa.ipc.new_stream(file, schema)
            stream.write_batch(batch)
        if stream is not None:
            stream.close()


def ids_of(batch: pa.RecordBatch) -> NDArray[Any]:
    """The ids of a batch: shape (rows,), int64 or str."""
    values: NDArray[Any] = batch.column("ids").to_numpy(zero_copy_only=False)
    return values.astype(str) if values.dtype == object else values


def _rows_in_pieces(descriptor: int) -> int | None:
    """How many rows a table has that was written in pieces; None for one that was written whole."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    with io.FileIO(descriptor, "rb", closefd=False) as file, pa.ipc.open_stream(file) as stream:
        found = stream.schema.metadata.get(_ROWS)
    return None if found is None else int(found)


def _read_pieces(file: io.FileIO) -> Iterator[CheckedTable]:
    file.seek(0)
    with pa.ipc.open_stream(file) as stream:
        for batch in stream:
            yield from_arrow(pa.Table.from_batches([batch]))


def _cut(table: CheckedTable, step: int) -> Iterator[CheckedTable]:
    for start in range(0, len(table.ids), step):
        yield table.with_rows(np.arange(start, min(start + step, len(table.ids))))


def _of_size(batches: Iterable[pa.RecordBatch], step: int) -> Iterator[pa.RecordBatch]:
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        while rows + len(batch) >= step:
            head = batch.slice(0, step - rows)
            batch = batch.slice(len(head))
            yield _joined([*held, head])
            held, rows = [], 0
        if len(batch):
            held.append(batch)
            rows += len(batch)
    if held:
        yield _joined(held)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
