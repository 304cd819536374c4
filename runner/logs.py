"""Structured logs: what each process of a run does, as JSON lines for programs, beside the readable logs.

Each process writes a file of its own, which is rotated. Every line has ``time`` (UTC), ``level``, ``run``, ``party``,
``stage``, ``process``, ``pid``, ``thread``, ``event`` and ``message``; ``run`` is the same at all sites, and null until
they have agreed. A line holds the runner's own words and counts: of what a library raises at a party, its type and
place only, as its text may quote data.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Literal, NamedTuple

from runner.errors import RunnerError
from runner.files import PRIVATE_FILE, append_whole, make_private_dir, open_log

FOLDER = "logs"  # in the run folder for what is no party's own, and in each party's folder
Level = Literal["debug", "info", "warning", "error"]
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_FRAMES = 6  # of a traceback, the innermost


class How(NamedTuple):
    """Settings of a run's logs, which its driver passes on to its processes.

    Attributes:
        level: the least that the structured logs hold.
        max_bytes: a log that has grown to this size is set aside, and another one begun.
        keep: how many of those set aside are kept.
    """

    level: Level = "info"
    max_bytes: int = 10_000_000
    keep: int = 3


def run_id(session: str) -> str:
    """The name of a run, 12 hexadecimal digits: of SHA-256 of its secret name, which nobody learns from it."""
    return hashlib.sha256(f"name of the run {session}".encode()).hexdigest()[:12]


def structured(readable: Path) -> Path:
    """The structured log beside a readable one."""
    return readable.parent / FOLDER / f"{readable.stem}.jsonl"


class RunLog:
    """The structured log of one process, safe to use from several threads. Where it cannot be written, work goes on.

    Args:
        path: its file; None: nothing is written.
        process: what the process is, such as ``worker``.
        party: whose it is; None: no party's own.
        tell: told once where lines are missing; by default, they are told where the process prints to.

    Attributes:
        run: the run's name, once it has one.
        stage: the stage of the plan that the process is in.
    """

    def __init__(
        self,
        path: Path | None,
        how: How,
        *,
        process: str,
        party: str | None = None,
        run: str | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.run = run
        self.stage: str | None = None
        self._process, self._party = process, party
        self._logger = logging.Logger(process, _LEVELS[how.level])
        self._logger.addHandler(logging.NullHandler())  # else a line after the end would go to the terminal
        self._file: logging.Handler | None = None
        if path is not None:
            try:
                self._file = _file(path, how, tell or _print)
                self._logger.addHandler(self._file)
            except OSError as error:
                (tell or _print)(_gap(path, error))

    def write(self, event: str, message: str, level: Level = "info", **more: Any) -> None:
        """Write one line; ``more`` are fields besides the common ones."""
        common = {
            "time": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            "level": level,
            "run": self.run,
            "party": self._party,
            "stage": self.stage,
            "process": self._process,
            "pid": os.getpid(),
            "thread": threading.current_thread().name,
            "event": event,
            "message": message,
        }
        self._logger.log(_LEVELS[level], {**common, **more})

    def failed(self, error: BaseException) -> None:
        """Write what ended the work of the process."""
        if isinstance(error, RunnerError):
            self.write("failed", error.what, "error", error=error.to_dict())
        else:
            frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
            places = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
            self.write("failed", f"{type(error).__name__} was raised", "error", places=places)

    def close(self) -> None:
        """Write no more."""
        if self._file is not None:
            self._logger.removeHandler(self._file)
            with suppress(OSError):
                self._file.close()

    @contextmanager
    def instead_of_terminal(self) -> Iterator[None]:
        """Take in what libraries log in this process, which has no party's data; else it would go to the terminal."""
        taking = _Taking(self)
        logging.getLogger().addHandler(taking)
        try:
            yield
        finally:
            logging.getLogger().removeHandler(taking)


def _file(path: Path, how: How, tell: Callable[[str], None]) -> logging.Handler:
    from pythonjsonlogger.json import JsonFormatter  # late: a check of the spec needs none of it

    make_private_dir(path.parent)
    rotated = _Rotated(tell, path, maxBytes=how.max_bytes, backupCount=how.keep, encoding="utf-8")
    rotated.setFormatter(JsonFormatter([]))
    return rotated


class _Rotated(RotatingFileHandler):
    """A file that only this user can read; where it cannot be written, that is said once, and the run goes on."""

    def __init__(self, tell: Callable[[str], None], path: Path, **settings: Any) -> None:
        super().__init__(path, **settings)
        self._tell: Callable[[str], None] | None = tell

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, PRIVATE_FILE)
        return open(descriptor, "a", encoding=self.encoding)  # noqa: PTH123 - closed by the handler

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self.shouldRollover(record):
                self.doRollover()
            if self.stream is None:
                self.stream = self._open()
            append_whole(self.stream.fileno(), f"{self.format(record)}\n".encode())
        except Exception:  # noqa: BLE001 - as logging's own handlers do
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        tell, self._tell = self._tell, None
        if tell is not None:
            tell(_gap(self.baseFilename, sys.exc_info()[1]))


def _gap(path: str | Path, error: BaseException | None) -> str:
    return f"lines are missing in {path}: {error}"


def _print(text: str) -> None:
    with suppress(OSError):  # where it goes to may lie on the same full disk
        print(f"note: {text}", file=sys.stderr, flush=True)


class _Taking(logging.Handler):
    def __init__(self, log: RunLog) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        level: Level = "error" if record.levelno >= logging.ERROR else "warning"
        self._log.write("library", record.getMessage(), level, logger=record.name)


def print_to(path: Path) -> None:
    """Send everything that this process prints, C++ libraries included, to a file that only this user can read."""
    descriptor = open_log(path)
    os.dup2(descriptor, sys.stdout.fileno())
    os.dup2(descriptor, sys.stderr.fileno())
    os.close(descriptor)


def set_aside(path: Path, how: How) -> bool:
    """Where a readable log has grown too large, rename it: to ``worker.log.1``, what was that to ``worker.log.2``, …

    Returns:
        whether there is none now: then whoever prints to it needs another one.
    """
    if not path.exists():
        return True
    if path.stat().st_size < how.max_bytes:
        return False
    names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, how.keep + 1))]
    for older, oldest in zip(names[-2::-1], names[:0:-1], strict=True):
        if older.exists():
            older.replace(oldest)
    return True
