"""What a terminal shows of a search. Metrics are in it only where the leader's process let them out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from runner.spec.trials import overrides_of_trial
from runner.sweep.jobs import JobResult
from runner.sweep.summary_compare import label_of
from runner.tuning.plan import ROWS, Plan

MOST_SHOWN = 8  # of a Pareto front


class Told:
    """Tells of one search."""

    def __init__(self, plan: Plan, folder: Path, console: Console) -> None:
        self._plan, self._folder, self._console = plan, folder, console
        self._noticed: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._running: dict[int, float] = {}
        self._took: list[float] = []

    def goes_on(self, ended: Mapping[str, int]) -> None:
        """The search begins, or goes on after trials that ended before: state → how many."""
        self._counts = Counter(ended)

    def line(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True, markup=False)

    def notice(self, text: str) -> None:
        """A word of a party, once in the search."""
        if text not in self._noticed:
            self._noticed.add(text)
            self.line(f"note: {text}")

    def started(self, trial: int, job: int, settings: Mapping[str, Any]) -> None:
        self._running[trial] = time.monotonic()
        self.line(f"\nTrial {trial:<6} job {job}: {_settings(settings)}")

    def ended(self, trial: int, result: JobResult, reply: Mapping[str, Any]) -> None:
        seconds = time.monotonic() - self._running.pop(trial)
        self._took += [] if result.skipped else [seconds]
        self._counts[result.state] += 1
        text = "done before" if result.skipped else f"{result.state} in {seconds:.1f} s"
        if result.error is not None and result.state == "failed":
            text = f"failed: {result.error.title}: {result.error.what} ({result.error.why})"
        if reply["values"]:
            text += f": {values_text(reply['values'])}"
        self.line(f"Trial {trial:<6} {text}")
        if self._counts.total() < self._plan.spec.tune.trials:
            self.line(f"Search       {self._so_far(reply['best'])}")

    def _so_far(self, best: Sequence[Mapping[str, Any]] | None) -> str:
        """How far the search is, in one line."""
        trials, slots = self._plan.spec.tune.trials, self._plan.spec.sweep.parallel
        parts = [f"{self._counts.total()} of {trials} trials: {_counted(self._counts)}"]
        parts += [f"{len(self._running)} running"] if self._running else []
        if self._took:
            took = self._took[slots:] or self._took  # the first of each slot started its processes
            left, mean = trials - self._counts.total(), sum(took) / len(took)
            gone = sum(min(mean, time.monotonic() - began) for began in self._running.values())
            parts.append(f"about {max(0.0, mean * left - gone) / min(slots, left):.0f} s left")
        if best and len(best) == 1:
            parts.append(f"best: trial {best[0]['trial']}, {values_text(best[0]['values'])}")
        elif best:
            parts.append(f"best: trials {', '.join(str(one['trial']) for one in best)}")
        return ", ".join(parts)

    def summary(self, reply: Mapping[str, Any], again: str) -> None:
        """Args: reply: the leader's last word; again: the command that goes on with the search."""
        ended, tune = reply["ended"], self._plan.spec.tune
        lines = [
            "",
            f"Search       {sum(ended.values())} of {tune.trials} trials: {_counted(ended)}, by {tune.sampler}",
            f"Led by       {self._plan.leader}, on {ROWS[tune.by]}",
            *self._best(reply["best"]),
            f"Sweep folder {self._folder}",
        ]
        if sum(ended.values()) < tune.trials:
            lines.append(f"Goes on with {again}")
        self.line("\n".join(lines))

    def _best(self, best: Sequence[Mapping[str, Any]] | None) -> list[str]:
        if best is None:
            own = self._folder / "parties" / self._plan.leader / "best.json"
            return [f"Best         not shown here; {self._plan.leader} has it in {own}"]
        if not best:
            return ["Best         no trial came to its end"]
        lines = [] if len(best) == 1 else [f"Best         {len(best)} trials, none better than another in everything"]
        for trial in best[:MOST_SHOWN]:
            lines.append(f"Best         trial {trial['trial']} (job {trial['job']}): {values_text(trial['values'])}")
            lines.append(f"Next         {trial['command']}")
        return lines


def _counted(ended: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {state}" for state, number in ended.items() if number) or "none ended"


def values_text(values: Mapping[str, float | None]) -> str:
    """Objectives and their values in words."""
    return ", ".join(f"{label_of(name)} {_number(name, value)}" for name, value in values.items())


def _number(name: str, value: float | None) -> str:
    if value is None:
        return "not defined"
    return f"{value:,.0f}" if name == "bytes_sent" else f"{value:.1f} s" if name == "train_seconds" else f"{value:.4f}"


def _settings(settings: Mapping[str, Any]) -> str:
    return " ".join(override.lstrip("+") for override in overrides_of_trial(settings))
