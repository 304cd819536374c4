"""What an evaluation says: intervals, curves and tables over bins of enough rows, and groups that are large enough."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics
from sklearn.calibration import calibration_curve

from runner.spec.evaluation import Evaluate
from runner.stages.assess import Task, metrics_by_group, scalar_metrics, tables
from runner.stages.bootstrap import intervals
from runner.stages.metrics import evaluate_scores

RNG = np.random.default_rng(7)
SCORE = RNG.permutation(np.linspace(0.005, 0.995, 100))
LABEL = (RNG.random(100) < SCORE).astype(float)
LOGISTIC = Task("logistic", Evaluate())
LINEAR = Task("linear", Evaluate())


def test_todays_metrics_stay_and_each_has_an_interval_around_it() -> None:
    found = scalar_metrics(LOGISTIC, LABEL, SCORE)
    bounds = found.pop("intervals")
    assert found.items() >= evaluate_scores("logistic", LABEL, SCORE).items()
    assert set(bounds) == set(found)
    for name in ("auc", "accuracy", "log_loss", "brier"):
        low, high = bounds[name]
        assert low < found[name] < high


def test_same_seed_same_intervals_and_none_without_resamples() -> None:
    assert scalar_metrics(LOGISTIC, LABEL, SCORE) == scalar_metrics(LOGISTIC, LABEL, SCORE)
    other = scalar_metrics(LOGISTIC._replace(seed=1), LABEL, SCORE)
    assert other["intervals"] != scalar_metrics(LOGISTIC, LABEL, SCORE)["intervals"]
    assert "intervals" not in scalar_metrics(Task("logistic", Evaluate(bootstrap=0)), LABEL, SCORE)


def test_interval_of_a_mean_is_that_of_the_normal_distribution() -> None:
    values = RNG.normal(size=2000)
    (bounds,) = intervals(lambda w: {"mean": w @ values / 2000}, 2000, 2000, seed=0).values()
    half = 1.96 * values.std() / np.sqrt(2000)
    assert bounds == pytest.approx([values.mean() - half, values.mean() + half], abs=0.15 * half)


def test_what_most_resamples_do_not_define_has_no_interval() -> None:
    label = np.ones(50)
    label[0] = 0
    assert scalar_metrics(LOGISTIC, label, SCORE[:50])["intervals"]["auc"] is not None
    assert scalar_metrics(LOGISTIC, np.ones(50), SCORE[:50])["intervals"]["auc"] is None


def test_ten_thousand_rows_take_seconds_and_no_minutes() -> None:
    score = RNG.random(10_000)
    label = (RNG.random(10_000) < score).astype(float)
    began = time.process_time()
    scalar_metrics(LOGISTIC, label, score)
    assert time.process_time() - began < 10  # 0.5 s where nothing else runs; a loop over rows would take minutes


def test_curves_of_few_rows_are_scikit_learns() -> None:
    found = tables(LOGISTIC, LABEL, SCORE, 1)
    false_alarms, hits, _ = sklearn_metrics.roc_curve(LABEL, SCORE, drop_intermediate=False)
    assert found["roc"]["false_positive_rate"] == pytest.approx(false_alarms)
    assert found["roc"]["true_positive_rate"] == pytest.approx(hits)
    precision, recall, _ = sklearn_metrics.precision_recall_curve(LABEL, SCORE)
    assert found["precision_recall"]["precision"] == pytest.approx(precision[-2::-1])
    assert found["precision_recall"]["recall"] == pytest.approx(recall[-2::-1])


def test_groups_of_the_lift_table_are_scikit_learns_quantiles_of_calibration() -> None:
    task = Task("logistic", Evaluate(thresholds=()))
    groups = tables(task, LABEL, SCORE, 1)["lift"][::-1]
    seen, predicted = calibration_curve(LABEL, SCORE, n_bins=10, strategy="quantile")
    assert [group["positive_rate"] for group in groups] == pytest.approx(seen)
    assert [group["mean_score"] for group in groups] == pytest.approx(predicted)
    assert groups[0]["gain"] == groups[0]["share_of_rows"] == 1
    assert groups[-1]["lift"] == pytest.approx(groups[-1]["positive_rate"] / LABEL.mean())


def test_confusion_is_scikit_learns() -> None:
    found = tables(Task("logistic", Evaluate(thresholds=(0.7, 0.3))), LABEL, SCORE, 1)["confusion"]
    assert [row["threshold"] for row in found] == [0.3, 0.7]
    for row in found:
        right = sklearn_metrics.confusion_matrix(LABEL, row["threshold"] <= SCORE).ravel().tolist()
        names = ("true_negatives", "false_positives", "false_negatives", "true_positives")
        assert [row[name] for name in names] == right
        assert row["recall"] == sklearn_metrics.recall_score(LABEL, row["threshold"] <= SCORE)


def test_threshold_between_too_few_rows_is_suppressed() -> None:
    found = tables(Task("logistic", Evaluate(thresholds=(0.5, 0.55, 0.95))), LABEL, SCORE, 20)["confusion"]
    assert [row.get("suppressed", False) for row in found] == [True, False, True]


@given(
    scores=st.lists(st.floats(0, 1) | st.sampled_from([0.1, 0.5, 0.9]), min_size=1, max_size=150),
    least=st.integers(1, 30),
    thresholds=st.lists(st.sampled_from([0.05, 0.1, 0.3, 0.5, 0.52, 0.9]), unique=True),
    seed=st.integers(0, 99),
)
@settings(max_examples=100, deadline=None)
def test_every_difference_of_two_things_shown_is_of_enough_rows(
    scores: list[float], least: int, thresholds: list[float], seed: int
) -> None:
    """The numbers of rows up to each point of any table, put together, are never fewer than ``least`` apart."""
    score, rows = np.array(scores), len(scores)
    label = np.random.default_rng(seed).integers(0, 2, rows).astype(float)
    found = tables(Task("logistic", Evaluate(thresholds=tuple(thresholds))), label, score, least)
    json.dumps(found, allow_nan=False)
    positives = label.sum()
    places = {0, rows}
    if 0 < positives < rows:
        hits = np.array(found["roc"]["true_positive_rate"]) * positives
        misses = np.array(found["roc"]["false_positive_rate"]) * (rows - positives)
        places |= set(np.rint(hits + misses).astype(int).tolist())
    places |= set(np.cumsum([group["rows"] for group in found["lift"]]).tolist())
    places |= {row["true_positives"] + row["false_positives"] for row in found["confusion"] if "suppressed" not in row}
    assert min(np.diff(sorted(places))) >= min(least, rows)
    assert len(found["roc"]["true_positive_rate"]) <= 101 + len(thresholds)


def test_residuals_of_single_rows_are_only_where_bins_may_have_one() -> None:
    label, score = RNG.normal(size=200), RNG.normal(size=200)
    own, shared = (tables(LINEAR, label, score, least) for least in (1, 20))
    assert own["residuals"]["quantiles"]["0.5"] == pytest.approx(np.median(label - score))
    assert "quantiles" not in shared["residuals"]
    for name in ("residuals_by_rank", "by_prediction"):
        assert min(group["rows"] for group in shared[name]) >= 20
        assert sum(group["rows"] for group in shared[name]) == 200
    means = [group["mean"] for group in shared["residuals_by_rank"]]
    assert means == sorted(means)


def groups(**counts: int) -> Any:
    return np.repeat(list(counts), list(counts.values()))


def test_metrics_of_a_group_are_those_of_its_rows() -> None:
    split = groups(a=60, b=40)
    found = metrics_by_group(LOGISTIC, LABEL, SCORE, split, 20)
    assert [(group["group"], group["rows"]) for group in found["groups"]] == [("a", 60), ("b", 40)]
    alone = scalar_metrics(LOGISTIC, LABEL[60:], SCORE[60:])
    assert {name: found["groups"][1][name] for name in alone} == alone
    assert found["not_shown"] == {"groups": 0, "rows": 0}


@pytest.mark.parametrize(
    ("split", "shown", "rows"),
    [
        (groups(a=50, b=30, c=10, d=10), ["a", "b"], 20),
        (groups(a=50, b=35, c=15), ["a"], 50),  # c alone would be what is left of the whole
        (groups(a=85, b=15), [], 100),
        (groups(**{f"g{number}": 5 for number in range(20)}), [], 100),
    ],
)
def test_small_groups_are_not_shown_nor_what_would_give_them_away(split: Any, shown: list[str], rows: int) -> None:
    found = metrics_by_group(LOGISTIC, LABEL, SCORE, split, 20)
    assert [group["group"] for group in found["groups"]] == shown
    assert found["not_shown"]["rows"] == rows


def test_group_of_one_class_has_no_auc_and_is_json() -> None:
    found = metrics_by_group(LOGISTIC, np.ones(40), SCORE[:40], groups(a=40), 20)
    json.dumps(found, allow_nan=False)
    assert found["groups"][0]["auc"] is None
    assert found["groups"][0]["accuracy"] is not None
