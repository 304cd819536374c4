"""One file, several that match a pattern, a folder: the files that a table is made of, and their digest."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from made_sources import ROWS, Desk, frame, same

from runner.data.digest import files_digest
from runner.data.files import find_files
from runner.errors import DataError
from runner.files import file_digest


def write_parts(folder: Path, name: str = "part-{}.parquet") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part in range(4):
        frame()[part * 10 : part * 10 + 10].write_parquet(folder / name.format(part))


@pytest.mark.parametrize("path", ["parts/part-*.parquet", "parts", "**/part-?.parquet", "parts/part-[0-3].parquet"])
def test_files_together_are_the_table(reading: Desk, path: str) -> None:
    write_parts(reading.folder / "parts")
    reading.folder.joinpath("parts", "notes.txt").write_text("no table")
    reading.folder.joinpath("parts", "_SUCCESS.parquet").write_text("no table")
    assert same(reading.check(reading.folder / path), reading.plain())


def test_file_whose_name_looks_like_a_pattern_is_taken_by_its_name(reading: Desk) -> None:
    frame().write_parquet(reading.folder / "t[1].parquet")
    frame().head(3).write_parquet(reading.folder / "t1.parquet")
    assert len(reading.check(reading.folder / "t[1].parquet").ids) == ROWS


@pytest.mark.parametrize("form", ["parquet", "csv", "ipc", "jsonl"])
def test_folders_give_a_column(reading: Desk, form: str) -> None:
    for height in range(11):
        folder = reading.folder / "by" / f"height={height}"
        folder.mkdir(parents=True)
        rows = frame().filter(pl.col("height") == height).drop("height")
        write = {
            "parquet": rows.write_parquet,
            "csv": rows.write_csv,
            "ipc": rows.write_ipc,
            "jsonl": rows.write_ndjson,
        }
        write[form](folder / f"rows.{form}")
    assert same(reading.check(reading.folder / "by"), reading.plain())
    assert same(reading.check(reading.folder / "by" / "*" / f"*.{form}"), reading.plain())


def test_folders_value_may_be_none(reading: Desk) -> None:
    (reading.folder / "by" / "width=__HIVE_DEFAULT_PARTITION__").mkdir(parents=True)
    frame().drop("width").write_parquet(reading.folder / "by" / "width=__HIVE_DEFAULT_PARTITION__" / "a.parquet")
    assert "width: not_nullable" in reading.refusal(reading.folder / "by").why


@pytest.mark.parametrize(
    ("path", "why"),
    [("nothing-*.parquet", "no file matches"), ("empty", "has no file that ends in .parquet"), ("x.csv", "no file")],
)
def test_nothing_is_told_with_the_place(reading: Desk, path: str, why: str) -> None:
    (reading.folder / "empty").mkdir()
    error = reading.refusal(reading.folder / path)
    assert "not there" in error.what
    assert why in error.why


def test_files_with_other_columns_are_told_by_number(reading: Desk) -> None:
    write_parts(reading.folder / "parts")
    frame()[20:30].drop("width").write_parquet(reading.folder / "parts" / "part-2.parquet")
    error = reading.refusal(reading.folder / "parts")
    assert "file 3 of 4" in error.why
    assert "1 column that one has and the other has not (width)" in error.why


def test_files_with_other_types_are_told_by_number(reading: Desk) -> None:
    write_parts(reading.folder / "parts")
    frame()[10:20].with_columns(pl.col("width").cast(pl.Float32)).write_parquet(
        reading.folder / "parts" / "part-1.parquet"
    )
    error = reading.refusal(reading.folder / "parts" / "*.parquet")
    assert "file 2 of 4" in error.why
    assert "1 column of another type (width)" in error.why


def test_order_of_columns_may_differ(reading: Desk) -> None:
    write_parts(reading.folder / "parts")
    frame()[10:20].select("target", "height", "width", "number").write_parquet(
        reading.folder / "parts" / "part-1.parquet"
    )
    assert same(reading.check(reading.folder / "parts"), reading.plain())


def test_formats_are_not_mixed(reading: Desk) -> None:
    write_parts(reading.folder / "parts")
    frame().write_csv(reading.folder / "parts" / "more.csv")
    assert "csv, parquet" in reading.refusal(reading.folder / "parts").why


def test_digest_is_of_contents_and_of_what_folders_say(tmp_path: Path) -> None:
    def digest(name: str, content: str, path: str) -> bytes:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        return files_digest(find_files(str(tmp_path / path), "alice"))

    assert digest("one.csv", "a", "one.csv") == file_digest(tmp_path / "one.csv")
    first = digest("a/y=1/f.csv", "x", "a")
    assert digest("b/y=1/other.csv", "x", "b") == first
    assert digest("c/y=2/f.csv", "x", "c") != first
    assert digest("a/y=1/f.csv", "z", "a") != first
    assert digest("a/y=1/more.csv", "x", "a") != first


def test_source_of_the_table_is_its_files_digest(reading: Desk) -> None:
    assert reading.plain().source == file_digest(reading.folder / "plain.parquet")
    write_parts(reading.folder / "parts")
    assert reading.check(reading.folder / "parts").source == files_digest(
        find_files(str(reading.folder / "parts"), "alice")
    )


def test_no_file_is_an_error_of_the_party(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="bob's table is not there"):
        find_files(str(tmp_path / "none"), "bob")
