"""What two drivers say to each other, over however many connections: each message once, and in order.

To the rest of a driver its peer is a :class:`Channel`. A line is what lies between that channel and the network: it
numbers what the driver says and keeps it until the peer has it, so that after a cut it is said again on the next
connection, and it passes on what the peer says where that is the next number.

On the wire each message is a line of JSON. A connection begins with a :class:`Greeting` from each end; then come
:class:`Frame` objects, each with a message or with how many were heard.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import time
from collections import deque
from typing import Annotated, Any

import msgspec

from runner.cluster.channel import DESCRIPTORS
from runner.cluster.mutual_tls import shown_by


class Greeting(msgspec.Struct):
    """The first line of a connection.

    Attributes:
        session: what its sender calls its side of this run.
        heard: messages that it has heard.
        knows: the session of the side that it greets, as far as it knows one.
        at: its clock, seconds since 1970.
    """

    session: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    heard: Annotated[int, msgspec.Meta(ge=0)]
    knows: str | None = None
    at: float | None = None


class Frame(msgspec.Struct):
    """Either a message and its number, or how many were heard."""

    heard: int | None = None
    number: int | None = None
    said: dict[str, Any] | None = None


class Line:
    """What is said to and heard from one peer. Used by one event loop; others read its attributes.

    Attributes:
        at_driver: the socket of the driver's channel to this peer.
        session: what the peer calls its side; None until it was connected.
        writer: of the connection that stands; None while there is none.
        last_word: when the peer was last heard, by the loop's clock.
        ahead: seconds by which the peer's clock was ahead when it was connected.
        trouble: why no connection stands.
        certificate: what the peer showed (DER).
        calls: connections that the peer has opened.
        came: whether it was ever connected.
    """

    def __init__(self, party: str, loop: asyncio.AbstractEventLoop) -> None:
        self.party = party
        self.at_driver, self._to_driver = socket.socketpair()
        self._to_driver.setblocking(False)
        self._loop = loop
        self._own = secrets.token_hex(16)  # what this site calls its side
        self._said: deque[tuple[int, bytes]] = deque()
        self._number = 0
        self._heard = 0
        self._ended = False
        self.session: str | None = None
        self.writer: asyncio.StreamWriter | None = None
        self.last_word = 0.0
        self.ahead = 0.0
        self.trouble = "it has not been reached yet"
        self.certificate = b""
        self.calls = 0
        self.came = False

    def greeting(self) -> bytes:
        """What this end of a connection begins with."""
        return _encoded({"session": self._own, "knows": self.session, "heard": self._heard, "at": time.time()})

    def is_mine(self, greeting: Greeting) -> bool:
        """Whether the peer greets this run, and not one that this site has begun before."""
        return greeting.knows in (None, self._own)

    def connect(self, greeting: Greeting, writer: asyncio.StreamWriter) -> None:
        """Go on over this connection: what the peer has not heard is said again. One that stood is broken off."""
        self.session, self.certificate = greeting.session, shown_by(writer)
        self._forget(greeting.heard)
        if self.writer is not None:  # the caller has given up that connection, and it alone may call
            self.writer.transport.abort()
        for _, message in self._said:
            writer.write(message)
        self.writer, self.trouble, self.came = writer, "", True
        self.last_word = self._loop.time()
        self.ahead = 0.0 if greeting.at is None else greeting.at - time.time()

    async def take(self, content: bytes) -> None:
        """Take a line that came over the connection that stands.

        Raises:
            msgspec.MsgspecError, RecursionError: where it cannot be read.
        """
        self.last_word = self._loop.time()
        frame = msgspec.json.decode(content, type=Frame)
        if frame.heard is not None:
            self._forget(frame.heard)
        elif frame.said is not None and frame.number == self._heard + 1:
            self._heard += 1
            frame.said.pop(DESCRIPTORS, None)  # no file comes over a network
            await self._loop.sock_sendall(self._to_driver, json.dumps(frame.said).encode() + b"\n")
            self.give_sign()

    async def pass_on(self) -> None:
        """Say to the peer what the driver says into its channel, until that is closed."""
        buffer = b""
        while received := await self._loop.sock_recv(self._to_driver, 1 << 16):
            *whole, buffer = (buffer + received).split(b"\n")
            for message in whole:
                self._number += 1
                encoded = _encoded({"number": self._number, "said": json.loads(message)})
                self._said.append((self._number, encoded))
                if self.writer is not None:
                    self.writer.write(encoded)

    def give_sign(self) -> None:
        """Tell the peer how many messages were heard, which is a sign of life too."""
        if self.writer is not None:
            self.writer.write(_encoded({"heard": self._heard}))

    def has_spoken(self) -> bool:
        """Whether the peer has said anything, which a driver does when it has met all others."""
        return self._heard > 0

    def is_unheard(self) -> bool:
        """Whether the peer has not heard all that was said."""
        return bool(self._said)

    def is_ended(self) -> bool:
        """Whether the peer is given up."""
        return self._ended

    def begin_anew(self) -> None:
        """Forget the peer, and what it said, of which the driver has read nothing."""
        self._own, self.session, self.writer, self._heard = secrets.token_hex(16), None, None, 0
        with contextlib.suppress(BlockingIOError):
            while self.at_driver.recv(1 << 16, socket.MSG_DONTWAIT):
                pass

    def end(self) -> None:
        """Give up the peer: the driver hears nothing more, as with a peer's death. What it says stays unheard."""
        self._ended = True
        with contextlib.suppress(OSError):
            self._to_driver.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Nothing will be passed on any more."""
        self._to_driver.close()

    def _forget(self, heard: int) -> None:
        """What the peer has heard need not be said again."""
        while self._said and self._said[0][0] <= heard:
            self._said.popleft()


def _encoded(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode() + b"\n"
