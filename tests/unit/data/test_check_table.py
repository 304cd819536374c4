"""A party's table is held to its contract, and no message about it holds a value of it."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from made_desks import CANARY, CANARY_NUMBER, CONTRACT, ROWS, Desk, frame, put
from made_tables import matrix_of

from runner.data.check import FAILURES
from runner.errors import DataError


def test_good_table_is_prepared(desk: Desk) -> None:
    prepared = desk.check(frame())
    assert prepared.ids.tolist() == sorted(frame()["number"].to_list())
    assert prepared.ids.dtype.kind == "U"
    assert prepared.names == ("width", "height")
    assert matrix_of(prepared).dtype == np.float64
    assert matrix_of(prepared).shape == (ROWS, 2)
    assert matrix_of(prepared)[:, 0].tolist() == [row / 10 for row in range(ROWS)]
    assert prepared.label is not None
    assert prepared.label.tolist() == [row % 2 for row in range(ROWS)]
    assert 0 < prepared.test.sum() < ROWS
    assert not (desk.folder / FAILURES).exists()


def test_order_of_rows_and_columns_does_not_count(desk: Desk) -> None:
    digest = desk.check(frame()).digest(b"k")
    assert desk.check(frame().reverse().select("target", "height", "number", "width")).digest(b"k") == digest


def test_column_that_the_contract_does_not_name_is_ignored(desk: Desk) -> None:
    digest = desk.check(frame()).digest(b"k")
    extra = frame().with_columns(pl.lit(CANARY).alias("extra"), pl.lit(None).alias("empty"))
    assert desk.check(extra).digest(b"k") == digest


def test_whole_numbers_are_ids_in_the_order_of_their_values(desk: Desk) -> None:
    desk.contract.write_text(
        CONTRACT.replace('number: str = pa.Field(str_matches=r"^(P[0-9]+|CANARY-.*)$")', "number: int")
    )
    table = frame().with_columns(pl.col("number").str.slice(1).cast(pl.Int64) * 7 - 100)
    prepared = desk.check(table)
    assert prepared.ids.dtype == np.int64
    assert np.all(np.diff(prepared.ids.astype(int)) > 0)


def test_groups_of_the_evaluation_are_texts_and_no_feature_where_ignored(desk: Desk) -> None:
    desk.contract.write_text(CONTRACT + "    sex: str\n")
    sex = pl.Series("sex", ["f", "m", None] * (ROWS // 3))
    split = {"evaluate.group_by": "sex", "data.tables.alice.ignore": ["sex"]}
    prepared = desk.check(frame().with_columns(sex), **split)
    assert prepared.names == ("width", "height")
    assert prepared.groups is not None
    assert sorted(set(prepared.groups.tolist())) == ["(missing)", "f", "m"]
    desk.contract.write_text(CONTRACT)
    assert desk.check(frame(), **{"evaluate.group_by": "width"}).names == ("width", "height")


@pytest.mark.parametrize(("column", "where"), [("sex", "contract"), ("height", "height")])
def test_column_of_groups_must_be_there(desk: Desk, column: str, where: str) -> None:
    split = {"evaluate.group_by": column, "data.tables.alice.ignore": [column]}
    with pytest.raises(DataError) as caught:
        desk.check(frame().drop("height"), **split)
    assert where in caught.value.where


def test_missing_file_is_told_with_its_place(desk: Desk) -> None:
    error = desk.refusal(None)
    assert str(desk.table) in error.where
    assert "data.tables.alice.path" in error.fix


def test_folder_is_no_table(desk: Desk) -> None:
    desk.table.mkdir()
    assert "not there" in desk.refusal(None).what


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_truncated_file_is_told(desk: Desk, share: float) -> None:
    frame().write_parquet(desk.table)
    content = desk.table.read_bytes()
    desk.table.write_bytes(content[: int(len(content) * share)])
    assert "no whole Parquet file" in desk.refusal(None).why


@pytest.mark.parametrize("content", [b"number,width\nP1,2\n", b"PAR1" * 10, b"\x00" * 1000])
def test_file_of_another_kind_is_told(desk: Desk, content: bytes) -> None:
    desk.table.write_bytes(content)
    assert "Parquet" in desk.refusal(None).why


def test_empty_table_is_told(desk: Desk) -> None:
    assert "no rows" in desk.refusal(frame().clear()).why


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), None])
def test_feature_without_a_finite_value_is_told(desk: Desk, value: float | None) -> None:
    error = desk.refusal(put(frame(), "width", value, value))
    assert "width" in error.where
    assert "2 times" in error.why


def test_feature_out_of_its_range_is_told(desk: Desk) -> None:
    error = desk.refusal(put(frame(), "height", CANARY_NUMBER))
    assert "height: less_than_or_equal_to fails 1 time" in error.why
    assert str(desk.folder / FAILURES) in error.fix
    assert "739173.917" in desk.failures()


def test_text_in_a_numeric_column_is_told(desk: Desk) -> None:
    table = frame().with_columns(pl.col("width").cast(pl.String))
    error = desk.refusal(put(table, "width", CANARY))
    assert "width" in error.where
    assert "dtype" in error.why


def test_numbers_of_another_type_are_told(desk: Desk) -> None:
    assert "dtype" in desk.refusal(frame().with_columns(pl.col("width").cast(pl.Float32))).why


def test_repeated_id_is_told(desk: Desk) -> None:
    error = desk.refusal(put(frame(), "number", CANARY, CANARY))
    assert "number" in error.where
    assert "unique" in error.why
    assert CANARY in desk.failures()


def test_missing_id_is_told(desk: Desk) -> None:
    assert "null" in desk.refusal(put(frame(), "number", None)).why


def test_id_of_a_wrong_form_is_told(desk: Desk) -> None:
    error = desk.refusal(put(frame(), "number", f"x{CANARY}"))
    assert "number" in error.where
    assert f"x{CANARY}" in desk.failures()


@pytest.mark.parametrize("value", [2, -1, 739173])
def test_label_that_does_not_fit_the_objective_is_told(desk: Desk, value: int) -> None:
    error = desk.refusal(put(frame(), "target", value))
    assert "label_is_one_of_[0, 1] fails 1 time" in error.why
    assert str(value) in desk.failures()


def test_number_that_is_no_class_is_a_label_for_linear(desk: Desk) -> None:
    prepared = desk.check(put(frame(), "target", 739173), sgb__objective="linear")
    assert prepared.label is not None
    assert prepared.label.max() == 739173


def test_negative_label_is_told_for_tweedie(desk: Desk) -> None:
    settings = {"sgb__objective": "tweedie"}
    desk.check(put(frame(), "target", 5), **settings)
    assert "target" in desk.refusal(put(frame(), "target", -739173), **settings).where
    assert "-739173" in desk.failures()


@pytest.mark.parametrize("objective", ["logistic", "linear", "tweedie"])
def test_constant_label_is_told(desk: Desk, objective: str) -> None:
    error = desk.refusal(frame().with_columns(pl.lit(1, pl.Int64).alias("target")), sgb__objective=objective)
    assert "target" in error.where
    assert "constant" in error.what + error.why


def test_label_that_is_constant_in_the_training_rows_is_told(desk: Desk) -> None:
    test = desk.check(frame()).test
    table = frame().sort("number").with_columns(pl.Series("target", test.astype(np.int64)))
    assert "training rows" in desk.refusal(table).what


@pytest.mark.parametrize("column", ["number", "width", "target"])
def test_missing_column_is_told(desk: Desk, column: str) -> None:
    error = desk.refusal(frame().drop(column))
    assert "missing" in error.why
    assert column in error.where + error.why, "which one"


def test_several_failures_are_told_together(desk: Desk) -> None:
    table = put(put(put(frame(), "height", CANARY_NUMBER), "width", float("nan")), "number", CANARY, CANARY)
    error = desk.refusal(table)
    assert all(column in error.where for column in ("number", "width", "height"))
    assert all(value in desk.failures() for value in (CANARY, "739173.917"))


def test_file_of_failures_is_private_and_json(desk: Desk) -> None:
    desk.refusal(put(frame(), "height", CANARY_NUMBER))
    assert (desk.folder / FAILURES).stat().st_mode & 0o777 == 0o600
    assert json.loads(desk.failures())[0]["column"] == "height"


def test_check_of_the_user_is_kept(desk: Desk) -> None:
    desk.contract.write_text(
        CONTRACT
        + """
    @pa.check("height")
    def small(cls, data) -> object:
        import polars as pl
        return data.lazyframe.select(pl.col(data.key) < 9)
