"""CSV and JSON lines: dialects, and what is wrong with a file, told by its place and without its text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from made_sources import CANARY, ROWS, Desk, frame, same

HEADER = "number,width,height,target\n"
GOOD = "".join(f"{row:04d},{row / 8},{row},{row % 2}\n" for row in range(20))


def write(reading: Desk, content: str | bytes, name: str = "t.csv") -> Path:
    path = reading.folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_csv_is_the_table(reading: Desk) -> None:
    frame().write_csv(reading.folder / "t.csv")
    assert same(reading.check(reading.folder / "t.csv"), reading.plain())


@pytest.mark.parametrize(
    ("written", "dialect", "name"),
    [
        ({"separator": ";"}, {"separator": ";"}, "t.csv"),
        ({"separator": ";", "decimal_comma": True}, {"separator": ";", "decimal_comma": True}, "t.csv"),
        ({"separator": "\t"}, {}, "t.tsv"),
        ({"quote_style": "always"}, {}, "t.csv"),
        ({"quote_char": "'", "quote_style": "always"}, {"quote": "'"}, "t.csv"),
        ({"include_bom": True}, {}, "t.csv"),
        ({"line_terminator": "\r\n"}, {}, "t.csv"),
    ],
)
def test_dialects(reading: Desk, written: dict[str, Any], dialect: dict[str, Any], name: str) -> None:
    frame().write_csv(reading.folder / name, **written)
    assert same(reading.check(reading.folder / name, {"csv": dialect}), reading.plain())


def test_format_is_what_the_setting_says(reading: Desk) -> None:
    frame().write_csv(reading.folder / "t.dat")
    assert same(reading.check(reading.folder / "t.dat", {"format": "csv"}), reading.plain())
    assert "Parquet" in reading.refusal(reading.folder / "t.dat").why


@pytest.mark.parametrize("changes", [{"separator": ";"}, {"include_header": False}])
def test_file_read_in_another_dialect_is_told(reading: Desk, changes: dict[str, Any]) -> None:
    frame()[3:].write_csv(reading.folder / "t.csv", **changes)
    error = reading.refusal(reading.folder / "t.csv")
    assert "none of the contract's columns" in error.what
    assert "source.csv.separator" in error.fix


def test_without_a_header_columns_get_their_names_from_the_spec(reading: Desk) -> None:
    frame().write_csv(reading.folder / "t.csv", include_header=False)
    names = {name: f"column_{at}" for at, name in enumerate(frame().columns)}
    source = {"csv": {"header": False}, "rename": names}
    assert same(reading.check(reading.folder / "t.csv", source), reading.plain())


@pytest.mark.parametrize("encoding", ["latin1", "cp1252", "utf16"])
def test_other_encodings(reading: Desk, encoding: str) -> None:
    ids = [f"M{row:02d}ü" for row in range(ROWS)]
    text = frame().with_columns(number=pl.Series(ids)).write_csv()
    path = write(reading, text.encode(encoding))
    assert reading.check(path, {"csv": {"encoding": encoding}}).ids.tolist() == ids


def test_wrong_encoding_is_told_by_byte_and_line(reading: Desk) -> None:
    content = (HEADER + GOOD + f"{CANARY}M").encode() + b"\xfcller,1,1,1\n"
    error = reading.refusal(write(reading, content))
    assert error.what == "a CSV file is not written in utf8"
    assert "line 22" in error.where
    assert error.why == f"byte {content.index(0xFC)} cannot be read as utf8"
    assert "data.tables.alice.source.csv.encoding" in error.fix
    assert "latin1" in error.fix


def test_wrong_encoding_far_into_a_file_is_found(reading: Desk) -> None:
    """Beyond the pieces that a file is gone through in, in the middle of a character of two bytes."""
    rows = "".join(f"{row:07d}ü,1.5,1,{row % 2}\n" for row in range(100_000))
    content = (HEADER + rows).encode() + b"x\xff,1.5,1,1\n"
    error = reading.refusal(write(reading, content))
    assert error.why == f"byte {content.index(0xFF)} cannot be read as utf8"
    assert "line 100002" in error.where


def test_wrong_encoding_of_the_header_and_of_a_column_that_is_not_read(reading: Desk) -> None:
    assert "byte 6" in reading.refusal(write(reading, b"number\xfc" + (HEADER[6:] + GOOD).encode())).why
    rows = GOOD.replace("\n", ",x\n").encode()
    extra = HEADER.replace("\n", ",extra\n").encode() + rows[:-2] + b"\xfc\n"
    assert "cannot be read as utf8" in reading.refusal(write(reading, extra)).why


@pytest.mark.parametrize(
    ("row", "found"), [(f"{CANARY},1,1\n", 3), (f"{CANARY},1,1,1,1\n", 5), (f"{CANARY}\n", 1), ("\n", 0)]
)
def test_ragged_file_is_told_by_line(reading: Desk, row: str, found: int) -> None:
    error = reading.refusal(write(reading, HEADER + GOOD + row + GOOD))
    assert error.what == f"a CSV file is ragged: 4 columns expected, {found} found"
    assert "line 22" in error.where
    assert ("blank" in error.why) == (found == 0)


def test_line_of_a_ragged_row_counts_the_lines_within_quotes(reading: Desk) -> None:
    error = reading.refusal(write(reading, HEADER + f'"{CANARY}\nx",1,1,1\n{CANARY},1\n'))
    assert "line 4" in error.where


def test_quote_without_an_end_is_told(reading: Desk) -> None:
    error = reading.refusal(write(reading, HEADER + f'"{CANARY},1,1,1\n' + GOOD))
    assert "quoted text has no end" in error.why
    assert "source.csv.quote" in error.fix


@pytest.mark.parametrize(("content", "why"), [("", "no first line"), (HEADER, "no rows"), ("\n", "no first line")])
def test_empty_file_is_told(reading: Desk, content: str, why: str) -> None:
    error = reading.refusal(write(reading, content))
    assert "empty" in error.what
    assert why in error.why


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl"])
def test_text_among_numbers_is_counted_by_column(reading: Desk, name: str) -> None:
    values = [str(row) for row in range(17)] + [CANARY, f"x{CANARY}", "3,5"]
    text = pl.DataFrame({"number": [f"{row:04d}" for row in range(20)], "width": values})
    table = text.with_columns(height=pl.Series(["1"] * 19 + ["2.5"]), target=pl.int_range(20) % 2)
    path = reading.folder / name
    table.write_csv(path) if name.endswith("csv") else table.write_ndjson(path)
    error = reading.refusal(path)
    assert "values of more than one type" in error.what
    assert "width: 3 values are no Float64, the first in data row 18" in error.why
    assert "height: 1 value is no Int64, the first in data row 20" in error.why
    assert ("null_values" in error.fix) == name.endswith("csv")


def test_texts_that_stand_for_missing_values(reading: Desk) -> None:
    path = write(reading, HEADER + GOOD + "9999,NA,n/a,1\n")
    assert "width: 1 value is no Float64" in reading.refusal(path).why
    error = reading.refusal(path, {"csv": {"null_values": ["NA", "n/a"]}})
    assert "width: not_nullable fails 1 time" in error.why
    assert "height: not_nullable fails 1 time" in error.why


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.jsonl"])
def test_empty_text_is_a_missing_value_by_rule(reading: Desk, name: str) -> None:
    table = pl.concat([frame(), frame().head(1).with_columns(number=pl.lit(""))])
    path = reading.folder / name
    write = {"t.csv": table.write_csv, "t.parquet": table.write_parquet, "t.jsonl": table.write_ndjson}
    write[name](path)
    assert "number: not_nullable fails 1 time" in reading.refusal(path).why
    assert reading.check(path, {"empty_is_null": False}).ids[0] == ""


def test_repeated_name_is_told_by_its_places(reading: Desk) -> None:
    """By place only: where a header is missing, it is a row of data."""
    error = reading.refusal(write(reading, f"number,{CANARY},width,{CANARY}\n1,2,3,4\n"))
    assert "columns 2 and 4" in error.where
    assert "header=false" in error.fix


def test_types_are_those_of_the_contract(reading: Desk) -> None:
    """Zeros before an id stay, and a float that is written like a whole number is one."""
    path = write(reading, HEADER + "0010,1,2,1\n0009,2,3,0\n" + GOOD.replace("00", "1", 1).replace("\n00", "\n2"))
    prepared = reading.check(path)
    assert prepared.ids[:2].tolist() == ["0009", "0010"]
    assert prepared.dtypes == ("Float64", "Int64")


def test_json_lines_are_the_table(reading: Desk) -> None:
    frame().write_ndjson(reading.folder / "t.jsonl")
    assert same(reading.check(reading.folder / "t.jsonl"), reading.plain())


@pytest.mark.parametrize(
    ("content", "what", "why"),
    [
        (b"", "is empty", "no first line"),
        (b'{"number": "1"\n', "cannot be read", "no whole JSON lines file"),
        (b"[1, 2]\n", "cannot be read", "no whole JSON lines file"),
        (b'{"number": "' + CANARY.encode() + b'\xff"}\n', "is not written in utf8", "byte 18"),
    ],
)
def test_broken_json_lines_are_told(reading: Desk, content: bytes, what: str, why: str) -> None:
    error = reading.refusal(write(reading, content, "t.jsonl"))
    assert what in error.what
    assert why in error.why
