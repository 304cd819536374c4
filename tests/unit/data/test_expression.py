"""Conditions across columns: what they may say, and that they can look at nothing but the columns."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from runner.data.expression import parse_condition, require_boolean

COLUMNS = {"a": pl.Int64, "b": pl.Float64, "e": pl.String, "d": pl.Date, "odd name": pl.Int64, "from": pl.Int64}


def holds(text: str) -> list[bool | None]:
    """The condition over three rows."""
    frame = pl.DataFrame(
        {
            "a": [1, 2, 3],
            "b": [2.0, 1.0, None],
            "e": ["x", "Y", "'"],
            "d": [None, None, None],
            "odd name": [0, 1, 2],
            "from": [5, 6, 7],
        },
        schema_overrides={"d": pl.Date},
    )
    condition = parse_condition(text, COLUMNS)
    require_boolean(condition, COLUMNS)
    return frame.select(condition.alias("holds"))["holds"].to_list()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a <= b", [True, False, None]),
        ("b IS NULL OR a <= b", [True, False, True]),
        ("a BETWEEN 2 AND 3", [False, True, True]),
        ('"odd name" = a - 1', [True, True, True]),
        ('"from" > 5e0', [False, True, True]),
        ("LENGTH(e) = 1", [True, True, True]),
        ("upper(e) IN ('X', 'Y')", [True, True, False]),
        ("e <> ''''", [True, True, False]),
        ("d > DATE '2001-02-03'", [None, None, None]),
        ("CASE WHEN a = 1 THEN b = 2 ELSE TRUE END", [True, True, True]),
    ],
)
def test_condition_is_taken_row_by_row(text: str, expected: list[bool | None]) -> None:
    assert holds(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "a > (SELECT max(x) FROM read_csv('FILE'))",
        "a IN (SELECT x FROM read_csv('FILE'))",
        "EXISTS (TABLE read_csv('FILE'))",
        "a > (from)",
        "COLUMNS('a') > 0",
        "E'\\'' = '' OR a > (SELECT max(x) FROM read_csv('FILE')) --'",
        "a > 0 -- '\n OR a > (SELECT max(x) FROM read_csv('FILE')) --'",
        "a > 0 /* ' */ OR a > (SELECT max(x) FROM read_csv('FILE')) --'",
        "a > $$b$$",
        "a > 0; DROP TABLE x",
        "`a` > 0",
    ],
)
def test_condition_reads_no_file(text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("x\n17\n")
    with pytest.raises(ValueError, match=r"known word|cannot stand"):
        parse_condition(text.replace("FILE", str(path)), COLUMNS)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("aa > 1", "did you mean 'a'"),
        ('"odd nam" > 1', "did you mean 'odd name'"),
        ("a >", "unexpected|unable|parse"),
        ("*", "unable to parse"),
        ("a + 1", "true or false"),
        ("e > 1", "compare string"),
        ("", "unexpected|unable|parse"),
    ],
)
def test_what_is_no_condition_is_told(text: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        holds(text)
