"""Links of PSI between sites that share no folder, through real mutual TLS; and what a false peer gets."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest
from made_sites import make_sites
from support import PROJECT

from runner.cluster.link import Peer
from runner.cluster.mutual_tls import Credentials, client_context, listening
from runner.cluster.relay import MOST_STREAMS, Relay
from runner.errors import RunnerError
from runner.keys.pki import host_name

PARTIES = ("alice", "bob", "carol")
SESSION = "5" * 64


class Network:
    """Every party's relay, each with a folder for sockets of its own."""

    def __init__(self, folder: Path, sockets: Path, stack: contextlib.ExitStack) -> None:
        self.credentials = make_sites(folder, PARTIES)
        self.sockets = {party: sockets / party for party in PARTIES}
        self.warned: dict[str, list[str]] = {party: [] for party in PARTIES}
        self.faults: dict[str, SimpleQueue[RunnerError]] = {party: SimpleQueue() for party in PARTIES}
        self.relays: dict[str, Relay] = {}
        listeners = {party: listening(("127.0.0.1", 0), party) for party in PARTIES}
        self.peers = {party: Peer("127.0.0.1", listeners[party].getsockname()[1]) for party in PARTIES}
        for party in PARTIES:
            self.sockets[party].mkdir()
            stack.callback(listeners[party].close)
            others = {peer: at for peer, at in self.peers.items() if peer != party}
            relay = Relay(
                party,
                self.credentials[party],
                listeners[party],
                others,
                {"psi": PARTIES, "spu": PARTIES},
                self.sockets[party],
                SESSION,
                self.warned[party].append,
                self.faults[party].put,
            )
            stack.callback(relay.close)
            self.relays[party] = relay
            relay.serve("1", "psi")
            relay.serve("spu-0", "spu")

    def warning_of(self, party: str) -> str:
        """The first thing that a party's relay warned of."""
        until = time.monotonic() + 10
        while not self.warned[party] and time.monotonic() < until:
            time.sleep(0.01)
        return self.warned[party][0]

    def stream(self, caller: str, to: str, greeting: dict[str, str], shown: Credentials | None = None) -> ssl.SSLSocket:
        """A stream as a peer opens it, by hand."""
        plain = socket.create_connection(("127.0.0.1", self.peers[to].port))
        stream = client_context(shown or self.credentials[caller]).wrap_socket(plain, server_hostname=host_name(to))
        stream.settimeout(10)
        stream.sendall(json.dumps(greeting).encode() + b"\n")
        return stream


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with contextlib.ExitStack() as stack:
        short = stack.enter_context(tempfile.TemporaryDirectory(prefix="sgb-"))
        yield Network(tmp_path, Path(short), stack)


def intersect(network: Network, ids: dict[str, set[str]], folder: Path) -> dict[str, set[str]]:
    """What each party learns, each in a process of its own that sees its own site's sockets alone."""
    sides = {}
    for rank, party in enumerate(PARTIES):
        sockets, own = network.sockets[party], folder / f"psi-{party}"
        own.mkdir()
        (own / "in.csv").write_text("id\n" + "".join(f"{one}\n" for one in sorted(ids[party])))
        arguments = {
            "rank": rank,
            "addresses": [f"unix:{sockets / '1' / f'psi-{name}.s'}" for name in PARTIES],
            "protocol": "ecdh_3pc",
            "seconds": 60,
            "input": str(own / "in.csv"),
            "output": str(own / "out.csv"),
            "report": str(own / "report.json"),
        }
        command = [sys.executable, "-m", "runner.engine.psi_process", json.dumps(arguments)]
        sides[party] = subprocess.Popen(command, cwd=PROJECT)
    assert [side.wait(timeout=120) for side in sides.values()] == [0, 0, 0]
    return {
        party: {line.strip('"') for line in (folder / f"psi-{party}/out.csv").read_text().split()[1:]}
        for party in PARTIES
    }


def test_three_sites_intersect_and_all_leave(network: Network, tmp_path: Path) -> None:
    ids = {
        party: {f"id-{number}" for number in range(200) if number % (place + 2)} for place, party in enumerate(PARTIES)
    }
    found = intersect(network, ids, tmp_path)
    assert list(found.values()) == [set.intersection(*ids.values())] * 3
    assert network.warned == {party: [] for party in PARTIES}


def push(rank: int) -> bytes:
    service, method = b"org.interconnection.link.ReceiverService", b"Push"
    meta = bytes.fromhex("0a300a28") + service + bytes.fromhex("1204") + method + bytes.fromhex("1800208280808020")
    payload = bytes((8, rank, 18, 1, 107))
    return b"PRPC" + (len(meta) + len(payload)).to_bytes(4, "big") + len(meta).to_bytes(4, "big") + meta + payload


