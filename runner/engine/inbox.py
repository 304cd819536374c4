"""What other parties sent and nobody has taken yet: each message under its sender, and no more than memory can bear."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import Counter
from pathlib import Path

from runner.cluster.limits import allowed_here

OVERHEAD = 1000  # bytes that a message costs besides its content: nobody fills the memory with empty ones
LEAST = 1 << 25  # bytes of a share, however small the machine
_GROUP = Path("/sys/fs/cgroup/memory.max")


class Inbox:
    """Messages that wait; safe from any thread.

    A message that is awaited finds room even where later ones of its sender, which nobody asks for yet, have taken all
    that there is for them: else it could never come, and they would stay for ever.

    Args:
        most_bytes: how much each sender may have here at a time; half of it is for messages that are awaited.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._messages: dict[tuple[str, int], bytes] = {}
        self._bytes: Counter[str] = Counter()
        self._awaited: set[tuple[str, int]] = set()
        self._taken: set[tuple[str, int]] = set()
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def longest(self) -> int:
        """Bytes of the longest message that finds room."""
        return self._most_bytes // 2 - OVERHEAD

    def has_had(self, sender: str, number: int) -> bool:
        """Whether a message has come already: where the answer is lost on its way, its sender sends it again."""
        with self._changed:
            return (sender, number) in self._messages or (sender, number) in self._taken

    def reserve(self, sender: str, number: int, size: int, patience: float) -> bool:
        """Make room for a message of ``size`` bytes; False where there is none within ``patience`` seconds.

        All of its room at once: of two that have half of theirs, each could wait for the other's.

        Args:
            size: at most ``longest``.
        """
        size += OVERHEAD

        def fits() -> bool:
            most = self._most_bytes if (sender, number) in self._awaited else self._most_bytes // 2
            return self._bytes[sender] + size <= most

        with self._changed:
            if not self._changed.wait_for(fits, timeout=patience):
                return False
            self._bytes[sender] += size
            return True

    def release(self, sender: str, size: int) -> None:
        """Give back the room of a message that did not come."""
        with self._changed:
            self._bytes[sender] -= OVERHEAD + size
            self._changed.notify_all()

    def put(self, sender: str, number: int, content: bytes, reserved: int) -> None:
        """File a message for which ``reserved`` bytes are reserved; of two of one number the first counts."""
        with self._changed:
            self._bytes[sender] -= reserved - len(content)
            if (sender, number) in self._messages or (sender, number) in self._taken:
                self._bytes[sender] -= OVERHEAD + len(content)
            else:
                self._messages[sender, number] = content
            self._changed.notify_all()

    def take(self, sender: str, number: int) -> bytes:
        """Wait for a message that ``sender`` itself sent. A dead peer ends the wait through the control channel."""
        with self._changed:
            self._awaited.add((sender, number))
            self._changed.notify_all()
            self._changed.wait_for(lambda: (sender, number) in self._messages)
            self._awaited.discard((sender, number))
            self._taken.add((sender, number))
            content = self._messages.pop((sender, number))
            self._bytes[sender] -= OVERHEAD + len(content)
            self._changed.notify_all()
            return content

    def clear(self) -> None:
        """Drop what nobody took."""
        with self._changed:
            for (sender, _), content in self._messages.items():
                self._bytes[sender] -= OVERHEAD + len(content)
            self._messages.clear()
            self._taken.clear()
            self._changed.notify_all()


def fair_share(parties: int) -> int:
    """Bytes that one of so many parties may have waiting at another: half of the memory, in equal parts.

    The memory is this machine's, that of its control group, or what the kernel lets this process have of it.
    """
    memory = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    with contextlib.suppress(OSError, ValueError):  # there is no such group, or it is not bounded
        memory.append(int(_GROUP.read_text()))
    if (allowed := allowed_here()) is not None:
        memory.append(allowed)
    return max(LEAST, min(memory) // (2 * max(1, parties - 1)))
