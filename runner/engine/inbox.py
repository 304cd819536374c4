"""What other parties sent and nobody has taken yet: each message under its sender, and no more than memory can bear."""

from __future__ import annotations

import os
import resource
import threading
from collections import Counter

from runner.cluster.processes import RESERVED

BLOCK = 4096  # numbers
OVERHEAD = 1000  # bytes that a message costs besides its content: nobody fills the memory with empty ones


class Inbox:
    """Messages that wait; safe from any thread.

    Args:
        most_bytes: how much each sender may have here at a time.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._messages: dict[tuple[str, int], bytes] = {}
        self._bytes: Counter[str] = Counter()
        self._taken: dict[tuple[str, int], int] = {}  # sender and block of numbers → a bit for each that was taken
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._messages)

    def reserve(self, sender: str, size: int, patience: float) -> bool:
        """Make room for ``size`` bytes that arrive; False where there is none within ``patience`` seconds."""

        def fits() -> bool:
            return self._bytes[sender] + size <= self._most_bytes

        with self._changed:
            if not self._changed.wait_for(fits, timeout=patience if size <= self._most_bytes else 0.0):
                return False
            self._bytes[sender] += size
            return True

    def release(self, sender: str, size: int) -> None:
        """Give back room that was reserved."""
        with self._changed:
            self._bytes[sender] -= size
            self._changed.notify_all()

    def put(self, sender: str, number: int, content: bytes) -> None:
        """File a message, for which ``OVERHEAD`` and its length are reserved.

        Of two of one number the first counts, also when it has been taken: a sender whose connection breaks before it
        hears that a message has come says it again.
        """
        with self._changed:
            if (sender, number) in self._messages or self._was_taken(sender, number):
                self._bytes[sender] -= OVERHEAD + len(content)
            else:
                self._messages[sender, number] = content
            self._changed.notify_all()

    def take(self, sender: str, number: int) -> bytes:
        """Wait for a message that ``sender`` itself sent. A dead peer ends the wait through the control channel."""
        with self._changed:
            self._changed.wait_for(lambda: (sender, number) in self._messages)
            content = self._messages.pop((sender, number))
            self._taken[sender, number // BLOCK] = self._block(sender, number) | 1 << number % BLOCK
            self._bytes[sender] -= OVERHEAD + len(content)
            self._changed.notify_all()
            return content

    def _block(self, sender: str, number: int) -> int:
        return self._taken.get((sender, number // BLOCK), 0)

    def _was_taken(self, sender: str, number: int) -> bool:
        return bool(self._block(sender, number) >> number % BLOCK & 1)

    def clear(self) -> None:
        """Drop what nobody took. What was taken is remembered: its number does not come again."""
        with self._changed:
            for (sender, _), content in self._messages.items():
                self._bytes[sender] -= OVERHEAD + len(content)
            self._messages.clear()
            self._changed.notify_all()


def fair_share(parties: int) -> int:
    """Bytes that one of so many parties may have waiting here: half of what this process may hold, in equal parts."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    bound, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if bound != resource.RLIM_INFINITY:
        memory = min(memory, bound - RESERVED)
    return memory // (2 * max(1, parties))
