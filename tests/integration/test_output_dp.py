"""privacy=output_dp in a whole run: who gets what, what it costs, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from integration.launch import SMALL, Finish, Finished
from support import type_command

pytestmark = pytest.mark.processes

DP = (
    *SMALL,
    "cluster=debug",
    "policy=lab",
    "privacy=output_dp",
    "privacy.scores_epsilon=2",
    "policy.privacy.budget={epsilon: 3}",
)
LEDGER = "outputs/keys/carol/ledger.jsonl"


@pytest.fixture(scope="module")
def noisy(finish: Finish, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run that has spent the whole budget."""
    return finish(tmp_path_factory.mktemp("output_dp"), *DP)


def own(run: Finished, party: str, file: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run.folder / "parties" / party / file).read_bytes())
    return found


def test_only_the_evaluator_has_the_exact_numbers(noisy: Finished) -> None:
    exact, told = own(noisy, "carol", "metrics.json"), own(noisy, "alice", "metrics.json")
    assert told == own(noisy, "bob", "metrics.json")
    assert set(exact) - set(told) == {"intervals"}
    assert told["brier"] != exact["brier"]
    shown = json.loads((noisy.folder / "manifest.json").read_bytes())["observed"]["shown"]["evaluate"]
    assert shown == [{name: told[name] for name in shown[0]}]
    tables = own(noisy, "alice", "evaluation.json")
    assert tables["rows"] == own(noisy, "carol", "evaluation.json")["rows"]


def test_every_other_party_has_the_same_noisy_scores(noisy: Finished) -> None:
    exact, one, other = (
        pl.read_parquet(noisy.folder / "parties" / party / "predictions.parquet") for party in ("carol", "alice", "bob")
    )
    assert one.equals(other)
    assert (one["score"] - exact["score"]).abs().max() > 0.05
    steps = one["score"].cast(pl.Float64) * 100
    assert (steps - steps.round()).abs().max() < 1e-4


def test_what_was_spent_is_told_to_its_party(noisy: Finished) -> None:
    spent = {"data": "breast_cancer", "now": 3.0, "epsilon": 3.0, "delta": 0.0}
    assert own(noisy, "carol", "privacy.json")["spent"].items() >= spent.items()
    assert own(noisy, "alice", "privacy.json")["spent"] is None


def test_another_run_is_refused_before_it_begins(noisy: Finished) -> None:
    before = sorted((noisy.place / "outputs").glob("20*/*"))
    refused = type_command(*DP, "sgb.num_boost_round=3", cwd=noisy.place)
    assert refused.returncode == 3
    assert "spent on 'breast_cancer': epsilon 3, delta 0; asked: epsilon 3" in refused.stderr
    assert sorted((noisy.place / "outputs").glob("20*/*")) == before


def test_a_repetition_is_free_and_the_same(noisy: Finished) -> None:
    ledger = Path(noisy.place, LEDGER).read_bytes()
    repeated = type_command("task=reproduce", f"run={noisy.folder}", cwd=noisy.place)
    assert "REPRODUCED (bit-identical)" in repeated.stdout, repeated.stderr
    assert Path(noisy.place, LEDGER).read_bytes() == ledger


def test_the_ledger_is_shown(noisy: Finished) -> None:
    shown = type_command("task=ledger", "ledger.format=json", cwd=noisy.place)
    parties = json.loads(shown.stdout)["parties"]
    assert parties["alice"]["expenses"] == []
    assert parties["carol"]["totals"][""]["epsilon"] == 3
    assert parties["carol"]["totals"]["breast_cancer"]["rho"] == pytest.approx(0.5 + 2)
    content = Path(noisy.place, LEDGER).read_bytes()
    try:
        Path(noisy.place, LEDGER).write_bytes(content.replace(b'"epsilon":2,', b'"epsilon":1,', 1))
        refused = type_command("task=ledger", cwd=noisy.place)
    finally:
        Path(noisy.place, LEDGER).write_bytes(content)
    assert refused.returncode == 5
    assert "carol's privacy ledger is not as the party wrote it" in refused.stderr
