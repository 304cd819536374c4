"""Two doctors over a socket pair, and what is said of a peer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
from support import make_spec

from runner.cluster.channel import Channel
from runner.cluster.link import Peer
from runner.doctor.findings import Finding
from runner.doctor.machine import PACKAGES
from runner.doctor.peers import judge_peer
from runner.doctor.talk import PIECE, PIECES, Heard, Hello, Silence, Talk
from runner.spec.shared import shared_values

VERSIONS = dict.fromkeys(PACKAGES, "1")
VALUES = shared_values(make_spec())
AT = Peer("10.0.0.7", 7000, "ab" * 32)


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    here, there = socket.socketpair()
    channels = Channel(here), Channel(there)
    yield channels
    for connection in (here, there):
        connection.close()


def test_two_doctors_learn_of_each_other(ends: tuple[Channel, Channel]) -> None:
    found: dict[int, Heard] = {}

    def hold(place: int) -> None:
        found[place] = Talk(ends[place]).hold({"python": str(place)}, {"place": place}, patience=20)

    threads = [threading.Thread(target=hold, args=(place,)) for place in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place, heard in found.items():
        assert heard.hello == Hello({"python": str(1 - place)}, {"place": 1 - place})
        assert 0 < heard.latency < 5
        assert abs(heard.ahead) < 1
        assert heard.bandwidth > 1e4


def test_clock_that_is_ahead_is_measured(ends: tuple[Channel, Channel]) -> None:
    def answer() -> None:
        loaded = 0
        ends[1].send(event="hello", versions={}, values={})
        while (message := ends[1].receive()) is not None:
            if message["event"] == "ping":
                ends[1].send(event="pong", at=time.time() + 3600)
            elif message["event"] == "load":
                loaded += len(message["content"])
                if message["last"]:
                    assert loaded == PIECE * PIECES
                    ends[1].send(event="loaded", bytes=loaded)
                    ends[1].send(event="bye")

    threading.Thread(target=answer, daemon=True).start()
    assert Talk(ends[0]).hold({}, {}, patience=20).ahead == pytest.approx(3600, abs=2)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"event": "agreement", "digest": "ab"}, "not what a doctor says"),
        ({"event": "hello", "versions": "3", "values": "4"}, "not what a doctor says"),
        ({"event": "hello", "spec": {}, "versions": {}, "share": "0"}, "its site is at a run"),
        (None, "the connection ended"),
        ({}, "not what a doctor says"),
    ],
)
def test_peer_that_is_no_doctor_is_told(
    ends: tuple[Channel, Channel], said: dict[str, object] | None, why: str
) -> None:
    if said is None:
        ends[1]._connection.shutdown(socket.SHUT_RDWR)
    else:
        ends[1].send(**said)
    with pytest.raises(Silence, match=why):
        Talk(ends[0]).hold({}, {}, patience=20)


def test_peer_that_says_nothing_is_no_hang(ends: tuple[Channel, Channel]) -> None:
    with pytest.raises(Silence, match="no answer"):
        Talk(ends[0]).hold({}, {}, patience=0.1)


def judged(heard: Heard | Silence) -> dict[str, Finding]:
    return {
        finding.check: finding
        for finding in judge_peer("alice", "bob", AT, VERSIONS, VALUES, heard, max_clock_skew=60.0)
    }


def heard(latency: float = 0.01, ahead: float = 0.0, bandwidth: float = 1e8, **hello: object) -> Heard:
    said = {"versions": VERSIONS, "values": VALUES, **hello}
    return Heard(Hello(**said), latency, ahead, bandwidth)  # type: ignore[arg-type]


def test_peer_that_is_well_passes() -> None:
    found = judged(heard())
    assert {finding.state for finding in found.values()} == {"PASSED"}
    assert len(found) == 6
    assert "with the pinned key" in found["bob: connection"].found


@pytest.mark.parametrize(
    ("changes", "check", "state", "told"),
    [
        ({"latency": 0.2}, "bob: latency", "WARNING", "200.0 ms"),
        ({"bandwidth": 1e5}, "bob: bandwidth", "WARNING", "0.1 MB/s"),
        ({"ahead": 3600.0}, "bob: clock", "FAILED", "3600.00 s ahead"),
        ({"ahead": -61.0}, "bob: clock", "FAILED", "61.00 s behind"),
        ({"versions": {**VERSIONS, "spu": "2"}}, "bob: versions", "FAILED", "spu 2, here 1"),
        (
            {"values": {**VALUES, "task": "train"}},
            "bob: settings",
            "FAILED",
            "task is train_predict at alice",
        ),
    ],
)
def test_what_is_wrong_with_a_peer_is_one_line(changes: dict[str, object], check: str, state: str, told: str) -> None:
    found = judged(heard(**changes))  # type: ignore[arg-type]
    assert found[check].state == state
    assert told in found[check].found
    assert [name for name, finding in found.items() if finding.state != "PASSED"] == [check]


def test_peer_that_is_silent_is_one_failed_line() -> None:
    (finding,) = judged(Silence("no answer within 3 s")).values()
    assert (finding.check, finding.state) == ("bob: connection", "FAILED")
    assert "10.0.0.7:7000: no answer within 3 s" in finding.found
