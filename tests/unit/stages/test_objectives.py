"""Objectives, weights, base score, early stopping: equal to XGBoost on the pooled columns, to the last digits."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import xgboost
from sklearn.metrics import roc_auc_score as sklearn_auc
from sklearn.multiclass import OneVsRestClassifier
from unit.stages.trainings import ORDER, PLAIN, House, draw_features

from runner.errors import DataError

ROWS = 240
X = draw_features(ROWS)
DRAW = np.random.default_rng(11)
SIGNAL = X @ np.array([1.0, -0.7, 0.9, 0.3, -0.5, 0.8]) + 0.3 * (X[:, 0] * X[:, 2]) ** 0.5 - 8 + DRAW.normal(size=ROWS)
WEIGHT = DRAW.integers(1, 6, ROWS).astype(np.float64) / 2
LABELS = {
    "logistic": (SIGNAL > 0).astype(float),
    "linear": SIGNAL,
    "tweedie": np.where(DRAW.random(ROWS) < 0.5, 0.0, np.exp(SIGNAL / 10) * DRAW.gamma(2.0, 1.0, ROWS)),
}
THEIRS = {"logistic": "binary:logistic", "linear": "reg:squarederror", "tweedie": "reg:tweedie"}
# Gradients lose what is below 2^-20, and XGBoost adds in float32. Scores are those of the training rows: where to cut
# between two values that no training row has between is a tie.
CLOSE = 2e-4


@pytest.fixture(scope="module")
def house(
    secretflow: None, changed: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """Three parties in one process."""
    from secretflow.device import PYU
    from secretflow.device.driver import shutdown

    from runner.engine.start import start_debug

    start_debug(ORDER)
    yield House(tmp_path_factory.mktemp("house"), {party: PYU(party) for party in ORDER}, changed)
    shutdown()


def ours(house: House, label: Any, changes: dict[str, Any], **table: Any) -> Any:
    return house.scores(house.train(house.context(X, label, changes, **table)), X)


def parameters(objective: str, base: float = 0.0) -> dict[str, Any]:
    intercept = {"logistic": 1 / (1 + np.exp(-base)), "linear": base, "tweedie": np.exp(base)}[objective]
    return {
        "objective": THEIRS[objective],
        "tree_method": "exact",
        "max_depth": PLAIN["sgb.max_depth"],
        "eta": 0.3,
        "reg_lambda": 1.0,
        "min_child_weight": 0,
        "base_score": float(intercept),
        **({"tweedie_variance_power": 1.5} if objective == "tweedie" else {}),
    }


def theirs(objective: str, label: Any, base: float = 0.0, weight: Any = None) -> Any:
    train = xgboost.DMatrix(X, label, weight=weight)
    rounds = int(str(PLAIN["sgb.num_boost_round"]))
    return xgboost.train(parameters(objective, base), train, rounds).predict(train)


@pytest.mark.parametrize("objective", LABELS)
def test_scores_are_xgboosts(house: House, objective: str) -> None:
    label = LABELS[objective]
    assert ours(house, label, {"sgb.objective": objective}) == pytest.approx(theirs(objective, label), rel=CLOSE)


@pytest.mark.parametrize("objective", LABELS)
def test_weighted_scores_are_xgboosts(house: House, objective: str) -> None:
    label = LABELS[objective]
    found = ours(house, label, {"sgb.objective": objective, "label.weight": "weight"}, weight=WEIGHT)
    assert found == pytest.approx(theirs(objective, label, weight=WEIGHT), rel=CLOSE)
    assert found != pytest.approx(theirs(objective, label), rel=0.01)


@pytest.mark.parametrize("objective", LABELS)
def test_base_score_of_the_mean_starts_where_xgboost_would(house: House, objective: str) -> None:
    label = LABELS[objective]
    mean = float(np.average(label, weights=WEIGHT))
    link: Callable[[float], float] = {"logistic": lambda p: np.log(p / (1 - p)), "tweedie": np.log}.get(
        objective, float
    )
    changes = {"sgb.objective": objective, "sgb.base_score": "auto", "label.weight": "weight"}
    found = ours(house, label, changes, weight=WEIGHT)
    assert found == pytest.approx(theirs(objective, label, link(mean), WEIGHT), rel=CLOSE)


def test_base_score_of_the_mean_is_in_the_label_holders_leaves_alone(house: House) -> None:
    context = house.context(X, LABELS["linear"], {"sgb.objective": "linear", "sgb.base_score": "auto"})
    model = house.train(context)
    assert model.base == 0.0
    mean = LABELS["linear"].mean()
    assert np.mean(np.asarray(model.trees[0].leaf_weight.data)) == pytest.approx(mean, abs=1.0)
    assert all(event["event"] != "shown" or "base" not in event["value"] for event in house.told)


def test_weight_2_is_a_row_twice(house: House) -> None:
    label = LABELS["logistic"]
    twice = np.arange(0, ROWS, 3)
    weight = np.ones(ROWS)
    weight[twice] = 2
    found = ours(house, label, {"label.weight": "weight"}, weight=weight)
    repeated = np.concatenate([np.arange(ROWS), twice])
    model = house.train(house.context(X[repeated], label[repeated], {}))
    assert found == pytest.approx(house.scores(model, X), rel=CLOSE)


@pytest.mark.parametrize(("wanted", "factors"), [({"0": 1, "1": 5}, (1.0, 5.0)), ({"1": 0.25}, (1.0, 0.25))])
def test_class_weights_are_weights_of_rows(
    house: House, wanted: dict[str, float], factors: tuple[float, float]
) -> None:
    label = LABELS["logistic"]
    found = ours(house, label, {"label.class_weight": wanted})
    weight = np.where(label == 1, factors[1], factors[0])
    assert found == pytest.approx(theirs("logistic", label, weight=weight), rel=CLOSE)


def test_weights_and_samples_go_together(house: House) -> None:
    changes = {"sgb.rowsample_by_tree": 0.7, "sgb.colsample_by_tree": 0.5, "label.class_weight": "balanced"}
    sampled = ours(house, LABELS["logistic"], changes)
    assert np.corrcoef(sampled.reshape(-1), LABELS["logistic"])[0, 1] > 0.5
    assert sampled != pytest.approx(ours(house, LABELS["logistic"], {"label.class_weight": "balanced"}), rel=0.01)


def test_early_stopping_keeps_the_best_model(house: House) -> None:
    noise = np.random.default_rng(2).integers(0, 2, ROWS).astype(float)
    changes = {
        "sgb.num_boost_round": 12,
        "sgb.enable_early_stop": True,
        "sgb.validation_fraction": 0.3,
        "sgb.stopping_rounds": 2,
        "policy.metrics.recipients": ["all"],
    }
    context = house.context(X, noise, {**changes, "sgb.save_best_model": True})
    best = house.train(context)
    last = house.train(house.context(X, noise, changes))
    assert len(last.trees) < 12, "noise cannot be learnt"
    assert len(best.trees) == len(last.trees) - 2, "as many as the best of the trees that were seen has before it"
    assert house.scores(best, X) == pytest.approx(house.scores(last[: len(best.trees)], X))
    assert house.scores(best, X) != pytest.approx(house.scores(last, X))


@pytest.mark.parametrize(
    ("objective", "metric"),
    [("linear", "rmse"), ("tweedie", "tweedie_deviance"), ("tweedie", "tweedie_nll")],
)
def test_early_stopping_goes_on_while_the_model_gets_better(house: House, objective: str, metric: str) -> None:
    changes = {
        "sgb.objective": objective,
        "sgb.eval_metric": metric,
        "sgb.enable_early_stop": True,
        "sgb.save_best_model": True,
        "sgb.validation_fraction": 0.3,
        "sgb.learning_rate": 0.1,
        "sgb.base_score": "auto",
        "policy.metrics.recipients": ["all"],
    }
    label = np.where(SIGNAL < 0, 0, SIGNAL**2) if objective == "tweedie" else LABELS[objective]
    model = house.train(house.context(X, label, changes))
    assert len(model.trees) == 4, "each tree makes it better, to the last round"


def test_secretflows_auc_is_scikit_learns(secretflow: None) -> None:
    from secretflow.stats.core.metrics import roc_auc_score

    score = DRAW.integers(1, 5, (ROWS, 1)) / 5
    label = LABELS["logistic"].reshape(-1, 1)
    assert float(roc_auc_score(label, score)) == pytest.approx(sklearn_auc(label, score), abs=1e-5)


CULTIVARS = np.array(["barolo", "grignolino", "ümlaut"])
CODES = np.digitize(SIGNAL, [-2.0, 3.0]).astype(float)


def several(house: House, changes: dict[str, Any]) -> tuple[Any, Any]:
    context = house.context(X, CODES, {"sgb.objective": "multiclass", **changes}, classes=CULTIVARS)
    return context, house.train(context)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_several_classes_are_scikit_learns_one_vs_rest_over_xgboost(house: House, class_weight: str | None) -> None:
    _, model = several(house, {"label.class_weight": class_weight})
    settings = parameters("logistic")
    one = xgboost.XGBClassifier(
        n_estimators=PLAIN["sgb.num_boost_round"], learning_rate=settings.pop("eta"), **settings
    )
    if class_weight is None:
        expected = OneVsRestClassifier(one).fit(X, CODES).predict_proba(X)
    else:
        counts = np.bincount(CODES.astype(int))
        weight = (len(CODES) / (3 * counts))[CODES.astype(int)]
        each = [one.fit(X, at == CODES, sample_weight=weight).predict_proba(X)[:, 1] for at in range(3)]
        expected = np.column_stack(each) / np.sum(each, axis=0).reshape(-1, 1)
    assert house.scores(model, X) == pytest.approx(expected, rel=CLOSE)


def test_several_classes_start_from_the_share_of_each(house: House) -> None:
    _, model = several(house, {"sgb.base_score": "auto", "sgb.num_boost_round": 1, "sgb.learning_rate": 1e-6})
    shares = np.bincount(CODES.astype(int)) / ROWS
    assert house.scores(model, X) == pytest.approx(np.tile(shares, (ROWS, 1)), abs=1e-4)


def test_model_of_several_classes_is_the_same_after_its_bundle(house: House) -> None:
    from runner.stages.load import load
    from runner.stages.save import save

    context, model = several(house, {})
    before = house.scores(model, X)
    manifest = save(context, model)
    assert manifest.classes == (4, 4, 4)
    assert manifest.trees == 12
    for party in ORDER:
        for path in context.bundles[party].iterdir():
            assert not any(name.encode() in path.read_bytes() for name in CULTIVARS), "names are encrypted"
    loaded = load(context)
    assert np.array_equal(house.scores(loaded, X), before)
    assert loaded.names.data == CULTIVARS.tolist()


def test_party_with_labels_of_its_own_compares_by_name(house: House) -> None:
    """alice's table has two of the classes only, and so numbers them otherwise."""
    from runner.stages.evaluate import evaluate
    from runner.stages.score import score_openly

    _, model = several(house, {})
    known = CODES > 0
    test = np.arange(ROWS) % 2 == 0
    changes = {
        "sgb.objective": "multiclass",
        "label.predict": "alice",
        "label.predict_column": "seen",
        "policy.predictions.recipients": ["carol", "alice"],
        "policy.metrics.recipients": ["alice", "bob"],
    }
    context = house.context(X[known], None, changes, test=test[known], truth=(CODES[known] - 1, CULTIVARS[1:]))
    evaluate(context, score_openly(context, model), None)
    found = {
        party: json.loads((context.sites[party].folder / "metrics.json").read_bytes()) for party in ("alice", "bob")
    }
    chosen = house.scores(model, X)[known & test].argmax(axis=1)
    assert found["alice"]["accuracy"] == pytest.approx(np.mean(chosen == CODES[known & test]))
    assert found["alice"]["recall [barolo]"] == found["bob"]["recall [0]"] == 0.0
    assert found["alice"]["f1 [ümlaut]"] == found["bob"]["f1 [2]"]
    assert not (context.sites["carol"].folder / "metrics.json").exists()