def test_member_cannot_speak_as_another(network: Network) -> None:
    with socket.socket(socket.AF_UNIX) as near:
        near.bind(str(network.sockets["alice"] / "spu-0/alice"))
        near.listen()
        near.settimeout(10)
        with network.stream("bob", "alice", {"session": SESSION, "folder": "spu-0", "service": "spu"}) as stream:
            stream.sendall(push(1) + push(2))
            with near.accept()[0] as connection:
                connection.settimeout(10)
                received = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert received == push(1)
    claimed = "it claims to come from rank 2, and the certificate is that of rank 1"
    fault = network.faults["alice"].get(timeout=10)
    assert (fault.what, fault.why) == ("bob sent what it may not send", claimed)


def test_who_answers_must_answer(network: Network) -> None:
    """What comes back from a peer goes into the library's client as it is: so it may be nothing but answers."""
    with socket.socket(socket.AF_UNIX) as far, socket.socket(socket.AF_UNIX) as near:
        far.bind(str(network.sockets["bob"] / "spu-0/bob"))
        far.listen()
        far.settimeout(10)
        near.connect(str(network.sockets["alice"] / "spu-0/bob"))
        near.settimeout(10)
        near.sendall(push(0))
        with far.accept()[0] as connection:
            connection.settimeout(10)
            assert connection.recv(1 << 16) == push(0)
            connection.sendall(push(1))
            assert near.recv(1 << 16) == b""
    assert network.faults["alice"].get(timeout=10).why == "it cannot be read"


def test_nobody_holds_more_links_than_it_needs(network: Network) -> None:
    greeting = {"session": SESSION, "folder": "spu-0", "service": "spu"}
    with contextlib.ExitStack() as stack:
        for _ in range(MOST_STREAMS):
            stack.enter_context(network.stream("bob", "alice", greeting))
        until = time.monotonic() + 10
        while network.relays["alice"]._streams["bob"] < MOST_STREAMS and time.monotonic() < until:
            time.sleep(0.01)
        assert stack.enter_context(network.stream("bob", "alice", greeting)).recv(1) == b""
        assert network.warning_of("alice") == "refused a link of bob: it has 16 already"
        kept = stack.enter_context(network.stream("carol", "alice", {**greeting, "service": "psi-done", "folder": "1"}))
        assert kept.recv(1) == b""
    assert (network.sockets["alice"] / "1" / "psi-carol.s.done").exists(), "carol has places of her own"


def test_link_of_another_run_is_refused(network: Network) -> None:
    with network.stream("bob", "alice", {"session": "6" * 64, "folder": "spu-0", "service": "spu"}) as stream:
        assert stream.recv(1) == b""
    assert network.warning_of("alice") == "refused a link of bob: it belongs to another run"


def test_peer_that_is_not_reached_is_tried_again(network: Network) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = closed.getsockname()
    network.relays["alice"]._peers["bob"] = Peer(*address)
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(network.sockets["alice"] / "spu-0" / "bob"))
        time.sleep(0.3)
        with socket.create_server(address) as late:
            late.settimeout(10)
            late.accept()[0].close()
    assert network.warned["alice"] == []


def test_mark_is_that_of_the_certificate(network: Network) -> None:
    with network.stream("bob", "alice", {"session": SESSION, "folder": "1", "service": "psi-done"}) as stream:
        assert stream.recv(1) == b""
    assert sorted(path.name for path in network.sockets["alice"].glob("*/*.done")) == ["psi-bob.s.done"]


def test_stranger_is_refused(network: Network, tmp_path: Path) -> None:
    strangers = make_sites(tmp_path / "elsewhere", ["bob"])
    trusting = strangers["bob"]._replace(authority=network.credentials["bob"].authority)
    with (
        contextlib.suppress(OSError),
        network.stream("bob", "alice", {"session": SESSION, "folder": "spu-0", "service": "spu"}, trusting) as stream,
    ):
        stream.recv(1)
    assert network.warning_of("alice").startswith("refused a link from 127.0.0.1: ")


@pytest.mark.parametrize("junk", [b"[" * 100_000, b"7", b"{}", b'{"session": [], "folder": 1, "service": {}}'])
def test_junk_ends_the_link_with_a_word(network: Network, junk: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with network.stream("bob", "alice", {"session": SESSION}) as stream:
        stream.sendall(junk + b"\n")
        assert stream.recv(1) == b""
    assert network.warning_of("alice").startswith("a link of bob was ended: ")
    assert capfd.readouterr().err == ""


def test_job_after_job_leaves_no_socket_and_no_task(network: Network) -> None:
    relay = network.relays["alice"]

    def held() -> tuple[int, int]:
        listening = Path("/proc/net/unix").read_text().count(f" {network.sockets['alice']}/")
        return listening, len(relay._background._tasks)

    before = held()
    for job in range(2, 5):
        relay.serve(str(job), "psi")
        assert held() == (before[0] + 2, before[1] + 1)
        relay.withdraw(str(job))
        until = time.monotonic() + 10
        while held() != before and time.monotonic() < until:
            time.sleep(0.01)
        assert held() == before
