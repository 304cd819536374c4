"""Faults that happen in a run's own processes at a chosen moment: at the beginning of a stage, or a moment later.

These functions are done in the process of a typed command before it begins (:mod:`warm.process`); what they put in the
place of a stage is there in its templates and their children, which are its forks. Nothing in the runner knows of it.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

CANARY = "the patient is ill"  # of a party's own data, with its name: no other party may read it
EXCEPTION = "exception"
SIGNALS = {
    "worker killed": (signal.SIGKILL, "worker"),
    "worker stopped": (signal.SIGSTOP, "worker"),
    "template killed": (signal.SIGKILL, "template"),
    "templates stopped": (signal.SIGSTOP, "templates"),
    "driver killed": (signal.SIGKILL, "driver"),
    "driver stopped": (signal.SIGSTOP, "driver"),
    "Ctrl-C": (signal.SIGINT, "driver"),
    "SIGTERM": (signal.SIGTERM, "driver"),
}
FAULTS = (EXCEPTION, *SIGNALS)  # of which a run dies
PAUSE, PAUSED = "driver paused", 3.0  # for so many seconds, which a run survives
SIGNALS[PAUSE] = (signal.SIGSTOP, "driver")
HELD, HELD_AT_MOST = "held", 10.0  # the stage waits, for so many seconds, until somebody has done something outside
# Where a moment of the run begins that is no stage of the plan.
_ELSEWHERE = {
    "agree": ("runner.cluster.sites", None, "require_same_time"),  # all have met, and said what they were given
    "validate": ("runner.data.job", None, "check_table"),
    "open": ("runner.worker.job", "Job", "_open_sites"),
    "attest": ("runner.worker.job", "Job", "attest"),
}


def canary_of(party: str) -> str:
    """What an exception at a party says, and nobody else may read."""
    return f"{CANARY} at {party}"


def at_stage(party: str, stage: str, fault: str, marker: str, after: float = 0.0) -> None:
    """Let ``fault`` happen in this site's own process when ``stage`` begins there.

    Args:
        party: this site's.
        stage: of the plan, or ``agree`` (in the driver), ``validate`` (in the process that checks the table), ``open``,
            ``attest``.
        fault: one of ``FAULTS``, ``PAUSE`` or ``HELD``.
        marker: a file that then says when it happened (monotonic seconds).
        after: seconds later, while the stage goes on.
    """
    driver = os.getpid()

    def happen() -> None:
        time.sleep(after)
        partial = Path(f"{marker}.partial")
        partial.write_text(str(time.monotonic()))
        partial.rename(marker)
        if fault == HELD:
            _wait_for(go_on(marker))
            return
        if fault == EXCEPTION:
            raise RuntimeError(canary_of(party))
        if fault == PAUSE:  # by a process of its own: in this one a library may hold Python's lock for seconds
            subprocess.Popen(["sh", "-c", f"sleep {PAUSED}; kill -CONT {driver}"])
        number, victim = SIGNALS[fault]
        if victim == "templates":
            for template in psutil.Process(driver).children():
                template.send_signal(number)
        else:
            os.kill({"worker": os.getpid(), "template": os.getppid(), "driver": driver}[victim], number)

    def strike() -> None:
        if after:
            threading.Thread(target=happen, daemon=True).start()
        else:
            happen()

    if stage in _ELSEWHERE:
        module, name, method = _ELSEWHERE[stage]
        owner: Any = importlib.import_module(module)
        _do_before(owner if name is None else getattr(owner, name), method, lambda *_: strike())
    else:
        plan = importlib.import_module("runner.stages.plan")
        _do_before(plan, "_run", lambda begun, *_: strike() if begun == stage else None)


def go_on(marker: str | Path) -> Path:
    """The file that lets a stage go on which is held."""
    return Path(f"{marker}.go-on")


def _wait_for(path: Path) -> None:
    until = time.monotonic() + HELD_AT_MOST
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.01)


def _do_before(owner: Any, name: str, first: Callable[..., None]) -> None:
    """Let ``first`` be called with the same arguments whenever a function is."""
    usual = getattr(owner, name)

    def changed(*arguments: Any, **named: Any) -> Any:
        first(*arguments)
        return usual(*arguments, **named)

    setattr(owner, name, changed)
