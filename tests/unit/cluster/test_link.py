"""Connections between sites over real sockets: who is let in, what is told, and what a cut does."""

from __future__ import annotations

import contextlib
import json
import queue
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from made_sites import credentials_of, make_sites

from runner.cluster.background import MOST_WAITING, MOST_WARNINGS, Sparing
from runner.cluster.channel import Channel, Message
from runner.cluster.link import MOST_CALLS, QUIET, Links, Peer
from runner.cluster.mutual_tls import client_context
from runner.errors import ClusterError, RunnerError
from runner.keys.pki import (
    AUTHORITY,
    AUTHORITY_KEY,
    CERTIFICATE,
    TLS_KEY,
    common_name,
    host_name,
    make_authority,
    pin_of,
    read_certificate,
    read_key,
)

GRACE = 2.0


class Site:
    """One site: its links, and what it warned of."""

    def __init__(self, folder: Path, party: str, grace: float = GRACE, port: int = 0) -> None:
        self.warned: list[str] = []
        self.links = Links(party, credentials_of(folder, party), ("127.0.0.1", port), grace, self.warned.append)
        self.told: list[str] = []

    def open(self, peers: dict[str, Peer], seconds: float = 20.0) -> dict[str, Channel]:
        return self.links.open(peers, seconds, self.told.append, every=0.5)


class Clock:
    """The time, an hour ahead for one site's links."""

    def __init__(self, fast: Links) -> None:
        self._fast = fast._background._thread

    def time(self) -> float:
        return time.time() + (3600 if threading.current_thread() is self._fast else 0)


class Wire:
    """A network between a caller and a listener that can be cut, or swallow everything, and be mended."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cut = threading.Event()
        self.stalled = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._listener.close()

    def _carry(self) -> None:
        ends: dict[socket.socket, socket.socket] = {}
        while not self._ended.is_set():
            if self.stalled.is_set():
                time.sleep(0.02)
                continue
            for ready in select.select([self._listener, *ends], [], [], 0.02)[0]:
                if ready is self._listener:
                    one = self._listener.accept()[0]
                    if self.cut.is_set():
                        one.close()
                        continue
                    other = socket.create_connection(("127.0.0.1", self._port))
                    ends |= {one: other, other: one}
                elif ready in ends:
                    content = ready.recv(1 << 16)
                    if content:
                        ends[ready].sendall(content)
                    else:
                        _drop(ends, ready)
            if self.cut.is_set():
                for one in list(ends):
                    _drop(ends, one)
        for one in list(ends):
            _drop(ends, one)


def _drop(ends: dict[socket.socket, socket.socket], one: socket.socket) -> None:
    if other := ends.pop(one, None):
        del ends[other]
        one.close()
        other.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an authority and three parties' certificates."""
    make_sites(tmp_path, ("alice", "bob", "carol"))
    return tmp_path


@pytest.fixture
def started() -> Iterator[list[Links]]:
    links: list[Links] = []
    yield links
    with contextlib.ExitStack() as stack:
        for one in links:
            stack.callback(one.close)


@pytest.fixture
def site(folder: Path, started: list[Links]) -> Callable[..., Site]:
    def make(party: str, grace: float = GRACE, port: int = 0) -> Site:
        made = Site(folder, party, grace, port)
        started.append(made.links)
        return made

    return make


def address(site: Site) -> Peer:
    return Peer("127.0.0.1", site.links.port)


def together(*openings: Callable[[], dict[str, Channel]]) -> list[dict[str, Channel]]:
    """Open all sites at the same time, each with its own operator."""
    found: list[dict[str, Channel]] = [{} for _ in openings]

    def run(place: int) -> None:
        found[place] = openings[place]()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(openings))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def next_of(channel: Channel, seconds: float = 10.0) -> Message | None:
    whole = b"\n" in channel._buffer
    assert whole or select.select([channel], [], [], seconds)[0], "nothing was heard"
    return channel.receive()


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


def pair(alice: Site, bob: Site, at: Peer | None = None) -> tuple[Channel, Channel]:
    """The two ends of a connection, once it stands. Bob calls."""
    ours, theirs = together(
        lambda: alice.open({"bob": Peer("127.0.0.1", 1)}), lambda: bob.open({"alice": at or address(alice)})
    )
    return ours["bob"], theirs["alice"]


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


def fails(one: Site, peers: dict[str, Peer]) -> Callable[[], dict[str, Channel]]:
    def opening() -> dict[str, Channel]:
        with pytest.raises(ClusterError):
            one.open(peers, seconds=1.5)
        return {}

    return opening


