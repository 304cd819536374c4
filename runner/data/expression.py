"""Checks across columns, as conditions in SQL: ``min_x <= max_x``.

Polars' SQL can read files from within an expression, ``(SELECT … FROM read_csv('…'))``. A contract may only look at the
columns of its own table: each word of a condition must be one of them, or stand in the list here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import polars as pl

from runner.spec.suggest import advise

_KNOWN = """
    and or not in is null between like ilike true false case when then else end cast as date timestamp
    abs ceil floor round sqrt exp ln log10 pow mod sign least greatest coalesce nullif
    length lower upper trim starts_with ends_with left right concat
    sum avg min max count median stddev
    int bigint float double varchar boolean
"""
WORDS = frozenset(_KNOWN.split())
_NEVER_BARE = frozenset(("select", "from", "table", "values", "with", "columns"))
# No comments, and no backslash in a text: what is text here must be text to the parser of SQL too.
_TOKENS = re.compile(
    r"""\s+ | '(?:[^'\\]|'')*' | (?P<quoted>"(?:[^"]|"")*") | (?P<word>[^\W\d]\w*)
    | (?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)? | <> | [<>!]=? | = | -(?!-) | /(?!\*) | [+*%(),]""",
    re.VERBOSE,
)


def parse_condition(text: str, columns: Iterable[str]) -> pl.Expr:
    """A condition over columns as an expression: True, False or, where a value that it needs is missing, null.

    Raises:
        ValueError: for what is no condition over these columns, with the reason.
    """
    names = set(columns)
    at = 0
    while at < len(text):
        token = _TOKENS.match(text, at)
        if token is None:
            raise ValueError(f"{text[at]!r} cannot stand in a condition")
        _require_known(token, names)
        at = token.end()
    try:
        return pl.sql_expr(text)
    except pl.exceptions.PolarsError as error:
        raise ValueError(str(error).splitlines()[0]) from None


def require_boolean(condition: pl.Expr, dtypes: Mapping[str, pl.DataType | type[pl.DataType]]) -> None:
    """Make sure that a condition comes to true or false.

    Raises:
        ValueError: where it does not, or does not fit the columns' types.
    """
    try:
        (found,) = pl.DataFrame(schema=dict(dtypes)).select(condition).dtypes
    except pl.exceptions.PolarsError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    if found != pl.Boolean:
        raise ValueError("it comes to a value, not to true or false")


def _require_known(token: re.Match[str], names: set[str]) -> None:
    word, quoted = token["word"], token["quoted"]
    name = quoted[1:-1].replace('""', '"') if quoted is not None else word
    if name is None or (name in names and (quoted is not None or name.lower() not in _NEVER_BARE)):
        return
    if quoted is not None or name.lower() not in WORDS:
        raise ValueError(f"{name!r} is neither a column nor a known word; {advise(name, names)}")
