"""What a ledger counts, what it refuses, and that it cannot be changed unseen."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from support import make_spec

from runner.errors import PolicyError, SecurityError
from runner.keys.keyring import Keyring
from runner.policy.decide import Grants
from runner.privacy.accounting import Charge
from runner.privacy.ledger import Ledger, Limit, require_noise
from runner.privacy.ledger_file import HEAD, LINES, LedgerFile, OpenLedger
from runner.spec.policy import Budget, Policy, PrivacyLimits

KEYS = Keyring("alice", b"\1" * 32)
HALF = Charge(mechanism="randomised response", epsilon=0.5)


def ledger(home: Path, data: str = "loans", source: bytes = b"table", keys: Keyring = KEYS) -> Ledger:
    return Ledger(home, keys, data, source)


def limit(epsilon: float, **more: Any) -> Limit:
    return Limit(Budget(epsilon=epsilon, **more), "policy.privacy.budget")


def lines(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home / LINES).read_bytes().splitlines()]


def test_expenses_add_up_until_the_budget(tmp_path: Path) -> None:
    own = ledger(tmp_path)
    assert own.spend([HALF], [limit(1)], "one").spent.epsilon == 0.5
    assert own.spend([HALF], [limit(1)], "two").spent.epsilon == 1.0
    with pytest.raises(PolicyError) as refused:
        own.spend([HALF], [limit(1)], "three")
    assert refused.value.code == 3
    assert "spent on 'loans': epsilon 1, delta 0; asked: epsilon 0.5, delta 0; budget: epsilon 1" in refused.value.why
    assert [line["run"] for line in lines(tmp_path)] == ["one", "two"]


def test_a_kept_draw_is_paid_once(tmp_path: Path) -> None:
    kept = Charge(mechanism="randomised response", epsilon=1.0, draw="d" * 64)
    first = ledger(tmp_path).spend([kept], [limit(1)], "one")
    again = ledger(tmp_path).spend([kept], [limit(1)], "two")
    assert (first.paid, first.free) == ((kept,), ())
    assert (again.paid, again.free, again.spent.epsilon) == ((), (kept,), 1.0)
    assert len(lines(tmp_path)) == 1


def test_all_charges_of_a_run_or_none(tmp_path: Path) -> None:
    with pytest.raises(PolicyError):
        ledger(tmp_path).spend([HALF, HALF, HALF], [limit(1)], "one")
    assert not (tmp_path / LINES).exists()


def test_the_stricter_budget_wins(tmp_path: Path) -> None:
    own = Grants(Policy(privacy=PrivacyLimits(budget=Budget(epsilon=0.4))), "keys/alice/grants.yaml")
    assert own.policy.privacy.budget is not None
    strict = Limit(own.policy.privacy.budget, f"{own.source}: privacy.budget")
    with pytest.raises(PolicyError) as refused:
        ledger(tmp_path).spend([HALF], [limit(1), strict], "one")
    assert refused.value.where == "keys/alice/grants.yaml: privacy.budget"


@pytest.mark.parametrize(
    ("data", "source", "counts", "fits"),
    [
        ("loans", b"a row more", "same_data", False),  # the rows that stayed have lost what they lost
        ("renamed", b"table", "same_data", False),
        ("others", b"others", "same_data", True),
        ("others", b"others", "all", False),
    ],
)
def test_what_the_same_data_is(tmp_path: Path, data: str, source: bytes, counts: Any, fits: bool) -> None:
    ledger(tmp_path).spend([HALF], [limit(0.5)], "one")
    other = ledger(tmp_path, data, source)
    if fits:
        assert other.spend([HALF], [limit(0.5, counts=counts)], "two").spent.epsilon == 0.5
    else:
        with pytest.raises(PolicyError):
            other.spend([HALF], [limit(0.5, counts=counts)], "two")


def test_zcdp_lets_more_small_expenses_in(tmp_path: Path) -> None:
    small, own = Charge(mechanism="m", epsilon=0.1), ledger(tmp_path)
    own.spend([small] * 60, [limit(4, delta=1e-6, rule="zcdp")], "one")
    with pytest.raises(PolicyError):
        own.spend([small], [limit(4, delta=1e-6)], "two")


def test_private_to_the_party(tmp_path: Path) -> None:
    homes = tmp_path / "alice", tmp_path / "again"
    for home in homes:
        ledger(home).spend([HALF], [], "one")
        assert {path.stat().st_mode & 0o777 for path in home.iterdir()} == {0o600}
    one, other = (lines(home)[0]["table"] for home in homes)
    assert one != other  # nobody can test a guess of the table


def edit(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))


def without_last(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


@pytest.mark.parametrize(
    "tamper",
    [
        lambda home: edit(home / LINES, b'"epsilon":0.5', b'"epsilon":0.1'),
        lambda home: without_last(home / LINES),
        lambda home: (home / LINES).unlink(),
        lambda home: (home / LINES).write_bytes((home / LINES).read_bytes()[:-9]),
        lambda home: (home / LINES).write_bytes((home / LINES).read_bytes() * 2),
        lambda home: (home / HEAD).unlink(),
        lambda home: edit(home / HEAD, b'"lines": 2', b'"lines": 1'),
        lambda home: edit(home / HEAD, b'"pending": null', b'"pending": {}'),
    ],
)
def test_a_change_is_seen(tmp_path: Path, tamper: Any) -> None:
    ledger(tmp_path).spend([HALF], [], "one")
    ledger(tmp_path).spend([HALF], [], "two")
    tamper(tmp_path)
    with pytest.raises(SecurityError) as refused:
        ledger(tmp_path).spend([HALF], [], "three")
    assert refused.value.code == 5
    assert "backup" in refused.value.fix


def test_another_key_does_not_open_it(tmp_path: Path) -> None:
    ledger(tmp_path).spend([HALF], [], "one")
    with pytest.raises(SecurityError, match="not as the party wrote it"):
        ledger(tmp_path, keys=Keyring("alice", b"\2" * 32)).spend([HALF], [], "two")


@pytest.mark.parametrize("written", [0, 17, None])
def test_a_line_that_was_announced_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int | None) -> None:
    """Killed before the line, in the middle of it, or after it and before the head says so."""
    ledger(tmp_path).spend([HALF], [], "one")
    write = OpenLedger._write

    def die(self: OpenLedger, entry: dict[str, Any]) -> None:
        before = (tmp_path / LINES).read_bytes()
        write(self, entry)
        whole = (tmp_path / LINES).read_bytes()
        (tmp_path / LINES).write_bytes(whole if written is None else whole[: len(before) + written])
        raise KeyboardInterrupt

    monkeypatch.setattr(OpenLedger, "_write", die)
    with pytest.raises(KeyboardInterrupt):
        ledger(tmp_path).spend([HALF], [], "killed")
    monkeypatch.setattr(OpenLedger, "_write", write)
    own = ledger(tmp_path)
    with pytest.raises(PolicyError, match="overspent"):
        own.spend([HALF], [limit(1)], "next")
    assert own.restored == (0 if written is None else 1)
    assert [line["run"] for line in lines(tmp_path)] == ["one", "killed"]


def _race(home: Path, gate: Any, results: Any) -> None:
    own = ledger(home)
    gate.wait()
    try:
        own.spend([HALF], [limit(1)], "race")
        results.put("paid")
    except PolicyError:
        results.put("refused")


def test_two_processes_cannot_spend_the_same_budget(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    gate, results = context.Barrier(6), context.Queue()
    racers = [context.Process(target=_race, args=(tmp_path, gate, results)) for _ in range(6)]
    for racer in racers:
        racer.start()
    found = sorted(results.get(timeout=60) for _ in racers)
    for racer in racers:
        racer.join(60)
    assert found == ["paid"] * 2 + ["refused"] * 4
    assert len(lines(tmp_path)) == 2


def test_a_new_key_takes_the_ledger_over(tmp_path: Path) -> None:
    new = Keyring("alice", b"\2" * 32)
    ledger(tmp_path).spend([HALF], [], "one")
    assert LedgerFile(tmp_path, KEYS).reseal(new)
    assert LedgerFile(tmp_path, KEYS).reseal(new)  # typed again after an interruption
    assert ledger(tmp_path, data="renamed", keys=new).spend([HALF], [], "two").spent.epsilon == 1.0
    with pytest.raises(SecurityError):
        ledger(tmp_path).spend([HALF], [], "three")


def test_no_ledger_no_change_of_key(tmp_path: Path) -> None:
    assert not LedgerFile(tmp_path, KEYS).reseal(Keyring("alice", b"\2" * 32))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("overrides", "party"),
    [((), "carol"), (("label.predict=none",), "carol"), (("label.predict=alice", "label.predict_column=x"), "alice")],
    ids=["trains and compares", "trains", "compares"],
)
def test_with_a_budget_nobody_shows_labels_without_noise(overrides: tuple[str, ...], party: str) -> None:
    with pytest.raises(PolicyError, match="has a privacy budget, and the run has no noise"):
        require_noise(make_spec(*overrides), party, [limit(3)])


def test_a_budget_stops_no_run_with_noise_or_without_labels() -> None:
    require_noise(make_spec("privacy=label_dp"), "carol", [limit(3)])
    require_noise(make_spec("privacy=output_dp"), "carol", [limit(3)])
    require_noise(make_spec(), "alice", [limit(3)])
    require_noise(make_spec("task=predict", "model=run", "label.predict=none"), "carol", [limit(3)])
    require_noise(make_spec(), "carol", [])
