"""Made-up tables: the same at every drawing, in pieces at the parties, with a label that all of them have a part in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from made_tables import matrix_of
from msgspec.structs import replace
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import roc_auc_score
from support import make_spec

from runner.data.check import check_table
from runner.data.synthetic import draw_table
from runner.errors import DataError
from runner.spec.label import RowShardedLabel
from runner.spec.model import Spec

PARTIES = ("alice", "bob", "carol")


def drawn(rows: int = 3000, features: int = 10, **changes: Any) -> tuple[Spec, dict[str, pl.DataFrame]]:
    """The spec and each party's table; ``changes`` are of the data section."""
    base = make_spec("data=synthetic")
    spec = replace(base, data=replace(base.data, rows=rows, features=features, **changes))
    return spec, {party: draw_table(spec, party) for party in PARTIES}


def pooled(tables: dict[str, pl.DataFrame]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    ordered = [table.sort("customer_id").drop("customer_id") for table in tables.values()]
    together = pl.concat(ordered, how="horizontal")
    return together.drop("target").to_numpy(), together["target"].to_numpy()


def test_features_are_dealt_out_and_the_label_is_at_its_holder() -> None:
    _, tables = drawn()
    names = {party: [name for name in table.columns if name.startswith("x")] for party, table in tables.items()}
    assert names == {
        "alice": ["x001", "x002", "x003", "x004"],
        "bob": ["x005", "x006", "x007"],
        "carol": ["x008", "x009", "x010"],
    }
    assert [party for party, table in tables.items() if "target" in table.columns] == ["carol"]
    assert {table.height for table in tables.values()} == {3000}


def test_ids_are_the_same_in_another_order_at_each_party() -> None:
    _, tables = drawn()
    orders = [table["customer_id"].to_list() for table in tables.values()]
    assert len({tuple(order) for order in orders}) == 3
    assert {tuple(sorted(order)) for order in orders} == {tuple(f"S{row:04d}" for row in range(3000))}


def test_drawing_repeats_and_follows_the_seed() -> None:
    _, first = drawn()
    _, again = drawn()
    _, other = drawn(seed=2)
    for party in PARTIES:
        assert first[party].equals(again[party])
        assert not first[party].equals(other[party])


def test_columns_do_not_depend_on_how_they_are_dealt_out() -> None:
    """So the label's holder can draw those of the others."""
    _, few = drawn(features=9)
    _, more = drawn(features=10)
    for name, one, other in (("x004", "bob", "alice"), ("x007", "carol", "bob")):
        assert few[one].sort("customer_id")[name].equals(more[other].sort("customer_id")[name])


def test_label_depends_on_every_partys_features() -> None:
    """And in the same way with another seed: a model of one drawing fits the next."""
    _, first = drawn(rows=6000)
    _, second = drawn(seed=2, rows=6000)
    features, label = pooled(first)
    unseen, truth = pooled(second)
    assert 0.3 < label.mean() < 0.7

    def auc(columns: list[int]) -> float:
        model = ExtraTreesClassifier(60, min_samples_leaf=10, random_state=0).fit(features[:, columns], label)
        return float(roc_auc_score(truth, model.predict_proba(unseen[:, columns])[:, 1]))

    everything = auc(list(range(10)))
    assert everything > 0.85
    for columns in (range(4), range(4, 7), range(7, 10)):
        assert auc([at for at in range(10) if at not in columns]) < everything - 0.015


def test_share_of_informative_features() -> None:
    _, tables = drawn(informative=0.1, rows=20_000, features=9)
    features, label = pooled(tables)
    linear = [abs(np.corrcoef(features[:, at], label)[0, 1]) for at in (1, 2, 4, 5, 7, 8)]
    assert max(linear) < 0.03, "only the first of each party's counts"


def with_objective(objective: str, classes: int | None = None) -> pl.Series:
    spec, _ = drawn(classes=classes)
    sgb = msgspec.convert({**msgspec.to_builtins(spec.sgb), "objective": objective}, type(spec.sgb))
    return draw_table(replace(spec, sgb=sgb), "carol")["target"]


def test_label_fits_the_objective() -> None:
    assert with_objective("logistic").dtype == pl.Int64
    assert sorted(with_objective("logistic").unique()) == [0, 1]
    assert with_objective("linear").dtype == pl.Float64
    assert with_objective("linear").n_unique() == 3000
    claims = with_objective("tweedie")
    assert claims.min() == 0
    assert 0.1 < (claims == 0).sum() / 3000 < 0.9
    assert (claims > 1000).any()
    classes = with_objective("linear", classes=4)
    assert classes.dtype == pl.Int64
    assert classes.unique_counts().min() > 100
    assert sorted(classes.unique()) == [0, 1, 2, 3]


def test_label_in_shards_and_marks_of_own_rows() -> None:
    spec, _ = drawn()
    label = RowShardedLabel(holder="carol", column="target", owners=PARTIES)
    table = replace(spec.data.tables["alice"], owns="own")
    spec = replace(spec, label=label, data=replace(spec.data, tables=dict.fromkeys(PARTIES, table)))
    tables = [draw_table(spec, party).sort("customer_id") for party in PARTIES]
    for column in ("target", "own"):
        marks = [table[column].is_not_null() if column == "target" else table[column] for table in tables]
        assert [sum(row) for row in zip(*marks, strict=True)] == [1] * 3000


@pytest.mark.parametrize("party", PARTIES)
def test_made_up_table_keeps_the_contract_of_every_table(tmp_path: Path, party: str) -> None:
    spec, tables = drawn()
    prepared = check_table(spec, party, tmp_path)
    expected = tables[party].sort("customer_id")
    assert prepared.ids.tolist() == expected["customer_id"].to_list()
    assert np.array_equal(matrix_of(prepared), expected.select(prepared.names).to_numpy())
    assert (prepared.label is not None) == (party == "carol")
    assert len(prepared.source) == 32


def test_table_larger_than_the_memory_is_refused(tmp_path: Path) -> None:
    spec, _ = drawn()
    huge = replace(spec, data=replace(spec.data, rows=10**9, features=30_000))
    with pytest.raises(DataError, match=r"too large: it takes about 298,[0-9]{3} GiB, and "):
        check_table(huge, "alice", tmp_path)


def test_any_parties_are_dealt_features() -> None:
    spec, _ = drawn()
    tables = {name: spec.data.tables["alice"] for name in ("shop", "bank")}
    data = replace(spec.data, tables=tables, rows=50, features=5)
    other = replace(spec, data=data, label=replace(spec.label, holder="shop"))
    assert draw_table(other, "bank").columns == ["customer_id", "x001", "x002", "x003"]
    assert draw_table(other, "shop").columns == ["customer_id", "x004", "x005", "target"]
