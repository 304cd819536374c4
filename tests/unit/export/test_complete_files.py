"""A complete model for XGBoost and for ONNX gives the scores of its parts, computed by the real libraries."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import xgboost
from hypothesis import given, settings
from made_models import FEATURES, PARTIES, WIDTH, Made, made_models, make_part
from numpy.typing import NDArray

from runner.errors import BundleError
from runner.export.onnx_model import onnx_model
from runner.export.trees import CompleteModel, join_parts
from runner.export.xgboost_json import float32_threshold, xgboost_model

NAMES = [name for party in PARTIES for name in FEATURES[party]]


def joined(made: Made) -> CompleteModel:
    return join_parts(made.parts, objective=made.objective, base_score=made.base_score)


def load_xgboost(content: bytes) -> xgboost.Booster:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return xgboost.Booster({"nthread": 1}, model_file=bytearray(content))


def xgboost_scores(content: bytes, rows: NDArray[np.float64]) -> Any:
    return load_xgboost(content).predict(matrix(rows))


def matrix(rows: NDArray[np.float64]) -> xgboost.DMatrix:
    return xgboost.DMatrix(rows, feature_names=NAMES, nthread=1)


def onnx_scores(content: bytes, rows: NDArray[np.float64]) -> Any:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (scores,) = session.run(["score"], {"features": rows})
    return scores.reshape(-1)


@settings(max_examples=100, deadline=None)
@given(made=made_models())
def test_xgboost_gives_the_scores_of_the_parts(made: Made) -> None:
    scores = xgboost_scores(xgboost_model(joined(made)), made.rows)
    np.testing.assert_allclose(scores, made.scores(), rtol=1e-6, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(made=made_models())
def test_onnxruntime_gives_the_scores_of_the_parts(made: Made) -> None:
    scores = onnx_scores(onnx_model(joined(made)), made.rows)
    np.testing.assert_allclose(scores, made.scores(), rtol=1e-6, atol=1e-6)


def stump(threshold: float, gain: float | None = 7.5, base_score: float = 0.0) -> CompleteModel:
    """One split, on alice's only feature: weight -1 to the left, +1 to the right; the leaves stand in reverse."""

    def side(party: str) -> dict[str, Any]:
        own = party == "alice"
        tree = {
            "split_features": [0 if own else -1],
            "split_values": [threshold if own else float("inf")],
            "split_indices": [0],
            "leaf_indices": [2, 1],
        }
        return tree if gain is None else {**tree, "split_gains": [gain if own else 0.0]}

    weights = [[[1.0], [-1.0]]]
    parts = [make_part(party, [side(party)], weights if party == "carol" else None) for party in PARTIES]
    return join_parts(parts, objective="linear", base_score=base_score)


def at(value: float) -> NDArray[np.float64]:
    row = np.zeros((1, WIDTH))
    row[0, NAMES.index("a0")] = value
    return row


def test_a_leaf_weight_belongs_to_its_leafs_number() -> None:
    for scores, content in ((xgboost_scores, xgboost_model), (onnx_scores, onnx_model)):
        assert scores(content(stump(0.5)), at(0.4)) == [-1.0]
        assert scores(content(stump(0.5)), at(0.6)) == [1.0]


@pytest.mark.parametrize("threshold", [0.1, 0.7, 1e9 + 0.3, -0.1, 1 / 3, 16777217.0])
def test_a_value_at_a_float64_threshold_goes_right_everywhere(threshold: float) -> None:
    """Thresholds are often values of the data, which float32 cannot write."""
    below = np.nextafter(np.float32(threshold), np.float32(-np.inf))
    for value, score in ((threshold, 1.0), (float(below), -1.0), (threshold + abs(threshold) * 1e-6, 1.0)):
        assert xgboost_scores(xgboost_model(stump(threshold)), at(value)) == [score]
        assert onnx_scores(onnx_model(stump(threshold)), at(value)) == [score]


def test_onnx_tells_apart_what_float32_cannot() -> None:
    just_below = np.nextafter(0.1, 0)
    assert onnx_scores(onnx_model(stump(0.1)), at(just_below)) == [-1.0]
    assert xgboost_scores(xgboost_model(stump(0.1)), at(just_below)) == [1.0], "as the docstring says"


