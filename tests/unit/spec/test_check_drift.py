"""Thresholds of drift: each in its range, and none that fails before it warns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runner.errors import SpecError
from runner.spec.parse import parse

Changed = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("measure", ["psi", "missing", "range"])
def test_what_fails_before_it_warns_is_refused(changed: Changed, measure: str) -> None:
    values = {f"drift.{measure}_warn": 0.3, f"drift.{measure}_fail": 0.2}
    with pytest.raises(SpecError) as caught:
        parse(changed(values))
    assert caught.value.where == f"drift.{measure}_fail"
    for warn, fail in ((0.2, 0.3), (0.3, 0.3), (None, 0.2), (0.3, None), (None, None)):
        assert parse(changed({f"drift.{measure}_warn": warn, f"drift.{measure}_fail": fail}))


@pytest.mark.parametrize(
    ("setting", "value"), [("psi_warn", 0), ("missing_fail", 1.0), ("range_warn", -0.1), ("min_rows", 0)]
)
def test_threshold_out_of_its_range_is_refused(changed: Changed, setting: str, value: float) -> None:
    with pytest.raises(SpecError) as caught:
        parse(changed({f"drift.{setting}": value}))
    assert caught.value.where == f"drift.{setting}"
