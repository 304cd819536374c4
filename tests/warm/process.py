"""A process that has imported everything a run needs, and forks itself into the commands that tests type.

Usage: ``python -m warm.process DESCRIPTOR``, where the descriptor is a Unix socket on which ``warm.client`` asks.

Typing ``python -m runner`` means to import Hydra in the driver, pandera and secretflow in the templates: many seconds
of CPU time, of which no test learns anything. Here they are imported once, and nothing of them is used before a fork
(see ``runner.worker.template``); Hydra has composed something once, which is plain Python.

The same as typing: a process for the driver, with the arguments, folder, environment and outputs that it is given, in a
session of its own; ``runner.__main__`` is run as ``__main__``; a template process for each kind, of which the driver is
the parent, with the descriptors handed to it and no other, in a session of its own; a process for each party, forked by
the template; all signals, exit codes, and what happens when one of them is killed.

A command may be typed on another host (``faults.hosts``), and something may be done in its process before it begins
(``faults.inject``): what is changed there in modules holds for its templates and their children, too.

Other than typing: the imports (all modules are there in every process, so that a module that forgets to import what it
uses is not found out), the command line in ``/proc`` and the environment there, and whatever Python or a library takes
from the environment when it starts: a template that is given such variables is started as always. Python's hash seed is
that of the warm process, the same in all its commands.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import io
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

IMPORTED = (
    "runner.data.job",  # the first: it hides pandas from pandera
    "runner.worker.party",
    "runner.worker.offline",
    "runner.worker.template",
    "runner.execution",
    "runner.records",
    "runner.reproduction",
    "runner.doctor.visit",
    "runner.report.help",
)
LARGEST = 1 << 20  # bytes of a request
_CLONE_FS = 0x200


def main(descriptor: int) -> None:
    """Import, and fork a driver for each request, until the other end of the socket is closed."""
    requests = socket.socket(fileno=descriptor)
    for module in IMPORTED:
        importlib.import_module(module)
    importlib.import_module("support").make_spec()
    gc.collect()
    gc.freeze()
    _serve(requests)


def _serve(requests: socket.socket) -> NoReturn:
    ended, told = os.pipe()
    os.set_blocking(told, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(told)
    drivers: dict[int, socket.socket] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(requests, selectors.EVENT_READ)
        selector.register(ended, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if ended in ready:
                os.read(ended, LARGEST)
                _tell_exits(drivers)
            if requests in ready:
                content, descriptors, _, _ = socket.recv_fds(requests, LARGEST, 3)
                if not content:
                    _leave(drivers)
                out, err, line = descriptors
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    selector.close()
                    for descriptor in (ended, told, requests.fileno(), *(one.fileno() for one in drivers.values())):
                        os.close(descriptor)
                    _become_driver(json.loads(content), out, err, line)
                os.close(out)
                os.close(err)
                drivers[pid] = socket.socket(fileno=line)
                requests.send(str(pid).encode())


def _tell_exits(drivers: dict[int, socket.socket]) -> None:
    """Tell whoever typed a command with which code it ended."""
    for pid, line in list(drivers.items()):
        gone, status = os.waitpid(pid, os.WNOHANG)
        if gone:
            with contextlib.suppress(OSError), drivers.pop(pid):
                line.send(str(os.waitstatus_to_exitcode(status)).encode())


def _leave(drivers: dict[int, socket.socket]) -> NoReturn:
    for pid in drivers:
        os.kill(pid, signal.SIGKILL)
    os._exit(0)


def _become_driver(request: dict[str, Any], out: int, err: int, line: int) -> NoReturn:
    """Be the command that was typed."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if not os.read(line, 1):  # until then nobody watches this process
        os._exit(1)
    os.close(line)
    os.setsid()
    _print_to(out, err)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    try:
        _prepare(request)
    except BaseException:  # noqa: BLE001 - nobody above this frame may go on
        traceback.print_exc()
        os._exit(1)
    _exit_like_python(request["arguments"])


