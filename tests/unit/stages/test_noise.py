"""With label DP nothing that trains depends on a true training label; on SecretFlow's devices in one process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from unit.stages.trainings import ORDER, House, draw_features

from runner.data.usable import require_usable
from runner.errors import BundleError, DataError, PolicyError
from runner.privacy.randomness import STAND_IN

ROWS = 120
X = draw_features(ROWS)
TEST = np.arange(ROWS) % 4 == 0
LABEL = (X[:, 0] + X[:, 2] > 9).astype(float)
NOISY = np.where(np.arange(ROWS) % 5 == 0, 1 - LABEL, LABEL)
DP: dict[str, Any] = {
    "privacy": {"name": "label_dp", "epsilon": 1.0},
    "sgb.num_boost_round": 2,
    "policy.curves.recipients": ["all"],
}


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


def noisy_context(house: House, label: Any, changes: dict[str, Any]) -> Any:
    """A run whose label holder has ``label``, and always the same noisy labels."""
    context = house.context(X, label, {**DP, **changes}, test=TEST)
    carol = context.sites["carol"]
    carol.checked = replace(carol.table, noisy=NOISY)
    return context


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"sgb.base_score": "auto", "label.class_weight": "balanced"},
        {"privacy": {"name": "label_dp", "epsilon": 1.0, "debias": True}, "sgb.base_score": "auto"},
    ],
    ids=["plain", "base score and class weights", "debiased"],
)
def test_model_and_curve_do_not_depend_on_true_training_labels(house: House, changes: dict[str, Any]) -> None:
    found = []
    for label in (LABEL, np.where(TEST, LABEL, 1 - LABEL)):
        context = noisy_context(house, label, changes)
        scores = house.scores(house.train(context), X)
        folder = context.sites["carol"].folder
        curve = folder / "curve.json"
        found.append((scores.tolist(), curve.read_bytes() if curve.exists() else b""))
    assert found[0] == found[1]


def test_noisy_labels_are_what_is_learnt(house: House) -> None:
    plain = house.context(X, NOISY, {"sgb.num_boost_round": 2}, test=TEST)
    noisy = noisy_context(house, LABEL, {})
    assert house.scores(house.train(noisy), X).tolist() == house.scores(house.train(plain), X).tolist()


def test_evaluator_compares_with_true_labels_of_held_out_rows(house: House) -> None:
    from runner.stages.labels import join_labels

    value = join_labels(noisy_context(house, LABEL, {})).value.data
    assert value[TEST].tolist() == LABEL[TEST].tolist()
    assert value[~TEST].tolist() == NOISY[~TEST].tolist()


def test_stratified_folds_are_dealt_by_noisy_labels(house: House) -> None:
    from runner.stages.labels import training_label

    assert training_label(noisy_context(house, LABEL, {})).data.tolist() == NOISY.tolist()


def test_noisy_label_that_is_constant_is_refused(house: House) -> None:
    context = noisy_context(house, LABEL, {})
    table = context.sites["carol"].table
    require_usable(context.spec, replace(table, label=np.where(TEST, LABEL, 0.0)))
    with pytest.raises(DataError, match="constant"):
        require_usable(context.spec, replace(table, noisy=np.zeros(ROWS)))


def test_labels_are_drawn_paid_for_and_noted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from runner.stages.noise import NOISE_FILE, protect_labels

    monkeypatch.setenv(STAND_IN, "7")
    noisy, facts = [], []
    for _ in range(2):
        context = house.context(X, LABEL, DP, test=TEST)
        protect_labels(context)
        carol = context.sites["carol"]
        noisy.append(carol.table.noisy.tolist())
        facts.append(json.loads((carol.folder / NOISE_FILE).read_bytes()))
        assert context.sites["alice"].table.noisy is None
        assert carol.facts["label"]["noise"]
    assert noisy[0] == noisy[1]
    assert set(noisy[0]) == {0.0, 1.0}
    assert noisy[0] != LABEL.tolist()
    assert [fact["drawn_now"] for fact in facts] == [ROWS, 0]
    assert facts[0]["draw"] == facts[1]["draw"]


@pytest.mark.parametrize("why", ["repeated", "gone on with"])
def test_run_that_is_repeated_or_gone_on_with_takes_its_own_noise(house: House, why: str) -> None:
    from runner.stages.noise import protect_labels

    first = house.context(X, LABEL, {**DP, "data.name": why}, test=TEST)
    protect_labels(first)
    run = first.sites["carol"].folder.parent.parent
    redraw = {**DP, "privacy": {**DP["privacy"], "redraw": True}, "data.name": why}
    anew = house.context(X, LABEL, redraw, test=TEST)
    protect_labels(anew)
    again = house.context(X, LABEL, {**redraw, "resume": str(run)} if why == "gone on with" else redraw, test=TEST)
    if why == "repeated":
        again.sites["carol"].original = run
    protect_labels(again)
    noisy = [context.sites["carol"].table.noisy.tolist() for context in (first, anew, again)]
    assert noisy[2] == noisy[0] != noisy[1]


@pytest.mark.parametrize("why", ["another epsilon", "lost"])
def test_repetition_never_draws_nor_takes_other_noise(house: House, why: str) -> None:
    from runner.stages.noise import USED, protect_labels

    first = house.context(X, LABEL, {**DP, "data.name": why}, test=TEST)
    protect_labels(first)
    carol = first.sites["carol"].folder
    privacy = {"name": "label_dp", "epsilon": 0.5 if why == "another epsilon" else 1.0}
    again = house.context(X, LABEL, {**DP, "data.name": why, "privacy": privacy}, test=TEST)
    again.sites["carol"].original = carol.parent.parent
    if why == "lost":
        (carol / USED).unlink()
    with pytest.raises(BundleError, match="cannot be taken"):
        protect_labels(again)
    assert again.sites["carol"].table.noisy is None


def test_budget_that_is_too_small_stops_the_run(house: House) -> None:
    from runner.stages.noise import protect_labels

    budget = {"policy.privacy": {"budget": {"epsilon": 0.5}}, "data.name": "elsewhere"}
    context = house.context(X, LABEL, {**DP, **budget}, test=TEST)
    with pytest.raises(PolicyError, match="overspent"):
        protect_labels(context)
    assert context.sites["carol"].table.noisy is None


def test_classes_are_those_that_the_settings_name(house: House) -> None:
    from runner.stages.multiclass import announce_classes
    from runner.stages.noise import protect_labels

    kinds = np.arange(ROWS) % 3
    privacy = {"name": "label_dp", "epsilon": 8.0, "prior": {"x": 5, "y": 4, "z": 3, "never": 0.0001}}
    changes = {"privacy": privacy, "sgb.objective": "multiclass", "data.name": "kinds"}
    context = house.context(X, kinds.astype(float), changes, test=TEST, classes=np.array(["y", "z", "x"]))
    protect_labels(context)
    table = context.sites["carol"].table
    assert table.classes.tolist() == ["x", "y", "z", "never"]
    assert table.label[:3].tolist() == [1.0, 2.0, 0.0]
    assert set(table.noisy) == {0.0, 1.0, 2.0}
    count, names = announce_classes(context)
    assert (count, names.data) == (3, ["x", "y", "z"])


def test_class_that_the_settings_do_not_name_is_refused(house: House) -> None:
    from runner.stages.noise import protect_labels

    privacy = {"name": "label_dp", "epsilon": 8.0, "classes": ["x", "y"]}
    changes = {"privacy": privacy, "sgb.objective": "multiclass", "data.name": "kinds"}
    context = house.context(X, (np.arange(ROWS) % 3).astype(float), changes, classes=np.array(["x", "y", "z"]))
    with pytest.raises(DataError, match="do not name") as refused:
        protect_labels(context)
    assert "40 rows" in refused.value.why


def test_test_rows_that_could_not_be_compared_are_found_before_anything_is_paid_for(house: House) -> None:
    from runner.stages.noise import protect_labels

    privacy = {"name": "label_dp", "epsilon": 3.0, "prior": {"x": 5, "y": 5, "z": 0.01}}
    changes = {"privacy": privacy, "sgb.objective": "multiclass", "data.name": "rare"}
    names = np.array(["x", "y", "z"])
    rare = np.where(TEST, 0.0, np.arange(ROWS) % 3)  # of the class that is left out, none is a test row
    protect_labels(house.context(X, rare, changes, test=TEST, classes=names))
    kinds = (np.arange(ROWS) % 3).astype(float)
    changes["data.name"] = "not so rare"
    context = house.context(X, kinds, changes, test=TEST, classes=names)
    with pytest.raises(DataError, match="10 rows to be compared"):
        protect_labels(context)
    ledger = context.sites["carol"].folder.parents[2] / "keys" / "carol" / "ledger.jsonl"
    assert "not so rare" not in ledger.read_text()
