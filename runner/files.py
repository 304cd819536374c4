"""Files that are whole or absent, and folders that belong to one party.

Whatever the runner writes goes to a temporary name, is flushed to the disk, and is renamed, so that
a run killed at any moment leaves nothing half-written that looks finished.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rfc8785

from runner.errors import ClusterError, SecurityError

PRIVATE_DIR = 0o700
PRIVATE_FILE = 0o600
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk, a quota, the largest file that is allowed
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
# How Polars and DuckDB tell the system's errors, and DuckDB that there is no place for what it sorts.
_AS_TEXT = re.compile(r"\(os error (\d+)\)|No space left on device|'max_temp_directory_size'")


def make_private_dir(path: Path) -> Path:
    """Create ``path`` (and its parents) so that only this user can enter it.

    A folder that is there already is the user's, who decides on its mode.

    Raises:
        SecurityError: where it is a symbolic link.
    """
    if path.is_symlink():
        raise SecurityError(
            f"{path.name} is a symbolic link",
            where=str(path),
            why="it would lead a party's private files to another place",
            fix="remove the link",
        )
    if path.is_dir():
        return path
    path.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
    path.chmod(PRIVATE_DIR)
    return path


def link_below(root: Path, path: Path) -> Path | None:
    """The first symbolic link on the way from ``root`` (which may be one) to ``path``; elsewhere, ``path`` if it is."""
    root, path = root.absolute(), path.absolute()
    try:
        inner = path.relative_to(root).parts
    except ValueError:
        return path if path.is_symlink() else None
    steps = [root.joinpath(*inner[: depth + 1]) for depth in range(len(inner))]
    return next((step for step in steps if step.is_symlink()), None)


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then flush it and rename it to ``path`` (mode 0600)."""
    temporary = new_file(path)
    try:
        write(temporary)
        put_in_place(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def new_file(path: Path) -> Path:
    """Make an empty file (mode 0600) of a temporary name beside ``path``; :func:`put_in_place` gives it that name."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE))
    return temporary


def put_in_place(temporary: Path, path: Path) -> None:
    """Flush a file that is complete, and rename it."""
    _flush(temporary)
    temporary.replace(path)
    _flush(path.parent)


def remove_unfinished(folder: Path) -> None:
    """Remove what processes that are gone left below ``folder`` under temporary names."""
    for path in folder.rglob(".*.tmp"):
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically."""
    write_atomically(path, lambda temporary: _fill(temporary, content))


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` to ``path`` atomically as indented JSON with sorted keys."""
    write_bytes(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n")


def append_whole(descriptor: int, content: bytes) -> None:
    """Append ``content`` to an open file, or nothing of it: what a full disk took of it is cut off again.

    Raises:
        OSError: where it cannot be written.
    """
    before, written = os.fstat(descriptor).st_size, 0
    try:
        while written < len(content):
            written += os.write(descriptor, content[written:])
    except OSError:
        os.ftruncate(descriptor, before)
        raise


def open_log(path: str | Path) -> int:
    """A descriptor that appends to a log; where that cannot be made, one of nothing: a process may still say why."""
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, PRIVATE_FILE)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)


def want_of_room(error: BaseException, whose: str) -> ClusterError | None:
    """The error of a full disk in words that may leave the party; None where it is another error.

    Args:
        whose: who cannot write.
    """
    number = getattr(error, "errno", None)
    if number is None and (found := _AS_TEXT.search(str(error))):
        number = int(found[1] or errno.ENOSPC)
    if number not in _NO_ROOM:
        return None
    return ClusterError(
        f"{whose} has no room left on a disk",
        where=str(getattr(error, "filename", None) or "the run folder, or what outputs and TMPDIR name"),
        why=os.strerror(number),
        fix="free some space, or set outputs to a place that has some, and run again",
    )


def file_digest(path: Path) -> bytes:
    """SHA-256 of a file's content, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.digest()


def canonical_json(value: Any) -> bytes:
    """One byte string per value (RFC 8785): the form that digests are taken of and signatures made under.

    Raises:
        ValueError: for what the form does not know: NaN, infinity, whole numbers beyond 2^53, half a character.
    """
    return bytes(rfc8785.dumps(value))


def _fill(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
