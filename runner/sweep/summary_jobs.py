"""What a sweep folder holds of each job: from the disk alone, at any time, whatever became of the job."""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from runner.errors import BundleError, RunnerError, SpecError
from runner.provenance.folder import SPEC, STATUS
from runner.provenance.manifest import read_run
from runner.report.names import NAMES
from runner.sweep.record import RECORD, Content, Entry, read_record
from runner.sweep.state import ATTEMPTS, read_state

LOCK = ".lock"  # held by the process that carries out the sweep
STATES = ("done", "running", "waiting", "stopped", "interrupted", "failed", "damaged")
NOT_COMPARED = ("parties", "outputs", "report", "log", "sweep", "tune", "tracking")  # sections that change no result


@dataclass(frozen=True)
class JobRecord:
    """A job as the disk has it.

    Attributes:
        state: one of :data:`STATES`; ``waiting``: not begun, ``damaged``: its files are not as a run leaves them.
        folder: its run folder, which may not be there.
        settings: dotted path → value, of its resolved spec; empty where it has none.
        error: why it failed, or what is damaged.
        manifest: of a finished run.
        earlier: how each earlier attempt at it ended: its folder's name, state and error.
    """

    number: int
    overrides: tuple[str, ...]
    attempts: int
    state: str
    folder: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    error: RunnerError | None = None
    manifest: Mapping[str, Any] | None = None
    earlier: tuple[tuple[str, str, RunnerError | None], ...] = ()

    def metrics(self) -> dict[str, float]:
        """The metrics that the policy lets this site's viewer see and that the rows define; means over folds."""
        if self.manifest is None or not (shown := self.manifest["observed"]["shown"].get("evaluate")):
            return {}
        values = shown[0].get("mean", shown[0])
        return {name: float(values[name]) for name in NAMES if _is_number(values.get(name))}

    def train_seconds(self) -> float | None:
        """Wall seconds of the training; of a cross-validation, of all its folds."""
        seconds = self.manifest["observed"]["seconds"] if self.manifest is not None else {}
        times = [seconds[stage] for stage in ("train", "folds") if stage in seconds]
        return float(sum(times)) if times else None

    def bytes_sent(self) -> int | None:
        """What the parties sent to each other; None where all were in one process, and nothing was sent."""
        if self.manifest is None or self.manifest["observed"]["cluster"] != "local":
            return None
        sent = self.manifest["observed"]["sent"].values()
        return sum(int(counts.get("bytes", 0)) for receivers in sent for counts in receivers.values())

    def numbers(self) -> dict[str, float]:
        """Everything that jobs can be compared by: metrics, ``train_seconds`` and ``bytes_sent``."""
        costs = {"train_seconds": self.train_seconds(), "bytes_sent": self.bytes_sent()}
        return {**self.metrics(), **{name: value for name, value in costs.items() if value is not None}}

    def reused(self) -> str:
        """What of earlier jobs was used again, in words; empty where nothing was, or nothing is known."""
        reused = self.manifest["observed"].get("reused") if self.manifest is not None else None
        parts = [
            name if value is True else f"{name} of {', '.join(map(str, value))}"
            for name, value in (reused or {}).items()
            if value
        ]
        return "; ".join(parts)

    def setting(self, path: str) -> Any:
        """A setting's value; where the job has no spec yet, as it was typed."""
        return self.settings[path] if path in self.settings else self.typed().get(path)

    def knows(self, name: str) -> bool:
        """Whether the value of a setting, or the choice of a group, is on the disk."""
        return bool(self.settings) or name in self.typed()

    def typed(self) -> Mapping[str, Any]:
        """Setting or group → value, of the job's overrides."""
        return _parsed(self.overrides)


@cache
def _parsed(overrides: tuple[str, ...]) -> Mapping[str, Any]:
    parser, found = OverridesParser.create(), {}
    for override in overrides:
        with suppress(HydraException):  # it was none, and the job has failed for it
            one = parser.parse_override(override)
            found[one.key_or_group] = one.value()
    return found


def read_sweep(folder: Path) -> tuple[Content, list[JobRecord]]:
    """The sweep's record, and its jobs by number.

    Raises:
        BundleError: where there is no sweep, or its record cannot be read.
        SpecError: where the sweep has no job yet.
    """
    if not ((folder / RECORD).is_file() and os.access(folder / RECORD, os.R_OK)):
        raise BundleError(
            "there is no sweep",
            where=str(folder / RECORD),
            why="the folder has no record of a sweep that can be read",
            fix="give the folder that a sweep printed: sweep=outputs/sweeps/<day>/<time>",
        )
    content = read_record(folder)
    if not content.jobs:
        raise SpecError(
            "the sweep has no job yet",
            where=str(folder),
            why="it ended, or was looked at, before its first job was composed",
            fix="wait for its first job, or begin the sweep again",
        )
    alive = _is_carried_out(folder)
    return content, [_read_job(folder, entry, alive) for entry in sorted(content.jobs, key=lambda one: one.number)]


def _is_carried_out(folder: Path) -> bool:
    """Whether a process holds the sweep now."""
    try:
        with (folder / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _read_job(sweep: Path, entry: Entry, alive: bool) -> JobRecord:
    folder = sweep / str(entry.number)
    state, error, manifest = read_state(folder), _error(folder), None
    if state == "done":
        try:
            manifest = read_run(folder)
            _require_own(manifest, entry, folder)
        except BundleError as found:
            state, error, manifest = "damaged", found, None
    elif state == "stopped":
        error = None  # as the leader of the search wished: no failure
    elif state == "missing" and not folder.is_dir():
        state = "waiting"
    elif state in ("missing", "running"):
        state = "running" if alive else "interrupted"
    elif state not in STATES:
        state, error = "damaged", _damaged(folder / STATUS, "it is not written as the runner writes it")
    return JobRecord(
        number=entry.number,
        overrides=tuple(entry.overrides),
        attempts=entry.attempts,
        state=state,
        folder=folder,
        settings=_settings(folder),
        error=error,
        manifest=manifest,
        earlier=tuple(_earlier(sweep, entry.number)),
    )


def _require_own(manifest: Mapping[str, Any], entry: Entry, folder: Path) -> None:
    if entry.spec_digest not in (None, manifest["hashed"]["spec_digest"]):
        raise _damaged(folder, f"it holds a run of other settings than job {entry.number} has in {RECORD}")


def _damaged(path: Path, why: str) -> BundleError:
    return BundleError(
        "the job's files are damaged", where=str(path), why=why, fix="begin the sweep again: the job is done anew"
    )


def _error(folder: Path) -> RunnerError | None:
    """The error in a run folder's status."""
    try:
        found = json.loads((folder / STATUS).read_bytes()).get("error")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return RunnerError.from_dict(found) if isinstance(found, dict) else None


def _earlier(sweep: Path, number: int) -> Iterator[tuple[str, str, RunnerError | None]]:
    attempt = 1
    while (folder := sweep / ATTEMPTS / f"{number}-{attempt}").is_dir():
        state = read_state(folder)
        yield f"{ATTEMPTS}/{folder.name}", "interrupted" if state == "running" else state, _error(folder)
        attempt += 1


def _settings(folder: Path) -> dict[str, Any]:
    try:
        spec = json.loads((folder / SPEC).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return {path: value for path, value in flat(spec) if path.partition(".")[0] not in NOT_COMPARED}


def flat(values: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted path and value of every setting; a list is one value."""
    if isinstance(values, Mapping) and values:
        for name, value in values.items():
            yield from flat(value, f"{path}.{name}".lstrip("."))
    elif path:
        yield path, values


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
