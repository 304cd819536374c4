"""Conditions that a run cannot be repeated under are refused before anything starts."""

from __future__ import annotations

import pytest
from support import make_spec

from runner.errors import SpecError
from runner.reproduction import _varied
from runner.spec.request import Condition


@pytest.mark.parametrize("override", ["align=psi", "predict.mode=sealed"])
def test_what_needs_a_process_for_each_party_is_not_repeated_in_one(override: str) -> None:
    with pytest.raises(SpecError, match="one process"):
        _varied(make_spec(override), "cluster")


@pytest.mark.parametrize("condition", ["ports", "cluster"])
def test_sites_keep_their_ports_and_their_parties(condition: Condition) -> None:
    remote = make_spec("cluster=remote", "parties=sites", "self_party=bob", "site=bob")
    with pytest.raises(SpecError, match=f"not repeated with other {condition}"):
        _varied(remote, condition)
    assert _varied(remote, "threads").cluster.threads == 1


def test_other_runs_are() -> None:
    assert _varied(make_spec(), "cluster").cluster.mode == "debug"
