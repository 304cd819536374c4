"""The gate, on SecretFlow's real devices in one process: what the policy allows moves, is logged, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.errors import PolicyError
from runner.policy.audit import AuditLog, first_broken_line
from runner.policy.decide import Decision
from runner.policy.flows import TERMINAL, Flow

PARTIES = ("carol", "alice", "bob")
LINE = "policy.predictions.recipients"
SCORES = np.array([0.25, 0.5], dtype=np.float32)


@pytest.fixture(scope="module")
def devices(secretflow: None) -> Iterator[dict[str, Any]]:
    """Each party's device; every function is called at once, in this process."""
    from secretflow.device import PYU
    from secretflow.device.driver import shutdown

    from runner.engine.start import start_debug

    start_debug(PARTIES)
    yield {party: PYU(party) for party in PARTIES}
    shutdown()


class House:
    """A gate with all its parties' logs."""

    def __init__(self, folder: Path, devices: dict[str, Any], decisions: list[Decision]) -> None:
        from runner.policy.gate import Gate

        self.devices = devices
        self.folder = folder
        self.told: list[dict[str, Any]] = []
        audits = {party: AuditLog(folder / party, party.encode()) for party in PARTIES}
        emits = {party: lambda **event: self.told.append(event) for party in PARTIES}
        self.gate = Gate(tuple(decisions), devices, audits, emits)

    def at(self, party: str, value: Any) -> Any:
        return self.devices[party](lambda: value)()

    def log(self, party: str) -> list[dict[str, Any]]:
        path = self.folder / party
        if not path.exists():
            return []
        assert first_broken_line(path) is None
        return [json.loads(line) for line in path.read_text().splitlines()]


def decision(
    sender: str, receiver: str, *, allowed: bool = True, kind: Any = "predictions", form: str = "score"
) -> Decision:
    return Decision(Flow("predict", kind, form, sender, receiver), allowed, LINE)


def test_allowed_value_arrives_at_its_receiver_and_both_log_it(tmp_path: Path, devices: dict[str, Any]) -> None:
    house = House(tmp_path, devices, [decision("carol", "bob")])
    received = house.gate.deliver(house.at("carol", SCORES), "bob", stage="predict", kind="predictions", form="score")
    assert received.device == devices["bob"]
    assert np.array_equal(received.data, SCORES)
    (sent,), (arrived,) = house.log("carol"), house.log("bob")
    assert (sent["direction"], arrived["direction"]) == ("sent", "received")
    for entry in (sent, arrived):
        assert (entry["from"], entry["to"], entry["kind"], entry["form"]) == ("carol", "bob", "predictions", "score")
        assert (entry["shape"], entry["allowed_by"]) == ([2], LINE)
    assert sent["payload"] != arrived["payload"], "each under its own key"
    assert house.log("alice") == []


def test_value_that_stays_is_logged_as_kept(tmp_path: Path, devices: dict[str, Any]) -> None:
    house = House(tmp_path, devices, [decision("carol", "carol")])
    kept = house.gate.deliver(house.at("carol", SCORES), "carol", stage="predict", kind="predictions", form="score")
    assert kept.device == devices["carol"]
    assert [entry["direction"] for entry in house.log("carol")] == ["kept"]


@pytest.mark.parametrize(
    "decisions",
    [
        [],
        [decision("carol", "bob", allowed=False)],
        [decision("carol", "alice")],
        [decision("bob", "carol")],
        [decision("carol", "bob", kind="metrics")],
        [decision("carol", "bob", form="class")],
    ],
)
def test_whatever_is_not_allowed_is_denied_and_leaves_no_trace(
    tmp_path: Path, devices: dict[str, Any], decisions: list[Decision]
) -> None:
    house = House(tmp_path, devices, decisions)
    with pytest.raises(PolicyError, match="from carol to bob is denied"):
        house.gate.deliver(house.at("carol", SCORES), "bob", stage="predict", kind="predictions", form="score")
    assert [house.log(party) for party in PARTIES] == [[], [], []]


def test_allowance_holds_for_its_stage_alone(tmp_path: Path, devices: dict[str, Any]) -> None:
    house = House(tmp_path, devices, [decision("carol", "bob")])
    with pytest.raises(PolicyError):
        house.gate.deliver(house.at("carol", SCORES), "bob", stage="train", kind="predictions", form="score")