@pytest.mark.parametrize("false", ["alice", "bob"])
def test_certificate_of_another_party_is_refused(folder: Path, site: Callable[..., Site], false: str) -> None:
    for name in (CERTIFICATE, TLS_KEY):
        (folder / false / name).write_bytes((folder / "carol" / name).read_bytes())
    alice, bob = site("alice"), site("bob")
    together(fails(alice, {"bob": Peer("127.0.0.1", 1)}), fails(bob, {"alice": address(alice)}))
    if false == "alice":
        assert "it is for carol.party.internal, not for alice.party.internal" in bob.warned[0]
        assert len(bob.warned) == 1, "once, however often it was tried"
    else:
        assert "its certificate is for carol.party.internal" in alice.warned[0]


def test_pinned_key_is_demanded_at_both_ends(folder: Path, site: Callable[..., Site]) -> None:
    key = read_certificate(folder / "alice" / CERTIFICATE).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    alice, bob = site("alice"), site("bob")
    at = Peer("127.0.0.1", alice.links.port, pin_of(key))
    together(fails(alice, {"bob": Peer("127.0.0.1", 1, "0" * 64)}), fails(bob, {"alice": at}))
    assert "its key has the pin" in alice.warned[0]
    assert bob.warned == []


def reissue(folder: Path, party: str, days: float, authority: Path) -> None:
    """A certificate that ended, or that another authority signed."""
    key, issuer = read_key(authority / AUTHORITY_KEY), read_certificate(authority / AUTHORITY)
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(common_name(party))
        .issuer_name(issuer.subject)
        .public_key(read_key(folder / party / TLS_KEY).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host_name(party))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / party / CERTIFICATE).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


@pytest.mark.parametrize("bad", ["caller", "listener"])
@pytest.mark.parametrize(("fault", "by_caller"), [("expired", "it expired on"), ("stranger", "it is signed by")])
def test_bad_certificate_is_refused_with_its_fault(
    folder: Path, site: Callable[..., Site], bad: str, fault: str, by_caller: str
) -> None:
    party = "bob" if bad == "caller" else "alice"
    make_authority(folder / "other")
    reissue(folder, party, -1 if fault == "expired" else 30, folder / ("ca" if fault == "expired" else "other"))
    alice, bob = site("alice"), site("bob")
    together(fails(alice, {"bob": Peer("127.0.0.1", 1)}), fails(bob, {"alice": address(alice)}))
    if bad == "listener":
        assert by_caller in bob.warned[0]
    else:
        assert "expected: a certificate of bob.party.internal" in alice.warned[0]
        assert ("expired" in alice.warned[0]) == (fault == "expired")


def test_stranger_without_tls_is_refused(site: Callable[..., Site]) -> None:
    alice, bob = site("alice"), site("bob")
    ours, theirs = pair(alice, bob)
    with socket.create_connection(("127.0.0.1", alice.links.port)) as stranger:
        stranger.sendall(b'{"number": 1, "said": {"event": "failed"}}\n')
        stranger.settimeout(5)
        with contextlib.suppress(OSError):
            while stranger.recv(1024):
                pass
    theirs.send(event="still here")
    assert next_of(ours) == {"event": "still here"}
    assert "refused a connection from 127.0.0.1" in alice.warned[0]


def test_who_only_connects_keeps_nobody_out(site: Callable[..., Site]) -> None:
    alice, bob = site("alice"), site("bob")
    with contextlib.ExitStack() as stack:
        idle = [
            stack.enter_context(socket.create_connection(("127.0.0.1", alice.links.port)))
            for _ in range(MOST_WAITING + 20)
        ]
        ours, theirs = pair(alice, bob)
        theirs.send(event="here")
        assert next_of(ours) == {"event": "here"}
        idle[0].settimeout(5)
        with contextlib.suppress(ConnectionError):
            assert idle[0].recv(1) == b"", "the oldest makes room"


