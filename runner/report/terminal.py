"""Progress of a run on the terminal: live lines where there is a terminal, plain ones where there is none."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from runner.spec.model import Spec

TITLES = {
    "agree": "agree on plan",
    "validate": "check tables",
    "open": "open cluster",
    "align": "align ids",
    "prepare": "prepare",
    "folds": "folds",
    "label": "join labels",
    "explain": "explain",
    "train": "train",
    "import": "take parts in",
    "save": "save bundle",
    "load": "load bundle",
    "predict": "predict",
    "evaluate": "evaluate",
    "export": "export",
}
METRIC = {"logistic": "AUC", "linear": "RMSE", "tweedie": "deviance", "multiclass": "AUC"}


class Terminal:
    """Listens to a run and shows it; use as a context manager."""

    def __init__(self, spec: Spec, console: Console) -> None:
        self._console = console
        self._trees = spec.sgb.num_boost_round
        self._trees_before = 0
        self._folds = spec.cv.folds
        self._fold = 0
        self._training = "train"  # or "folds"
        self._metric = METRIC[spec.sgb.objective]
        self._live = console.is_terminal
        self._tasks: dict[str, TaskID] = {}
        self._began: dict[str, float] = {}
        self._last_metric = ""
        self._told: set[str] = set()
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            console=console,
            disable=not self._live,
        )

    def __enter__(self) -> Terminal:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def stage(self, name: str, state: str) -> None:
        if state == "started":
            self._began[name] = time.monotonic()
            total = {"train": self._trees, "folds": self._trees * self._folds}.get(name, 1)
            if name in ("train", "folds"):
                self._training = name
            self._tasks[name] = self._progress.add_task(f"{TITLES[name]:<13}", total=total, note="")
            return
        took = time.monotonic() - self._began[name]
        task = self._tasks[name]
        self._progress.update(task, total=1, completed=1)
        self._line(f"{TITLES[name]:<13} done in {took:.1f} s")

    def checked(self, party: str, rows: int | None, features: int | None) -> None:
        note = party
        if rows is not None:
            note += f": {rows} rows, {features} feature{'s' if features != 1 else ''}"
        self._progress.update(self._tasks["validate"], note=note)
        self._line(f"{TITLES['validate']:<13} {note}, contract kept")

    def continues(self, trees: int) -> None:
        self._trees_before = trees
        self._progress.update(self._tasks[self._training], completed=trees)
        self._line(f"{TITLES['train']:<13} goes on from the checkpoint after tree {trees}")

    def fold(self, fold: int) -> None:
        self._fold = fold

    def tree(self, trees: int, of: int | None = None) -> None:
        self._trees = of or self._trees
        stage = self._training
        before, total, where = 0, self._trees, f"tree {trees}/{self._trees}{self._last_metric}"
        if stage == "folds":
            before, total = self._fold * self._trees, self._folds * self._trees
            where = f"fold {self._fold + 1}/{self._folds}, tree {trees}/{self._trees}"
        self._progress.update(self._tasks[stage], completed=before + trees, total=total)
        if not self._live:
            took = time.monotonic() - self._began[stage]
            left = took / max(1, before + trees - self._trees_before) * (total - before - trees)
            self._line(f"{TITLES[stage]:<13} {where}, about {left:.0f} s left")

    def shown(self, stage: str, value: dict[str, Any]) -> None:
        if stage == "train":
            which = f" of class {value['class'] + 1}" if "class" in value else ""
            self._last_metric = f", training {self._metric} {value['metric']:.4f} after {value['trees']}{which}"
            note = f"tree {value['trees']}/{self._trees}{which}, training {self._metric} {value['metric']:.4f}"
            self._progress.update(self._tasks["train"], note=note)

    def notice(self, text: str) -> None:
        """A word of a party, once: each fold of a cross-validation may say the same."""
        if text in self._told:
            return
        self._told.add(text)
        self._console.print(f"note: {text}", highlight=False, soft_wrap=True, markup=False)

    def _line(self, text: str) -> None:
        if not self._live:
            self._console.print(text, highlight=False, soft_wrap=True)
