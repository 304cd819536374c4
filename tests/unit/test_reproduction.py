"""Conditions that a run cannot be repeated under are refused before anything starts."""

from __future__ import annotations

import pytest
from support import make_spec

from runner.errors import SpecError
from runner.reproduction import _varied


@pytest.mark.parametrize("override", ["align=psi", "predict.mode=sealed"])
def test_what_needs_a_process_for_each_party_is_not_repeated_in_one(override: str) -> None:
    with pytest.raises(SpecError, match="one process"):
        _varied(make_spec(override), "cluster")


def test_other_runs_are() -> None:
    assert _varied(make_spec(), "cluster").cluster.mode == "debug"
