"""Typing commands by way of the warm process (``warm.process`` says what is the same as typing, and what differs)."""

from __future__ import annotations

import atexit
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import psutil

Before = tuple[str, str, dict[str, Any]]

TESTS = Path(__file__).resolve().parent.parent
PATH = os.pathsep.join((str(TESTS.parent), str(TESTS)))
# Commands find these set, and leave them as they are: libraries read them when they start, and those of a template that
# is forked from the warm process have started.
THREADS = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), "1"),
    "YACL_NUM_THREADS": str(len(os.sched_getaffinity(0))),
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}


class _WarmProcess:
    """The one of this pytest process; it ends when this end of the socket is closed, at the latest with pytest.

    Args:
        enter: what is typed before its own command.
    """

    def __init__(self, *enter: str) -> None:
        self._requests, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        # What templates are started with, as allocator and interpreter read it then alone.
        started_with = {"MALLOC_ARENA_MAX": "2", "PYTHONUNBUFFERED": "1", "PYTHONPATH": PATH}
        with there:
            self._process = subprocess.Popen(
                [*enter, sys.executable, "-m", "warm.process", str(there.fileno())],
                cwd="/",
                env={**environment(), **started_with},
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                pass_fds=[there.fileno()],
                start_new_session=True,
            )
        atexit.register(self._end)

    def fork(self, request: bytes, descriptors: Sequence[int]) -> int:
        """The process id of a driver that waits for a word on the last of its descriptors."""
        try:
            socket.send_fds(self._requests, [request], descriptors)
            answer = self._requests.recv(64)
        except OSError:
            self.fail()
        return int(answer) if answer else self.fail()

    def fail(self) -> NoReturn:
        self._said.seek(0)
        raise AssertionError(f"the warm process is gone:\n{self._said.read().decode()}")

    def _end(self) -> None:
        self._requests.close()
        self._process.wait()
        self._said.close()


_processes: dict[int, _WarmProcess] = {}  # by the user namespace in which they run


def _warm_process(host: int | None) -> _WarmProcess:
    """The one that may enter a host: where that is of another user namespace, one that was started there."""
    here = Path("/proc/self/ns/user").stat().st_ino
    there = here if host is None else Path(f"/proc/{host}/ns/user").stat().st_ino
    if there not in _processes:
        _processes[there] = _WarmProcess(*([] if host is None or there == here else entering_users(host)))
    return _processes[there]


def entering_users(holder: int) -> list[str]:
    """What is typed before a command so that it runs in the user namespace of a process."""
    return ["nsenter", "-t", str(holder), "-U", "--preserve-credentials"]


def entering(holder: int, place: Path) -> list[str]:
    """What is typed before a command so that it runs in a folder of the host whose namespaces a process holds."""
    users = entering_users(holder) if os.geteuid() != 0 else ["nsenter", "-t", str(holder)]
    return [*users, "-n", "-m", f"--wdns={place}"]


def environment() -> dict[str, str]:
    """That of pytest, without its mark, and with numbers of threads."""
    return {**THREADS, **{key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}}


class WarmDriver(psutil.Process):
    """A typed command; as far as tests go, what ``psutil.Popen`` is.

    Args:
        arguments: what stands behind ``python``.
        environment: all of it.
        stdout, stderr: descriptors.
        host: the process that holds the namespaces of the host on which it is typed; None: this one.
        before: module, function and arguments of what is done in its process before it begins.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        stdout: int,
        stderr: int,
        host: int | None = None,
        before: Sequence[Before] = (),
    ) -> None:
        request = {
            "arguments": list(arguments),
            "cwd": str(cwd),
            "environment": dict(environment),
            "host": host,
            "before": list(before),
        }
        self.returncode: int | None = None
        self._line, there = socket.socketpair()
        self._process = _warm_process(host)
        with there:
            pid = self._process.fork(json.dumps(request).encode(), [stdout, stderr, there.fileno()])
        super().__init__(pid)
        self._line.send(b"!")

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        return self._wait(0)

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it is there.

        Raises:
            psutil.TimeoutExpired: where it is not after ``timeout`` seconds.
        """
        code = self._wait(timeout)
        if code is None:
            raise psutil.TimeoutExpired(timeout, pid=self.pid)
        return code

    def _wait(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._line], [], [], timeout)[0]:
            told = self._line.recv(64)
            self.returncode = int(told) if told else self._process.fail()
            self._line.close()
        return self.returncode
