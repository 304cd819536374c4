"""Jobs that another launcher of Hydra's (joblib, submitit) carries to processes of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, open_dict
from rich.console import Console

from runner.errors import RunnerError
from runner.provenance.manifest import read_run
from runner.spec.compose import to_spec
from runner.sweep.headline import headline
from runner.sweep.jobs import Job, JobResult, Sweep
from runner.sweep.progress import line_of

_SWEEPS: dict[Path, Sweep] = {}  # of this process, which may do several jobs of a sweep


def do_job(config: DictConfig, overrides: Sequence[str], choices: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Carry one job out in this process.

    Args:
        folder: of the sweep.

    Returns:
        its number, state and error, as plain values.
    """
    with open_dict(config):
        config.hydra = {"runtime": {"choices": dict(choices)}}
    if folder not in _SWEEPS:
        _SWEEPS[folder] = Sweep(folder, to_spec(config).sweep, lambda _: config, leads=False).__enter__()
    sweep = _SWEEPS[folder]
    sweep.compose = lambda _: config
    job = sweep.add(overrides)
    console = Console()
    console.print(f"Job {job.number:<8} {' '.join(overrides)}", highlight=False, soft_wrap=True, markup=False)
    began = time.monotonic()
    result = sweep.carry_out(job)
    found = headline(read_run(result.folder)) if result.state == "done" else None
    told = line_of(result, time.monotonic() - began, found)
    console.print(told, highlight=False, soft_wrap=True, markup=False)
    error = result.error.to_dict() if result.error is not None else None
    return {"number": job.number, "state": result.state, "skipped": result.skipped, "error": error}


def launch(launcher: Launcher, sweep: Sweep, jobs: Sequence[Job]) -> list[JobResult]:
    """Hand jobs of a sweep that may start to a launcher; return how they ended, as they come back."""
    returned = launcher.launch([job.overrides for job in jobs], 0)
    return [_result(sweep, one) for one in returned]


def _result(sweep: Sweep, returned: JobReturn) -> JobResult:
    value = returned.return_value
    error = RunnerError.from_dict(value["error"]) if value["error"] is not None else None
    return JobResult(value["number"], value["state"], sweep.folder / str(value["number"]), error, value["skipped"])
