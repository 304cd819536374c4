"""Contradictions between the settings that say where tables come from."""

from __future__ import annotations

from runner.errors import SpecError, has_credentials
from runner.spec.model import Spec, Table
from runner.spec.source import SCHEMES, Csv, Source, scheme_of
from runner.spec.suggest import advise

READS = ("select", "with", "from", "values", "table", "(")


def check_sources(spec: Spec) -> None:
    """Refuse tables with no source, with two, with settings that do not fit it, or with a password in the spec."""
    _check_drawn(spec)
    for party, table in spec.data.tables.items():
        where = f"data.tables.{party}"
        _refuse_credentials(party, table, where)
        _check_place(spec, party, table)
        _check_csv(table, where)
        _check_sql(table.source, f"{where}.source")
        _check_columns(table.source, f"{where}.source")


def refuse_typed_credentials(arguments: list[str]) -> None:
    """Refuse a command with a password in it, before anything of it is written anywhere.

    Raises:
        SpecError: without the password.
    """
    for argument in arguments:
        if has_credentials(argument):
            raise _has_password(argument.lstrip("+~").partition("=")[0], "data.tables.<party>.source.uri_env")


def _refuse_credentials(party: str, table: Table, where: str) -> None:
    places = {"path": table.path, "source.uri": table.source.uri, "source.sql": table.source.sql}
    for name, text in places.items():
        if text is not None and has_credentials(text):
            raise _has_password(f"{where}.{name}", f"{where}.source.uri_env")


def _has_password(where: str, setting: str) -> SpecError:
    return SpecError(
        "a password stands in the spec",
        where=where,
        why="the spec is shown to all parties and kept in the run folder",
        fix=f"put the URI into an environment variable of the party's process, and in its place set {setting}: NAME",
    )


def _check_drawn(spec: Spec) -> None:
    data = spec.data
    if not data.is_drawn():
        for name in ("features", "classes"):
            if getattr(data, name) is not None:
                raise SpecError(
                    f"data.{name} has no effect",
                    where=f"data.{name}",
                    why="only tables that are made up have as many as one likes",
                    fix="use data=synthetic, or remove it",
                )
        return
    if data.features is None or data.features < len(data.tables):
        raise SpecError(
            f"data.features = {data.features}",
            where="data.features",
            why="data.rows is set, so the tables are made up, and every party has features",
            fix=f"set data.features to {len(data.tables)} or more",
        )
    if data.builtin is not None:
        raise SpecError(
            "the tables would be both bundled and made up",
            where="data.rows",
            why=f"data.builtin names the bundled data set {data.builtin!r}",
            fix="use data=synthetic, or remove data.rows",
        )
    if spec.sgb.objective == "logistic" and (data.classes or 2) > 2:
        raise SpecError(
            f"{data.classes} classes do not fit objective 'logistic'",
            where="data.classes",
            why="it tells two classes apart",
            fix="set data.classes=2, or another objective",
        )


def _check_place(spec: Spec, party: str, table: Table) -> None:
    where = f"data.tables.{party}"
    given = [name for name, value in (("path", table.path), ("source.sql", table.source.sql)) if value is not None]
    if spec.data.is_drawn():
        if given:
            raise SpecError(
                f"{where}.{given[0]} has no effect",
                where=f"{where}.{given[0]}",
                why="data.rows is set, so the tables are made up",
                fix="remove it, or remove data.rows and data.features",
            )
    elif not given and party not in spec.parties_here():
        return
    elif len(given) != 1:
        raise SpecError(
            f"{where} has {'two places' if given else 'no place'} to read from",
            where=f"{where}.path",
            why="a table is either in files (path) or the result of a query (source.sql)",
            fix=f"set one of {where}.path and {where}.source.sql",
        )
    elif table.path is not None and "://" in table.path:
        raise SpecError(
            f"{where}.path is no place in the file system",
            where=f"{where}.path",
            why="tables are read from this machine's files or with a query",
            fix=f"bring the file here, or set {where}.source.sql with {where}.source.uri_env",
        )


def _check_csv(table: Table, where: str) -> None:
    csv, form = table.source.csv, table.source.format_of(table.path)
    if csv != Csv() and form not in ("csv", None):
        raise SpecError(
            f"{where}.source.csv has no effect",
            where=f"{where}.source.csv",
            why=f"the table is read as {form}",
            fix=f"set {where}.source.format=csv, or remove the dialect",
        )
    try:
        "".encode(csv.encoding)
    except LookupError:
        raise SpecError(
            f"there is no encoding {csv.encoding!r}",
            where=f"{where}.source.csv.encoding",
            why="Python knows no text encoding of that name",
            fix=advise(csv.encoding, ("utf8", "latin1", "cp1252", "utf16", "cp1250", "shift_jis", "gb18030")),
        ) from None
    if csv.separator in (csv.quote, "\n", "\r") or (csv.decimal_comma and csv.separator == ","):
        raise SpecError(
            f"the separator {csv.separator!r} has another meaning, too",
            where=f"{where}.source.csv.separator",
            why="it ends a line, quotes a text, or stands before decimals",
            fix=f"set {where}.source.csv.separator to another character, such as ';'",
        )


def _check_sql(source: Source, where: str) -> None:
    if source.sql is None:
        for name, value in (("uri", source.uri), ("uri_env", source.uri_env)):
            if value is not None:
                raise SpecError(
                    f"{where}.{name} has no effect",
                    where=f"{where}.{name}",
                    why="there is no query for the database",
                    fix=f"set {where}.sql, or remove it",
                )
        if source.format == "sql":
            raise SpecError("there is no query", where=f"{where}.sql", why="format is sql", fix=f"set {where}.sql")
        return
    if source.format not in (None, "sql"):
        raise SpecError(
            f"{where}.format = {source.format!r} has no effect",
            where=f"{where}.format",
            why="the table is the result of a query",
            fix="remove it; in DuckDB's SQL, read_csv, read_json and others read files",
        )
    if source.uri is not None and source.uri_env is not None:
        raise SpecError(
            "two databases are named",
            where=f"{where}.uri",
            why="a query goes to one",
            fix=f"remove {where}.uri or {where}.uri_env",
        )
    if source.uri is not None and scheme_of(source.uri) not in SCHEMES:
        raise SpecError(
            f"no driver for {scheme_of(source.uri)!r}",
            where=f"{where}.uri",
            why="the runner has none for such databases",
            fix=advise(scheme_of(source.uri), [f"{scheme}://…" for scheme in SCHEMES]),
        )
    if not source.sql.lstrip().lower().startswith(READS):
        raise SpecError(
            "the query reads nothing",
            where=f"{where}.sql",
            why="a table is the result of one SELECT",
            fix="write one statement that begins with select or with",
        )


def _check_columns(source: Source, where: str) -> None:
    for name, columns in (("columns", source.columns), ("rename", tuple(source.rename.values()))):
        twice = sorted({column for column in columns if columns.count(column) > 1})
        if twice:
            raise SpecError(
                f"column {twice[0]!r} is named twice",
                where=f"{where}.{name}",
                why="a column is one column, and has one name",
                fix="name each once",
            )
    if source.columns:
        for new in source.rename:
            if new not in source.columns:
                raise SpecError(
                    f"column {new!r} is renamed and not looked at",
                    where=f"{where}.rename",
                    why=f"{where}.columns leaves it out",
                    fix=f"add it to {where}.columns, or remove it here",
                )