"""
    )
    desk.check(frame().with_columns(pl.col("height").clip(0, 8)))
    assert "height: small fails" in desk.refusal(put(frame(), "height", 9.5)).why


def test_check_that_raises_is_told_without_its_words(desk: Desk) -> None:
    desk.contract.write_text(
        CONTRACT
        + """
    @pa.check("height")
    def talkative(cls, data) -> object:
        raise ValueError("it holds " + min(data.lazyframe.collect()["number"]))
"""
    )
    assert "height: talkative fails" in desk.refusal(put(frame(), "number", CANARY)).why
    assert f"it holds {CANARY}" in desk.failures()


def test_check_of_the_whole_table_is_kept(desk: Desk) -> None:
    desk.contract.write_text(
        CONTRACT
        + """
    @pa.dataframe_check
    def wider_than_high(cls, data) -> object:
        import polars as pl
        return data.lazyframe.select(pl.col("width") >= pl.col("height"))
"""
    )
    assert "wider_than_high fails" in desk.refusal(frame()).why
    desk.check(frame().with_columns(pl.col("width") + 10))


def test_check_of_the_whole_table_is_told_as_such(desk: Desk) -> None:
    desk.contract.write_text(
        CONTRACT
        + """
    @pa.dataframe_check
    def no_big_one(cls, data) -> object:
        import polars as pl
        return data.lazyframe.select(pl.col("width").max() < 1)
