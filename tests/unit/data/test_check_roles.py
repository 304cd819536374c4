"""Columns with a role of their own are checked: classes, weights, and ids of several columns."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from made_desks import CANARY, CONTRACT, ROWS, Desk, frame, put

from runner.errors import DataError

SEVERAL = {"sgb__objective": "multiclass"}
KINDS = ["barolo", "ÿquem", "asti"]


def kinds(desk: Desk, values: list[Any], kind: str = "str") -> pl.DataFrame:
    """The table with classes in turn for a label, and a contract that says so."""
    desk.contract.write_text(CONTRACT.replace("target: int", f"target: {kind}"))
    return frame().sort("number").with_columns(pl.Series("target", [values[row % len(values)] for row in range(ROWS)]))


@pytest.mark.parametrize(
    ("values", "kind", "classes"),
    [(KINDS, "str", sorted(KINDS)), ([30, 4, -1], "int", [-1, 4, 30]), ([True, False], "bool", [0, 1])],
)
def test_classes_are_numbered_in_their_order(desk: Desk, values: list[Any], kind: str, classes: list[Any]) -> None:
    prepared = desk.check(kinds(desk, values, kind), **SEVERAL)
    assert prepared.label is not None
    assert prepared.classes is not None
    assert prepared.classes.tolist() == classes
    assert [classes[int(code)] for code in prepared.label] == [values[row % len(values)] for row in range(ROWS)]


def test_other_labels_have_no_classes_and_the_digest_of_before(desk: Desk) -> None:
    prepared = desk.check(frame())
    assert prepared.classes is None
    assert prepared.weight is None


def test_numbers_with_a_fraction_are_no_classes(desk: Desk) -> None:
    error = desk.refusal(kinds(desk, [0.5, 1.5], "float"), **SEVERAL)
    assert "text_or_whole_number" in error.why


def test_row_without_a_class_is_refused(desk: Desk) -> None:
    assert "target" in desk.refusal(kinds(desk, [*KINDS, None]), **SEVERAL).why


def test_one_class_alone_is_refused(desk: Desk) -> None:
    assert "label_not_constant" in desk.refusal(kinds(desk, ["barolo"]), **SEVERAL).why


def test_class_of_held_out_rows_alone_is_refused_before_a_training(desk: Desk) -> None:
    table = kinds(desk, ["asti", "barolo"])
    held_out = table["number"].to_list()[int(np.flatnonzero(desk.check(table, **SEVERAL).test)[0])]
    rare = table.with_columns(
        target=pl.when(pl.col("number") == held_out).then(pl.lit(CANARY)).otherwise(pl.col("target"))
    )
    error = desk.refusal(rare, **SEVERAL)
    assert error.what == "1 of 3 classes have no training row"
    assert desk.check(rare, **SEVERAL, task__name="predict", model="x").classes is not None


def test_many_classes_are_refused(desk: Desk) -> None:
    from runner.data.classes import MOST_CLASSES, require_learnable

    codes = np.arange(MOST_CLASSES + 1.0)
    with pytest.raises(DataError, match="101 classes"):
        require_learnable("alice", codes, MOST_CLASSES + 1, np.zeros(len(codes), dtype=bool))


def weighed(desk: Desk, weight: Any) -> pl.DataFrame:
    desk.contract.write_text(CONTRACT + "    weight: float\n")
    return put(frame().with_columns(weight=pl.lit(1.5)), "weight", weight)


def test_weights_are_no_feature_and_kept_for_training(desk: Desk) -> None:
    prepared = desk.check(weighed(desk, 2.0), label__weight="weight")
    assert prepared.names == ("width", "height")
    assert prepared.weight is not None
    assert sorted(prepared.weight.tolist()) == [1.5] * (ROWS - 1) + [2.0]
    applied = desk.check(weighed(desk, 2.0).drop("weight"), label__weight="weight", task__name="predict", model="x")
    assert applied.weight is None, "a prediction has no use for them"


@pytest.mark.parametrize(
    ("weight", "check"),
    [(0.0, "greater_than"), (-1.0, "greater_than"), (None, "not_nullable"), (float("nan"), "finite_number")],
)
def test_weight_that_is_no_number_above_0_is_refused(desk: Desk, weight: Any, check: str) -> None:
    assert check in desk.refusal(weighed(desk, weight), label__weight="weight").why


TWO_COLUMNS = CONTRACT.replace(
    'number: str = pa.Field(str_matches=r"^(P[0-9]+|CANARY-.*)$")', "ward: str\n    bed: int"
)


def wards(desk: Desk) -> pl.DataFrame:
    """A table whose rows are identified by two columns, each of which repeats."""
    desk.contract.write_text(TWO_COLUMNS)
    return frame().select(
        pl.col("number").str.slice(3).cast(pl.Int64).alias("bed"),
        pl.col("number").str.slice(0, 3).alias("ward"),
        pl.col("width", "height", "target"),
    )


def test_two_columns_identify_a_row_together(desk: Desk) -> None:
    table = wards(desk)
    ids = desk.check(table, data__id=["ward", "bed"]).ids.tolist()
    expected = [[ward, bed] for ward, bed in table.select("ward", "bed").rows()]
    assert ids == sorted(ids)
    assert sorted(json.loads(value) for value in ids) == sorted(expected)
    assert desk.check(table, data__id=["ward", "bed"]).names == ("width", "height")


def test_two_columns_may_repeat_each_and_not_together(desk: Desk) -> None:
    table = wards(desk).with_columns(pl.lit("W").alias("ward"), bed=pl.int_range(ROWS) // 2)
    error = desk.refusal(table, data__id=["ward", "bed"])
    assert "breaks its contract" in error.what
    assert "unique" in error.why
    desk.check(table.with_columns(bed=pl.int_range(ROWS)), data__id=["ward", "bed"])


def test_no_column_of_an_id_may_be_null(desk: Desk) -> None:
    table = put(wards(desk), "ward", None)
    assert "ward" in desk.refusal(table, data__id=["ward", "bed"]).why