def test_class_that_the_model_does_not_know_is_refused_by_count(house: House) -> None:
    from runner.stages.multiclass import numbered_as

    site = house.context(X, CODES, {}, test=np.ones(ROWS, dtype=bool), classes=CULTIVARS).sites["carol"]
    with pytest.raises(DataError) as caught:
        numbered_as(["barolo", "grignolino"], site, truth=False)
    assert caught.value.what == f"{int(np.sum(CODES == 2))} rows have a class that the model does not know"
    assert "ümlaut" not in str(caught.value)


def test_columns_of_a_file_are_named_after_the_classes(secretflow: None) -> None:
    from runner.stages.multiclass import columns

    scores = np.array([[0.2, 0.8], [0.75, 0.25]])
    found = columns("rounded", scores, [10, -3])
    assert list(found) == ["class", "score_10", "score_-3"]
    assert found["class"].tolist() == [-3, 10]
    assert found["score_10"].tolist() == pytest.approx([0.2, 0.75])
    assert columns("class", np.array([1, 0]), ["a", "b"])["class"].tolist() == ["b", "a"]


def test_curve_says_which_class_it_is_of(house: House) -> None:
    several(house, {"policy.curves.recipients": ["all"], "sgb.num_boost_round": 2})
    points = [event["value"] for event in house.told if event["event"] == "shown"]
    assert [(point["class"], point["trees"]) for point in points] == [(c, t) for c in range(3) for t in (1, 2)]
    assert [event["trees"] for event in house.told if event["event"] == "tree"] == [1, 2, 3, 4, 5, 6]
    assert {event["of"] for event in house.told if event["event"] == "tree"} == {6}


def test_class_that_is_not_there_has_no_weight(house: House) -> None:
    with pytest.raises(DataError) as caught:
        ours(house, LABELS["logistic"], {"label.class_weight": {"2": 3.0}})
    assert caught.value.where == "label.class_weight"
