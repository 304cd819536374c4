"""Contradictions between settings that are each valid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support import make_spec

from runner.cluster.processes import ALL_PARTIES
from runner.errors import SpecError
from runner.policy.flows import TERMINAL
from runner.spec.check import LEAST_BIN_WIDTH, METRICS_BY_OBJECTIVE
from runner.spec.columns import columns_of
from runner.spec.model import PLAIN_SCHEMES
from runner.spec.parse import parse

Changed = Callable[..., dict[str, Any]]
FOLDERS = {"alice": "a", "bob": "b", "carol": "c"}
SECRET = {"mode": "secret", "holder": "carol", "inputs": {"carol": "target"}, "rule": "any", "predict": "none"}
METRICS = ("roc_auc", "tweedie_deviance", "tweedie_nll", "mse", "rmse")


def refusal(values: dict[str, Any]) -> SpecError:
    with pytest.raises(SpecError) as caught:
        parse(values)
    error = caught.value
    assert all((error.what, error.where, error.why, error.fix))
    return error


@pytest.mark.parametrize(
    ("changes", "where", "fix"),
    [
        ({"label.holder": "dave"}, "label.holder", "allowed: alice, bob, carol"),
        ({"label.holder": "carl"}, "label.holder", "did you mean 'carol'?"),
        ({"policy.predictions.recipients": ["dave"]}, "policy.predictions.recipients", "alice"),
        ({"policy.metrics.recipients": ["carol", "dave"]}, "policy.metrics.recipients", "alice"),
        ({"policy.metrics.recipients": ["bob", "bob"]}, "policy.metrics.recipients", "once"),
        ({"policy.predictions.recipients": ["bob", "carol", "bob"]}, "policy.predictions.recipients", "once"),
        ({"cluster.viewer": "dave"}, "cluster.viewer", "alice"),
        ({"cluster.ports": {"dave": 8000}}, "cluster.ports.dave", "alice"),
        ({"cluster.ports": {"alice": 8000, "bob": 8000}}, "cluster.ports", "different ports"),
        ({"label.column": "patient_id"}, "label.column", "own column"),
        ({"data.tables.dave": {"path": "x", "contract": "y:Z"}}, "data.tables.dave", "alice"),
        ({"parties.dave": {"key_file": "x"}}, "data.tables.dave", "leave the party out"),
        ({"sgb.sketch_eps": 0.0079}, "sgb.sketch_eps", str(LEAST_BIN_WIDTH)),
        ({"sgb.save_best_model": True}, "sgb.save_best_model", "enable_early_stop=true"),
        ({"sgb.enable_goss": True, "sgb.top_rate": 0.5, "sgb.bottom_rate": 0.5}, "sgb.top_rate", "less than 1"),
        ({"sgb.enable_goss": True, "sgb.rowsample_by_tree": 0.9}, "sgb.rowsample_by_tree", "enable_goss=false"),
        ({"evaluate.thresholds": [0.5, 0.3, 0.5]}, "evaluate.thresholds", "once"),
        ({"evaluate.thresholds": [1.0]}, "evaluate.thresholds", "< 1"),
        ({"evaluate.bootstrap": -1}, "evaluate.bootstrap", ">= 0"),
        ({"evaluate.group_by": "sex", "label.predict": "none"}, "evaluate.group_by", "label.predict"),
        ({"evaluate.group_by": "sex", "task.name": "cv"}, "evaluate.group_by", "train_predict"),
        ({"task.name": "predict"}, "model", "model=<run folder"),
        ({"model": "outputs/some/run"}, "model", "task=predict"),
        ({"task.name": "train", "model": "outputs/some/run"}, "model", "task=predict"),
        ({"task.name": "check", "model": "outputs/some/run"}, "model", "task=predict"),
        ({"task.name": "export"}, "model", "model=<run folder"),
        ({"task.name": "export", "model": "x", "export.format": "xgboost"}, "export.at", "set export.at"),
        ({"task.name": "export", "model": "x", "export": {"format": "onnx", "at": "dave"}}, "export.at", "alice"),
        ({"task.name": "export", "model": "x", "export.at": "carol"}, "export.at", "remove"),
        ({"export": {"format": "xgboost", "at": "carol"}}, "export.at", "remove"),
        ({"task.name": "export", "model": "x", "label": SECRET}, "label.mode", "task=predict"),
        ({"task.name": "import", "import_from": FOLDERS, "label": SECRET}, "label.mode", "another label mode"),
        ({"task.name": "import"}, "import_from.carol", "alice: <folder>"),
        ({"task.name": "import", "import_from": {"alice": "a", "carol": "c"}}, "import_from.bob", "bob: <folder>"),
        ({"task.name": "import", "import_from": {**FOLDERS, "dave": "d"}}, "import_from.dave", "alice"),
        ({"task.name": "import", "import_from": FOLDERS, "model": "x"}, "model", "task=predict"),
        ({"import_from": FOLDERS}, "import_from", "task=import"),
        ({"prepare.numbers.clip": [0.9, 0.1]}, "prepare.numbers.clip", "lower"),
        ({"prepare.numbers.clip": [0.5, 0.5]}, "prepare.numbers.clip", "lower"),
        ({"prepare.categories.encode": "target"}, "prepare.categories.encode", "contract"),
        ({"task.name": "import", "import_from": FOLDERS, "prepare.drop_constant": True}, "prepare", "prepare=strict"),
    ],
)
def test_contradiction_is_refused(changed: Changed, changes: dict[str, Any], where: str, fix: str) -> None:
    error = refusal(changed(changes))
    assert error.where == where
    assert fix in error.fix


@pytest.mark.parametrize(
    "changes",
    [
        {"sgb.sketch_eps": LEAST_BIN_WIDTH},
        {"sgb.save_best_model": True, "sgb.enable_early_stop": True},
        {"sgb.top_rate": 0.9, "sgb.bottom_rate": 0.9},
        {"sgb.enable_goss": True, "sgb.top_rate": 0.3, "sgb.bottom_rate": 0.5},
        {"sgb.objective": "linear", "sgb.eval_metric": "roc_auc"},
        {"cluster.ports": {"alice": 8000, "bob": 8001}},
        {"cluster.viewer": "alice"},
        {"prepare.numbers.clip": [0.1, 0.9]},
        {"task.name": "import", "import_from": FOLDERS},
        {"policy.predictions.recipients": ["alice", "bob", "carol"]},
        {"task.name": "predict", "model": "outputs/some/run"},
        {"task.name": "check", "task.plan": "predict"},
        {"task.name": "check", "task.plan": "predict", "model": "outputs/some/run"},
    ],
)
def test_neighbour_of_a_contradiction_is_valid(changed: Changed, changes: dict[str, Any]) -> None:
    parse(changed(changes))


@pytest.mark.parametrize("number", [0, 1])
def test_fewer_than_two_parties_are_refused(changed: Changed, number: int) -> None:
    values = changed({})
    for section in (values["data"]["tables"], values["parties"]):
        for party in list(section)[number:]:
            del section[party]
    assert refusal(values)


def test_two_parties_are_enough(changed: Changed) -> None:
    values = changed({})
    del values["data"]["tables"]["bob"], values["parties"]["bob"]
    assert parse(values).party_order() == ("carol", "alice")


@pytest.mark.parametrize("observer", ["sgb.enable_monitor", "sgb.enable_early_stop"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("objective", METRICS_BY_OBJECTIVE)
def test_metric_must_fit_the_objective_where_it_is_used(
    changed: Changed, objective: str, metric: str, observer: str
) -> None:
    values = changed({"sgb.objective": objective, "sgb.eval_metric": metric, observer: True})
    if metric in METRICS_BY_OBJECTIVE[objective]:
        parse(values)
    else:
        error = refusal(values)
        assert error.where == "sgb.eval_metric"
        assert all(fitting in error.fix for fitting in METRICS_BY_OBJECTIVE[objective])


@pytest.mark.parametrize("scheme", PLAIN_SCHEMES)
def test_scheme_that_encrypts_nothing_passes_under_pytest_only(
    changed: Changed, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    values = changed({"crypto.scheme": scheme})
    parse(values)
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    error = refusal(values)
    assert error.where == "crypto.scheme"
    assert "crypto=ou" in error.fix


def test_short_keys_pass_under_pytest_only(changed: Changed, monkeypatch: pytest.MonkeyPatch) -> None:
    values = changed({"crypto.key_bits": 1024})
    parse(values)
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    assert refusal(values).where == "crypto.key_bits"
    parse(changed({"crypto.key_bits": 2048}))


@pytest.mark.parametrize("scheme", ["ou", "paillier", "zpaillier"])
def test_real_schemes_pass_everywhere(changed: Changed, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    assert parse(changed({"crypto.scheme": scheme})).crypto.scheme == scheme


@pytest.mark.parametrize("name", [TERMINAL, ALL_PARTIES])
def test_party_may_not_take_a_name_that_the_runner_uses(changed: Changed, name: str) -> None:
    """The policy's word for the screen, and the cluster's word for everybody, must not mean a party as well."""
    values = changed({})
    for section in (values["data"]["tables"], values["parties"]):
        section[name] = section.pop("bob")
    refusal(values)


def test_an_export_needs_no_table(changed: Changed) -> None:
    values = changed({"task.name": "export", "model": "x"})
    values["data"]["tables"] = {}
    assert parse(values).tables() == {}
    values["task"]["name"] = "predict"
    assert refusal(values).where == "data.tables"


@pytest.mark.parametrize("task", ["export", "import"])
def test_neither_export_nor_import_reads_a_label(changed: Changed, task: str) -> None:
    companions = {"model": "x"} if task == "export" else {"import_from": FOLDERS}
    spec = parse(changed({"task.name": task, **companions, "label.predict": "alice", "label.predict_column": "y"}))
    if task == "import":
        assert all(columns_of(spec, party).read == frozenset() for party in spec.parties)
        assert columns_of(spec, "carol").not_features() == {"patient_id", "target"}
    assert not spec.needs_spu()
    assert spec.evaluator() is None


@pytest.mark.parametrize(
    ("overrides", "where"),
    [
        (("cv.by=group",), "cv.at"),
        (("cv.by=time", "cv.at=bob"), "cv.column"),
        (("cv.by=group", "cv.at=dave", "cv.column=town"), "cv.at"),
        (("cv.column=town",), "cv.column"),
        (("task=cv", "label.predict=none"), "label.predict"),
        (("task=cv", "cv.by=stratified", "sgb.objective=linear", "sgb.eval_metric=rmse"), "cv.by"),
        (("task=cv", "train.checkpoint_every=2"), "train.checkpoint_every"),
        (("task=cv", "evaluate.group_by=town"), "evaluate.group_by"),
    ],
)
def test_folds_that_cannot_be_dealt_are_refused(overrides: tuple[str, ...], where: str) -> None:
    with pytest.raises(SpecError) as refused:
        make_spec(*overrides)
    assert refused.value.where == where


def test_a_cross_validation_runs_its_stages_for_each_fold_and_keeps_a_model_only_with_refit() -> None:
    once = make_spec("task=cv")
    assert once.stages_at_once() == ("align", "folds")
    assert "save" not in once.stages()
    assert make_spec("task=cv", "cv.refit=true").stages_at_once() == (
        *("align", "folds", "prepare", "label", "train"),
        "save",
    )
