"""SecretFlow's split trees as plain values and back; their gains are kept, or known to be missing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from runner.errors import BundleError

pytestmark = pytest.mark.usefixtures("secretflow")
SIDE = {
    "split_features": [1, -1, 0],
    "split_values": [0.5, float("inf"), 2.0],
    "split_indices": [0, 1, 2],
    "leaf_indices": [3, 4, 5, 6],
}
SITE: Any = SimpleNamespace(preparation=SimpleNamespace(features=("age", "bmi")))


def test_split_tree_comes_back_with_its_gains() -> None:
    from runner.stages.trees import restore_split_tree, split_contents

    content = {**SIDE, "split_gains": [3.5, 0.0, 1.25]}
    tree = restore_split_tree(content)
    assert tree.gain_statistics() == ({1: 3.5, 0: 1.25}, {1: 1, 0: 1})
    assert split_contents(tree) == content
    assert split_contents(restore_split_tree(split_contents(tree))) == content


def test_split_tree_without_gains_is_saved_without_them() -> None:
    from runner.stages.trees import restore_split_tree, split_contents

    assert split_contents(restore_split_tree(SIDE)) == SIDE


@pytest.mark.parametrize(
    ("form", "expected"), [("by_name", {"age": 1.25, "bmi": 7.0}), ("party_total", {"total": 8.25})]
)
def test_importance_sums_gains(form: str, expected: dict[str, float]) -> None:
    from runner.stages.explain import _gains
    from runner.stages.trees import restore_split_tree

    first = restore_split_tree({**SIDE, "split_gains": [3.5, 0.0, 1.25]})
    second = restore_split_tree({**SIDE, "split_features": [1, -1, -1], "split_gains": [3.5, 0.0, 0.0]})
    assert _gains(form)(SITE, first, second) == expected


def test_importance_of_a_model_without_gains_is_refused() -> None:
    from runner.stages.explain import _gains
    from runner.stages.trees import restore_split_tree

    with pytest.raises(BundleError, match="no split gains"):
        _gains("party_total")(SITE, restore_split_tree(SIDE))
