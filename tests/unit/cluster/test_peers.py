"""What another site's driver may say: only what is of a known form, in time, and nothing that a terminal would obey."""

from __future__ import annotations

import contextlib
import json
import re
import select
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from runner.cluster.channel import Channel
from runner.cluster.peers import MOST_EARLY, MOST_SAID, PeerChannel, told
from runner.doctor.talk import Silence, Talk
from runner.environment import machine
from runner.errors import (
    BundleError,
    ClusterError,
    DataError,
    PolicyError,
    RunnerError,
    SecurityError,
    StageError,
    Stopped,
)

ERROR = {"type": "DataError", "what": "no", "where": "party bob", "why": "it is so", "fix": "ask"}

HELLO = {
    "event": "hello",
    "spec": {"sgb": {"max_depth": 2}},
    "versions": {"numpy": "1.26"},
    "machine": {"platform": "Linux", "cores": None, "cpu_flags": ["aes"], "variables": {"OMP_NUM_THREADS": "1"}},
    "crew": "",
    "denied": [],
    "share": "0" * 64,
    "links": 7202,
    "repeats": "",
}
DONE = {"event": "done", "sent": {}, "facts": {}, "kept_keys": False, "clean": True}
SIGNATURE = {
    "digest": "0" * 64,
    "rest": "1" * 64,
    "audit": {"lines": 3, "head": "2" * 64},
    "files": {"bundle/part.bin": "3" * 64},
    "key": "4" * 64,
    "signature": "5" * 128,
}
ATTESTED = {"event": "attested", "signatures": {"bob": SIGNATURE}}


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
        {**HELLO, "machine": {**machine(), "platform": "Linux\x1b[2J"}},
        {**HELLO, "machine": {**machine(), "more": {"a": {"b": 1}}}},
        {**HELLO, "versions": {"numpy\n": "1"}},
        {**HELLO, "crew": "../../x"},
        {**DONE, "facts": {"train": {"bob": {"model\x1b[31m": "0"}}}},
        {**DONE, "sent": {"alice": {"bytes": 10**30}}},
        {"event": "listening", "port": 7201, "sequence": 2**60},
        {"event": "attested", "signatures": {"bob": {**SIGNATURE, "files": {"x\n": "y"}}}},
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


@pytest.mark.parametrize("said", [HELLO, {**HELLO, "machine": machine()}, DONE, ATTESTED])
def test_what_a_site_says_is_heard(ends: tuple[PeerChannel, socket.socket], said: Any) -> None:
    assert hear(ends, said, phase=(said["event"],)) == [said]


def test_doctor_of_another_site_is_no_forger(ends: tuple[PeerChannel, socket.socket]) -> None:
    said = threading.Thread(target=lambda: doctor_at(ends[1]))
    said.start()
    assert select.select([ends[0]], [], [], 20)[0]
    with pytest.raises(ClusterError, match="the site of bob runs task=doctor") as told:
        ends[0].read(("hello",))
    assert "bob's doctor has ended" in told.value.fix
    said.join()


def doctor_at(end: socket.socket) -> None:
    with contextlib.suppress(Silence):
        Talk(Channel(end)).hold({"numpy": "1.26"}, {"sgb": {"max_depth": 2}}, patience=0.1)


def test_nobody_talks_for_ever(ends: tuple[PeerChannel, socket.socket]) -> None:
    ends[0].said = MOST_SAID - 1
    assert len(hear(ends, {"event": "tree", "trees": 1}, phase=("tree",))) == 1
    with pytest.raises(SecurityError, match="may not say"):
        hear(ends, {"event": "tree", "trees": 2}, phase=("tree",))


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


@pytest.mark.parametrize(
    ("kind", "what", "heard"),
    [
        (DataError, "bob's column 'income' cannot be a feature", "bob's column '…' cannot be a feature"),
        (DataError, """bob's column "it's odd" holds no numbers""", "bob's column '…' holds no numbers"),
        (DataError, r"""bob's column 'a\' "b\' c' holds no numbers""", "bob's column '…' holds no numbers"),
        (DataError, "bob's table breaks its contract", "bob's table breaks its contract"),
        (DataError, "1,203 rows of bob2 have no label", "… rows of bob2 have no label"),
        (DataError, "it takes about 1.5 GiB, and 0.2 GiB may be used", "it takes about … GiB, and … GiB may be used"),
        (StageError, "bob failed in stage 'train'", "bob failed in stage 'train'"),
        (BundleError, "bob's bundle has format 'made by Ann'", "bob's bundle has format '…'"),
        (ClusterError, "port 7201 of bob is taken", "port 7201 of bob is taken"),
    ],
)
def test_others_are_told_no_column_and_no_count(kind: type[RunnerError], what: str, heard: str) -> None:
    error = kind(what, where="data.tables.bob, income", why="income is odd", fix="mend income")
    assert told(error.to_dict(), "bob", "validate")["what"] == heard
    assert "income" not in str(told(error.to_dict(), "bob", "validate"))
