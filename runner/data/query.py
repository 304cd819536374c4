"""A table that is the result of a query: of DuckDB over files or a DuckDB file, or of a database with an ADBC driver.

Nothing of what a driver says is shown: it may tell values, and the URI with its password.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl

from runner.data.csv_file import refuse_repeated
from runner.errors import DataError
from runner.spec.source import SCHEMES, Source, scheme_of
from runner.spec.suggest import advise

_RENAME = "give one another name in the query: select …, x as other"
_QUIET = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


def run_query(party: str, source: Source, accept: Callable[[int, list[Any]], None]) -> pl.DataFrame:
    """The result of ``source.sql``.

    Args:
        accept: is asked with the number of rows and the types of the columns before the result is fetched, and raises
            where it is too large.

    Raises:
        DataError: where the database, its driver or the environment variable is not there, or the query fails.
    """
    where = f"data.tables.{party}.source"
    sql = str(source.sql).strip().rstrip(";")
    uri = _uri(source, where)
    with _told(party, where):
        if uri is None or scheme_of(uri) == "duckdb":
            return _ask_duckdb(sql, None if uri is None else _database(uri, where), accept, where)
        return _ask_adbc(sql, uri, accept, where)


def _uri(source: Source, where: str) -> str | None:
    if source.uri_env is None:
        return source.uri
    uri = os.environ.get(source.uri_env, "")
    if not uri:
        raise DataError(
            f"the environment variable {source.uri_env} is not set",
            where=f"{where}.uri_env",
            why="it is to hold the URI of the database",
            fix=f"set {source.uri_env} for the process of the party",
        )
    if scheme_of(uri) not in SCHEMES:
        raise DataError(
            f"the environment variable {source.uri_env} holds no URI of a known kind",
            where=f"{where}.uri_env",
            why="the URI begins with the kind of the database",
            fix=advise("", [f"{scheme}://…" for scheme in SCHEMES]),
        )
    return uri


def _database(uri: str, where: str) -> Path:
    """The file of an embedded database: ``sqlite:///absolute/path`` or ``sqlite:relative/path``."""
    path = Path(uri.partition(":")[2].removeprefix("//"))
    if not path.is_file():
        raise DataError(
            "the database is not there",
            where=f"{where}.uri",
            why="there is no such file" + ("" if path.is_absolute() else " in the folder where the run was started"),
            fix="write sqlite:///absolute/path or sqlite:relative/path (or duckdb:…)",
        )
    return path


def _ask_duckdb(sql: str, path: Path | None, accept: Callable[[int, list[Any]], None], where: str) -> pl.DataFrame:
    import duckdb

    with duckdb.connect(str(path or ":memory:"), read_only=path is not None, config=_QUIET) as connection:
        statements = connection.extract_statements(sql)
        if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
            raise _not_one_select(where)
        empty = connection.execute(f"SELECT * FROM ({sql}) AS asked LIMIT 0").arrow()
        refuse_repeated(connection.sql(sql).columns, where, _RENAME)
        (rows,) = connection.execute(f"SELECT count(*) FROM ({sql}) AS asked").fetchone() or (0,)
        accept(rows, _frame(empty).dtypes)
        return _frame(connection.execute(sql).arrow())


def _ask_adbc(sql: str, uri: str, accept: Callable[[int, list[Any]], None], where: str) -> pl.DataFrame:
    scheme = scheme_of(uri)
    driver = _driver(scheme, where)
    sqlite = scheme == "sqlite"
    address = f"file:{quote(str(_database(uri, where)))}?mode=ro" if sqlite else uri
    with driver.connect(address) as connection, connection.cursor() as cursor:
        if not sqlite:
            cursor.execute("SET TRANSACTION READ ONLY")
        cursor.execute(f"SELECT count(*) FROM ({sql}) AS asked")
        (rows,) = cursor.fetchone()
        if sqlite:  # its columns have no types: the driver looks at this many rows to find one that fits all
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(rows + 1)})
        cursor.execute(f"SELECT * FROM ({sql}) AS asked LIMIT 0")
        refuse_repeated([column[0] for column in cursor.description], where, _RENAME)
        accept(rows, _frame(cursor.fetch_arrow_table()).dtypes)
        cursor.execute(sql)
        refuse_repeated([column[0] for column in cursor.description], where, _RENAME)
        return _frame(cursor.fetch_arrow_table())


def _driver(scheme: str, where: str) -> Any:
    name = f"adbc_driver_{scheme}"
    try:
        return importlib.import_module(f"{name}.dbapi")
    except ModuleNotFoundError:
        raise DataError(
            f"the driver for {scheme} is not installed",
            where=f"{where}.uri",
            why=f"there is no package {name.replace('_', '-')}",
            fix=f"install it beside the runner: uv pip install {name.replace('_', '-')}",
        ) from None


def _frame(table: Any) -> pl.DataFrame:
    """A result as a frame; types that Arrow does not know, such as PostgreSQL's numeric, as what holds them: text."""
    frame = pl.DataFrame(pl.from_arrow(table, rechunk=True))
    foreign = [name for name, kind in frame.schema.items() if isinstance(kind, pl.BaseExtension)]
    return frame.with_columns(frame[name].ext.storage() for name in foreign)


def _not_one_select(where: str) -> DataError:
    return DataError(
        "the query is not one SELECT",
        where=f"{where}.sql",
        why="a table is the result of one statement that changes nothing",
        fix="write one statement that begins with select or with",
    )


@contextmanager
def _told(party: str, where: str) -> Iterator[None]:
    """Tell errors of drivers, which have no base in common, by their kind only."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001
        raise DataError(
            f"{party}'s query failed",
            where=f"{where}.sql",
            why=f"the database answered with {type(error).__name__}" + _MEANING.get(type(error).__name__, ""),
            fix="try the query in the database's own shell, as the user of the URI",
        ) from None


_MEANING = {
    "ParserException": ": it is not valid SQL",
    "CatalogException": ": a table or function that it names is not there",
    "BinderException": ": a column that it names is not there",
    "IOException": ": a file cannot be opened",
    "InvalidInputException": ": a value cannot be read as what it should be",
    "ConversionException": ": a value cannot be read as what it should be",
    "OperationalError": ": it cannot be reached, or does not let the user in",
    "ProgrammingError": ": it is not valid SQL, or a name in it is not there",
}