def everybody() -> list[Decision]:
    return [decision(one, other, kind="model_parts") for one in PARTIES for other in PARTIES if one != other]


def test_exchange_shows_each_value_to_all(tmp_path: Path, devices: dict[str, Any]) -> None:
    house = House(tmp_path, devices, everybody())
    values = {party: house.at(party, f"digest of {party}") for party in PARTIES}
    plain = house.gate.exchange(values, stage="predict", kind="model_parts", form="score")
    assert plain == {party: f"digest of {party}" for party in PARTIES}
    for party in PARTIES:
        directions = sorted(entry["direction"] for entry in house.log(party))
        assert directions == ["received", "received", "sent", "sent"]


def test_exchange_is_denied_if_one_flow_of_it_is(tmp_path: Path, devices: dict[str, Any]) -> None:
    house = House(tmp_path, devices, everybody()[:-1])
    values = {party: house.at(party, "digest") for party in PARTIES}
    with pytest.raises(PolicyError):
        house.gate.exchange(values, stage="predict", kind="model_parts", form="score")
    assert [house.log(party) for party in PARTIES] == [[], [], []]


def test_announcement_reaches_every_party_from_one(tmp_path: Path, devices: dict[str, Any]) -> None:
    house = House(tmp_path, devices, [decision("carol", other, kind="model_parts") for other in ("alice", "bob")])
    assert house.gate.announce(house.at("carol", 3), stage="predict", kind="model_parts", form="score") == 3
    assert [entry["direction"] for entry in house.log("carol")] == ["sent", "sent"]
    assert [(entry["direction"], entry["from"]) for entry in house.log("bob")] == [("received", "carol")]


def test_announcement_is_denied_if_one_party_may_not_hear_it(tmp_path: Path, devices: dict[str, Any]) -> None:
    house = House(tmp_path, devices, [decision("carol", "bob", kind="model_parts")])
    with pytest.raises(PolicyError, match="from carol to alice is denied"):
        house.gate.announce(house.at("carol", 3), stage="predict", kind="model_parts", form="score")
    assert [house.log(party) for party in PARTIES] == [[], [], []]


def test_terminal_is_told_what_it_may_show(tmp_path: Path, devices: dict[str, Any]) -> None:
    house = House(tmp_path, devices, [decision("carol", TERMINAL, kind="metrics")])
    house.gate.finish(house.gate.show(house.at("carol", {"auc": 0.5}), stage="predict", kind="metrics", form="score"))
    assert house.told == [{"event": "shown", "stage": "predict", "kind": "metrics", "value": {"auc": 0.5}}]
    assert [entry["to"] for entry in house.log("carol")] == [TERMINAL]


@pytest.mark.parametrize("decisions", [[], [decision("carol", TERMINAL, allowed=False, kind="metrics")]])
def test_terminal_is_told_nothing_else(tmp_path: Path, devices: dict[str, Any], decisions: list[Decision]) -> None:
    house = House(tmp_path, devices, decisions)
    assert house.gate.show(house.at("carol", {"auc": 0.5}), stage="predict", kind="metrics", form="score") is None
    assert house.told == []
    assert house.log("carol") == []


def test_payload_is_the_same_bytes_at_both_ends() -> None:
    from runner.policy.gate import payload_bytes

    array = np.arange(6.0).reshape(2, 3)
    assert payload_bytes(array) == payload_bytes(np.asfortranarray(array))
    others = [array.reshape(3, 2), array.astype(np.float32), array + 1, array.tolist()]
    assert len({payload_bytes(array), *map(payload_bytes, others)}) == 5


def test_protocol_of_a_library_is_logged_at_both_ends_before_it_runs(tmp_path: Path, devices: dict[str, Any]) -> None:
    house = House(tmp_path, devices, [decision("carol", "bob")])
    house.gate.note_protocol([Flow("predict", "predictions", "score", "carol", "bob")])
    (sent,), (received,) = house.log("carol"), house.log("bob")
    assert (sent["direction"], received["direction"]) == ("sent", "received")
    assert sent["allowed_by"] == received["allowed_by"] == LINE
    with pytest.raises(PolicyError):
        house.gate.note_protocol([Flow("predict", "predictions", "score", "bob", "carol")])
