"""Rows that are left must be fit for what the run does with them."""

from __future__ import annotations

import numpy as np
import pytest
from made_tables import made_table
from support import make_spec

from runner.data.usable import require_usable
from runner.errors import DataError

TABLE = made_table(
    np.arange(4),
    np.arange(4.0).reshape(4, 1),
    ("x",),
    np.array([False, True, False, True]),
    label=np.array([0.0, 1.0, 1.0, 1.0]),
)


def test_whole_table_is_fit() -> None:
    require_usable(make_spec(), TABLE)


@pytest.mark.parametrize(("rows", "lacking"), [([1, 3], "training"), ([0, 2], "test")])
def test_split_without_rows_is_refused(rows: list[int], lacking: str) -> None:
    with pytest.raises(DataError, match=f"no {lacking} rows"):
        require_usable(make_spec(), TABLE.with_rows(np.array(rows)))


def test_label_that_has_become_constant_is_refused() -> None:
    with pytest.raises(DataError, match="constant"):
        require_usable(make_spec(), TABLE.with_rows(np.array([1, 2])))


def test_a_model_is_applied_to_whatever_there_is() -> None:
    require_usable(make_spec("task=predict", "model=x"), TABLE.with_rows(np.array([1])))
