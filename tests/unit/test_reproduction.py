"""The conditions under which a run is repeated."""

from __future__ import annotations

import pytest
from support import make_spec

from runner.errors import SpecError
from runner.reproduction import _varied


@pytest.mark.parametrize("overrides", [("align=psi",), ("label=joint", "data=lenders")])
def test_what_needs_a_process_for_each_party_is_not_repeated_in_one(overrides: tuple[str, ...]) -> None:
    with pytest.raises(SpecError) as caught:
        _varied(make_spec(*overrides), "cluster")
    assert caught.value.where == "reproduce.vary"


def test_other_runs_are_repeated_in_one_process_or_in_several() -> None:
    assert _varied(make_spec(), "cluster").cluster.mode == "debug"
    assert _varied(make_spec("cluster=debug"), "cluster").cluster.mode == "local"