"""
    )
    assert desk.refusal(frame()).why == "table: no_big_one fails 1 time"


@pytest.mark.parametrize("decorator", ["dataframe_check", "check('width')"])
def test_bare_answer_beside_other_failures_is_told(desk: Desk, decorator: str) -> None:
    """Pandera raises an error of polars there; then at least the first failure is told."""
    desk.contract.write_text(
        CONTRACT
        + f"""
    @pa.{decorator}
    def never(cls, data) -> object:
        return False
"""
    )
    error = desk.refusal(put(frame(), "height", CANARY_NUMBER))
    assert "fails 1 time" in error.why
    assert desk.failures()


@pytest.mark.parametrize("line", ["strict = True", 'unique = ["height", "target"]'])
def test_configuration_of_the_contract_is_kept(desk: Desk, line: str) -> None:
    desk.contract.write_text(f"{CONTRACT}\n    class Config:\n        {line}\n")
    desk.refusal(frame().with_columns(extra=pl.lit(1.0)))
    desk.check(frame().with_columns(pl.col("width").alias("height") / 6))


def test_label_that_is_not_needed_may_be_missing(desk: Desk) -> None:
    settings = {"task__name": "predict", "model": "somewhere", "label__predict": "none"}
    prepared = desk.check(frame().drop("target"), **settings)
    assert prepared.label is None
    assert prepared.names == ("width", "height")


def test_prediction_takes_every_row_and_any_label(desk: Desk) -> None:
    settings = {"task__name": "predict", "model": "somewhere"}
    assert desk.check(frame(), **settings).test.all()
    assert "label_is_one_of" in desk.refusal(put(frame(), "target", 739173), **settings).why


def test_single_new_row_can_be_scored(desk: Desk) -> None:
    """Labels of one class only are normal in a small table that a model is applied to."""
    prepared = desk.check(frame().head(1), task__name="predict", model="somewhere")
    assert prepared.test.tolist() == [True]


@pytest.mark.parametrize(("fraction", "which"), [(1e-9, "test"), (1 - 1e-9, "training")])
def test_split_without_rows_is_told(desk: Desk, fraction: float, which: str) -> None:
    error = desk.refusal(frame(), data__split__test_fraction=fraction)
    assert error.where == "data.split.test_fraction"
    assert f"no {which} rows" in error.what


def test_training_alone_needs_no_test_rows_but_training_rows(desk: Desk) -> None:
    assert not desk.check(frame(), task__name="train", data__split__test_fraction=1e-9).test.any()
    desk.refusal(frame(), task__name="train", data__split__test_fraction=1 - 1e-9)
