"""Telling a tracking store of a run, from the driver's side; whatever becomes of it, the run is not lost."""

from __future__ import annotations

import atexit
import json
import os
import selectors
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from runner.errors import SpecError, conceal
from runner.spec.model import Spec
from runner.tracking.content import describe

JOB = "runner.tracking.job"
PATIENCE = 60.0  # seconds that a store may take for one run
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # MLflow would tell its makers of every use
    "DO_NOT_TRACK": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",
}
DEFAULTS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


def require_tracking(spec: Spec) -> None:
    """Refuse a run whose tracking is not installed.

    Raises:
        SpecError: saying what to install.
    """
    if spec.tracking.name == "mlflow" and find_spec("mlflow") is None:
        raise SpecError(
            "MLflow is not installed",
            where="tracking",
            why="tracking=mlflow lists runs with it, and it is an extra of its own",
            fix="install it with `uv sync --extra tracking` (or uv pip install mlflow-skinny), or use tracking=none",
        )


def track(folder: Path, spec: Spec, tell: Callable[[str], None], in_sweep: bool = False) -> None:
    """List a run that is over, however it ended, where its spec says so.

    Args:
        tell: shows a note, where the store could not be told.
    """
    if spec.tracking.name == "none":
        return
    uri = store_of(spec)
    try:
        run = describe(folder, spec, in_sweep)
        answer = _PROCESS.ask({"uri": uri, "experiment": spec.tracking.experiment, "run": run})
    except (OSError, ValueError) as error:
        answer = {"error": str(error) or type(error).__name__}
    if (why := answer.get("error")) is not None:
        tell(conceal(f"the run was not listed in MLflow at {uri}: {why}; all of it is in {folder}"))


def store_of(spec: Spec) -> str:
    """The store's address: as set, or a folder of files in ``outputs``."""
    named = spec.tracking.uri or f"{spec.outputs}/mlruns"
    return named if ":" in named else Path(named).absolute().as_uri()


class _Process:
    """The process that imports MLflow: started at first use, and kept for the other jobs of a sweep."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: subprocess.Popen[str] | None = None

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """Have a run listed.

        Raises:
            OSError: where the process ended, or takes too long.
        """
        with self._lock:
            if self._running is None or self._running.poll() is not None:
                self._running = self._start()
            try:
                return self._exchange(self._running, json.dumps(order) + "\n")
            except OSError:
                self.end()
                raise

    def end(self) -> None:
        """End the process, and wait for it."""
        if self._running is not None:
            self._running.kill()
            self._running.communicate()
            self._running = None

    def _start(self) -> subprocess.Popen[str]:
        atexit.unregister(self.end)
        atexit.register(self.end)
        return subprocess.Popen(
            [sys.executable, "-m", JOB],
            env={**DEFAULTS, **os.environ, **ENVIRONMENT},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C is the driver's, which tells of the run that it ended
        )

    def _exchange(self, process: subprocess.Popen[str], line: str) -> dict[str, Any]:
        sending, receiving = process.stdin, process.stdout
        if sending is None or receiving is None:
            raise OSError("the process has no pipes")
        sending.write(line)
        sending.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(receiving, selectors.EVENT_READ)
            if not selector.select(PATIENCE):
                raise TimeoutError(f"no answer within {PATIENCE:.0f} s")
        if not (told := receiving.readline()):
            raise OSError("the process that lists runs ended")
        answer: dict[str, Any] = json.loads(told)
        return answer


_PROCESS = _Process()
