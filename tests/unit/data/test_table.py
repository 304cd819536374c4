"""A prepared table: its digests, and its way through anonymous memory."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from runner.data.table import PreparedTable, read_table, write_table

KEY = b"k" * 32
INT_IDS = np.array([-3, 5, 2**62])
STR_IDS = np.array(["a", "bü", "ccc"])
LABEL = np.array([0.0, 1.0, 1.0])


def table(ids: Any = STR_IDS, label: Any = LABEL, truth: Any = None, owns: Any = None) -> PreparedTable:
    return PreparedTable(
        ids=ids,
        features=np.arange(6, dtype=np.float64).reshape(3, 2) / 7,
        names=("x", "ü"),
        dtypes=("Float64", "Int32"),
        test=np.array([False, True, False]),
        label=label,
        truth=truth,
        owns=owns,
    )


def handed_over(given: PreparedTable) -> PreparedTable:
    memory = os.memfd_create("table")
    write_table(given, memory)
    taken = read_table(memory)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(memory)
    return taken


@pytest.mark.parametrize("owns", [np.array([True, False, True]), None])
@pytest.mark.parametrize("truth", [LABEL[::-1].copy(), None])
@pytest.mark.parametrize("label", [LABEL, np.array([0.0, np.nan, 1.0]), None])
@pytest.mark.parametrize("ids", [INT_IDS, STR_IDS])
def test_table_comes_out_of_memory_as_it_went_in(ids: Any, label: Any, truth: Any, owns: Any) -> None:
    given = table(ids, label, truth, owns)
    taken = handed_over(given)
    for name in ("ids", "features", "test"):
        before, after = getattr(given, name), getattr(taken, name)
        assert before.dtype == after.dtype
        assert np.array_equal(before, after)
    assert taken.names == given.names
    assert taken.dtypes == given.dtypes
    assert all(type(name) is str for name in taken.names)
    for name, part in (("label", label), ("truth", truth), ("owns", owns)):
        after = getattr(taken, name)
        assert (after is None) == (part is None)
        assert part is None or (after.dtype == part.dtype and after.tobytes() == part.tobytes())
    assert taken.digest(KEY) == given.digest(KEY)


def test_memory_stays_open_for_the_reader_in_another_process() -> None:
    memory = os.memfd_create("table")
    write_table(table(), memory)
    assert os.fstat(memory).st_size > 0
    os.close(memory)


def test_objects_are_not_pickled_into_the_memory() -> None:
    memory = os.memfd_create("table")
    try:
        with pytest.raises(ValueError, match="allow_pickle"):
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
        {"features": np.arange(6, dtype=np.float64).reshape(3, 2) / 8},
        {"names": ("x", "y")},
        {"names": ("ü", "x")},
        {"label": np.array([0.0, 1.0, 0.0])},
        {"label": None},
        {"test": np.array([False, True, True])},
        {"truth": LABEL},
        {"label": None, "truth": LABEL},
        {"owns": np.array([True, False, True])},
    ],
)
def test_digest_covers_everything(change: dict[str, Any]) -> None:
    assert replace(table(), **change).digest(KEY) != table().digest(KEY)


def test_id_digest_covers_the_ids_alone() -> None:
    other = replace(table(), features=np.zeros((3, 2)), label=None, names=("p", "q"))
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


def test_features_are_put_in_another_order_or_left_out() -> None:
    whole = table()
    turned = whole.with_features(("ü", "x"))
    assert turned.names == ("ü", "x")
    assert turned.dtypes == ("Int32", "Float64")
    assert np.array_equal(turned.features, whole.features[:, ::-1])
    assert turned.features.flags.c_contiguous
    assert whole.with_features(("ü",)).features.shape == (3, 1)
    assert whole.with_features(whole.names) is whole
    assert turned.digest(KEY) != whole.digest(KEY)


@pytest.mark.parametrize("owns", [np.array([True, False, True]), None])
def test_some_rows_keep_everything_of_theirs(owns: Any) -> None:
    whole = table(owns=owns, truth=LABEL)
    kept = whole.with_rows(np.array([0, 2]))
    assert kept.ids.tolist() == ["a", "ccc"]
    assert kept.features.tolist() == whole.features[[0, 2]].tolist()
    assert (kept.names, kept.dtypes) == (whole.names, whole.dtypes)
    for name in ("test", "label", "truth", "owns"):
        before, after = getattr(whole, name), getattr(kept, name)
        assert (after is None) == (before is None)
        assert after is None or after.tolist() == before[[0, 2]].tolist()
    assert whole.with_rows(np.arange(3)).digest(KEY) == whole.digest(KEY) != kept.digest(KEY)
