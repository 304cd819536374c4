"""A checked table: its digests, and its way through anonymous memory."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from made_tables import made_table, matrix_of

from runner.data.table import CheckedTable, read_table, write_table
from runner.prepare.columns import canonical_bytes
from runner.prepare.rules import Rule
from runner.spec.prepare import Numbers

KEY = b"k" * 32
INT_IDS = np.array([-3, 5, 2**62])
STR_IDS = np.array(["a", "bü", "ccc"])
LABEL = np.array([0.0, 1.0, 1.0])


def table(ids: Any = STR_IDS, label: Any = LABEL, truth: Any = None, owns: Any = None) -> CheckedTable:
    return made_table(
        ids=ids,
        features=np.arange(6, dtype=np.float64).reshape(3, 2) / 7,
        names=("x", "ü"),
        dtypes=("Float64", "Int32"),
        test=np.array([False, True, False]),
        label=label,
        truth=truth,
        owns=owns,
    )


def changed_column(name: str, values: list[Any]) -> pa.Table:
    """The table's columns with another first one."""
    return table().columns.set_column(
        0, name, pa.array(values, type=pa.large_string() if isinstance(values[0], str) else None)
    )


def handed_over(given: CheckedTable) -> CheckedTable:
    memory = os.memfd_create("table")
    file = os.fstat(memory).st_ino
    write_table(given, memory)
    taken = read_table(memory)
    with contextlib.suppress(OSError):  # its number may be another thread's by now
        assert os.fstat(memory).st_ino != file
    return taken


@pytest.mark.parametrize("owns", [np.array([True, False, True]), None])
@pytest.mark.parametrize("truth", [LABEL[::-1].copy(), None])
@pytest.mark.parametrize("label", [LABEL, np.array([0.0, np.nan, 1.0]), None])
@pytest.mark.parametrize("ids", [INT_IDS, STR_IDS])
def test_table_comes_out_of_memory_as_it_went_in(ids: Any, label: Any, truth: Any, owns: Any) -> None:
    given = table(ids, label, truth, owns)
    taken = handed_over(given)
    for name in ("ids", "test"):
        before, after = getattr(given, name), getattr(taken, name)
        assert before.dtype == after.dtype
        assert np.array_equal(before, after)
    assert taken.columns.equals(given.columns)
    assert taken.rules == given.rules
    assert taken.names == given.names
    assert taken.dtypes == given.dtypes
    assert all(type(name) is str for name in taken.names)
    for name, part in (("label", label), ("truth", truth), ("owns", owns)):
        after = getattr(taken, name)
        assert (after is None) == (part is None)
        assert part is None or (after.dtype == part.dtype and after.tobytes() == part.tobytes())
    assert taken.digest(KEY) == given.digest(KEY)


def test_groups_go_along() -> None:
    given = replace(table(), groups=np.array(["f", "männlich", "(missing)"]))
    taken = handed_over(given)
    assert taken.groups is not None
    assert taken.groups.tolist() == ["f", "männlich", "(missing)"]
    assert taken.digest(KEY) == given.digest(KEY)


def test_counts_have_no_name_and_no_value() -> None:
    assert table(label=np.array([0.0, np.nan, 7.5])).counts() == {
        "rows": 3,
        "training_rows": 2,
        "test_rows": 1,
        "features": 2,
        "types": {"Float64": 1, "Int32": 1},
        "labels": 2,
        "labels_not_0": 1,
    }
    assert table(label=None).counts()["labels"] is None
    numbered = replace(table(), classes=np.array(["a", "b"]))
    assert numbered.counts()["labels"] == 3
    assert numbered.counts()["labels_not_0"] is None, "0 is the first class by the alphabet"


def test_memory_stays_open_for_the_reader_in_another_process() -> None:
    memory = os.memfd_create("table")
    write_table(table(), memory)
    assert os.fstat(memory).st_size > 0
    os.close(memory)


def test_objects_are_not_pickled_into_the_memory() -> None:
    memory = os.memfd_create("table")
    try:
        with pytest.raises(ValueError, match="objects"):
            write_table(table(ids=np.array(["a", None, 3], dtype=object)), memory)
    finally:
        os.close(memory)


def test_digest_is_keyed() -> None:
    assert table().digest(KEY) == table().digest(KEY)
    assert table().digest(KEY) != table().digest(b"q" * 32)
    assert table().id_digest(KEY) != table().id_digest(b"q" * 32)


@pytest.mark.parametrize(
    "change",
    [
        {"ids": np.array(["a", "bü", "ccd"])},
        {"columns": changed_column("x", [1.0, 2.0, 3.0])},
        {"columns": changed_column("x", [0.0, None, 4 / 7])},
        {"columns": changed_column("x", [True, False, True])},
        {"columns": table().columns.rename_columns(["x", "y"])},
        {"columns": table().columns.rename_columns(["ü", "x"])},
        {"dtypes": ("Float64", "Int64")},
        {"rules": (Rule(kind="number"), Rule(kind="number", numbers=Numbers(missing="mean")))},
        {"label": np.array([0.0, 1.0, 0.0])},
        {"label": None},
        {"test": np.array([False, True, True])},
        {"truth": LABEL},
        {"label": None, "truth": LABEL},
        {"owns": np.array([True, False, True])},
        {"groups": np.array(["f", "m", "f"])},
    ],
)
def test_digest_covers_everything(change: dict[str, Any]) -> None:
    assert replace(table(), **change).digest(KEY) != table().digest(KEY)


