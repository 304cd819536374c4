"""A search from its first trial to its last: trials are asked for, carried out as jobs of a sweep, and told of."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from rich.console import Console

from runner.errors import PolicyError, RunnerError, SpecError, StageError
from runner.provenance.manifest import MANIFEST, read_run
from runner.report.pages import make_reports
from runner.spec.model import Spec
from runner.sweep.jobs import JobResult, Sweep
from runner.sweep.listener import Silence
from runner.sweep.progress import continuation
from runner.sweep.record import read_record
from runner.sweep.slots import Slots
from runner.sweep.summary import summarise_sweep
from runner.tuning.leader import Leader
from runner.tuning.plan import Plan, compose_trial, plan_search
from runner.tuning.told import Told


def search(spec: Spec, overrides: Sequence[str], sweep_folder: Path | None = None) -> Path:
    """Search for good settings; go on with a search where ``hydra.sweep.dir`` names its folder.

    Args:
        spec: as typed, with the section ``tune``.
        overrides: as typed.
        sweep_folder: the folder of this search where several are swept over.

    Returns:
        the sweep folder.

    Raises:
        RunnerError: where the search may not start, or no trial came to its end.
    """
    plan = plan_search(spec, overrides)
    folder = sweep_folder or _sweep_folder(plan)
    # Of several searches, one after another, each has a folder in the sweep's.
    go_on = continuation(folder if sweep_folder is None else folder.parent, sys.argv[1:])
    told = Told(plan, folder, Console())
    try:
        with Sweep(folder, plan.spec.sweep, compose_trial) as sweep:
            _note(sweep, plan)
            told.line(f"Sweep folder {folder}\nGoes on with {go_on}")
            with Leader(plan, folder) as leader:
                told.goes_on(leader.ended)
                searching = _Search(plan, sweep, leader, told)
                searching.run()
                end = leader.end()
                _report_best(sweep, plan, end["best"], told)
                _compare(folder, told)
                told.summary(end, go_on)
    except KeyboardInterrupt:
        told.line(f"Goes on with {go_on}")
        raise
    if searching.failures and searching.succeeded == 0 and not any(leader.ended.values()):
        raise searching.failures[-1]
    return folder


class _Search:
    """The trials of one call, in as many slots as ``sweep.parallel`` says."""

    def __init__(self, plan: Plan, sweep: Sweep, leader: Leader, told: Told) -> None:
        self._plan, self._sweep, self._leader, self._told = plan, sweep, leader, told
        self._lock = threading.Lock()
        self._begun = sum(leader.ended.values())
        self._until = time.monotonic() + (plan.spec.tune.timeout or float("inf"))
        self._over = False
        self.failures: list[RunnerError] = []
        self.succeeded = 0

    def run(self) -> None:
        slots = self._plan.spec.sweep.parallel
        Slots(slots).carry_out([self._work] * slots)

    def _work(self) -> None:
        while (trial := self._next()) is not None:
            self._try(*trial)

    def _next(self) -> tuple[int, dict[str, Any]] | None:
        with self._lock:
            full = self._begun >= self._plan.spec.tune.trials
            if self._over or full or time.monotonic() >= self._until:
                return None
            trial = self._leader.next_trial()
            self._begun += 1
            return trial

    def _try(self, trial: int, settings: Mapping[str, Any]) -> None:
        with self._lock:
            job = self._sweep.add(self._plan.overrides(settings))
            self._told.started(trial, job.number, settings)
        folder = self._sweep.folder / str(job.number)
        pace = None
        if self._plan.spec.tune.pruner != "none":

            def pace(trees: int) -> bool:
                return self._leader.goes_on(trial, folder, trees)

        result = self._sweep.carry_out(job, pace, Silence(notice=self._told.notice))
        reply = self._leader.tell(trial, result.state, job.number, folder, _costs(result))
        with self._lock:
            self._told.ended(trial, result, reply)
            self.succeeded += result.state != "failed"
            if result.state == "failed":
                self.failures.append(result.error or _no_reason(folder))
                # Of a budget that is spent, or a grant that is gone, the next trial would say the same.
                hopeless = isinstance(result.error, PolicyError) or not self._plan.spec.sweep.keep_going
                self._over = self._over or hopeless


def _report_best(sweep: Sweep, plan: Plan, best: Sequence[Mapping[str, Any]] | None, told: Told) -> None:
    """The HTML reports of the best trial's job, where only it gets some; of a front, none."""
    wanted = plan.spec.report.html and sweep.settings.reports == "best"
    if not wanted or best is None or len(best) != 1:
        return
    folder = sweep.folder / str(best[0]["job"])
    try:
        with sweep.slot() as cluster:
            reports = make_reports(folder, read_run(folder), cluster)
    except RunnerError as error:
        told.line(f"note: no report was made: {error.what} ({error.why}); task=report run={folder} tries again")
    else:
        told.line(f"Report       of job {folder.name}: {', '.join(map(str, reports))}")


def _compare(folder: Path, told: Told) -> None:
    """All trials side by side; they are done, whatever becomes of it."""
    try:
        told.line("\n" + summarise_sweep(folder))
    except (RunnerError, OSError) as error:
        told.line(f"note: no summary was made ({error}); task=summary sweep={folder} tries again")


def _costs(result: JobResult) -> dict[str, float]:
    """What the driver itself saw of a finished trial: seconds of training, and bytes between the parties."""
    if result.state != "done":
        return {}
    observed = json.loads((result.folder / MANIFEST).read_bytes())["observed"]
    seconds = observed["seconds"]
    sent = [to["bytes"] for peers in observed["sent"].values() for to in peers.values()]
    return {"train_seconds": seconds.get("folds", seconds.get("train", 0.0)), "bytes_sent": float(sum(sent))}


def _sweep_folder(plan: Plan) -> Path:
    if HydraConfig.initialized():
        return Path(str(HydraConfig.get().sweep.dir))
    return Path(str(compose_trial(plan.typed).hydra.sweep.dir))


def _note(sweep: Sweep, plan: Plan) -> None:
    """Keep what the search is; one that is gone on with must be the same."""
    before, now = read_record(sweep.folder).tune, plan.identity()
    for name, value in now.items():
        if before is not None and before.get(name) != value:
            raise SpecError(
                "the folder has another search",
                where="trials" if name == "trial" else f"tune.{name}",
                why="the settings that all trials have in common differ"
                if name == "trial"
                else f"it was {before.get(name)!r}, and is {value!r} now: its trials would not fit together",
                fix="type the search's first command again, with hydra.sweep.dir; or begin another without it",
            )
    sweep.record.note_tune({**now, "trials": plan.spec.tune.trials, "command": plan.command()})


def _no_reason(folder: Path) -> StageError:
    return StageError("a trial failed", where=str(folder), why="it gave no reason", fix="see its logs")
