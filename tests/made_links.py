"""Sites of a test with links over real sockets, and a network between them that can be cut."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from made_sites import credentials_of

from runner.cluster.channel import Channel, Message
from runner.cluster.link import Links, Peer
from runner.errors import ClusterError

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


def pair(alice: Site, bob: Site, at: Peer | None = None) -> tuple[Channel, Channel]:
    """The two ends of a connection, once it stands. Bob calls."""
    ours, theirs = together(
        lambda: alice.open({"bob": Peer("127.0.0.1", 1)}), lambda: bob.open({"alice": at or address(alice)})
    )
    return ours["bob"], theirs["alice"]


def fails(one: Site, peers: dict[str, Peer]) -> Callable[[], dict[str, Channel]]:
    def opening() -> dict[str, Channel]:
        with pytest.raises(ClusterError):
            one.open(peers, seconds=1.5)
        return {}

    return opening
