"""Where a party's table comes from, and how it is to be read."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Annotated, Literal

from msgspec import Meta, field

from runner.spec.base import Section

Format = Literal["parquet", "csv", "ipc", "jsonl", "sql"]
Character = Annotated[str, Meta(pattern=r"^[\x01-\x7f]\Z")]
SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".arrow": "ipc",
    ".feather": "ipc",
    ".ipc": "ipc",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
SCHEMES = ("duckdb", "sqlite", "postgresql")


class Csv(Section, frozen=True, kw_only=True):
    """The dialect of a CSV file.

    ``null_values`` are texts that stand for a missing value, besides nothing at all. Without a ``header`` the columns
    are called column_0, column_1, …; ``rename`` gives them their names. ``try_dates`` reads what looks like a date in
    columns whose type no contract says.
    """

    separator: Character = ","
    quote: Character | None = '"'
    encoding: str = "utf8"
    decimal_comma: bool = False
    null_values: tuple[str, ...] = ()
    header: bool = True
    try_dates: bool = False


class Source(Section, frozen=True, kw_only=True):
    """How a party's table is read.

    ``format`` of the files at ``path``; by default, what their suffix says. With ``sql`` in place of a path, the table
    is the result of a query: to the database at ``uri`` (or at the URI that the environment variable ``uri_env`` of the
    party's own process holds: the place for passwords), or, without either, of DuckDB over files.
    ``rename`` gives columns other names (new name: name in the source); ``columns``, if any are named, are the only
    ones that are looked at, by their new names. With ``empty_is_null`` an empty text is a missing value.
    """

    format: Format | None = None
    csv: Csv = field(default_factory=Csv)
    sql: str | None = None
    uri: str | None = None
    uri_env: Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\Z")] | None = None
    columns: tuple[str, ...] = ()
    rename: dict[str, str] = field(default_factory=dict)
    empty_is_null: bool = True

    def format_of(self, path: str | None) -> Format | None:
        """The format in which ``path`` is read, or None where neither setting nor suffix says it."""
        if self.sql is not None:
            return "sql"
        return self.format or SUFFIXES.get(PurePath(path or "").suffix.lower())


class Drawn(Section, frozen=True, kw_only=True):
    """Tables that are made up: ``rows`` and ``features`` (of all parties together), drawn with ``seed``.

    Each party's process draws its own columns, and the label's holder those that the label depends on: nothing moves,
    and nothing is secret. ``informative`` is the share of each party's features that the label depends on. ``classes``
    is the number of classes of the label; by default what the objective asks for.
    """

    rows: Annotated[int, Meta(ge=1, le=10**9)] | None = None
    features: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    seed: Annotated[int, Meta(ge=0, lt=2**32)] = 1
    informative: Annotated[float, Meta(gt=0, le=1)] = 0.5
    classes: Annotated[int, Meta(ge=2, le=1000)] | None = None


def scheme_of(uri: str) -> str:
    """The kind of database that a URI names."""
    scheme = re.split(r"[:+]", uri, maxsplit=1)[0].lower()
    return "postgresql" if scheme == "postgres" else scheme
