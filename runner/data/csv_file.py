"""Files of text: whether one is whole, and CSV in its dialect.

polars fills short rows with nulls without a word, and shows values in its errors; so each file is gone through once
before, in pieces, for its encoding and the number of its columns.
"""

from __future__ import annotations

import codecs
import csv
from pathlib import Path
from typing import Any

import polars as pl

from runner.errors import DataError
from runner.spec.source import Csv

_PIECE = 1 << 20


def dialect_of(path: str, dialect: Csv) -> Csv:
    """The dialect with the tabulator that the suffix .tsv says, if no separator was set."""
    if not path.lower().endswith(".tsv") or dialect.separator != Csv().separator:
        return dialect
    return Csv(**{**{name: getattr(dialect, name) for name in Csv.__struct_fields__}, "separator": "\t"})


def check_csv(path: Path, dialect: Csv, where: str) -> None:
    """Go through a file: is every byte text, does every row have as many columns as the first, are names unique?

    Raises:
        DataError: with the place in the file, and no text of it.
    """
    try:
        with path.open(encoding=_codec(dialect), newline="") as file:
            rows = _reader(file, dialect)
            first: list[str] = next(rows, [])
            if not first:
                raise _is_empty("CSV", where)
            if dialect.header:
                refuse_repeated(first, where, f"rename one; without a header, set {where}.source.csv.header=false")
            for row in rows:
                if len(row) != len(first) and (row or len(first) > 1):
                    raise _ragged(len(first), len(row), rows.line_num, dialect, where)
    except UnicodeError:
        raise _wrong_encoding(path, "CSV", dialect.encoding, where) from None
    except csv.Error:
        raise DataError(
            "a CSV file cannot be read",
            where=f"{where}.path, line {rows.line_num}",
            why="a quoted text has no end or is longer than 128 KiB, or a byte is 0",
            fix=f"mend the line, or set {where}.source.csv.quote to the file's own, or to null if it has none",
        ) from None


def check_json_lines(path: Path, where: str) -> None:
    """Make sure that a file of JSON lines is not empty, and is text in UTF-8, as JSON is.

    Raises:
        DataError: with the place in the file.
    """
    if path.stat().st_size == 0:
        raise _is_empty("JSON lines", where)
    try:
        with path.open(encoding="utf8") as file:
            for _ in file:
                pass
    except UnicodeError:
        raise _wrong_encoding(path, "JSON lines", "utf8", where) from None


def scan_csv(path: Path, dialect: Csv, types: dict[str, Any], empty_is_null: bool) -> pl.LazyFrame:
    """The file as a lazy frame; ``types`` says the types of the columns that are known, by their names in the file."""
    return pl.scan_csv(
        path.read_bytes().decode(dialect.encoding).encode() if is_recoded(dialect) else path,
        has_header=dialect.header,
        separator=dialect.separator,
        quote_char=dialect.quote,
        decimal_comma=dialect.decimal_comma,
        null_values=list(dialect.null_values) or None,
        empty_string_is_null=empty_is_null,
        try_parse_dates=dialect.try_dates,
        schema_overrides=types,
        infer_schema_length=None,
        glob=False,
    )


def is_recoded(dialect: Csv) -> bool:
    """Whether a file of this encoding is recoded in memory, as polars reads UTF-8 only."""
    return codecs.lookup(dialect.encoding).name not in ("utf-8", "ascii")


def refuse_repeated(names: list[str], where: str, fix: str) -> None:
    """Refuse columns with one name; the name itself may be data, where a file has no header.

    Raises:
        DataError: with the places of the first two.
    """
    for at, name in enumerate(names):
        if (first := names.index(name)) < at:
            raise DataError(
                "two columns have one name",
                where=f"{where}, columns {first + 1} and {at + 1}",
                why="their contents cannot be told apart",
                fix=fix,
            )


def _codec(dialect: Csv) -> str:
    """UTF-8 with the mark that some programs write at its beginning, or without."""
    name = codecs.lookup(dialect.encoding).name
    return "utf-8-sig" if name in ("utf-8", "ascii") else name


def _reader(file: Any, dialect: Csv) -> Any:
    if dialect.quote is None:
        return csv.reader(file, delimiter=dialect.separator, quoting=csv.QUOTE_NONE)
    return csv.reader(file, delimiter=dialect.separator, quotechar=dialect.quote, strict=True)


def _is_empty(form: str, where: str) -> DataError:
    return DataError(
        f"a {form} file is empty", where=f"{where}.path", why="it has no first line", fix="bring a whole file"
    )


def _ragged(expected: int, found: int, line: int, dialect: Csv, where: str) -> DataError:
    blank = "; the line is blank" if found == 0 else ""
    return DataError(
        f"a CSV file is ragged: {expected} columns expected, {found} found",
        where=f"{where}.path, line {line}",
        why=f"the first line has {expected} columns, separated by {dialect.separator!r}, and this one {found}{blank}",
        fix=f"mend the line, or set {where}.source.csv.separator or .quote to what the file was written with",
    )


def _wrong_encoding(path: Path, form: str, encoding: str, where: str) -> DataError:
    offset, line = _first_undecodable(path, codecs.lookup(encoding).name)
    setting = f"set {where}.source.csv.encoding to what it was written in, such as utf8, latin1 or cp1252"
    return DataError(
        f"a {form} file is not written in {encoding}",
        where=f"{where}.path, line {line}",
        why=f"byte {offset} cannot be read as {encoding}",
        fix=setting if form == "CSV" else "write it again in UTF-8",
    )


def _first_undecodable(path: Path, encoding: str) -> tuple[int, int]:
    """Offset (from 0) and line (from 1) of the first byte that is not of the encoding."""
    decoder = codecs.getincrementaldecoder(encoding)()
    offset, line = 0, 1
    with path.open("rb") as file:
        while True:
            piece = file.read(_PIECE)
            held = len(decoder.getstate()[0])
            try:
                line += decoder.decode(piece, final=not piece).count("\n")
            except UnicodeDecodeError as error:
                before = error.object[: error.start].decode(encoding, errors="ignore")
                return offset - held + error.start, line + before.count("\n")
            offset += len(piece)
            if not piece:
                return offset, line