def _prepare(request: dict[str, Any]) -> None:
    """What is as it was typed: the host, the folder, the environment; and what is to be done before it begins."""
    if request["host"] is not None:
        _enter(request["host"])
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    tempfile.tempdir = None  # it is looked for again
    importlib.import_module("numpy").random.seed()  # as after an import of its own
    importlib.import_module("runner.cluster.processes").subprocess = SimpleNamespace(
        Popen=start_template, DEVNULL=subprocess.DEVNULL, TimeoutExpired=subprocess.TimeoutExpired
    )
    for module, function, arguments in request["before"]:
        getattr(importlib.import_module(module), function)(**arguments)


def _enter(pid: int) -> None:
    """Go to the host whose namespaces a process holds."""
    libc = ctypes.CDLL(None, use_errno=True)
    for name in ("net", "mnt"):
        descriptor = os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY)
        # Threads that libraries started at the fork stay where they are, and must share no folder with this one.
        if libc.unshare(_CLONE_FS) != 0 or libc.setns(descriptor, 0) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter the {name} namespace")
        os.close(descriptor)


def _exit_like_python(arguments: list[str]) -> NoReturn:
    """``python ARGUMENTS``, and its exit code; nothing that was imported has anything to finish."""
    code: Any = 0
    try:
        if arguments[0] == "-m":
            sys.argv, sys.path[0] = arguments[1:], str(Path.cwd())
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv, sys.path[0] = arguments, str(Path(arguments[0]).parent)
            runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as left:
        code = left.code if left.code is not None else 0
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except KeyboardInterrupt:
        traceback.print_exc()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:  # noqa: BLE001 - the last frame of a forked child
        traceback.print_exc()
        code = 1
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code & 0xFF)


def start_template(command: list[str], *, env: dict[str, str], **options: Any) -> Any:
    """In place of ``subprocess.Popen``: a template forked from the driver, or started where it must be."""
    usual = importlib.import_module("runner.cluster.processes")._ENVIRONMENT
    at_its_start = {name for name, value in env.items() if os.environ.get(name) != value} - set(usual)
    if at_its_start or command[:3] != [sys.executable, "-m", "runner.worker"]:
        return subprocess.Popen(command, env=env, **options)
    return _Forked(command, env=env, **options)


class _Forked:
    """What the driver uses of ``subprocess.Popen``."""

    def __init__(
        self,
        command: list[str],
        *,
        stdin: int,
        stdout: Any,
        stderr: Any,
        pass_fds: list[int],
        start_new_session: bool,
        env: dict[str, str],
    ) -> None:
        assert start_new_session
        assert stdin == subprocess.DEVNULL
        self.returncode: int | None = None
        self._command = command
        self.pid = os.fork()
        if self.pid == 0:
            _become_template(command[-1], stdout.fileno(), stderr.fileno(), pass_fds, env)

    def poll(self) -> int | None:
        """The exit code, if it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, or the number of the signal, negative."""
        limit = time.monotonic() + timeout if timeout is not None else None
        while self.returncode is None:
            gone, status = os.waitpid(self.pid, os.WNOHANG if limit is not None else 0)
            if gone:
                self.returncode = os.waitstatus_to_exitcode(status)
            elif limit is not None and time.monotonic() > limit:
                raise subprocess.TimeoutExpired(self._command, timeout or 0)
            else:
                time.sleep(0.005)
        return self.returncode


def _become_template(arguments: str, out: int, err: int, keep: list[int], environment: dict[str, str]) -> NoReturn:
    """As ``python -m runner.worker ARGUMENTS`` begins; what it does itself comes from the runner."""
    code = 1
    printed = sys.stdout, sys.stderr  # kept, so that what they hold is not written by two processes
    try:
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            if callable(signal.getsignal(number)):
                signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setsid()
        _print_to(os.dup(out), os.dup(err))
        _close_all_but(keep)
        sys.stdout, sys.stderr = (
            io.TextIOWrapper(open(number, "wb", 0, closefd=False), write_through=True)  # noqa: SIM115
            for number in (1, 2)
        )
        os.environ.clear()
        os.environ.update(environment)
        importlib.import_module("runner.worker.template").main(arguments)
        code = 0
    except BaseException:  # noqa: BLE001 - the last frame of a forked child
        traceback.print_exc()
    finally:
        del printed
        os._exit(code)


def _print_to(out: int, err: int) -> None:
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)


def _close_all_but(keep: list[int]) -> None:
    low = 3
    for descriptor in sorted(keep):
        os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))


if __name__ == "__main__":
    main(int(sys.argv[1]))
