"""A party's whole preparation: fitted, kept as JSON, applied again."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.prepare.preparation import Fitted, Preparation, as_it_is, fit, restore
from runner.prepare.problems import UnfitColumns
from runner.prepare.rules import Kind, Rule, rule_for
from runner.spec.prepare import Booleans, Categories, Dates, Numbers, Prepare

TYPES: dict[Kind, Any] = {
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "category": pa.large_string(),
    "date": pa.timestamp("us"),
}
KINDS: dict[str, Kind] = {"n": "number", "b": "boolean", "c": "category", "d": "date"}
AUTO = Prepare(
    numbers=Numbers(missing="sentinel", indicator=True, clip=(0.05, 0.95)),
    booleans=Booleans(encode="number"),
    categories=Categories(encode="onehot", min_frequency=2),
    dates=Dates(encode="parts"),
)
NUMBERS = st.none() | st.floats(-1e6, 1e6)
TEXTS = st.none() | st.sampled_from(["a", "b", "c", "zürich", ""])
DATES = st.none() | st.datetimes(datetime(1950, 1, 1), datetime(2050, 1, 1))
ROW = st.tuples(NUMBERS, st.none() | st.booleans(), TEXTS, DATES)
FIRST = (1.5, True, "a", datetime(2020, 5, 17, 12))  # every column has a value
SECOND = (2.5, False, "b", datetime(2021, 6, 18))  # and none is constant
ENCODE = st.sampled_from(["onehot", "ordinal", "frequency"])
MISSING = st.sampled_from(["sentinel", "median", "mean", "most_frequent", "constant"])


def table_of(rows: list[Any]) -> pa.Table:
    columns = list(zip(*rows, strict=True))
    return pa.table(
        {name: pa.array(values, type=TYPES[KINDS[name]]) for name, values in zip(KINDS, columns, strict=True)}
    )


def fitted_to(table: pa.Table, prepare: Prepare = AUTO, **own: dict[str, Any]) -> Fitted:
    rules = [rule_for(KINDS[name], prepare, own.get(name, {})) for name in table.column_names]
    return fit(table, [str(column.type) for column in table.columns], rules, prepare)


def by_name(preparation: Preparation, table: pa.Table) -> dict[str, bytes]:
    """Feature → the bits of its column."""
    made = preparation.apply(table)
    return {name: made[:, at].tobytes() for at, name in enumerate(preparation.features)}


@settings(deadline=None, max_examples=60)
@given(st.lists(ROW, max_size=25), st.lists(ROW, min_size=1, max_size=8), ENCODE, MISSING, st.booleans())
def test_json_keeps_a_preparation_exactly(train: Any, new: Any, encode: Any, missing: Any, drop: bool) -> None:
    prepare = Prepare(
        numbers=Numbers(missing=missing, indicator=True),
        booleans=Booleans(encode="number"),
        categories=Categories(encode=encode),
        dates=Dates(encode="days"),
        drop_constant=drop,
        drop_duplicates=drop,
    )
    preparation = fitted_to(table_of([FIRST, SECOND, *train]), prepare).preparation
    again = restore(json.loads(json.dumps(preparation.to_json())))
    assert again == preparation
    made = again.apply(table_of(new))
    assert made.tobytes() == preparation.apply(table_of(new)).tobytes()
    assert made.flags.c_contiguous
    assert np.isfinite(made).all()
    assert made.shape == (len(new), len(preparation.features))
    assert set(preparation.described()) == set(preparation.features)


@settings(deadline=None, max_examples=60)
@given(st.lists(ROW, max_size=25), st.randoms(), st.permutations(list(KINDS)), ENCODE, MISSING)
def test_order_of_rows_and_columns_changes_no_value(
    train: Any, random: Any, columns: list[str], encode: Any, missing: Any
) -> None:
    """Neither what is fitted nor what a row becomes depends on where rows and columns stand."""
    prepare = Prepare(
        numbers=Numbers(missing=missing, indicator=True, clip=(0.1, 0.9)),
        booleans=Booleans(encode="number"),
        categories=Categories(encode=encode, max_levels=3),
        dates=Dates(encode="parts"),
    )
    rows = [FIRST, *train]
    places = list(range(len(rows)))
    random.shuffle(places)
    table = table_of(rows)
    straight = fitted_to(table, prepare).preparation
    turned = fitted_to(table.take(places).select(columns), prepare).preparation
    assert by_name(turned, table) == by_name(straight, table)
    shuffled = straight.apply(table.take(places))
    assert shuffled.tobytes() == straight.apply(table)[places].tobytes()


def test_training_rows_alone_decide() -> None:
    train = [(float(n), n % 2 == 0, "ab"[n % 2], datetime(2020, 1, 1) + timedelta(days=n)) for n in range(10)]
    preparation = fitted_to(table_of(train)).preparation
    assert preparation.features == ("n", "b", "c__1", "c__2", "d__year", "d__month", "d__day", "d__weekday")
    outlier = table_of([(1e9, None, "never", None)])
    before = preparation.to_json()
    assert preparation.apply(outlier)[0, 0] == np.quantile(np.arange(10.0), 0.95)
    assert preparation.apply(outlier)[0, 2:4].tolist() == [0.0, 0.0]
    assert preparation.to_json() == before


def test_numbers_are_taken_bit_by_bit_where_nothing_is_said() -> None:
    matrix = np.random.default_rng(3).normal(size=(50, 4))
    table = pa.table({f"x{at}": matrix[:, at] for at in range(4)})
    rules = [Rule(kind="number")] * 4
    fitted = fit(table, ["Float64"] * 4, rules, Prepare())
    assert (fitted.constant, fitted.duplicates) == (0, 0)
    assert fitted.preparation == as_it_is(table.column_names, ["Float64"] * 4)
    assert fitted.preparation.apply(table).tobytes() == matrix.tobytes()
    assert fitted.preparation.apply(table).flags.c_contiguous


def test_constant_and_duplicate_columns_are_left_out_and_counted() -> None:
    table = pa.table({"x": [1.0, 2.0, 0.0], "k": [7.0, 7.0, 7.0], "y": [1.0, 2.0, -0.0], "z": [2.0, 1.0, 0.0]})
    rules = [Rule(kind="number")] * 4
    fitted = fit(table, ["Float64"] * 4, rules, Prepare(drop_constant=True, drop_duplicates=True))
    assert fitted.preparation.features == ("x", "z")
    assert (fitted.constant, fitted.duplicates) == (1, 1)
    assert fitted.preparation.names == ("x", "z"), "later batches need not have what is left out"
    assert fitted.preparation.apply(table.select(["z", "x"])).tolist() == [[1.0, 2.0], [2.0, 1.0], [0.0, 0.0]]


def test_nothing_left_is_refused() -> None:
    with pytest.raises(UnfitColumns, match="1 columns") as caught:
        fit(pa.table({"k": [7.0, 7.0]}), ["Float64"], [Rule(kind="number")], Prepare(drop_constant=True))
    assert caught.value.reasons == {"are constant in the training rows": {"k": 2}}


def test_two_features_never_have_one_name() -> None:
    table = pa.table({"x": [1.0, None], "x__missing": [0.0, 1.0]})
    rules = [Rule(kind="number", numbers=Numbers(missing="mean", indicator=True)), Rule(kind="number")]
    with pytest.raises(UnfitColumns) as caught:
        fit(table, ["Float64"] * 2, rules, Prepare())
    assert list(caught.value.reasons.values()) == [{"x__missing": 2}]


def test_problems_are_told_together_and_without_names() -> None:
    preparation = as_it_is(["first", "second", "third"], ["Float64"] * 3)
    with pytest.raises(UnfitColumns) as caught:
        preparation.apply(
            pa.table({"first": [1.0, None], "second": [None, None], "third": [1.0, 2.0]}).cast(
                pa.schema([(name, pa.float64()) for name in ("first", "second", "third")])
            )
        )
    (reason,) = caught.value.reasons
    assert caught.value.reasons[reason] == {"first": 1, "second": 2}
    assert caught.value.counted() == f"2 of its columns {reason}"


def test_differences_of_a_table_are_found() -> None:
    preparation = as_it_is(["a", "b"], ["Float64", "Int64"])
    assert preparation.difference({"b": "Int64", "more": "String", "a": "Float64"}) == ([], {})
    assert preparation.difference({"b": "String"}) == (["a"], {"b": "String, in training Int64"})


@pytest.mark.parametrize("change", [{"features": 3}, {"columns": [{"name": "x"}]}, {"more": 1}])
def test_altered_values_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        restore({**as_it_is(["a"], ["Float64"]).to_json(), **change})