def test_id_digest_covers_the_ids_alone() -> None:
    other = replace(table(), columns=changed_column("p", [0.0, 0.0, 0.0]), label=None)
    assert other.id_digest(KEY) == table().id_digest(KEY)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["a", "b"], ["a", "c"]),
        (["a", "b"], ["b", "a"]),
        (["a", "b"], ["a"]),
        (["ab", "c"], ["a", "bc"]),
        (["1", "2"], [1, 2]),
        (["a\x00b", "c"], ["a", "b\x00c"]),
    ],
)
def test_other_ids_have_another_digest(one: list[Any], other: list[Any]) -> None:
    assert table(ids=np.array(one)).id_digest(KEY) != table(ids=np.array(other)).id_digest(KEY)


def test_width_of_the_id_array_does_not_count() -> None:
    """A longer id that another row had would widen NumPy's array at one party."""
    assert table(ids=np.array(["a", "b"])).id_digest(KEY) == table(ids=np.array(["a", "b"], dtype="U9")).id_digest(KEY)


TEXTS = ["b", None, "", "ü"]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1.5, None, -0.0, 4.0]),
        pa.array([True, None, False, True]),
        pa.array(TEXTS, pa.large_string()),
        pa.array([0, None, -5, 7], pa.timestamp("us")),
    ],
)
def test_columns_of_every_kind_come_over_with_their_holes(values: pa.Array) -> None:
    whole = made_table(np.arange(4), np.zeros((4, 1)), ["x"], np.zeros(4, dtype=bool))
    given = replace(whole, columns=pa.table({"x": values}))
    taken = handed_over(given)
    assert taken.columns["x"].type == values.type
    assert taken.columns["x"].to_pylist() == values.to_pylist()
    assert taken.digest(KEY) == given.digest(KEY)
    holed = given.with_rows(np.array([3, 1]))
    assert holed.columns["x"].to_pylist() == [values[3].as_py(), None]
    chunks = replace(given, columns=pa.concat_tables([given.columns.slice(0, 1), given.columns.slice(1)]))
    assert chunks.digest(KEY) == given.digest(KEY)
    full = replace(given, columns=pa.table({"x": values.take(pa.array([0, 2, 2, 3]))}))
    assert full.digest(KEY) != given.digest(KEY)


def test_texts_that_run_into_each_other_have_another_digest() -> None:
    one = changed_column("x", ["ab", "c", None])
    other = changed_column("x", ["a", "bc", None])
    assert replace(table(), columns=one).digest(KEY) != replace(table(), columns=other).digest(KEY)
    assert replace(table(), columns=changed_column("x", ["ab", "c", ""])).digest(KEY) != replace(
        table(), columns=one
    ).digest(KEY)


@pytest.mark.parametrize("texts", [["b", None, "", "ü", "lang"], [], [None], ["", ""]])
def test_bytes_of_texts_depend_on_the_texts_alone(texts: list[str | None]) -> None:
    """Neither on how they are cut into chunks, nor on what lies around them in memory."""
    plain = pa.array(texts, type=pa.large_string())
    around = pa.array(["x", None, *texts, "yy"], type=pa.large_string())
    expected = canonical_bytes(pa.chunked_array([plain]))
    assert canonical_bytes(pa.chunked_array([around.slice(2, len(texts))])) == expected
    assert canonical_bytes(pa.chunked_array([plain.slice(0, 1), plain.slice(1)])) == expected
    lengths = [-1 if text is None else len(text.encode()) for text in texts]
    assert expected == np.array(lengths, dtype=np.int64).tobytes() + "".join(filter(None, texts)).encode()


def test_rows_are_taken_in_another_order_or_left_out() -> None:
    whole = table(truth=LABEL[::-1].copy(), owns=np.array([True, False, True]))
    some = whole.with_rows(np.array([2, 0]))
    assert some.ids.tolist() == ["ccc", "a"]
    assert np.array_equal(matrix_of(some), matrix_of(whole)[[2, 0]])
    assert some.label is not None
    assert some.truth is not None
    assert some.owns is not None
    assert (some.label.tolist(), some.truth.tolist(), some.owns.tolist()) == ([1.0, 0.0], [0.0, 1.0], [True, True])
    assert some.test.tolist() == [False, False]
    assert whole.with_rows(np.arange(3)).digest(KEY) == whole.digest(KEY)


@pytest.mark.parametrize("owns", [np.array([True, False, True]), None])
def test_some_rows_keep_everything_of_theirs(owns: Any) -> None:
    whole = table(owns=owns, truth=LABEL)
    kept = whole.with_rows(np.array([0, 2]))
    assert kept.ids.tolist() == ["a", "ccc"]
    assert matrix_of(kept).tolist() == matrix_of(whole)[[0, 2]].tolist()
    assert (kept.names, kept.dtypes) == (whole.names, whole.dtypes)
    for name in ("test", "label", "truth", "owns"):
        before, after = getattr(whole, name), getattr(kept, name)
        assert (after is None) == (before is None)
        assert after is None or after.tolist() == before[[0, 2]].tolist()
    assert whole.with_rows(np.arange(3)).digest(KEY) == whole.digest(KEY) != kept.digest(KEY)


def test_rows_that_are_left_keep_their_classes_and_no_others_are_known() -> None:
    codes, names = np.array([2.0, 0.0, 2.0]), np.array(["a", "b", "c"])
    whole = replace(table(label=codes, truth=codes), classes=names, truth_classes=np.array([7, 8, 9]))
    left = whole.with_rows(np.array([0, 2])).with_own_classes()
    assert left.classes is not None
    assert left.truth_classes is not None
    assert left.classes.tolist() == ["c"]
    assert left.truth_classes.tolist() == [9]
    assert left.label is not None
    assert left.label.tolist() == [0.0, 0.0]
    own = whole.with_own_classes()
    assert own.classes is not None
    assert own.classes.tolist() == ["a", "c"]
    assert own.label is not None
    assert own.label.tolist() == [1.0, 0.0, 1.0]
    assert table().with_own_classes().label is LABEL
