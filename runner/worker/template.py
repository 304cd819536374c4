"""A process that imports the heavy libraries once, and forks one child per party whenever it is told to.

Forking is safe here because nothing of the imported libraries has been *used* yet: no XLA backend, no polars
query, no gRPC channel and no HEU call exists before the fork; each child starts its own threads.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import select
import selectors
import signal
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from runner.cluster.channel import Channel, Message
from runner.files import open_log
from runner.logs import How, RunLog

_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
Job = Callable[[Channel], int]


def main(arguments_json: str) -> NoReturn:
    """Import, fork what is ordered, and report each child's end to the driver; leave when the driver is gone."""
    arguments = json.loads(arguments_json)
    control = Channel.from_descriptor(arguments["control"])
    threading.Thread(target=_leave_with_driver, args=(control.fileno(),), daemon=True).start()
    log = _log_of(arguments)
    began = time.monotonic()
    tempfile.tempdir = arguments["temporary"]  # where JAX makes a folder when it is imported, for a purpose of GPUs
    job = _preload(arguments["kind"], arguments["preload"])
    tempfile.tempdir = None
    log.write("imported", "the libraries are imported", seconds=round(time.monotonic() - began, 3))
    gc.collect()
    gc.freeze()  # no child looks through what was imported again: memory stays shared, and collections are short
    _Template(control, job, log).serve()


def _log_of(arguments: Mapping[str, Any]) -> RunLog:
    path = Path(arguments["log"]) if "log" in arguments else None
    return RunLog(path, How(*arguments.get("how", ())), process=f"template of {arguments['kind']}")


# JAX warns that its threads do not survive a fork. It has been imported here and not used: a child's first
# computation starts a backend of its own.
warnings.filterwarnings("ignore", message="os.fork", category=RuntimeWarning)


def _preload(kind: str, modules: list[str]) -> Job:
    """Import what the children need; return the function that each child runs."""
    for module in modules:
        importlib.import_module(module)
    job: Job
    if kind == "check":
        job = importlib.import_module("runner.data.job").check_tables
    elif kind in ("report", "search"):  # of a room above this one: the last of the modules has the job
        job = importlib.import_module(modules[-1]).answer
    elif kind == "offline":
        job = importlib.import_module("runner.worker.offline").answer
    else:
        job = importlib.import_module("runner.worker.party").run_party
    return job


class _Child(NamedTuple):
    crew: int
    name: str
    pid: int
    watched: int  # a descriptor that is readable when the child has ended


class _Template:
    def __init__(self, control: Channel, job: Job, log: RunLog) -> None:
        self._control = control
        self._job = job
        self._log = log
        self._children: dict[int, _Child] = {}  # by what is watched
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)

    def serve(self) -> NoReturn:
        while True:
            for key, _ in self._selector.select():
                if key.fd in self._children:
                    self._reap(self._children[key.fd])
                    continue
                messages, standing = self._control.receive_ready()
                for message in messages:
                    self._obey(message)
                if not standing:
                    os._exit(0)  # at once: the libraries' own threads have nothing to finish

    def _obey(self, order: Message) -> None:
        if order["order"] == "fork":
            self._fork(order)
            return
        if order["order"] == "name":
            self._log.run = order["run"]
            return
        for child in list(self._children.values()):
            if child.crew == order["crew"]:
                os.kill(child.pid, signal.SIGKILL)  # not reaped yet, so that the id is still its own

    def _fork(self, order: Message) -> None:
        ends = dict(zip(order["children"], order.get("descriptors", ()), strict=True))
        log = open_log(order["log"])
        for name, end in ends.items():
            parent = os.getpid()
            pid = os.fork()
            if pid == 0:
                _stay_within(order["reserve"].get(name), order["cores"].get(name))
                self._become_child(parent, name, end, [log, *(other for other in ends.values() if other != end)])
            child = _Child(order["crew"], name, pid, os.pidfd_open(pid))
            self._children[child.watched] = child
            self._selector.register(child.watched, selectors.EVENT_READ)
            self._control.send(event="forked", crew=child.crew, child=name, pid=pid)
            self._log.write("forked", f"a process for {name} was forked", child=name, child_pid=pid)
        for descriptor in (log, *ends.values()):
            os.close(descriptor)

    def _reap(self, child: _Child) -> None:
        _, status = os.waitpid(child.pid, 0)
        self._selector.unregister(child.watched)
        os.close(child.watched)
        del self._children[child.watched]
        code = os.waitstatus_to_exitcode(status)
        how = f"by signal {-code}" if code < 0 else f"with code {code}"
        self._log.write("exited", f"the process for {child.name} ended {how}", child=child.name, child_pid=child.pid)
        self._control.send(event="exited", crew=child.crew, child=child.name, code=code)

    def _become_child(self, parent: int, name: str, end: int, others: list[int]) -> NoReturn:
        """Keep this child's own descriptors only, and run its job."""
        code = 1
        try:
            _die_with_parent(parent)
            _name_process(name)
            self._log.close()
            log = others[0]
            os.dup2(log, 1)
            os.dup2(log, 2)
            self._selector.close()
            self._control.close()
            for descriptor in (*others, *self._children):
                os.close(descriptor)
            code = self._job(Channel.from_descriptor(end))
        except BaseException:  # noqa: BLE001 - the last frame of a forked child
            traceback.print_exc()
        finally:
            # Not sys.exit: secretflow leaves threads behind that would keep the process alive.
            os._exit(code)


def _die_with_parent(parent: int) -> None:
    """Ask the kernel to end this process when the thread that forked it ends, however it ends; it may have already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        os._exit(1)


def _stay_within(memory: int | None, cores: list[int] | None) -> None:
    """Let the kernel refuse memory beyond so many bytes, and run this process on these cores only."""
    if memory is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    if cores is not None:
        os.sched_setaffinity(0, cores)


def _name_process(name: str) -> None:
    """Let ``top`` and ``ps`` show whose process it is."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def _leave_with_driver(control: int) -> None:
    """End with the driver, also while the libraries are imported. (It may start templates in threads that end.)"""
    watch = select.poll()
    watch.register(control, select.POLLRDHUP)
    with contextlib.suppress(OSError):
        watch.poll()
        os._exit(1)
