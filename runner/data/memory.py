"""Whether a table fits into memory, asked before it is read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from runner.data.csv_file import is_recoded
from runner.data.files import TableFile
from runner.errors import DataError
from runner.spec.model import Spec
from runner.spec.source import Csv, Format

GIB = 1 << 30
SHARE = 0.8  # of the free memory, for the tables of all parties on the machine
COPIES = 4  # as read, in the order of its ids, as a matrix, and on its way to the worker
_TEXT = 40  # bytes of a text: polars' view and a short content
_SAMPLE = 1 << 20  # bytes of a text file
_CGROUP = Path("/sys/fs/cgroup")


def refuse_too_large(spec: Spec, party: str, rows: int, kinds: Iterable[Any], besides: int = 0) -> None:
    """Refuse a table that would take more memory than ``data.max_memory``, or the party's share of what is free.

    Args:
        rows: how many it has, or about how many.
        kinds: the types of the columns that are read.
        besides: bytes that reading takes on top.

    Raises:
        DataError: with its size and the memory.
    """
    columns = list(kinds)
    needed = rows * sum(_width(kind) for kind in columns) * COPIES + besides
    allowed = memory_for(spec)
    if needed > allowed:
        limit = "data.max_memory" if spec.data.max_memory is not None else "free memory, or cluster.limits.memory,"
        sizes = f"it takes about {_gib(needed)} GiB, and {_gib(allowed)} GiB may be used"
        raise DataError(
            f"{party}'s table is too large: {sizes}",
            where=f"data.tables.{party}",
            why=f"some {rows:,} rows of {len(columns)} columns are held {COPIES} times; {limit} sets the bound",
            fix=f"read fewer columns (data.tables.{party}.source.columns, or a shorter contract) or rows, "
            "take a larger machine, or set data.max_memory (GiB); a saved model can be applied in pieces "
            "(predict.chunk_rows)",
        )


def size_of(files: tuple[TableFile, ...], form: Format, table: pl.LazyFrame, csv: Csv) -> tuple[int, list[Any], int]:
    """Rows (of text, about how many), types of the columns, and bytes besides, without reading the table."""
    kinds = table.collect_schema().dtypes()
    if form in ("parquet", "ipc"):
        return table.select(pl.len()).collect().item(), kinds, 0
    return size_of_text(files, form, kinds, csv)


def size_of_text(files: tuple[TableFile, ...], form: Format, kinds: list[Any], csv: Csv) -> tuple[int, list[Any], int]:
    """The same for text with columns of these types, from the sizes of the files and their first lines."""
    sizes = [file.path.stat().st_size for file in files]
    rows = sum(round(size * _lines_per_byte(file.path)) for file, size in zip(files, sizes, strict=True))
    return rows, kinds, 2 * sum(sizes) if form == "csv" and is_recoded(csv) else 0


def _lines_per_byte(path: Path) -> float:
    with path.open("rb") as file:
        sample = file.read(_SAMPLE)
    return max(1, sample.count(b"\n")) / max(1, len(sample))


def memory_for(spec: Spec) -> int:
    """Bytes that one party's table may take."""
    if spec.data.max_memory is not None:
        return int(spec.data.max_memory * GIB)
    share = int(free_memory() * SHARE / max(1, len(spec.tables_here())))
    limit = spec.cluster.limits.memory
    return share if limit is None else min(share, int(limit * GIB))


def free_memory() -> int:
    """Bytes that this process can still get: of the machine, or of the control group that it is in."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    free = next(int(words[1]) * 1024 for words in lines if words[0] == "MemAvailable:")
    try:
        limit, used, parts = (_CGROUP.joinpath(f"memory.{name}").read_text() for name in ("max", "current", "stat"))
    except OSError:
        return free
    if limit.strip() == "max":
        return free
    cached = next(int(line.split()[1]) for line in parts.splitlines() if line.startswith("inactive_file "))
    return min(free, max(0, int(limit) - int(used) + cached))


def _gib(size: int) -> str:
    return f"{size / GIB:,.0f}" if size >= 10 * GIB else f"{size / GIB:.2g}"


def _width(kind: Any) -> int:
    """Bytes of one value in memory."""
    if kind == pl.Boolean:
        return 1
    if kind.is_integer() or kind.is_float() or kind.is_temporal():
        return 16 if kind in (pl.Int128, pl.UInt128) else 8
    return _TEXT
