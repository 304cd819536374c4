"""Connections between sites over real sockets: what is told, what a cut does, and who is waited for."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from made_links import GRACE, Clock, Site, Wire, address, next_of, pair, together

from runner.cluster.channel import Channel
from runner.cluster.link import QUIET, Peer
from runner.errors import ClusterError, RunnerError
from runner.keys.pki import (
    CERTIFICATE,
)


def test_three_sites_talk_each_with_each(folder: Path, site: Callable[..., Site]) -> None:
    sites = {party: site(party) for party in ("alice", "bob", "carol")}
    addresses = {party: address(one) for party, one in sites.items()}

    def opening(party: str) -> Callable[[], dict[str, Channel]]:
        return lambda: sites[party].open({peer: at for peer, at in addresses.items() if peer != party})

    channels = dict(zip(sites, together(*(opening(party) for party in sites)), strict=True))
    for party, own in channels.items():
        assert sorted(own) == sorted(set(sites) - {party})
        for peer, channel in own.items():
            channel.send(event="greeting", of=party, to=peer)
    for party, own in channels.items():
        for peer, channel in own.items():
            assert next_of(channel) == {"event": "greeting", "of": peer, "to": party}
    assert [one.warned for one in sites.values()] == [[], [], []]
    shown = sites["alice"].links.certificates()
    assert shown == {party: (folder / party / CERTIFICATE).read_text() for party in ("bob", "carol")}


def test_cut_that_heals_loses_and_doubles_nothing(site: Callable[..., Site]) -> None:
    alice, bob = site("alice", grace=20), site("bob", grace=20)
    wire = Wire(alice.links.port)
    try:
        ours, theirs = pair(alice, bob, Peer("127.0.0.1", wire.port))
        for number in range(300):
            ours.send(event="count", number=number)
            theirs.send(event="count", number=number)
            if number % 100 == 50:
                wire.cut.set()
                time.sleep(0.2)
            if number % 100 == 80:
                wire.cut.clear()
        for channel in (ours, theirs):
            assert [next_of(channel) for _ in range(300)] == [{"event": "count", "number": n} for n in range(300)]
    finally:
        wire.close()


def test_cut_that_lasts_ends_the_channel(site: Callable[..., Site]) -> None:
    alice, bob = site("alice"), site("bob")
    wire = Wire(alice.links.port)
    try:
        ours, theirs = pair(alice, bob, Peer("127.0.0.1", wire.port))
        began = time.monotonic()
        wire.cut.set()
        assert next_of(ours) is None
        assert next_of(theirs) is None
        assert GRACE - 1 < time.monotonic() - began < GRACE + 3
    finally:
        wire.close()


def test_silence_that_ends_within_the_grace_does_no_harm(site: Callable[..., Site]) -> None:
    """A network that swallows everything for longer than the patience with one connection, and no connection breaks."""
    alice, bob = site("alice", grace=12), site("bob", grace=12)
    wire = Wire(alice.links.port)
    try:
        ours, theirs = pair(alice, bob, Peer("127.0.0.1", wire.port))
        wire.stalled.set()
        theirs.send(event="on its way")
        time.sleep(QUIET + 4)
        wire.stalled.clear()
        assert next_of(ours) == {"event": "on its way"}
        ours.send(event="heard")
        assert next_of(theirs) == {"event": "heard"}
    finally:
        wire.close()


def test_silence_that_lasts_ends_the_channel_after_one_grace(site: Callable[..., Site]) -> None:
    alice, bob = site("alice", grace=5), site("bob", grace=5)
    wire = Wire(alice.links.port)
    try:
        ours, theirs = pair(alice, bob, Peer("127.0.0.1", wire.port))
        began = time.monotonic()
        wire.stalled.set()
        assert next_of(ours) is None
        assert next_of(theirs) is None
        assert 3 < time.monotonic() - began < 8
    finally:
        wire.close()


def test_who_stood_still_itself_says_so(site: Callable[..., Site]) -> None:
    alice, bob = site("alice"), site("bob")
    pair(alice, bob)
    found: queue.SimpleQueue[RunnerError] = queue.SimpleQueue()
    alice.links._fail = found.put
    alice.links._background.loop.call_soon_threadsafe(time.sleep, GRACE + 1.5)
    assert "alice's driver stood still for" in found.get(timeout=10).what


def test_how_far_the_clocks_are_apart_is_known(site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = site("alice"), site("bob")
    monkeypatch.setattr("runner.cluster.line.time", Clock(alice.links))
    pair(alice, bob)
    assert 3590 < bob.links.ahead()["alice"] < 3610
    assert -3610 < alice.links.ahead()["bob"] < -3590


def test_word_that_all_must_hear_outlives_a_cut_at_the_end(site: Callable[..., Site]) -> None:
    alice, bob = site("alice", grace=20), site("bob", grace=20)
    wire = Wire(alice.links.port)
    try:
        ours, theirs = pair(alice, bob, Peer("127.0.0.1", wire.port))
        wire.cut.set()
        time.sleep(0.3)
        theirs.send(event="attested")
        threading.Timer(3.0, wire.cut.clear).start()
        assert bob.links.settle() == []
        bob.links.close()
        bob.links.close = lambda: None  # type: ignore[method-assign]
        assert next_of(ours) == {"event": "attested"}
    finally:
        wire.close()


def test_who_did_not_hear_is_named_and_nobody_waits_for_the_dead(site: Callable[..., Site]) -> None:
    alice, bob = site("alice"), site("bob")
    _, theirs = pair(alice, bob)
    alice.links.close()
    alice.links.close = lambda: None  # type: ignore[method-assign]
    assert next_of(theirs) is None
    began = time.monotonic()
    theirs.send(event="attested")
    assert bob.links.settle() == ["alice"]
    assert time.monotonic() - began < 1


def test_last_words_are_heard_before_the_end(site: Callable[..., Site]) -> None:
    alice, bob = site("alice"), site("bob")
    ours, theirs = pair(alice, bob)
    theirs.send(event="failed", party="bob")
    bob.links.close()
    bob.links.close = lambda: None  # type: ignore[method-assign]
    assert next_of(ours) == {"event": "failed", "party": "bob"}
    assert next_of(ours) is None


def test_site_that_was_started_anew_is_another(site: Callable[..., Site]) -> None:
    alice, bob = site("alice"), site("bob")
    ours, _ = pair(alice, bob)
    bob.links.close()
    bob.links.close = lambda: None  # type: ignore[method-assign]
    again = site("bob")
    with pytest.raises(ClusterError):
        again.open({"alice": address(alice)}, seconds=1.0)
    assert next_of(ours) is None


@pytest.mark.parametrize(("restarted", "late"), [("alice", "carol"), ("carol", "alice")])
def test_who_types_again_while_a_third_is_late_is_welcome(site: Callable[..., Site], restarted: str, late: str) -> None:
    """Bob calls alice, and carol calls bob."""
    sites = {party: site(party) for party in ("alice", "bob", "carol")}
    found: dict[str, Channel] = {}
    at_bob = {"bob": address(sites["bob"])}
    at_others = {party: address(sites[party]) for party in ("alice", "carol")}
    waiting = threading.Thread(target=lambda: found.update(sites["bob"].open(at_others)))
    waiting.start()
    first = sites[restarted]
    first.open(at_bob)
    first.links.close()
    first.links.close = lambda: None  # type: ignore[method-assign]
    again = site(restarted, port=first.links.port)
    again.open(at_bob)["bob"].send(event="hello")
    sites[late].open(at_bob)
    waiting.join()
    assert next_of(found[restarted]) == {"event": "hello"}
    found[restarted].send(event="heard")
    assert sites["bob"].warned == []


@pytest.mark.parametrize(("speaker", "late"), [("alice", "carol"), ("carol", "alice")])
def test_who_speaks_and_leaves_had_met_all_so_that_nobody_waits(
    site: Callable[..., Site], speaker: str, late: str
) -> None:
    """A third has come, seen and failed before bob met it; to bob it is late."""
    bob, other = site("bob"), site(speaker)

    def fail() -> None:
        other.open({"bob": address(bob)})["bob"].send(event="failed", party=late)
        other.links.close()
        other.links.close = lambda: None  # type: ignore[method-assign]

    failing = threading.Thread(target=fail)
    failing.start()
    began = time.monotonic()
    channels = bob.open({speaker: address(other), late: Peer("127.0.0.1", 1)}, seconds=60)
    failing.join()
    assert time.monotonic() - began < 15
    assert next_of(channels[speaker]) == {"event": "failed", "party": late}
    assert next_of(channels[speaker]) is None


def test_who_does_not_come_is_named(site: Callable[..., Site]) -> None:
    bob = site("bob")
    with pytest.raises(ClusterError) as raised:
        bob.open({"alice": Peer("127.0.0.1", 1)}, seconds=1.2)
    assert raised.value.what == "alice did not come"
    assert raised.value.why == "127.0.0.1:1: nothing listens there"
    assert any(line.startswith("waiting for alice at 127.0.0.1:1 (0 s of") for line in bob.told)


def test_who_should_call_is_told_with_the_port_that_it_should_call(site: Callable[..., Site]) -> None:
    alice = site("alice")
    with pytest.raises(ClusterError) as raised:
        alice.open({"bob": Peer("::1", 1)}, seconds=0.2)
    assert raised.value.why == f"[::1]:1: no call from there has come to port {alice.links.port} here yet"


def test_who_came_and_gave_up_is_not_blamed(site: Callable[..., Site]) -> None:
    alice, bob = site("alice"), site("bob")

    def come_and_leave() -> None:
        alice.open({"bob": Peer("127.0.0.1", 1)})
        alice.links.close()
        alice.links.close = lambda: None  # type: ignore[method-assign]

    leaving = threading.Thread(target=come_and_leave)
    leaving.start()
    with pytest.raises(ClusterError) as raised:
        bob.open({"alice": address(alice), "carol": Peer("127.0.0.1", 1)}, seconds=4)
    leaving.join()
    assert raised.value.what == "carol did not come"
    assert raised.value.where == "parties.carol.address"


def test_those_that_come_are_enough_where_that_is_asked(site: Callable[..., Site]) -> None:
    alice, bob = site("alice"), site("bob")
    peers = {"alice": address(alice), "carol": Peer("127.0.0.1", 1)}
    ours, theirs = together(
        lambda: alice.open({"bob": Peer("127.0.0.1", 1)}),
        lambda: bob.links.open(peers, 3.0, bob.told.append, partly=True),
    )
    assert list(bob.links.missing()) == ["carol"]
    assert bob.links.missing()["carol"].startswith("127.0.0.1:1: ")
    ours["bob"].send(event="greeting")
    assert next_of(theirs["alice"]) == {"event": "greeting"}
