"""Drafts of contracts: the table keeps its own draft, and no value of it stands there."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.data.check import check_table
from runner.data.contract import Contract, build_contract
from runner.data.draft import Format, draft_text
from runner.data.infer import form_of, infer_columns, outward
from runner.data.place import SUFFIX, class_name
from runner.errors import DataError
from runner.spec.model import Spec
from runner.spec.parse import parse

Changed = Callable[..., dict[str, Any]]
FORMATS: tuple[Format, ...] = ("yaml", "python")
CANARIES = ("canary", "739173", "7391-73", "1987-06-05")


def table() -> pl.DataFrame:
    """Every kind of column that a party may have, with canaries at the ends of the ranges."""
    random = np.random.default_rng(3)
    rows = 40
    return pl.DataFrame(
        {
            "number": [f" 7391-{row:02d}" for row in range(40, 40 + rows - 6)] + [f"7391-73{row}" for row in range(6)],
            "width": [739173.917, -0.739173, *random.normal(0, 1000, rows - 2)],
            "share": random.uniform(0, 1, rows).astype(np.float32),
            "pieces": [739173, *random.integers(0, 9, rows - 1)],
            "small": pl.Series([127, -128, *[0] * (rows - 2)], dtype=pl.Int8),
            "unsigned": pl.Series([2**64 - 1, *range(rows - 1)], dtype=pl.UInt64),
            "huge": [2**63 - 1, -(2**63), *range(rows - 2)],
            "extreme": [1.7e308, -1.7e308, *[5e-324] * (rows - 2)],
            "constant": [7391.73] * rows,
            "zero": [0.0] * rows,
            "below": [-float(row) for row in range(rows)],
            "holes": [None, 7391.73, *[1.0] * (rows - 2)],
            "infinite": [math.inf, 7391.73, math.nan, *[1.0] * (rows - 3)],
            "word": ["canary", *["x"] * (rows - 1)],
            "kind": pl.Series(["canary", *["x"] * (rows - 1)], dtype=pl.Categorical),
            "day": [datetime.date(1987, 6, 5)] * rows,
            "moment": [datetime.datetime(1987, 6, 5, 4)] * rows,
            "zoned": pl.Series([datetime.datetime(1987, 6, 5, 4)] * rows).dt.replace_time_zone("UTC"),
            "yes": [True, False] * (rows // 2),
            "list": [[739173]] * rows,
            "empty": pl.Series([None] * rows, dtype=pl.Null),
            "a name: #1 ${x} 'quoted' \"twice\"": [0.5] * rows,
            "null": [0.5] * rows,
            "float": [0.5] * rows,
            "class": [0.5] * rows,
            "validate": [0.5] * rows,
            "_under": [0.5] * rows,
            "target": [0, 1] * (rows // 2),
        }
    )


class Desk:
    """Drafts alice's contract, and holds tables to it."""

    def __init__(self, folder: Path, changed: Changed) -> None:
        self.folder = folder
        self._changed = changed

    def draft(self, frame: pl.DataFrame, kind: Format, include_values: bool = False) -> str:
        columns = infer_columns(frame, ("number",), ("target",), include_values)
        text = draft_text(kind, "alice", "mine", columns, include_values)
        (self.folder / f"alice{SUFFIX[kind]}").write_text(text)
        return text

    def spec(self, kind: Format) -> Spec:
        named = f":{class_name('alice')}" if kind == "python" else ""
        return parse(
            self._changed(
                {
                    "data.id": "number",
                    "data.builtin": None,
                    "data.tables.alice.path": str(self.folder / "alice.parquet"),
                    "data.tables.alice.contract": f"{self.folder / 'alice'}{SUFFIX[kind]}{named}",
                    "label.holder": "alice",
                    "policy.predictions.recipients": ["alice"],
                }
            )
        )

    def contract(self, kind: Format) -> Contract:
        return build_contract(self.spec(kind), "alice")

    def hold(self, frame: pl.DataFrame, kind: Format) -> tuple[str, ...]:
        frame.write_parquet(self.folder / "alice.parquet")
        return check_table(self.spec(kind), "alice", self.folder).names


@pytest.fixture
def desk(tmp_path: Path, changed: Changed) -> Desk:
    return Desk(tmp_path, changed)


FEATURES = {"width", "share", "pieces", "small", "extreme", "constant", "zero", "below"}
ODD_NAMES = {"a name: #1 ${x} 'quoted' \"twice\"", "null", "float", "class", "validate", "_under"}


@pytest.mark.parametrize("include_values", [False, True])
@pytest.mark.parametrize("kind", FORMATS)
def test_table_keeps_its_own_draft(desk: Desk, kind: Format, include_values: bool) -> None:
    desk.draft(table(), kind, include_values)
    assert set(desk.hold(table(), kind)) == FEATURES | ODD_NAMES


@pytest.mark.parametrize("kind", FORMATS)
def test_no_value_of_the_table_stands_in_a_draft(desk: Desk, kind: Format) -> None:
    text = desk.draft(table(), kind)
    assert [canary for canary in CANARIES if canary in text] == []
    assert not [value for value in table()["number"] if value.strip() in text]
    for name, column in desk.contract(kind).schema.columns.items():
        ends = {value for check in column.checks for key, value in check.statistics.items() if key.endswith("_value")}
        assert not [end for end in ends - {0} if end in table()[name].to_list()], name


