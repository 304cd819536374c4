"""Label DP with real processes: what leaves an owner is noisy, is paid for once, and a repetition takes it again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from integration.launch import write_tables
from integration.test_label_modes import Run
from support import type_command

pytestmark = pytest.mark.processes

OWNERS = ("alice", "bob", "carol")
SHARDED = ("data=clinics", "label=row_sharded", "label.predict=carol", "label.predict_column=confirmed")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("label_dp")
    write_tables(home, "clinics")
    return Run(home, *SHARDED, "privacy=label_dp", "privacy.epsilon=1.5")


def own_labels(run: Run, party: str) -> np.ndarray:
    return run.table("clinics", party)["diagnosis"].cast(pl.Float64).fill_null(np.nan).to_numpy()


@pytest.mark.parametrize("owner", ["alice", "bob"])
def test_no_true_labels_reach_the_label_holder_and_noisy_ones_do(run: Run, owner: str) -> None:
    true = own_labels(run, owner)
    known = ~np.isnan(true)
    came = [array for array in run.received("carol") if array.size == true.size]
    shards = [array for array in came if (np.isnan(array) == ~known).all()]
    assert len(shards) == 1
    flipped = float(np.mean(shards[0][known] != true[known]))
    assert 0.05 < flipped < 0.4, "of some 190 labels, 18 in a hundred"


@pytest.mark.parametrize("party", OWNERS)
def test_every_owner_paid_for_its_own_draw(run: Run, party: str) -> None:
    home = run.home / "outputs" / "keys" / party
    (line,) = (home / "ledger.jsonl").read_text().splitlines()
    (charge,) = json.loads(line)["charges"]
    noise = json.loads((run.of(party) / "label_noise.json").read_bytes())
    assert (charge["epsilon"], charge["draw"]) == (1.5, noise["draw"])
    assert noise["rows"] == np.sum(~np.isnan(own_labels(run, party)))
    assert "label_noise" in {path.name for path in home.iterdir()}


def test_repetition_takes_the_same_draw_at_no_cost(run: Run) -> None:
    repeated = type_command("task=reproduce", f"run={run.folder}", "report.html=false", cwd=run.home)
    assert "REPRODUCED (bit-identical)" in repeated.stdout, repeated.stdout + repeated.stderr
    assert repeated.stdout.count("drawn before, at no further cost") == len(OWNERS)
    for party in OWNERS:
        ledger: Path = run.home / "outputs" / "keys" / party / "ledger.jsonl"
        assert len(ledger.read_text().splitlines()) == 1
