"""What another site's driver may say: only what is of a known form, in time, and nothing that a terminal would obey."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from runner.cluster.channel import Channel
from runner.cluster.peers import MOST_EARLY, PeerChannel, told
from runner.errors import ClusterError, PolicyError, RunnerError, SecurityError, Stopped

ERROR = {"type": "DataError", "what": "no", "where": "party bob", "why": "it is so", "fix": "ask"}


@pytest.fixture
def ends() -> Iterator[tuple[PeerChannel, socket.socket]]:
    """Bob's channel as another site's driver reads it, and the end where what bob's site says comes in."""
    ours, theirs = socket.socketpair()
    channel = PeerChannel("bob", Channel(ours))
    yield channel, theirs
    channel.close()
    theirs.close()


def hear(ends: tuple[PeerChannel, socket.socket], *said: Any, phase: tuple[str, ...] = ("stage",)) -> list[Any]:
    channel, theirs = ends
    theirs.sendall(b"".join(json.dumps(message).encode() + b"\n" for message in said))
    return channel.read(phase)[0]


@pytest.mark.parametrize(
    "said",
    [
        {"event": "stage", "stage": "train", "state": "begun"},
        {"event": "stage", "stage": "Train\x1b[2J", "state": "done"},
        {"event": "stage", "stage": "train", "state": "done", "more": 1},
        {"event": "tree", "trees": 0},
        {"event": "exited", "child": "bob", "code": 0},
        {"event": "attested", "signatures": {"alice": {}}},
        {"event": "hello"},
        {},
        {"event": "failed", "party": "bob", "stage": "train", "error": {**ERROR, "what": "no\x1b]0;title\x07"}},
        {"event": "failed", "party": "bob", "stage": "train", "error": {**ERROR, "why": "a\nb"}},
        {"event": "failed", "party": "bob", "stage": "train", "error": {**ERROR, "fix": "x" * 1001}},
        {"event": "failed", "party": "bob", "stage": "train", "error": {**ERROR, "type": "Stopped"}},
        {"event": "failed", "party": "bob", "stage": "train", "error": {"what": "no"}},
    ],
)
def test_what_no_site_says_is_refused(ends: tuple[PeerChannel, socket.socket], said: Any) -> None:
    with pytest.raises(SecurityError, match="bob said what it may not say") as raised:
        hear(ends, said)
    assert str(raised.value).replace("\n", "").isprintable()


def test_what_comes_early_is_kept_for_its_phase(ends: tuple[PeerChannel, socket.socket]) -> None:
    tree, done = {"event": "tree", "trees": 1, "of": None}, {"event": "stage", "stage": "align", "state": "done"}
    assert hear(ends, tree, done) == [done]
    assert ends[0].kept(("tree",)) == [tree]
    assert ends[0].kept(("tree",)) == []


def test_nobody_fills_the_memory_with_what_comes_early(ends: tuple[PeerChannel, socket.socket]) -> None:
    assert hear(ends, *[{"event": "tree", "trees": 1}] * MOST_EARLY) == []
    with pytest.raises(SecurityError, match="may not say"):
        hear(ends, {"event": "tree", "trees": 1})


@pytest.mark.parametrize("kind", [PolicyError, Stopped])
def test_any_error_can_be_told_and_heard(ends: tuple[PeerChannel, socket.socket], kind: type[RunnerError]) -> None:
    error = kind("one\n\x1b[31mtwo " + "x" * 2000, where="/home/bob/key", why="secret", fix="")
    (heard,) = hear(
        ends, {"event": "failed", "party": "bob", "stage": "train", "error": told(error.to_dict(), "bob", "train")}
    )
    again = RunnerError.from_dict(heard["error"])
    assert again.code == (3 if kind is PolicyError else 5)
    assert re.match(r"one \[31mtwo x+\Z", again.what)
    assert "secret" not in str(again)
    assert "/home" not in str(again)


def test_a_failure_of_a_third_party_is_told_as_such() -> None:
    error = ClusterError("the process of b2 is gone", where="party b2, stage train", why="signal 9", fix="see its log")
    first = told(error.to_dict(), "b2", "train")
    again = told(first, "carol", "explain")
    assert (first["where"], again["where"]) == ("party b2, stage train", "party b2, stage train")
    assert again["why"] == "it was told by the site of carol"
    assert again["fix"].startswith("ask b2's operator")


def test_a_party_of_any_name_may_say_why_it_ends(ends: tuple[PeerChannel, socket.socket]) -> None:
    error = ClusterError("one", where="two", why="three", fix="four")
    said = {"event": "failed", "party": "b2", "stage": "train", "error": told(error.to_dict(), "b2", "train")}
    assert hear(ends, said)[0]["party"] == "b2"
