"""Digests of what a table was read from."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from runner.data.files import TableFile
from runner.files import file_digest

if TYPE_CHECKING:
    import polars as pl


def files_digest(files: tuple[TableFile, ...]) -> bytes:
    """SHA-256 of one file's content; of several, of their contents and of what their folders' names say."""
    if len(files) == 1 and not files[0].partition:
        return file_digest(files[0].path)
    digest = hashlib.sha256()
    for file in files:
        digest.update(repr((sorted(file.partition.items()), file_digest(file.path).hex())).encode())
    return digest.digest()


def rows_digest(frame: pl.DataFrame, id_columns: Collection[str]) -> bytes:
    """SHA-256 of a table's columns and rows, whatever their order (if ids are unique)."""
    hashing: Any = _Hashing()
    ordered = frame.select(sorted(frame.columns))
    ids = [name for name in id_columns if name in ordered.columns]
    ordered = ordered.sort(ids) if ids else ordered
    ordered.rechunk().write_ipc_stream(hashing, compression="uncompressed")
    return bytes(hashing.digest.digest())


class _Hashing(io.RawIOBase):
    """A file that keeps the digest of what is written to it, and nothing else."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self.digest.update(content)
        return len(content)
