"""What is said of an alignment before a run: how rows find each other, and what that shows."""

from __future__ import annotations

import pytest
from support import make_spec

from runner.policy.decide import decide
from runner.report.check import describe_plan
from runner.report.warnings import warnings_of


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ((), "Align     assume_sorted"),
        (("align=psi",), "Align     psi, protocol ecdh_3pc"),
        (("align=psi", "align.protocol=ecdh_npc", "policy.ids.form=pairs"), "Align     psi, protocol ecdh_npc"),
        (("data.id=[ward,bed]",), "ids in column ward and bed"),
    ],
)
def test_dry_run_says_how_rows_find_each_other(overrides: tuple[str, ...], line: str) -> None:
    spec = make_spec(*overrides)
    assert line in describe_plan(spec, decide(spec))


def test_plan_without_tables_says_nothing_of_it() -> None:
    spec = make_spec("task=export", "model=x")
    assert "Align" not in describe_plan(spec, decide(spec))


def test_digests_that_can_be_guessed_are_warned_of() -> None:
    assert [line for line in warnings_of(make_spec("align=join_on_digest")) if "guessing" in line]
    assert not warnings_of(make_spec("align=psi"))