def test_thresholds_stay_finite_float32() -> None:
    largest = np.finfo(np.float32).max
    assert np.float32(float32_threshold(float("inf"))) == largest
    assert np.float32(float32_threshold(-1e300)) == -largest
    for value in (0.1, 1e-40, 123456.789):
        assert np.float32(float32_threshold(value)) == np.float32(value)


def test_xgboost_file_keeps_names_gains_and_shape() -> None:
    booster = load_xgboost(xgboost_model(stump(0.5)))
    assert booster.feature_names == NAMES
    assert booster.get_score(importance_type="total_gain") == {"a0": 7.5}
    (root, left, right) = booster.trees_to_dataframe().to_dict("records")
    assert (root["Feature"], root["Split"], root["Yes"], root["No"], root["Missing"]) == (
        "a0",
        0.5,
        "0-1",
        "0-2",
        "0-2",
    )
    assert (left["Gain"], right["Gain"]) == (-1.0, 1.0)
    assert root["Cover"] == left["Cover"] + right["Cover"]


@settings(max_examples=30, deadline=None)
@given(made=made_models())
def test_shap_values_add_up_to_the_raw_score(made: Made) -> None:
    booster = load_xgboost(xgboost_model(joined(made)))
    rows = matrix(made.rows)
    shares = booster.predict(rows, pred_contribs=True)
    assert np.isfinite(shares).all()
    np.testing.assert_allclose(shares.sum(axis=1), booster.predict(rows, output_margin=True), atol=1e-4)


def test_xgboost_writes_the_loaded_model_again() -> None:
    content = xgboost_model(stump(0.1, base_score=0.3))
    again = json.loads(load_xgboost(content).save_raw("json"))["learner"]["gradient_booster"]["model"]["trees"]
    trees = json.loads(content)["learner"]["gradient_booster"]["model"]["trees"]
    assert len(again) == len(trees) == 2, "a base score is a tree of one leaf"
    for field in ("split_conditions", "base_weights", "loss_changes", "sum_hessian"):
        for written, read in zip(trees, again, strict=True):
            assert np.array_equal(np.float32(written[field]), np.float32(read[field])), field


def test_unknown_gains_are_zero() -> None:
    assert stump(0.5, gain=None).trees[0][0].gain == 0
    load_xgboost(xgboost_model(stump(0.5, gain=None)))


def test_onnx_file_names_its_columns() -> None:
    model = onnx.load_from_string(onnx_model(stump(0.5)))
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata["feature_names"]) == NAMES
    assert metadata["objective"] == "linear"


def test_a_name_that_two_parties_use_is_told_apart() -> None:
    parts = [
        {"party": party, "features": names, "trees": []}
        for party, names in (("carol", ["age", "bmi"]), ("alice", ["age"]))
    ]
    parts[0]["leaf_weights"] = []
    model = join_parts(parts, objective="linear", base_score=0.0)
    assert model.features == ("carol.age", "bmi", "alice.age")


def test_xgboost_refuses_names_that_it_does_not_take() -> None:
    model = stump(0.5)._replace(features=("a[0]", *NAMES[1:]))
    with pytest.raises(BundleError, match="name of a feature") as refused:
        xgboost_model(model)
    assert "a[0]" not in str(refused.value)
    onnx_model(model)


@pytest.mark.parametrize(
    "fault", ["nobody splits", "two split", "other shape", "cut tree", "fewer trees", "fewer weights"]
)
def test_parts_that_do_not_belong_together_are_refused(fault: str) -> None:
    def side(owns: bool) -> dict[str, Any]:
        return {
            "split_features": [0 if owns else -1],
            "split_values": [0.5],
            "split_indices": [0],
            "leaf_indices": [1, 2],
        }

    parts = [make_part(party, [side(party == "alice")]) for party in PARTIES]
    parts[0]["leaf_weights"] = [[[0.1], [0.2]]]
    join_parts(parts, objective="linear", base_score=0.0)
    match fault:
        case "nobody splits":
            parts[1]["trees"] = [side(False)]
        case "two split":
            parts[2]["trees"] = [side(True)]
        case "other shape":
            parts[2]["trees"][0]["leaf_indices"] = [2, 1]
        case "cut tree":
            for part in parts:
                part["trees"][0]["leaf_indices"] = [1]
        case "fewer trees":
            parts[2]["trees"] = []
        case "fewer weights":
            parts[0]["leaf_weights"] = [[[0.1]]]
    with pytest.raises(BundleError, match="do not make a whole model"):
        join_parts(parts, objective="linear", base_score=0.0)
