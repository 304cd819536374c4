"""Bringing labels together: the rules of joint labels, and the join of shards."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import DataError
from runner.spec.label import RowShardedLabel

NAN = float("nan")
# Two rows that both owners know (alike, then not), one of each alone, and one of nobody.
HOLDERS = [1.0, 0.0, 1.0, NAN, NAN]
OTHERS = [1.0, 1.0, NAN, 0.0, NAN]


@pytest.fixture(scope="module")
def labels(secretflow: None) -> ModuleType:
    from runner.stages import labels

    return labels


@st.composite
def columns_of(draw: st.DrawFn, low: int, high: int) -> list[Any]:
    """Columns of whole numbers, of one to five owners."""
    rows = draw(st.integers(1, 8))
    column = st.lists(st.integers(low, high), min_size=rows, max_size=rows)
    return [np.array(values, dtype=np.int32) for values in draw(st.lists(column, min_size=1, max_size=5))]


def combined(labels: ModuleType, rule: str, columns: list[Any], threshold: float = 0.0) -> Any:
    """What the owners' inputs come to under a rule."""
    inputs = [labels.as_input(rule, column.astype(np.float64), len(columns)) for column in columns]
    return np.asarray(labels.apply_rule(rule, inputs, threshold))


@given(columns=columns_of(0, 1))
@settings(max_examples=100, deadline=None)
def test_rules_of_zeros_and_ones_are_numpys(labels: ModuleType, columns: list[Any]) -> None:
    table = np.stack(columns)
    expected = {
        "any": table.any(axis=0),
        "all": table.all(axis=0),
        "majority": table.sum(axis=0) > len(columns) / 2,
    }
    for rule, label in expected.items():
        found = combined(labels, rule, columns)
        assert found.dtype.kind == "i"
        assert found.tolist() == label.astype(int).tolist(), rule


@given(columns=columns_of(-1000, 1000), threshold=st.integers(-2000, 2000) | st.floats(-2000, 2000))
@settings(max_examples=100, deadline=None)
def test_rules_of_numbers_are_numpys(labels: ModuleType, columns: list[Any], threshold: float) -> None:
    table = np.stack(columns)
    total = table.sum(axis=0)
    assert combined(labels, "sum", columns).tolist() == total.tolist()
    assert np.allclose(combined(labels, "mean", columns), table.mean(axis=0), rtol=1e-6, atol=1e-3)
    found = combined(labels, "threshold", columns, threshold)
    assert found.dtype.kind == "i"
    assert found.tolist() == (total >= threshold).astype(int).tolist()


def test_sum_that_meets_the_threshold_counts(labels: ModuleType) -> None:
    columns = [np.array([1, 2, 3], dtype=np.int32), np.array([1, 1, 1], dtype=np.int32)]
    assert combined(labels, "threshold", columns, 3.0).tolist() == [0, 1, 1]


def test_half_is_no_majority(labels: ModuleType) -> None:
    columns = [np.array([1, 1], dtype=np.int32), np.array([0, 1], dtype=np.int32)]
    assert combined(labels, "majority", columns).tolist() == [0, 1]


def test_sum_below_zero_is_no_label_of_a_tweedie_model(labels: ModuleType) -> None:
    value = np.array([0.0, -0.5, 2.0, -1.0])
    assert labels._in_domain(value, "linear") is value
    with pytest.raises(DataError, match="2 rows have a joined label below 0"):
        labels._in_domain(value, "tweedie")


def sharded(**settings: Any) -> RowShardedLabel:
    return RowShardedLabel(holder="carol", column="diagnosis", owners=("alice", "carol"), **settings)


def refusal(labels: ModuleType, label: RowShardedLabel, *shards: list[float]) -> DataError:
    with pytest.raises(DataError) as caught:
        labels._joined(np.array(shards), label, holder_owns=True)
    return caught.value


def test_labels_that_differ_are_counted(labels: ModuleType) -> None:
    error = refusal(labels, sharded(on_missing="drop"), HOLDERS, OTHERS)
    assert error.what == "1 rows have labels that differ"
    assert "label.on_conflict" in error.fix
    opposite = [1.0 - value for value in HOLDERS]
    assert refusal(labels, sharded(on_missing="drop"), HOLDERS, opposite).what == "3 rows have labels that differ"


def test_rows_without_a_label_are_counted(labels: ModuleType) -> None:
    error = refusal(labels, sharded(on_conflict="any"), HOLDERS, OTHERS)
    assert error.what == "1 rows have no label"
    assert "label.on_missing" in error.fix
    assert refusal(labels, sharded(), HOLDERS, HOLDERS).what == "2 rows have no label"


def test_shards_that_agree_are_joined(labels: ModuleType) -> None:
    joined = labels._joined(np.array([[1.0, NAN, 0.0], [NAN, 0.0, 0.0]]), sharded(), holder_owns=True)
    assert joined.tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("rule", "holder_owns", "at_conflict"), [("any", True, 1.0), ("any", False, 1.0), ("holder", True, 0.0)]
)
def test_rule_decides_where_labels_differ(labels: ModuleType, rule: str, holder_owns: bool, at_conflict: float) -> None:
    label = sharded(on_conflict=rule, on_missing="drop")
    joined = labels._joined(np.array([HOLDERS, OTHERS]), label, holder_owns=holder_owns)
    assert np.array_equal(joined, [1.0, at_conflict, 1.0, 0.0, NAN], equal_nan=True)


def test_larger_label_of_the_holder_counts_under_both_rules(labels: ModuleType) -> None:
    for rule in ("any", "holder"):
        label = sharded(on_conflict=rule, on_missing="drop")
        joined = labels._joined(np.array([[1.0, NAN], [0.0, NAN]]), label, holder_owns=True)
        assert np.array_equal(joined, [1.0, NAN], equal_nan=True)


@given(
    shards=st.integers(1, 6).flatmap(
        lambda rows: st.lists(
            st.lists(st.sampled_from([0.0, 1.0, NAN]), min_size=rows, max_size=rows), min_size=2, max_size=4
        )
    )
)
@settings(max_examples=100, deadline=None)
def test_joined_label_is_the_first_the_holder_or_the_larger(labels: ModuleType, shards: list[list[float]]) -> None:
    def known(row: int) -> list[float]:
        return [shard[row] for shard in shards if not np.isnan(shard[row])]

    for rule in ("any", "holder"):
        label = sharded(on_conflict=rule, on_missing="drop")
        joined = labels._joined(np.array(shards), label, holder_owns=True)
        for row, value in enumerate(joined):
            of_holder = shards[0][row]
            expected = max(known(row), default=NAN)
            if rule == "holder" and not np.isnan(of_holder):
                expected = of_holder
            assert np.array_equal([value], [expected], equal_nan=True)
