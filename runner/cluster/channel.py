"""Control messages between the driver and one process: JSON lines over a socket pair. They carry no party's data."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

Message = dict[str, Any]


class Channel:
    """One end of a control connection; sending is safe from several threads, receiving is for one.

    Each message is an object with an ``event`` (worker to driver) or an ``order`` (driver to worker).
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._buffer = b""

    @classmethod
    def from_descriptor(cls, descriptor: int) -> Channel:
        """The end that a parent process handed over as an open file descriptor."""
        return cls(socket.socket(fileno=descriptor))

    def fileno(self) -> int:
        return self._connection.fileno()

    def send(self, **message: Any) -> bool:
        """Send one message; False where the other end is gone, which the receiving side of us finds out as well."""
        line = json.dumps(message).encode() + b"\n"
        try:
            with self._sending:
                self._connection.sendall(line)
        except OSError:
            return False
        return True

    def receive(self) -> Message | None:
        """The next message, waiting for it; None at the end of the connection."""
        while b"\n" not in self._buffer:
            if not self._fill():
                return None
        return self._next()

    def receive_ready(self) -> tuple[list[Message], bool]:
        """Once the descriptor is readable: the messages that are whole, and whether the connection still stands."""
        standing = self._fill()
        messages = []
        while b"\n" in self._buffer:
            messages.append(self._next())
        return messages, standing

    def close(self) -> None:
        self._connection.close()

    def _fill(self) -> bool:
        try:
            received = self._connection.recv(1 << 16)
        except OSError:
            return False
        self._buffer += received
        return bool(received)

    def _next(self) -> Message:
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: Message = json.loads(line)
        return message
