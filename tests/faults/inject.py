"""Faults that happen in a run's own processes at a chosen moment: at the beginning of a stage, or a moment later.

These functions are done in the process of a typed command before it begins (:mod:`warm.process`); what they put in the
place of a stage is there in its templates and their children, which are its forks. Nothing in the runner knows of it.
"""

from __future__ import annotations

import importlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CANARY = "patient-4711-is-ill"  # of a party's own data: no other party may read it
# Where a moment of the run begins that is no stage of the plan.
_ELSEWHERE = {
    "agree": ("runner.cluster.sites", "Sites", "agree"),
    "validate": ("runner.data.job", None, "check_table"),
    "open": ("runner.worker.job", "Job", "_open_sites"),
    "attest": ("runner.worker.job", "Job", "attest"),
}


def at_stage(stage: str, fault: str, marker: str, after: float = 0.0) -> None:
    """Let ``fault`` happen in this site's own process when ``stage`` begins there.

    Args:
        stage: of the plan, or ``agree`` (in the driver), ``validate`` (in the process that checks the table), ``open``,
            ``attest``.
        fault: one of ``FAULTS``.
        marker: a file that then says when it happened (monotonic seconds).
        after: seconds later, while the stage goes on.
    """
    driver = os.getpid()

    def strike() -> None:
        if after:
            threading.Thread(target=_strike, args=(fault, driver, Path(marker), after), daemon=True).start()
        else:
            _strike(fault, driver, Path(marker), 0.0)

    if stage in _ELSEWHERE:
        module, name, method = _ELSEWHERE[stage]
        owner: Any = importlib.import_module(module)
        _do_before(owner if name is None else getattr(owner, name), method, lambda *_: strike())
    else:
        plan = importlib.import_module("runner.stages.plan")
        _do_before(plan, "_run", lambda begun, *_: strike() if begun == stage else None)


def _do_before(owner: Any, name: str, first: Callable[..., None]) -> None:
    """Let ``first`` be called with the same arguments whenever a function is."""
    usual = getattr(owner, name)

    def changed(*arguments: Any, **named: Any) -> Any:
        first(*arguments)
        return usual(*arguments, **named)

    setattr(owner, name, changed)


def _strike(fault: str, driver: int, marker: Path, after: float) -> None:
    time.sleep(after)
    partial = marker.with_suffix(".partial")
    partial.write_text(str(time.monotonic()))
    partial.rename(marker)
    FAULTS[fault](driver)


def _raise(driver: int) -> None:
    raise RuntimeError(CANARY)


def _send(number: signal.Signals, to: Callable[[int], int]) -> Callable[[int], None]:
    return lambda driver: os.kill(to(driver), number)


def _self(driver: int) -> int:
    return os.getpid()


def _template(driver: int) -> int:
    return os.getppid()


def _driver(driver: int) -> int:
    return driver


FAULTS: dict[str, Callable[[int], None]] = {
    "worker killed": _send(signal.SIGKILL, _self),
    "worker stopped": _send(signal.SIGSTOP, _self),
    "exception": _raise,
    "template killed": _send(signal.SIGKILL, _template),
    "driver killed": _send(signal.SIGKILL, _driver),
    "driver stopped": _send(signal.SIGSTOP, _driver),
    "Ctrl-C": _send(signal.SIGINT, _driver),
    "SIGTERM": _send(signal.SIGTERM, _driver),
}
