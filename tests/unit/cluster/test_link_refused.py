"""Who is refused on a connection between sites: other parties, strangers, and what is no message."""

from __future__ import annotations

import contextlib
import json
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
from made_links import Site, address, fails, next_of, pair, together
from made_sites import credentials_of

from runner.cluster.background import MOST_WAITING, MOST_WARNINGS, Sparing
from runner.cluster.channel import Channel
from runner.cluster.link import MOST_CALLS, Peer
from runner.cluster.mutual_tls import client_context
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