def test_listener_outlives_a_want_of_descriptors(site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = site("alice"), site("bob")
    loop, failed = alice.links._background.loop, threading.Event()
    accept = loop.sock_accept

    async def scarce(listener: socket.socket) -> tuple[socket.socket, tuple[str, int]]:
        if not failed.is_set():
            failed.set()
            raise OSError(24, "Too many open files")
        return await accept(listener)

    monkeypatch.setattr(loop, "sock_accept", scarce)
    ours, theirs = pair(alice, bob)
    assert failed.is_set()
    theirs.send(event="here")
    assert next_of(ours) == {"event": "here"}


class FalseBob:
    """A member of the run that speaks by hand, over as many connections as it likes."""

    def __init__(self, folder: Path, alice: Site, stack: contextlib.ExitStack) -> None:
        self._folder, self._alice, self._stack = folder, alice, stack

    def connect(self, greeting: bytes = b'{"session": "5", "knows": null, "heard": 0}') -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self._alice.links.port))
        context = client_context(credentials_of(self._folder, "bob"))
        stream = self._stack.enter_context(context.wrap_socket(plain, server_hostname=host_name("alice")))
        stream.settimeout(5)
        stream.sendall(greeting + b"\n" if greeting else b"")
        return stream


@pytest.fixture
def false_bob(folder: Path, site: Callable[..., Site]) -> Iterator[tuple[FalseBob, Channel, Site]]:
    alice = site("alice", grace=20)
    with contextlib.ExitStack() as stack:
        bob = FalseBob(folder, alice, stack)
        connecting = threading.Timer(0.1, bob.connect)
        connecting.start()
        channel = alice.open({"bob": Peer("127.0.0.1", 1)})["bob"]
        connecting.join()
        yield bob, channel, alice


@pytest.mark.parametrize(
    "junk",
    [
        b"[" * 100_000,
        b"7",
        b'"heard"',
        b"{",
        b'{"said": 7, "number": 1}',
        b'{"said": [], "number": 1}',
        b'{"heard": "many"}',
        b'{"said": {}, "number": "one"}',
    ],
    ids=lambda junk: repr(junk[:20]),
)
def test_junk_ends_the_channel_and_nothing_else(
    false_bob: tuple[FalseBob, Channel, Site], junk: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    bob, channel, _ = false_bob
    bob.connect().sendall(junk + b"\n")
    assert next_of(channel) is None
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "greeting",
    [b"[" * 100_000, b"7", b"{}", b"\x80\x05K\x01.", b'{"session": "6", "heard": 0}'],
    ids=lambda greeting: repr(greeting[:20]),
)
def test_who_cannot_greet_leaves_the_connection_that_stands(
    false_bob: tuple[FalseBob, Channel, Site], greeting: bytes
) -> None:
    """Another program with bob's certificate, which does not know the name of bob's session."""
    bob, channel, alice = false_bob
    first = bob.connect()
    first.sendall(b'{"number": 1, "said": {"event": "checked"}}\n')
    assert next_of(channel) == {"event": "checked"}
    other = bob.connect(greeting)
    with contextlib.suppress(ConnectionError):
        while other.recv(1024):
            pass
    first.sendall(b'{"number": 2, "said": {"event": "checked"}}\n')
    assert next_of(channel) == {"event": "checked"}
    assert alice.warned[0].startswith("refused a connection of bob: ")


def test_one_peer_has_few_connections_at_a_time(false_bob: tuple[FalseBob, Channel, Site]) -> None:
    bob, _, alice = false_bob
    held = [bob.connect(b"") for _ in range(2 * MOST_CALLS)]
    until = time.monotonic() + 10
    while not alice.warned and time.monotonic() < until:
        time.sleep(0.01)
    assert alice.warned == [f"refused a connection of bob: it has {MOST_CALLS} already"]
    for one in held:
        one.close()


def test_warnings_are_told_once_and_not_for_ever() -> None:
    told: list[str] = []
    warn = Sparing(told.append)
    for number in range(2 * MOST_WARNINGS):
        warn(f"warning {number}")
        warn("warning 0")
    assert told[:2] == ["warning 0", "warning 1"]
    assert len(told) == MOST_WARNINGS + 1
    assert told[-1].endswith("no more of this will be told")


def test_no_message_from_afar_claims_to_bring_files(false_bob: tuple[FalseBob, Channel, Site]) -> None:
    bob, channel, _ = false_bob
    said = {"event": "checked", "descriptors": 3}
    bob.connect().sendall(json.dumps({"number": 1, "said": said}).encode() + b"\n")
    assert next_of(channel) == {"event": "checked"}


def test_a_new_connection_takes_the_place_of_the_old(false_bob: tuple[FalseBob, Channel, Site]) -> None:
    bob, channel, _ = false_bob
    first = bob.connect()
    bob.connect().sendall(b'{"number": 1, "said": {"event": "checked"}}\n')
    assert next_of(channel) == {"event": "checked"}
    with contextlib.suppress(ConnectionError):
        while first.recv(1024):
            pass
