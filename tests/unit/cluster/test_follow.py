"""The driver's word before each tree: all workers hear the same, and a stop ends the job for all of them."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console
from support import make_spec

from runner.cluster.channel import Channel
from runner.cluster.processes import Crew
from runner.cluster.run import Journal, follow
from runner.errors import SecurityError, Stopped
from runner.report.terminal import Terminal

PARTIES = ("alice", "bob", "carol")


@pytest.fixture
def ends() -> Iterator[tuple[Crew, dict[str, Channel]]]:
    """A crew as the driver has it, and the workers' ends."""
    pairs = {name: socket.socketpair() for name in ("", *PARTIES)}
    ours = {name: Channel(pair[0]) for name, pair in pairs.items()}
    theirs = {name: Channel(pair[1]) for name, pair in pairs.items()}
    yield Crew(0, "work", ours.pop(""), ours), theirs
    for pair in pairs.values():
        for end in pair:
            end.close()


class Worker(threading.Thread):
    """Trains as far as it is let: three trees, and a question before each but the first."""

    def __init__(self, party: str, channel: Channel) -> None:
        super().__init__()
        self._party, self._channel = party, channel
        self.grown = 1
        self.connected: Any = None

    def run(self) -> None:
        self._channel.send(event="listening", port=len(self._party), sequence=10 * len(self._party))
        self.connected = self._channel.receive()
        while self.grown < 3:
            self._channel.send(event="paused", trees=self.grown)
            answer = self._channel.receive()
            if answer is None or not answer["on"]:
                self._channel.send(event="stopped", trees=self.grown)
                return
            self.grown += 1
        self._channel.send(event="done", sent={}, facts={}, kept_keys=self._party != "bob", clean=True)


def lead(ends: tuple[Crew, dict[str, Channel]], pace: Any) -> tuple[Journal, list[Worker]]:
    crew, channels = ends
    workers = [Worker(party, channels[party]) for party in PARTIES]
    for worker in workers:
        worker.start()
    journal = Journal(Terminal(make_spec(), Console(quiet=True)))
    try:
        follow(make_spec(), crew, journal, pace)
    finally:
        for worker in workers:
            worker.join(timeout=5)
        journal.outcome.reused["trees"] = [worker.grown for worker in workers]
    return journal, workers


def test_workers_go_on_at_the_drivers_word(ends: tuple[Crew, dict[str, Channel]]) -> None:
    asked: list[int] = []
    journal, workers = lead(ends, lambda trees: asked.append(trees) or True)
    assert asked == [1, 2]
    assert [worker.grown for worker in workers] == [3, 3, 3]
    assert journal.clean


def test_all_go_on_from_the_largest_number(ends: tuple[Crew, dict[str, Channel]]) -> None:
    _, workers = lead(ends, lambda trees: True)
    assert {worker.connected["sequence"] for worker in workers} == {50}
    assert workers[0].connected["peers"] == {"alice": "127.0.0.1:5", "bob": "127.0.0.1:3", "carol": "127.0.0.1:5"}


def test_all_stop_at_the_same_tree(ends: tuple[Crew, dict[str, Channel]]) -> None:
    grown: list[int] = []

    def pace(trees: int) -> bool:
        grown.append(trees)
        return trees < 2

    with pytest.raises(Stopped, match="after 2 trees"):
        lead(ends, pace)
    assert grown == [1, 2]


def followed(ends: tuple[Crew, dict[str, Channel]], said: list[tuple[str, dict[str, Any]]]) -> str:
    """What the terminal shows of a run in which the workers say this, and then are done."""
    crew, channels = ends
    for name, message in said:
        channels[name].send(**message)
    for party in PARTIES:
        channels[party].send(event="done", sent={}, facts={}, kept_keys=False, clean=True)
    shown = io.StringIO()
    journal = Journal(Terminal(make_spec(), Console(file=shown)))
    follow(make_spec(), crew, journal, None)
    return shown.getvalue()


def stage(name: str, state: str) -> dict[str, Any]:
    return {"event": "stage", "stage": name, "state": state}


def test_a_stage_is_done_when_it_is_at_all(ends: tuple[Crew, dict[str, Channel]]) -> None:
    three_times = [("alice", stage("align", "started")), *[("alice", stage("align", "done"))] * 3]
    assert "align" not in followed(ends, three_times)


def test_who_is_done_with_what_nobody_began_is_not_believed(ends: tuple[Crew, dict[str, Channel]]) -> None:
    assert followed(ends, [("alice", stage("save", "done"))] * 3) == ""


def test_a_stage_that_the_plan_does_not_have_is_refused(ends: tuple[Crew, dict[str, Channel]]) -> None:
    with pytest.raises(SecurityError, match="alice speaks of a stage"):
        followed(ends, [("alice", stage("dance", "started"))])


def test_no_tree_is_told_before_a_training(ends: tuple[Crew, dict[str, Channel]]) -> None:
    trees = [("carol", {"event": "tree", "trees": 1}), ("carol", {"event": "continues", "trees": 1})]
    assert followed(ends, trees) == ""
