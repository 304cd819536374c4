"""What the driver knows of a run, in its structured log and to whoever listens."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from runner.logs import RunLog

if TYPE_CHECKING:
    from runner.cluster.run import Listener


class Logged:
    """A listener that writes down what it hears, and tells another one; no result is written down."""

    def __init__(self, listener: Listener, log: RunLog) -> None:
        self._listener = listener
        self._log = log
        self._began: dict[str, float] = {}

    def stage(self, name: str, state: str) -> None:
        if state == "started":
            self._began[name] = time.monotonic()
            self._log.stage = name
            self._log.write("stage", f"{name} has begun", state=state)
        else:
            seconds = round(time.monotonic() - self._began[name], 3)
            self._log.write("stage", f"{name} is done at every party", stage=name, state=state, seconds=seconds)
        self._listener.stage(name, state)

    def checked(self, party: str, rows: int | None, features: int | None) -> None:
        self._log.write("checked", f"{party}'s table keeps its contract", rows=rows, features=features)
        self._listener.checked(party, rows, features)

    def continues(self, trees: int) -> None:
        self._log.write("continues", "the training goes on from a checkpoint", trees=trees)
        self._listener.continues(trees)

    def fold(self, fold: int) -> None:
        self._log.write("fold", "a fold has begun", fold=fold)
        self._listener.fold(fold)

    def tree(self, trees: int, of: int | None = None) -> None:
        self._log.write("tree", "a tree is done", trees=trees, of=of)
        self._listener.tree(trees, of)

    def shown(self, stage: str, value: dict[str, Any]) -> None:
        self._log.write("shown", "a result that the policy lets the terminal show", "debug", fields=sorted(value))
        self._listener.shown(stage, value)

    def notice(self, text: str) -> None:
        self._log.write("notice", text)
        self._listener.notice(text)

    def warn(self, text: str) -> None:
        """As a notice, of something that should not have been tried."""
        self._log.write("refused", text, "warning")
        self._listener.notice(text)
