"""The folder of one crew, for Unix sockets and for what private set intersection writes: in memory where it can be.

A Unix socket's path must be short, and a run folder's may be long. The folder is its owner's alone, and locked as long
as the driver that made it lives, however it ends. What a killed one left, the next driver to start removes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

MEMORY, ENOUGH = Path("/dev/shm"), 1 << 30
PREFIX = "sgb-crew-"


class Sockets:
    """A new folder, mode 0700; ``remove`` ends it.

    Attributes:
        path: where it is.
    """

    def __init__(self) -> None:
        place = memory_folder() or Path(tempfile.gettempdir())
        sweep(place)
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
            lock = _lock(self.path)
            if lock is not None:
                self._lock = lock
                return

    def remove(self) -> None:
        """Remove it and all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def sweep(place: Path) -> None:
    """Remove the folders in ``place`` that this user's drivers made, and of which none lives any more."""
    for path in place.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            if path.lstat().st_uid == os.getuid() and (lock := _lock(path)) is not None:
                shutil.rmtree(path, ignore_errors=True)
                os.close(lock)


def _lock(path: Path) -> int | None:
    """The open, locked folder; None where another process has it, or it is gone by now."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    with contextlib.suppress(OSError):
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(opened), path.lstat()):
            return opened
    os.close(opened)
    return None


def memory_folder() -> Path | None:
    """Where files stay in memory, if there is such a place with room for those of psi; None: the usual place."""
    there = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ENOUGH
    return MEMORY if there else None
