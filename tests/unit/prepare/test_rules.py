"""What is meant for a column: defaults by kind, and its owner's word."""

from __future__ import annotations

from typing import Any

import pytest

from runner.prepare.rules import rule_for
from runner.spec.prepare import Categories, Dates, Numbers, Prepare

DEFAULTS = Prepare(numbers=Numbers(missing="mean"), categories=Categories(encode="onehot", max_levels=4))


def test_defaults_of_the_kind_are_taken() -> None:
    rule = rule_for("number", DEFAULTS, {})
    assert rule.numbers == DEFAULTS.numbers
    assert rule.refused() is None
    assert rule.takes_holes()


def test_own_settings_go_before_the_defaults() -> None:
    rule = rule_for("category", DEFAULTS, {"encode": "frequency", "unseen": "error"})
    assert rule.categories == Categories(encode="frequency", unseen="error", max_levels=4)
    date = rule_for("date", Prepare(), {"encode": "parts", "missing": "median", "clip": (0.1, 0.9)})
    assert date.dates == Dates(encode="parts")
    assert date.numbers == Numbers(missing="median", clip=(0.1, 0.9))


@pytest.mark.parametrize(
    ("kind", "setting"), [("boolean", "booleans.encode"), ("category", "categories.encode"), ("date", "dates.encode")]
)
def test_what_is_no_number_is_refused_by_default(kind: Any, setting: str) -> None:
    assert rule_for(kind, Prepare(), {}).refused() == setting
    assert rule_for("number", Prepare(), {}).refused() is None
    assert not rule_for("number", Prepare(), {}).takes_holes()


@pytest.mark.parametrize(
    ("kind", "own", "words"),
    [
        ("number", {"encode": "onehot"}, "no setting 'encode', but missing"),
        ("category", {"missing": "median"}, "no setting 'missing', but encode"),
        ("number", {"missing": "guess"}, "Invalid enum value 'guess'"),
        ("number", {"clip": [0.9, 0.1]}, "lower quantile"),
        ("number", {"clip": 3}, "Expected `array"),
        ("category", {"max_levels": 1}, ">= 2"),
    ],
)
def test_what_cannot_be_done_is_told(kind: Any, own: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        rule_for(kind, DEFAULTS, own)
