"""Control messages between the driver and one process: JSON lines over a socket pair. They carry no party's data.

A message may take open files along (``SCM_RIGHTS``): to the process that it goes to, they are its own descriptors.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

Message = dict[str, Any]
DESCRIPTORS = "descriptors"  # the field with the number of files that a message takes along
_MOST_DESCRIPTORS = 200  # of one message; the kernel lets 253 pass
_PIECE = 1 << 16
HEARTBEAT_SECONDS = 1.0


class Channel:
    """One end of a control connection; sending is safe from several threads, receiving is for one.

    Each message is an object with an ``event`` (worker to driver) or an ``order`` (driver to worker). One that takes
    files along has their numbers, at the end where it is received, in ``descriptors``.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._buffer = b""
        self._descriptors: deque[int] = deque()

    @classmethod
    def from_descriptor(cls, descriptor: int) -> Channel:
        """The end that a parent process handed over as an open file descriptor."""
        return cls(socket.socket(fileno=descriptor))

    def fileno(self) -> int:
        return self._connection.fileno()

    def send(self, descriptors: Sequence[int] = (), **message: Any) -> bool:
        """Send one message; False where the other end is gone, which the receiving side of us finds out as well."""
        counted = {DESCRIPTORS: len(descriptors)} if descriptors else {}
        line = json.dumps({**message, **counted}).encode() + b"\n"
        try:
            with self._sending:
                sent = socket.send_fds(self._connection, [line], list(descriptors)) if descriptors else 0
                self._connection.sendall(line[sent:])
        except OSError:
            return False
        return True

    def beat(self, meanwhile: Callable[[], None] | None = None) -> None:
        """From now on give signs of life, in a thread of its own, until the other end is gone.

        Args:
            meanwhile: done between one sign and the next.
        """
        threading.Thread(target=self._beat, args=(meanwhile,), daemon=True).start()

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

    def _beat(self, meanwhile: Callable[[], None] | None) -> None:
        while self.send(event="alive"):
            if meanwhile is not None:
                meanwhile()
            time.sleep(HEARTBEAT_SECONDS)

    def _fill(self) -> bool:
        try:
            received, descriptors, _, _ = socket.recv_fds(self._connection, _PIECE, _MOST_DESCRIPTORS)
        except OSError:
            return False
        self._buffer += received
        self._descriptors.extend(descriptors)
        return bool(received)

    def _next(self) -> Message:
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: Message = json.loads(line)
        if DESCRIPTORS in message:
            message[DESCRIPTORS] = [self._descriptors.popleft() for _ in range(message[DESCRIPTORS])]
        return message
