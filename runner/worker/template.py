"""A process that imports the heavy libraries once and forks one child per party.

Forking is safe here because nothing of the imported libraries has been *used* yet: no XLA backend, no polars
query, no gRPC channel and no HEU call exists before the fork; each child starts its own threads.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import threading
import traceback
import warnings
from typing import Any, NoReturn

from runner.cluster.channel import Channel

_PR_SET_PDEATHSIG = 1


def main(arguments_json: str) -> None:
    """Import, fork, and report each child's end to the driver; leave when all have ended or the driver is gone."""
    arguments = json.loads(arguments_json)
    _die_with_parent()
    control = Channel.from_descriptor(arguments["control"])
    job = _preload(arguments["kind"], arguments["preload"])
    names = {}
    for name in arguments["children"]:
        pid = os.fork()
        if pid == 0:
            _become_child(job, arguments, name, control)
        names[pid] = name
        control.send(event="forked", child=name, pid=pid)
    for child in arguments["children"].values():
        _close(child)
    threading.Thread(target=_leave_with_driver, args=(control,), daemon=True).start()
    for _ in range(len(names)):
        pid, status = os.wait()
        code = os.waitstatus_to_exitcode(status)
        control.send(event="exited", child=names[pid], code=code)
    os._exit(0)  # at once: the libraries' own threads have nothing to finish


# JAX warns that its threads do not survive a fork. It has been imported here and not used: a child's first
# computation starts a backend of its own.
warnings.filterwarnings("ignore", message="os.fork", category=RuntimeWarning)


def _preload(kind: str, modules: list[str]) -> Any:
    """Import what the children need; return the function that each child runs."""
    for module in modules:
        importlib.import_module(module)
    if kind == "check":
        return importlib.import_module("runner.data.job").check_tables
    if kind in ("report", "search"):  # of a room above this one: the last of the modules has the job
        return importlib.import_module(modules[-1]).answer
    if kind == "offline":
        return importlib.import_module("runner.worker.offline").answer
    job = importlib.import_module("runner.worker.party")
    return job.run_party


def _become_child(job: Any, arguments: dict[str, Any], name: str, control: Channel) -> NoReturn:
    """Keep this child's own descriptors only, and run its job."""
    code = 1
    try:
        control.close()
        _die_with_parent()
        for other, child in arguments["children"].items():
            if other != name:
                _close(child, keep=arguments["children"][name]["tables"].values())
        own = arguments["children"][name]
        code = job(Channel.from_descriptor(own["channel"]), own["tables"])
    except BaseException:  # noqa: BLE001 - the last frame of a forked child
        traceback.print_exc()
    finally:
        # Not sys.exit: secretflow leaves threads behind that would keep the process alive.
        os._exit(code)


def _close(child: dict[str, Any], keep: Any = ()) -> None:
    os.close(child["channel"])
    for descriptor in set(child["tables"].values()) - set(keep):
        os.close(descriptor)


def _die_with_parent() -> None:
    """Ask the kernel to end this process when its parent ends, however it ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def _leave_with_driver(control: Channel) -> None:
    """The driver sends the template nothing: the end of the connection means that the driver is gone."""
    control.receive()
    os._exit(1)
