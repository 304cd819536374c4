"""The order of rows and columns in any party's file changes nothing: its worker gets the same table, bit for bit.

Everything after that is made of it alone (``test_same_bits.py``: the same tables give the same model and predictions).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import make_spec

from runner.data.builtin import write_builtin
from runner.data.check import check_table
from runner.spec.model import Spec

DATA = "clinics_raw"  # numbers, texts, dates and holes
PARTIES = ("alice", "bob", "carol")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    outputs = tmp_path_factory.mktemp("order")
    spec = make_spec("experiment=unprepared_clinics", f"outputs={outputs}")
    for party in PARTIES:
        write_builtin(DATA, party, Path(str(spec.data.tables[party].path)), "patient_id")
    return spec


@given(st.data())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_order_changes_what_training_and_prediction_get(spec: Spec, data: Any) -> None:
    party = data.draw(st.sampled_from(PARTIES))
    path = Path(str(spec.data.tables[party].path))
    written = pl.read_parquet(path)
    before = check_table(spec, party, path.parent)
    columns = data.draw(st.permutations(written.columns))
    seed = data.draw(st.integers(0, 2**32 - 1))
    try:
        written.select(columns).sample(fraction=1.0, shuffle=True, seed=seed).write_parquet(path)
        after = check_table(spec, party, path.parent)
    finally:
        written.write_parquet(path)
    assert after.digest(b"key") == before.digest(b"key")
    assert (after.ids == before.ids).all()
