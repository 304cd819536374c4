"""``sweep.json``: which jobs a sweep has, and under which numbers. Changes are on the disk before anything follows."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
from filelock import FileLock

from runner.errors import BundleError
from runner.files import write_json

RECORD = "sweep.json"
_LOCK = ".sweep.json.lock"


class Entry(msgspec.Struct, kw_only=True):
    """One job. ``spec_digest`` is None where its overrides made no valid spec; ``attempts`` counts those begun."""

    number: int
    overrides: list[str]
    spec_digest: str | None
    attempts: int = 0


class Content(msgspec.Struct, kw_only=True):
    """What the file holds. ``typed`` is the command line that began the sweep; ``tune`` belongs to the tuner."""

    version: Literal[1] = 1
    typed: list[str] = msgspec.field(default_factory=list)
    jobs: list[Entry] = msgspec.field(default_factory=list)
    tune: dict[str, Any] | None = None


class Record:
    """The sweep's file, which several processes may change.

    Args:
        folder: the sweep folder, which is there.
        typed: the command line, noted where the sweep begins.
    """

    def __init__(self, folder: Path, typed: Sequence[str]) -> None:
        self._folder = folder
        self._lock = FileLock(folder / _LOCK, thread_local=False)
        self._one_thread = threading.Lock()  # one FileLock lets all threads of a process in together
        with self._changing() as content:
            content.typed = content.typed or list(typed)

    def number(self, overrides: Sequence[str], spec_digest: str | None) -> int:
        """The number of one job; see :meth:`numbers`."""
        return self.numbers([(overrides, spec_digest)])[0]

    def numbers(self, jobs: Iterable[tuple[Sequence[str], str | None]]) -> list[int]:
        """The number of each job, of which its overrides and its digest are given: its digest's, or else the next one.

        A job whose overrides made no valid spec is known by its overrides.
        """
        with self._changing() as content:
            return [_number(content, list(overrides), digest) for overrides, digest in jobs]

    def count_attempt(self, number: int) -> int:
        """Note that a job is begun, and return how often it was."""
        with self._changing() as content:
            (entry,) = (entry for entry in content.jobs if entry.number == number)
            entry.attempts += 1
            return entry.attempts

    def note_tune(self, tune: dict[str, Any]) -> None:
        """Replace what the tuner keeps."""
        with self._changing() as content:
            content.tune = tune

    @contextmanager
    def _changing(self) -> Iterator[Content]:
        with self._one_thread, self._lock:
            content = read_record(self._folder)
            before = msgspec.to_builtins(content)
            yield content
            if (after := msgspec.to_builtins(content)) != before or not (self._folder / RECORD).exists():
                write_json(self._folder / RECORD, after)


def _number(content: Content, overrides: list[str], spec_digest: str | None) -> int:
    for entry in content.jobs:
        same = spec_digest is not None and entry.spec_digest == spec_digest
        if same or (entry.spec_digest is None and entry.overrides == overrides):
            entry.spec_digest = spec_digest or entry.spec_digest
            return entry.number
    number = 1 + max((entry.number for entry in content.jobs), default=-1)
    content.jobs.append(Entry(number=number, overrides=overrides, spec_digest=spec_digest))
    return number


def read_record(folder: Path) -> Content:
    """What a sweep folder's file holds; nothing where there is none yet.

    Raises:
        BundleError: where it cannot be read.
    """
    path = folder / RECORD
    try:
        return msgspec.json.decode(path.read_bytes(), type=Content)
    except FileNotFoundError:
        return Content()
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(
            "the record of the sweep cannot be read",
            where=str(path),
            why=str(error).splitlines()[0],
            fix="restore it from a copy, or begin another sweep: hydra.sweep.dir=<another folder>",
        ) from None
