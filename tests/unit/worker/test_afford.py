"""Whether a run may begin, as the party's own process finds before it: nothing is spent, and nothing written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from support import make_spec

from runner.errors import PolicyError
from runner.keys.store import open_keyring
from runner.privacy.accounting import Charge
from runner.privacy.ledger import Ledger
from runner.spec.identity import spec_values
from runner.spec.model import Party
from runner.worker.afford import afford
from runner.worker.ledger import show_ledger


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "carol"


def order(home: Path, *overrides: str) -> dict[str, Any]:
    values = spec_values(make_spec("policy.privacy.budget={epsilon: 2.5}", *overrides))
    values["parties"]["carol"]["key_file"] = str(home / "secret.key")
    return {"party": "carol", "spec": values, "run": "to come"}


def spend(home: Path, **charge: Any) -> None:
    keys = open_keyring("carol", Party(key_file=str(home / "secret.key")))
    Ledger(home, keys, "breast_cancer", b"").spend([Charge(mechanism="counts", **charge)], [], "one")


def test_before_the_first_expense_nothing_is_written(home: Path) -> None:
    assert afford(order(home, "privacy=output_dp")) == {"paid": 1.0, "epsilon": 1.0, "delta": 0.0, "restored": 0}
    assert afford(order(home, "privacy=label_dp"))["paid"] == 2.0
    with pytest.raises(PolicyError):
        afford(order(home, "privacy=label_dp", "privacy.epsilon=3"))
    assert not home.exists()


def test_going_on_with_a_run_costs_nothing(home: Path) -> None:
    anew = order(home, "privacy=label_dp", "privacy.redraw=true")
    assert afford(anew)["paid"] == 2.0
    anew["spec"]["resume"] = "outputs/earlier"
    assert afford(anew)["paid"] == 0.0


def test_what_was_spent_counts(home: Path) -> None:
    spend(home, epsilon=1.0)
    before = (home / "ledger.jsonl").read_bytes()
    assert afford(order(home, "privacy=output_dp"))["epsilon"] == 2.0
    with pytest.raises(PolicyError, match="carol's privacy budget"):
        afford(order(home, "privacy=label_dp"))
    assert (home / "ledger.jsonl").read_bytes() == before


def test_a_partys_own_budget_counts_as_well(home: Path) -> None:
    home.mkdir(parents=True)
    (home / "grants.yaml").write_text("privacy: {budget: {epsilon: 0.5}}\n")
    with pytest.raises(PolicyError) as refused:
        afford(order(home, "privacy=output_dp"))
    assert refused.value.where == f"{home / 'grants.yaml'}: privacy.budget"


def test_a_party_reads_its_own_ledger(home: Path) -> None:
    settings = msgspec.to_builtins(Party(key_file=str(home / "secret.key")))
    nothing = show_ledger({"party": "carol", "settings": settings, "delta": 1e-6})
    assert nothing == {"expenses": [], "totals": {}, "restored": 0}
    spend(home, epsilon=1.0)
    spend(home, epsilon=0.5, delta=1e-7)
    shown = show_ledger({"party": "carol", "settings": settings, "delta": 1e-6})
    assert [entry["charges"][0]["epsilon"] for entry in shown["expenses"]] == [1.0, 0.5]
    assert shown["totals"]["breast_cancer"] == shown["totals"][""]
    assert shown["totals"][""]["epsilon"] == 1.5
    assert shown["totals"][""]["delta"] == 1e-7