@pytest.mark.parametrize("kind", FORMATS)
def test_values_are_listed_on_request_only(desk: Desk, kind: Format) -> None:
    assert "canary" not in desk.draft(table(), kind)
    text = desk.draft(table(), kind, include_values=True)
    assert text.count("canary") == 2
    assert "[0, 1]" in text
    assert not [value for value in table()["number"] if value.strip() in text]
    assert "include_values=true" in text


@pytest.mark.parametrize("kind", FORMATS)
def test_draft_of_values_refuses_others(desk: Desk, kind: Format) -> None:
    desk.draft(table(), kind, include_values=True)
    changed = table().with_columns(small=pl.Series([5] + [0] * 39, dtype=pl.Int8))
    with pytest.raises(DataError, match="breaks its contract") as caught:
        desk.hold(changed, kind)
    assert "small: isin fails 1 time" in caught.value.why


@pytest.mark.parametrize("kind", FORMATS)
def test_draft_holds_the_next_table_to_types_and_ranges(desk: Desk, kind: Format) -> None:
    desk.draft(table(), kind)
    changed = table().with_columns(
        share=pl.lit(1.5, pl.Float32), pieces=pl.lit("text"), number=pl.lit("x") + pl.col("number")
    )
    with pytest.raises(DataError) as caught:
        desk.hold(changed, kind)
    assert "share: less_than_or_equal_to fails 40 times" in caught.value.why
    assert "pieces: dtype fails" in caught.value.why
    assert "number: str_matches fails 40 times" in caught.value.why


def test_both_formats_say_the_same(desk: Desk) -> None:
    for kind in FORMATS:
        desk.draft(table(), kind)
    yaml, python = (desk.contract(kind) for kind in FORMATS)
    assert yaml.features == python.features
    assert yaml.rules == python.rules
    for name in yaml.features:
        ours, theirs = yaml.schema.columns[name], python.schema.columns[name]
        assert (ours.dtype, [c.statistics for c in ours.checks]) == (
            theirs.dtype,
            [c.statistics for c in theirs.checks],
        )


def test_what_training_cannot_take_is_said(desk: Desk) -> None:
    text = desk.draft(table(), "yaml")
    assert (
        "# no feature as it is: it has missing values (prepare=auto fills them)\n  holes: {dtype: float, nullable: true"
        in text
    )
    assert "# no feature as it is: not all of its numbers are finite\n  infinite: {dtype: float, feature" in text
    prepared = "it holds no numbers (prepare=auto makes them of text, booleans and dates)"
    assert f"# no feature as it is: {prepared}\n  word: {{dtype: str, feature: false}}" in text
    assert "  day: {dtype: date, ge: '1986-01-01', le: '1988-12-31', feature: false}" in text
    assert "  target: {dtype: int, ge: 0, le: 2}" in text


@pytest.mark.parametrize(
    ("ids", "form"),
    [
        (["P001", "P999"], "^[A-Z][0-9]{3}$"),
        (["A-1", "B-23", "C-456"], "^[A-Z]\\-[0-9]{1,3}$"),
        (["ab12", "12ab"], "^[0-9a-z]{4}$"),
        (["a", "B7", "c_d"], "^[0-9A-Za-z_]{1,3}$"),
        (["7", "8"], "^[0-9]$"),
        (["Zürich", "Basel"], "^.{5,6}$"),
        (["a b", "c/d", "e:f"], "^[a-z/:\\ ]{3}$"),
        (["", "a"], "^[a-z]{0,1}$"),
        ([""], "^.{0}$"),
        ([None], None),
    ],
)
def test_form_of_ids_has_no_letter_or_digit_of_them(ids: list[str | None], form: str | None) -> None:
    assert form_of(pl.Series(ids, dtype=pl.String)) == form


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=8), min_size=1, max_size=20))
def test_ids_have_their_own_form(ids: list[str]) -> None:
    column = pl.Series(ids)
    form = form_of(column)
    assert form is not None
    assert column.str.contains(form).all()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_range_is_wider_and_never_ends_at_a_value(values: list[float]) -> None:
    ends = outward(min(values), max(values), whole=False)
    assert ends[0] is None or ends[0] < min(values) or (ends[0] == 0 and min(values) >= 0)
    assert ends[1] is None or ends[1] > max(values) or (ends[1] == 0 and max(values) <= 0)
    for end in ends:
        if end is not None:
            assert len(repr(end).split("e")[0].removesuffix(".0").replace(".", "").strip("-0")) <= 2


@given(st.lists(st.integers(-(2**63), 2**64 - 1), min_size=1, max_size=5))
def test_range_of_whole_numbers_is_whole(values: list[int]) -> None:
    for end, value, side in zip(
        outward(min(values), max(values), whole=True), (min(values), max(values)), (-1, 1), strict=True
    ):
        if end is not None:
            assert isinstance(end, int)
            assert -(2**63) < end < 2**63
            assert (end - value) * side > 0 or end == 0


@pytest.mark.parametrize(
    ("low", "high", "ends"),
    [
        (1950, 2003, (1900, 2100)),
        (35.1, 41.9, (35, 42)),
        (0.0, 1.0, (0, 2)),
        (512.5, 30417.2, (0, 40000)),
        (1000.1, 1000.9, (1000, 1100)),
        (0, 1, (0, 2)),
        (-3, -1, (-4, 0)),
        (0, 0, (0, 1)),
        (7391.73, 7391.73, (7000, 8000)),
    ],
)
def test_ranges_read_well(low: float, high: float, ends: tuple[float, float]) -> None:
    assert outward(low, high, isinstance(low, int)) == ends
