"""A party's table from where it is to a frame in memory: only the columns that are needed, and only if it fits."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import polars as pl

from runner.data.csv_file import check_csv, check_json_lines, dialect_of, scan_csv
from runner.data.digest import files_digest, rows_digest
from runner.data.files import TableFile, find_files
from runner.data.memory import refuse_too_large, size_of, size_of_text
from runner.data.mixed import mixed_types
from runner.data.query import run_query
from runner.data.synthetic import draw_table, feature_numbers
from runner.errors import DataError
from runner.spec.model import Spec
from runner.spec.source import Format, Source
from runner.spec.suggest import advise

_NAMES = {"parquet": "Parquet", "ipc": "Arrow", "jsonl": "JSON lines", "csv": "CSV"}


class Loaded(NamedTuple):
    """A table as it was read.

    Attributes:
        frame: the columns that were asked for and are there.
        digest: SHA-256 of the files, or of the rows where there are none.
    """

    frame: pl.DataFrame
    digest: bytes


def load_table(
    spec: Spec,
    party: str,
    columns: Collection[str] | None = None,
    types: Mapping[str, Any] | None = None,
    rename: Mapping[str, str] | None = None,
) -> Loaded:
    """Read ``party``'s table.

    Args:
        columns: the columns that are needed; those that are not there are left out. None: all.
        types: the polars types of the columns that are known; what has no types of its own is read with them.
        rename: new name → name in the source, besides what the spec says, for columns that are there.

    Raises:
        DataError: for a table that is missing, unreadable, empty, ragged, in another encoding, of mixed types, with
            two columns of one name, in files that differ, or too large. No message holds a value of it.
    """
    reader = _Reader(
        spec, party, columns, dict(types or {}), {**spec.data.tables[party].source.rename, **(rename or {})}
    )
    loaded = reader.load()
    if loaded.frame.is_empty():
        raise DataError(
            f"{party}'s table is empty", where=reader.where, why="it has no rows", fix="bring a table with rows"
        )
    return loaded


def measure_table(
    spec: Spec,
    party: str,
    columns: Collection[str] | None,
    types: Mapping[str, Any],
    rename: Mapping[str, str],
) -> None:
    """Find ``party``'s table, and look whether it fits into memory, before a row of it is read; a query is not asked.

    Args and errors are those of :func:`load_table`.
    """
    _Reader(spec, party, columns, dict(types), {**spec.data.tables[party].source.rename, **rename}).measure()


def count_rows(
    spec: Spec, party: str, columns: Collection[str] | None, types: Mapping[str, Any], rename: Mapping[str, str]
) -> int:
    """About how many rows ``party``'s files hold; 0 where they are no files. Args and errors: :func:`load_table`'s."""
    reader = _Reader(spec, party, columns, dict(types), {**spec.data.tables[party].source.rename, **rename})
    return 0 if spec.data.is_drawn() or reader.is_query() else reader.count()


def read_pieces(
    spec: Spec,
    party: str,
    columns: Collection[str] | None,
    types: Mapping[str, Any],
    rename: Mapping[str, str],
    rows: int,
) -> Iterator[pl.DataFrame]:
    """The table of ``party``'s files, about so many rows at a time, in the order of the files.

    Args and errors are those of :func:`load_table`.
    """
    reader = _Reader(spec, party, columns, dict(types), {**spec.data.tables[party].source.rename, **rename})
    return reader.pieces(rows)


def digest_of_source(spec: Spec, party: str) -> bytes:
    """SHA-256 of the files of ``party``'s table."""
    return files_digest(find_files(spec.data.tables[party].path or "", party))


