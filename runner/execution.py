"""One run from its folder to its summary."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from runner.budget import require_budget
from runner.bundle.checkpoint import checkpoint_folder, list_checkpoints
from runner.cluster.run import Listener, Outcome, Pace
from runner.cluster.warm import Cluster
from runner.errors import RunnerError, SecurityError, Stopped
from runner.files import link_below, remove_unfinished
from runner.logs import FOLDER, RunLog
from runner.policy.decide import Decision
from runner.provenance.folder import make_run_folder, write_snapshot, write_status
from runner.provenance.manifest import build_manifest, describe_run, write_manifest
from runner.report.pages import make_reports
from runner.report.summary import arguments_of_job, resume_command, summarise
from runner.report.terminal import Terminal
from runner.spec.model import Spec
from runner.tracking.track import require_tracking, track


def carry_out(
    spec: Spec,
    decisions: Sequence[Decision],
    config: DictConfig,
    typed: Mapping[str, Any],
    sweep_folder: Path | None = None,
    original: Path | None = None,
    cluster: Cluster | None = None,
    pace: Pace | None = None,
    listener: Listener | None = None,
) -> Path:
    """Run the plan in a folder of its own, show it, and leave its manifest, or its error, on the disk.

    Args:
        typed: the overrides as typed, in order, and the choices of groups.
        sweep_folder: the folder of this job in a sweep, or None for a single run.
        original: the folder of the run that this one repeats.
        cluster: processes that stay up; None: the run has processes of its own.
        pace: is asked, with the number of trees, before each tree but the first whether to go on.
        listener: is told of what happens, in place of the terminal, on which then nothing is shown.

    Returns:
        the run folder.

    Raises:
        RunnerError: where the run fails, or (Stopped) ``pace`` said no.
    """
    require_tracking(spec)
    if original is None:
        require_budget(spec)
    if sweep_folder is not None:
        sweep_folder.mkdir(parents=True)
    folder = sweep_folder or make_run_folder(spec.outputs)
    _refuse_link(folder, Path(spec.outputs))
    write_snapshot(folder, config, spec, typed["overrides"])
    write_status(folder, "running")
    console = Console(quiet=listener is not None)
    console.print(f"Run folder   {folder}", highlight=False, soft_wrap=True)
    tell = listener.notice if listener is not None else partial(_note, console)
    list_run = partial(track, folder, spec, tell, sweep_folder is not None)
    try:
        with (
            _log(spec, folder, console) as log,
            _telling_how_to_go_on(spec, folder, typed["overrides"], console),
            nullcontext(cluster) if cluster is not None else Cluster(lasting=False) as processes,
            nullcontext(listener) if listener is not None else Terminal(spec, console) as told,
        ):
            manifest: dict[str, Any] = {}

            def describe(outcome: Outcome) -> dict[str, Any]:
                hashed = describe_run(spec, outcome.decisions or decisions, outcome, folder)
                manifest.update(build_manifest(spec, typed, hashed, outcome, folder))
                return manifest

            outcome = processes.run(spec, decisions, folder, told, describe, original, pace, log)
        manifest["signatures"] = outcome.signatures
        write_manifest(folder, manifest)
    except RunnerError as error:
        _leave_status(folder, "stopped" if isinstance(error, Stopped) else "failed", error)
        list_run()
        raise
    except KeyboardInterrupt:
        _leave_status(folder, "interrupted")
        list_run()
        raise
    except Exception:  # an error of the runner's own: nobody interrupted it
        _leave_status(folder, "failed")
        list_run()
        raise
    write_status(folder, "done")
    if spec.report.html:
        _make_reports(folder, manifest, console, cluster)
    list_run()
    arguments = sys.argv[1:] if sweep_folder is None else arguments_of_job(sys.argv[1:], typed["overrides"])
    summary = summarise(spec, outcome, manifest, folder, arguments)
    console.print("\n" + summary, highlight=False, soft_wrap=True, markup=False)
    return folder


def _leave_status(folder: Path, state: str, error: RunnerError | None = None) -> None:
    """How the run ended, if the disk has room for it; why it ended is told in any case. Its processes are gone."""
    with suppress(OSError):
        remove_unfinished(folder)
        write_status(folder, state, error)


def _make_reports(folder: Path, manifest: Mapping[str, Any], console: Console, cluster: Cluster | None) -> None:
    """The run is done, whatever becomes of its reports."""
    try:
        make_reports(folder, manifest, cluster)
    except RunnerError as error:
        _note(console, f"no report was made: {error.what} ({error.why}); task=report run={folder} tries again")


def _note(console: Console, text: str) -> None:
    console.print(f"note: {text}", highlight=False, soft_wrap=True, markup=False)


@contextmanager
def _log(spec: Spec, folder: Path, console: Console) -> Iterator[RunLog]:
    """The driver's structured log; after a failure, print where all logs are."""
    gaps: list[str] = []  # told where the run is done: one that fails for want of room says so itself
    path, party = folder / FOLDER / "driver.jsonl", spec.self_party
    log = RunLog(path, spec.log.how(), process="driver", party=party, tell=gaps.append)
    began = time.monotonic()
    log.write("begun", "the run has begun", task=spec.task.to_run(), mode=spec.cluster.mode, folder=folder)
    state = "failed"
    try:
        with log.instead_of_terminal():
            yield log
        state = "done"
        for gap in gaps:
            _note(console, gap)
    except BaseException as error:
        state = "interrupted" if isinstance(error, KeyboardInterrupt) else state
        log.failed(error)
        run = f", run {log.run}" if log.run is not None else ""
        logs = f"{folder}/{FOLDER} and {folder}/parties/<name>{run}"
        console.print(f"\nLogs         {logs}", highlight=False, soft_wrap=True, markup=False)
        raise
    finally:
        log.write("ended", f"the run is {state}", state=state, seconds=round(time.monotonic() - began, 3))
        log.close()


@contextmanager
def _telling_how_to_go_on(spec: Spec, folder: Path, overrides: Sequence[str], console: Console) -> Iterator[None]:
    """After an interrupted training, print the command that goes on from its newest checkpoint, if there is one."""
    try:
        yield
    except (RunnerError, KeyboardInterrupt):
        for run_folder in (folder, *([Path(spec.resume)] if spec.resume is not None else [])):
            found = [set(list_checkpoints(checkpoint_folder(run_folder, party))) for party in spec.parties_here()]
            if common := set.intersection(*found):
                command = resume_command(spec, run_folder, overrides, sys.argv[1:])
                where = f"here, at {spec.self_party}" if spec.is_remote() else "at every party"
                told = f"\nCheckpoint   after tree {max(common)} {where}\nNext         {command}"
                console.print(told, highlight=False, soft_wrap=True, markup=False)
                break
        raise


def _refuse_link(folder: Path, outputs: Path) -> None:
    """Leave no party's files in a place that only looks like a folder of ``outputs``."""
    if (link := link_below(outputs, folder)) is not None:
        folder.rmdir()
        raise SecurityError(
            f"{link.name} is a symbolic link",
            where=str(link),
            why="it would lead the parties' private files to another place",
            fix="remove the link, or set outputs to the real folder",
        )
