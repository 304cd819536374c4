"""Tables that are results of queries: of files, of DuckDB's and SQLite's databases, and what can go wrong."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import duckdb
import pytest
from made_sources import CANARY, Desk, frame, same

from runner.data import query

ALL = "select * from people"


@pytest.fixture
def sqlite_file(reading: Desk) -> Path:
    path = reading.folder / "some people.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table people (number text, width real, height integer, target integer)")
        connection.executemany("insert into people values (?, ?, ?, ?)", frame().rows())
        connection.execute("create table loose (number, width, height, target)")
        for _ in range(2000):  # more rows than the driver looks at by itself, and no number among them
            connection.execute("insert into loose values (hex(randomblob(8)), null, 1, 0)")
        connection.execute("insert into loose values ('x', 1.5, 1, 0)")
    connection.close()
    return path


@pytest.fixture
def duckdb_file(reading: Desk) -> Path:
    path = reading.folder / "people.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"create table people as select * from '{reading.folder}/plain.parquet'")
    return path


def test_sqlite_is_the_table(reading: Desk, sqlite_file: Path) -> None:
    found = reading.check(None, {"sql": ALL, "uri": f"sqlite://{sqlite_file}"})
    assert same(found, reading.plain())


def test_duckdb_is_the_table(reading: Desk, duckdb_file: Path) -> None:
    found = reading.check(None, {"sql": ALL + " order by width desc;", "uri": f"duckdb://{duckdb_file}"})
    assert same(found, reading.plain())


def test_files_are_queried_without_a_database(reading: Desk) -> None:
    sql = f"with p as (select * from '{reading.folder}/*.parquet') select number, width, height, target from p"
    assert same(reading.check(None, {"sql": sql}), reading.plain())


def test_digest_is_of_the_rows_in_any_order(reading: Desk, duckdb_file: Path) -> None:
    uri = f"duckdb://{duckdb_file}"
    first = reading.check(None, {"sql": ALL, "uri": uri}).source
    assert len(first) == 32
    assert reading.check(None, {"sql": ALL + " order by height", "uri": uri}).source == first
    assert reading.check(None, {"sql": ALL + " where number > '0003'", "uri": uri}).source != first


def test_numbers_take_the_contracts_types(reading: Desk) -> None:
    sql = (
        "select number, width::decimal(9, 3) as width, height::tinyint as height, target::ubigint as target "
        f"from '{reading.folder}/plain.parquet'"
    )
    assert same(reading.check(None, {"sql": sql}), reading.plain())
    halves = sql.replace("height::tinyint", "height + 0.5")
    assert "height: dtype fails" in reading.refusal(None, {"sql": halves.replace("+ 0.5", "+ 0.5::double")}).why


def test_columns_are_chosen_and_renamed(reading: Desk, sqlite_file: Path) -> None:
    source = {
        "sql": "select number as id, width, height, target, 'x' as other from people",
        "uri": f"sqlite://{sqlite_file}",
        "rename": {"number": "id"},
        "columns": ["number", "width", "height", "target"],
    }
    assert same(reading.check(None, source), reading.plain())


def test_sqlite_column_gets_the_type_of_all_its_values(reading: Desk, sqlite_file: Path) -> None:
    error = reading.refusal(None, {"sql": "select * from loose", "uri": f"sqlite://{sqlite_file}"})
    assert "width: not_nullable fails 2000 times (missing values" in error.why
    assert "; target: label_not_constant" in error.why


def test_text_among_numbers_is_counted(reading: Desk, sqlite_file: Path) -> None:
    """A column of SQLite may hold values of any type."""
    sql = f"select number, case when height > 8 then '{CANARY}' else width end as width, height, target from people"
    error = reading.refusal(None, {"sql": sql, "uri": f"sqlite://{sqlite_file}"})
    wrong = frame().filter(frame()["height"] > 8).height
    assert f"width: {wrong} values are no Float64" in error.why
    as_text = "select number, cast(width as text) as width, height, target from people"
    assert same(reading.check(None, {"sql": as_text, "uri": f"sqlite://{sqlite_file}"}), reading.plain())


@pytest.mark.parametrize("scheme", ["sqlite", "duckdb"])
def test_uri_may_come_from_the_environment(
    reading: Desk, sqlite_file: Path, duckdb_file: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    path = {"sqlite": sqlite_file, "duckdb": duckdb_file}[scheme]
    source = {"sql": ALL, "uri_env": "PEOPLE_URI"}
    monkeypatch.delenv("PEOPLE_URI", raising=False)
    assert "PEOPLE_URI is not set" in reading.refusal(None, source).what
    monkeypatch.setenv("PEOPLE_URI", f"mongodb://x:{CANARY}@y")
    assert "sqlite://" in reading.refusal(None, source).fix
    monkeypatch.setenv("PEOPLE_URI", f"{scheme}://{path}")
    assert same(reading.check(None, source), reading.plain())


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("select * from nobody", "names is not there"),
        ("select nothing from people", "names is not there"),
        ("select * frm people", "not valid SQL"),
        (f"select '{CANARY}'::int as number", "a value cannot be read"),
    ],
)
def test_failure_of_a_query_is_told_by_its_kind(reading: Desk, duckdb_file: Path, sql: str, why: str) -> None:
    error = reading.refusal(None, {"sql": sql, "uri": f"duckdb://{duckdb_file}"})
    assert error.what == "alice's query failed"
    assert why in error.why


@pytest.mark.parametrize("sql", ["select * from nobody", f"select {CANARY} from people", "select * frm people"])
def test_failure_of_an_adbc_query_is_told(reading: Desk, sqlite_file: Path, sql: str) -> None:
    error = reading.refusal(None, {"sql": sql, "uri": f"sqlite://{sqlite_file}"})
    assert error.what == "alice's query failed"
    assert "the database answered with" in error.why


@pytest.mark.parametrize("scheme", ["sqlite", "duckdb"])
def test_database_that_is_not_there_is_told_and_not_made(reading: Desk, scheme: str) -> None:
    error = reading.refusal(None, {"sql": ALL, "uri": f"{scheme}://{reading.folder}/none.db"})
    assert "not there" in error.what
    assert not (reading.folder / "none.db").exists()


def test_driver_that_is_not_installed_is_told_with_what_to_install(
    reading: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "SCHEMES", ("nodatabase",))
    monkeypatch.setenv("PEOPLE_URI", f"nodatabase://x:{CANARY}@y")
    error = reading.refusal(None, {"sql": ALL, "uri_env": "PEOPLE_URI"})
    assert "no package adbc-driver-nodatabase" in error.why
    assert "uv pip install adbc-driver-nodatabase" in error.fix


@pytest.mark.parametrize(
    "sql",
    [
        "select 1; drop table people",
        "with x as (select 1) select * from x; copy people to 'stolen.csv'",
        "select 1) as q; copy people to 'stolen.csv'; select * from (select 1",
    ],
)
def test_query_is_one_select(reading: Desk, duckdb_file: Path, sql: str) -> None:
    reading.refusal(None, {"sql": sql, "uri": f"duckdb://{duckdb_file}"})
    reading.refusal(None, {"sql": sql})
    assert same(reading.check(None, {"sql": ALL, "uri": f"duckdb://{duckdb_file}"}), reading.plain())
    assert not Path("stolen.csv").exists()


def test_sqlite_is_opened_for_reading_only(reading: Desk, sqlite_file: Path) -> None:
    before = sqlite_file.read_bytes()
    sql = "with x as (select 1) delete from people"
    reading.refusal(None, {"sql": sql, "uri": f"sqlite://{sqlite_file}"})
    assert sqlite_file.read_bytes() == before


@pytest.mark.parametrize("scheme", ["sqlite", "duckdb"])
def test_repeated_name_is_told(reading: Desk, sqlite_file: Path, duckdb_file: Path, scheme: str) -> None:
    path = {"sqlite": sqlite_file, "duckdb": duckdb_file}[scheme]
    error = reading.refusal(None, {"sql": "select *, width from people", "uri": f"{scheme}://{path}"})
    assert "columns 2 and 5" in error.where


@pytest.mark.parametrize("scheme", ["sqlite", "duckdb"])
def test_large_result_is_refused_before_it_is_fetched(
    reading: Desk, sqlite_file: Path, duckdb_file: Path, scheme: str
) -> None:
    path = {"sqlite": sqlite_file, "duckdb": duckdb_file}[scheme]
    crossed = "select a.* from people a, people b, people c"
    error = reading.refusal(None, {"sql": crossed, "uri": f"{scheme}://{path}"}, max_memory=0.001)
    assert "64,000 rows of 4 columns" in error.why


def test_result_without_rows_is_told(reading: Desk, sqlite_file: Path) -> None:
    source = {"sql": ALL + " where number = 'none'", "uri": f"sqlite://{sqlite_file}"}
    assert "no rows" in reading.refusal(None, source).why