class _Reader:
    def __init__(
        self,
        spec: Spec,
        party: str,
        columns: Collection[str] | None,
        types: dict[str, Any],
        rename: dict[str, str],
    ) -> None:
        self._spec, self._party = spec, party
        self._columns, self._types, self._rename = columns, types, rename
        self._source: Source = spec.data.tables[party].source
        self._path = spec.data.tables[party].path or ""
        self.where = f"data.tables.{party}" + (f".path = {self._path}" if self._path else "")

    def load(self) -> Loaded:
        if self._spec.data.is_drawn():
            self._measure_drawn()
            frame = draw_table(self._spec, self._party)
            return Loaded(frame, rows_digest(frame, self._spec.data.id_columns()))
        if self._source.sql is not None:
            result = run_query(self._party, self._source, self._refuse_too_large)
            frame = self._emptied(self._arranged(result.lazy()).collect())
            frame = _with_types(self._party, frame, self._types)
            return Loaded(frame, rows_digest(frame, self._spec.data.id_columns()))
        files = find_files(self._path, self._party)
        return Loaded(self._emptied(self._read(files)), files_digest(files))

    def measure(self) -> None:
        if self._spec.data.is_drawn():
            self._measure_drawn()
        elif self._source.sql is None:
            self._read(find_files(self._path, self._party), rows=False)

    def is_query(self) -> bool:
        return self._source.sql is not None

    def count(self) -> int:
        files = find_files(self._path, self._party)
        form = self._format(files)
        with self._told(files, form):
            if form in ("csv", "jsonl"):
                return size_of_text(files, form, [], self._source.csv)[0]
            return size_of(files, form, self._together([self._scan(file, form) for file in files]), self._source.csv)[0]

    def pieces(self, rows: int) -> Iterator[pl.DataFrame]:
        files = find_files(self._path, self._party)
        form = self._format(files)
        with self._told(files, form):
            table = self._together([self._arranged(self._scan(file, form)) for file in files])
            all_rows, kinds, besides = size_of(files, form, table, self._source.csv)
            self._refuse_too_large(min(rows, all_rows), kinds, besides)
            for frame in table.collect_batches(chunk_size=rows, maintain_order=True):
                yield self._emptied(frame)

    def _measure_drawn(self) -> None:
        kinds = [pl.Float64()] * (len(feature_numbers(self._spec, self._party)) + 2)
        self._refuse_too_large(self._spec.data.rows or 0, kinds)

    def _read(self, files: tuple[TableFile, ...], *, rows: bool = True) -> pl.DataFrame:
        form = self._format(files)
        with self._told(files, form):
            if form in ("csv", "jsonl"):  # before the files are gone through
                self._refuse_too_large(*size_of_text(files, form, list(self._types.values()), self._source.csv))
            table = self._together([self._arranged(self._scan(file, form)) for file in files])
            self._refuse_too_large(*size_of(files, form, table, self._source.csv))
            return table.collect() if rows else pl.DataFrame()

    @contextmanager
    def _told(self, files: tuple[TableFile, ...], form: Format) -> Iterator[None]:
        """Tell what polars says of the files in words without their values."""
        try:
            yield
        except (pl.exceptions.PolarsError, OSError, UnicodeError) as error:
            if form in ("csv", "jsonl") and isinstance(error, pl.exceptions.ComputeError):
                raise self._explain(files, form) from None
            raise self._unreadable(form, error) from None

    def _format(self, files: tuple[TableFile, ...]) -> Format:
        """What the setting or the files' suffix says; Parquet where neither does."""
        found = {self._source.format_of(str(file.path)) or "parquet" for file in files}
        if len(found) > 1:
            raise DataError(
                f"{self._party}'s table is in files of several formats",
                where=self.where,
                why=f"their suffixes say {', '.join(sorted(found))}",
                fix=f"write a pattern that ends in one suffix, or set data.tables.{self._party}.source.format",
            )
        return found.pop()

    def _scan(self, file: TableFile, form: Format, as_text: bool = False) -> pl.LazyFrame:
        """One file, with the columns that its folders name; ``as_text``: those with a known type as text."""
        old = {self._rename.get(name, name): kind for name, kind in self._types.items()}
        types = dict.fromkeys(old, pl.String) if as_text else old
        if form == "csv":
            dialect = dialect_of(str(file.path), self._source.csv)
            if not as_text:
                check_csv(file.path, dialect, f"data.tables.{self._party}")
            table = scan_csv(file.path, dialect, types, self._source.empty_is_null)
        elif form == "jsonl":
            check_json_lines(file.path, f"data.tables.{self._party}")
            found = pl.scan_ndjson(file.path, infer_schema_length=None).collect_schema()
            known = {name: kind for name, kind in types.items() if name in found}
            table = pl.scan_ndjson(file.path, schema_overrides=known, infer_schema_length=None)
        elif form == "ipc":
            table = pl.scan_ipc(file.path, glob=False)
        else:
            table = pl.scan_parquet(file.path, glob=False, hive_partitioning=False)
        return table.with_columns(**{name: _literal(value, types.get(name)) for name, value in file.partition.items()})

    def _arranged(self, table: pl.LazyFrame) -> pl.LazyFrame:
        """The table with its new names, and the columns that are needed only."""
        there = table.collect_schema().names()
        if missing := [old for old in self._source.rename.values() if old not in there]:
            raise self._no_column(missing[0], "rename", there)
        old_names = {old: new for new, old in self._rename.items() if old in there}
        new = [old_names.get(name, name) for name in there]
        if twice := next((name for name in new if new.count(name) > 1), None):
            raise DataError(
                f"two columns of {self._party}'s table are called {twice!r}",
                where=f"data.tables.{self._party}.source.rename",
                why="one has that name, and another is given it",
                fix="give another name, or a new one to both",
            )
        table = table.rename(old_names)
        if missing := [name for name in self._source.columns if name not in new]:
            raise self._no_column(missing[0], "columns", new)
        kept = [name for name in new if not self._source.columns or name in self._source.columns]
        needed = [name for name in kept if self._columns is None or name in self._columns]
        if not needed:
            raise self._no_needed_column(len(there))
        return table.select(needed)

    def _no_column(self, name: str, setting: str, there: list[str]) -> DataError:
        return DataError(
            f"{self._party}'s table has no column {name!r}",
            where=f"data.tables.{self._party}.source.{setting}",
            why=f"it has {len(there)} columns, and none of that name",
            fix="compare the setting with the table's own names",
        )

    def _no_needed_column(self, number: int) -> DataError:
        return DataError(
            f"{self._party}'s table has none of the contract's columns",
            where=self.where,
            why=f"it has {number} column{'s' if number != 1 else ''}, and none with a name that the contract knows",
            fix=f"give columns their names with data.tables.{self._party}.source.rename; for a CSV file, look at "
            "source.csv.separator and source.csv.header too",
        )

    def _together(self, tables: list[pl.LazyFrame]) -> pl.LazyFrame:
        first = tables[0].collect_schema()
        for number, table in enumerate(tables[1:], start=2):
            schema = table.collect_schema()
            if set(schema) != set(first):
                differing, what = set(schema) ^ set(first), "columns that one has and the other has not"
            else:
                differing = {name for name in first if schema[name] != first[name]}
                what = "columns of another type"
            if differing:
                raise DataError(
                    f"the files of {self._party}'s table differ",
                    where=self.where,
                    why=f"file {number} of {len(tables)}, in the order of their names, is unlike the first: "
                    f"{len(differing)} {what if len(differing) > 1 else what.replace('columns', 'column')}"
                    f"{self._known(differing)}",
                    fix="write the files alike, or choose those that are",
                )
        return pl.concat([table.select(first.names()) for table in tables])

    def _known(self, names: set[str]) -> str:
        """The names that the contract has; others are the table's own."""
        known = sorted(name for name in names if self._columns is not None and name in self._columns)
        return f" ({', '.join(known[:6])})" if known else ""

    def _refuse_too_large(self, rows: int, kinds: list[Any], besides: int = 0) -> None:
        refuse_too_large(self._spec, self._party, rows, kinds, besides)

    def _emptied(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rule for empty texts, whatever the format."""
        if not self._source.empty_is_null:
            return frame
        texts = [name for name, kind in frame.schema.items() if kind == pl.String]
        return frame.with_columns(pl.when(pl.col(name) != "").then(pl.col(name)).alias(name) for name in texts)

    def _explain(self, files: tuple[TableFile, ...], form: Format) -> DataError:
        """Why a text file could not be read: by its columns, if it can be read as text."""
        try:
            texts = pl.concat([self._arranged(self._scan(file, form, as_text=True)) for file in files])
            there = texts.collect_schema().names()
            types = {name: kind for name, kind in self._types.items() if name in there}
            return mixed_types(self._party, texts, types, self._source.csv if form == "csv" else None)
        except pl.exceptions.PolarsError as error:
            return self._unreadable(form, error)

    def _unreadable(self, form: Format, error: Exception) -> DataError:
        why = f"it is no whole {_NAMES[form]} file ({type(error).__name__})"
        if isinstance(error, PermissionError):
            why = "this user may not open it"
        elif isinstance(error, pl.exceptions.DuplicateError):
            why = "two of its columns have one name"
        return DataError(
            f"{self._party}'s table cannot be read",
            where=self.where,
            why=why,
            fix=f"write it again, or set data.tables.{self._party}.source.format "
            f"({advise('', [name for name in _NAMES])})",
        )


def _literal(value: str | None, kind: Any) -> pl.Expr:
    """A folder's value: of the type that is known, else a whole number if it is one."""
    if kind is None:
        kind = pl.Int64 if value is not None and value.lstrip("-").isdecimal() else pl.String
    return pl.lit(value, pl.String).cast(kind)


def _with_types(party: str, frame: pl.DataFrame, types: Mapping[str, Any]) -> pl.DataFrame:
    """Numbers of a query in the types that are known, where that loses nothing (decimals: but for rounding)."""
    numeric = {name: kind for name, kind in types.items() if name in frame.columns and kind.is_numeric()}
    texts = {name: kind for name, kind in numeric.items() if frame.schema[name] == pl.String}
    for name, kind in numeric.items():
        column = frame[name]
        other = column.cast(kind, strict=False)
        if name in texts and other.null_count() > column.null_count():
            raise mixed_types(party, frame.lazy(), texts)
        if name in texts or column.dtype.is_decimal() or _exactly(column, other):
            frame = frame.with_columns(other)
    return frame


def _exactly(column: pl.Series, other: pl.Series) -> bool:
    return column.dtype.is_numeric() and other.cast(column.dtype, strict=False).equals(column)
