"""What a terminal shows of a sweep: a line when a job begins and when it ends, and how far all of them are."""

from __future__ import annotations

import re
import shlex
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from runner.report.names import NAMES
from runner.sweep.headline import Headline, best, headline
from runner.sweep.jobs import Job, JobResult
from runner.sweep.listener import Silence


class Progress:
    """Shows a sweep of known jobs; use as a context manager. May be told from several threads.

    Args:
        jobs: all of them.
        slots: how many are carried out at a time.
    """

    def __init__(self, jobs: Sequence[Job], slots: int, console: Console) -> None:
        self._slots = slots
        self._console = console
        self._lock = threading.RLock()
        self._jobs = {job.number: job for job in jobs}
        self._varied = _varied(jobs)
        self._began: dict[int, float] = {}
        self._took: list[float] = []
        self._counts = {"done": 0, "failed": 0, "stopped": 0, "skipped": 0}
        self._best: dict[int, Headline | None] = {}
        self._status = console.status("") if console.is_terminal else None
        self._told: set[str] = set()
        self._trees: dict[int, str] = {}

    def __enter__(self) -> Progress:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._began.clear()  # whatever was running was interrupted
        if self._status is not None:
            self._status.stop()

    def started(self, number: int) -> None:
        with self._lock:
            self._began[number] = time.monotonic()
            self._line(f"Job {number:<8} {self._values(number)}")
            self._tell_status(plainly=False)

    def ended(self, result: JobResult, manifest: Mapping[str, Any] | None, told: bool = False) -> None:
        """A job came to its end.

        Args:
            manifest: of a finished run.
            told: whether another process has shown it already.
        """
        with self._lock:
            began = self._began.pop(result.number, None)
            took = 0.0 if began is None else time.monotonic() - began
            self._counts["skipped" if result.skipped else result.state] += 1
            if began is not None and result.state == "done":
                self._took.append(took)
            if manifest is not None:
                self._best[result.number] = headline(manifest)
            if not told:
                self._line(line_of(result, took, self._best.get(result.number)))
            self._tell_status(plainly=began is not None)

    def listener(self, number: int) -> Silence:
        """What listens to a job's run."""
        return Silence(notice=partial(self.notice, number), tree=partial(self.tree, number))

    def tree(self, number: int, trees: int, of: int | None = None) -> None:
        """A job finished a tree, which is told where the line can be written anew."""
        with self._lock:
            self._trees[number] = f"job {number}: tree {trees}" + (f"/{of}" if of is not None else "")
            if self._status is not None:
                self._tell_status(plainly=False)

    def notice(self, number: int, text: str) -> None:
        """A word of a party, once in the sweep."""
        with self._lock:
            if text not in self._told:
                self._told.add(text)
                self._line(f"Job {number:<8} note: {text}")

    def best(self) -> tuple[int, Headline] | None:
        return best(self._best.items())

    def summary(self) -> str:
        """How far the sweep is, in one line."""
        left = len(self._jobs) - sum(self._counts.values())
        done = self._counts["done"] + self._counts["skipped"]
        parts = [f"{done} of {len(self._jobs)} jobs done"]
        if self._counts["skipped"]:
            parts[0] += f" ({self._counts['skipped']} before)"
        parts += [f"{len(self._began)} running"] if self._began else []
        parts += [f"{self._counts[state]} {state}" for state in ("failed", "stopped") if self._counts[state]]
        if left and self._took:
            parts.append(f"about {self._seconds_left(left):.0f} s left")
        if (found := self.best()) is not None:
            parts.append(f"best: job {found[0]}, {_metric(found[1])}")
        return ", ".join(parts)

    def _seconds_left(self, left: int) -> float:
        took = self._took[self._slots :] or self._took  # the first of each slot started its processes
        mean = sum(took) / len(took)
        gone = sum(min(mean, time.monotonic() - began) for began in self._began.values())
        return max(0.0, mean * left - gone) / min(self._slots, left)

    def _values(self, number: int) -> str:
        overrides = self._jobs[number].overrides
        return " ".join(one for one in overrides if one in self._varied) or "as it is"

    def _tell_status(self, plainly: bool) -> None:
        if self._status is not None:
            trees = [text for number, text in sorted(self._trees.items()) if number in self._began]
            self._status.update(f"Sweep        {', '.join((self.summary(), *trees))}")
        elif plainly and sum(self._counts.values()) < len(self._jobs):
            self._line(f"Sweep        {self.summary()}")

    def _line(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True, markup=False)


def line_of(result: JobResult, took: float, found: Headline | None) -> str:
    """How a job ended, in ``took`` seconds."""
    if result.skipped:
        text = "done before"
    elif result.error is None:
        text = f"{result.state} in {took:.1f} s"
    else:
        error = result.error
        text = f"failed: {error.title}: {error.what} ({error.why}); {result.folder}/status.json"
    return f"Job {result.number:<8} {text}" + (f": {_metric(found)}" if found is not None else "")


def _varied(jobs: Sequence[Job]) -> set[str]:
    """The overrides that not all jobs have."""
    every = [set(job.overrides) for job in jobs]
    union = {override for overrides in every for override in overrides}
    return {override for override in union if len(every) == 1 or not all(override in one for one in every)}


def _metric(found: Headline) -> str:
    return f"{NAMES.get(found.metric, found.metric)} {found.value:.4f}"


def continuation(folder: Path, typed: Sequence[str]) -> str:
    """The command that goes on with a sweep: as typed, in the same folder."""
    kept = [argument for argument in typed if not argument.startswith("hydra.sweep.dir=")]
    place = str(folder) if re.fullmatch(r"[\w./:+-]+", str(folder)) else "'" + str(folder).replace("'", r"\'") + "'"
    return shlex.join(["python", "-m", "runner", *kept, f"hydra.sweep.dir={place}"])
