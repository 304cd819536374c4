"""Small models in parts, as hypothesis draws them, and their scores straight from the parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

PARTIES = ("carol", "alice", "bob")  # in canonical order: carol holds the labels
FEATURES = {"carol": ["c0", "c1"], "alice": ["a0"], "bob": ["b0", "b1", "b2"]}
WIDTH = 6
OBJECTIVES = ("logistic", "linear", "tweedie")


class Made(NamedTuple):
    """A model in parts, and rows to apply it to."""

    objective: str
    base_score: float
    parts: list[dict[str, Any]]
    rows: NDArray[np.float64]

    def scores(self) -> NDArray[np.float64]:
        """From the parts themselves, node by node."""
        return finish(self.objective, np.array([raw_score(self.parts, row) + self.base_score for row in self.rows]))


def make_part(party: str, trees: list[dict[str, Any]], weights: list[Any] | None = None) -> dict[str, Any]:
    """A part as the runner saves it."""
    own = {"party": party, "features": FEATURES[party], "trees": trees}
    return own if weights is None else {**own, "leaf_weights": weights}


def raw_score(parts: Sequence[dict[str, Any]], row: NDArray[np.float64]) -> float:
    """The sum of the weights of the leaves that one row reaches; a row goes left where it is less."""
    values: dict[str, NDArray[np.float64]] = {}
    start = 0
    for part in parts:
        values[part["party"]] = row[start : start + len(part["features"])]
        start += len(part["features"])
    return sum(_tree_score(parts, values, index) for index in range(len(parts[0]["trees"])))


def _tree_score(parts: Sequence[dict[str, Any]], values: dict[str, NDArray[np.float64]], index: int) -> float:
    splits = {}
    for part in parts:
        tree = part["trees"][index]
        for number, feature, threshold in zip(
            tree["split_indices"], tree["split_features"], tree["split_values"], strict=True
        ):
            if feature >= 0:
                splits[number] = values[part["party"]][feature] < threshold
    node = 0
    while node in splits:
        node = 2 * node + (1 if splits[node] else 2)
    (weight,) = parts[0]["leaf_weights"][index][parts[0]["trees"][index]["leaf_indices"].index(node)]
    return float(weight)


def finish(objective: str, raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """From the raw to the final score."""
    if objective == "logistic":
        return 1 / (1 + np.exp(-raw))
    return np.exp(raw) if objective == "tweedie" else raw


def single(number: float) -> float:
    """The nearest float32."""
    return float(np.float32(number))


weights = st.floats(-1, 1)
thresholds = st.floats(-100, 100).map(single)


@st.composite
def shapes(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Numbers of inner nodes and of leaves, each in an order of its own: grown leaf by leaf, so often lopsided."""
    leaves = [0]
    inner = []
    for _ in range(draw(st.integers(1, 9))):
        split = leaves.pop(draw(st.integers(0, len(leaves) - 1)))
        inner.append(split)
        leaves += [2 * split + 1, 2 * split + 2]
    return draw(st.permutations(inner)), draw(st.permutations(leaves))


@st.composite
def made_models(draw: st.DrawFn) -> Made:
    """One to four trees over three parties, and rows of float32 values, many exactly at thresholds."""
    trees: dict[str, list[dict[str, Any]]] = {party: [] for party in PARTIES}
    leaf_weights = []
    used: list[float] = [0.0]
    for _ in range(draw(st.integers(1, 4))):
        inner, leaves = draw(shapes())
        sides: dict[str, dict[str, Any]] = {
            party: {
                "split_features": [],
                "split_values": [],
                "split_indices": inner,
                "leaf_indices": leaves,
                "split_gains": [],
            }
            for party in PARTIES
        }
        for _ in inner:
            owner = draw(st.sampled_from(PARTIES))
            used.append(draw(thresholds))
            for party, side in sides.items():
                own = party == owner
                side["split_features"].append(draw(st.integers(0, len(FEATURES[party]) - 1)) if own else -1)
                side["split_values"].append(used[-1] if own else math.inf)
                side["split_gains"].append(draw(st.floats(0, 100)) if own else 0.0)
        for party, side in sides.items():
            trees[party].append(side)
        leaf_weights.append([[draw(weights)] for _ in leaves])
    parts = [make_part(party, trees[party], leaf_weights if party == "carol" else None) for party in PARTIES]
    near = st.sampled_from(used).flatmap(lambda value: st.sampled_from(_around(value)))
    rows = draw(st.lists(st.lists(near, min_size=WIDTH, max_size=WIDTH), min_size=1, max_size=8))
    base = draw(st.sampled_from((0.0, 0.3, -2.0, 4.0)))
    return Made(draw(st.sampled_from(OBJECTIVES)), base, parts, np.array(rows, dtype=np.float64))


def _around(value: float) -> tuple[float, ...]:
    """A float32 value and its neighbours."""
    exact = np.float32(value)
    return (
        float(exact),
        float(np.nextafter(exact, np.float32(-np.inf))),
        float(np.nextafter(exact, np.float32(np.inf))),
    )
