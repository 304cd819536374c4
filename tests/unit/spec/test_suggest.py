"""Did-you-mean."""

from __future__ import annotations

import pytest

from runner.spec.suggest import advise, closest

NAMES = ("max_depth", "max_leaf", "learning_rate")


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("max_dept", "max_depth"),
        ("learning_rat", "learning_rate"),
        ("maxleaf", "max_leaf"),
        ("learn", "learning_rate"),
        ("max", None),
        ("banana", None),
        ("", None),
    ],
)
def test_closest_name(wrong: str, meant: str | None) -> None:
    assert closest(wrong, NAMES) == meant


def test_advice_begins_with_the_guess_and_lists_all_in_order() -> None:
    assert advise("max_dept", NAMES) == "did you mean 'max_depth'? allowed: learning_rate, max_depth, max_leaf"


def test_advice_without_a_guess_lists_all() -> None:
    assert advise("banana", NAMES) == "allowed: learning_rate, max_depth, max_leaf"


def test_advice_where_nothing_is_allowed() -> None:
    assert advise("banana", ()) == "nothing is allowed here"


def test_names_may_come_from_an_iterator() -> None:
    assert "max_leaf" in advise("max_leav", iter(NAMES))
