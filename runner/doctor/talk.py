"""What two doctors say to each other over a connection between their sites, and what is measured by it.

Each says ``hello`` with its versions and the settings that must be common; then each sends pings and some megabytes
of noughts, and answers those of the other; ``bye`` ends it. No party's data is in it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from runner.cluster.channel import Channel, Message

PINGS = 10
PIECE, PIECES = 1 << 18, 16  # characters of a message, messages
ANSWER = 30.0  # seconds for an answer
NO_DOCTOR = "what its site says is not what a doctor says"
_HEARD = ("hello", "pong", "loaded", "bye")


class Hello(msgspec.Struct):
    """What a site says of itself: versions of packages, and the settings that all sites share."""

    versions: dict[str, str]
    values: dict[str, Any]


class Heard(NamedTuple):
    """What came of a talk.

    Attributes:
        hello: what the peer said of itself.
        latency: seconds of the quickest ping, there and back.
        ahead: seconds by which the peer's clock is ahead of this site's.
        bandwidth: bytes a second that the peer was seen to take.
    """

    hello: Hello
    latency: float
    ahead: float
    bandwidth: float


class Silence(Exception):
    """The peer does not answer as a doctor does; the text says why."""


class Talk:
    """One conversation, in which a thread of its own answers the peer."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._heard: dict[str, queue.SimpleQueue[Message | None]] = {name: queue.SimpleQueue() for name in _HEARD}
        self._loaded = 0
        threading.Thread(target=self._answer, daemon=True).start()

    def hold(self, versions: Mapping[str, str], values: Mapping[str, Any], patience: float) -> Heard:
        """Say everything, and hear everything.

        Args:
            patience: seconds until the peer says hello: it may still be waiting for a third one.

        Raises:
            Silence: where the peer is no doctor, or gone.
        """
        self._channel.send(event="hello", versions=dict(versions), values=dict(values))
        hello = self._hello(self._await("hello", patience))
        trips = [self._ping(number) for number in range(PINGS)]
        latency, ahead = min(trips)
        bandwidth = self._load()
        self._channel.send(event="bye")
        self._await("bye", patience)
        return Heard(hello, latency, ahead, bandwidth)

    def _hello(self, message: Message) -> Hello:
        try:
            return msgspec.convert(message, Hello)
        except msgspec.ValidationError:
            other = "its site is at a run, and not at task=doctor" if "spec" in message else NO_DOCTOR
            raise Silence(other) from None

    def _ping(self, number: int) -> tuple[float, float]:
        """Seconds there and back, and by how many the peer's clock is ahead (as in NTP, RFC 5905)."""
        began, sent = time.monotonic(), time.time()
        self._channel.send(event="ping", number=number)
        answer = self._await("pong", ANSWER)
        trip = time.monotonic() - began
        try:
            return trip, float(answer["at"]) - sent - trip / 2
        except (LookupError, TypeError, ValueError):
            raise Silence(NO_DOCTOR) from None

    def _load(self) -> float:
        began = time.monotonic()
        for left in reversed(range(PIECES)):
            self._channel.send(event="load", content="0" * PIECE, last=left == 0)
        self._await("loaded", ANSWER + 2 * PIECE * PIECES / 1e6)
        return PIECE * PIECES / (time.monotonic() - began)

    def _await(self, event: str, seconds: float) -> Message:
        try:
            message = self._heard[event].get(timeout=seconds)
        except queue.Empty:
            raise Silence(f"no answer within {seconds:.0f} s") from None
        if message is None:
            raise Silence("the connection ended")
        return message

    def _answer(self) -> None:
        while (message := self._channel.receive()) is not None:
            match message.get("event"):
                case "ping":
                    self._channel.send(event="pong", at=time.time())
                case "load":
                    self._loaded += len(str(message.get("content")))
                    if message.get("last"):
                        self._channel.send(event="loaded", bytes=self._loaded)
                case str(event) if event in self._heard:
                    self._heard[event].put(message)
                case _:
                    self._heard["hello"].put(message)  # which it is not, and that is told
        for waiting in self._heard.values():
            waiting.put(None)
