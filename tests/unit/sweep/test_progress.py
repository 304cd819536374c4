"""What a sweep shows on the way."""

from __future__ import annotations

import io
import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from rich.console import Console

from runner.errors import StageError
from runner.sweep import progress as module
from runner.sweep.jobs import Job, JobResult
from runner.sweep.progress import Progress, continuation

FOLDER = Path("sweep")


def job(number: int, *overrides: str) -> Job:
    return Job(number, ("crypto=ou_2048", *overrides), "digest", None)


def manifest(auc: float) -> dict[str, object]:
    return {
        "hashed": {"spec": {"sgb": {"objective": "logistic"}}},
        "observed": {"shown": {"evaluate": [{"auc": auc}]}},
    }


def test_a_line_for_each_job_and_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    said = io.StringIO()
    error = StageError("it failed", where="here", why="so it is", fix="none")
    jobs = [job(number, f"sgb.max_depth={number + 2}") for number in range(5)]
    with Progress(jobs, 1, Console(file=said)) as progress:
        progress.ended(JobResult(0, "done", FOLDER / "0", skipped=True), manifest(0.8))
        for number, result, shown in (
            (1, JobResult(1, "done", FOLDER / "1"), manifest(0.9)),
            (2, JobResult(2, "failed", FOLDER / "2", error), None),
        ):
            progress.started(number)
            now[0] += 10
            progress.ended(result, shown)
        progress.notice(3, "alice: a word")
        progress.notice(4, "alice: a word")
    assert said.getvalue().splitlines() == [
        "Job 0        done before: AUC 0.8000",
        "Job 1        sgb.max_depth=3",
        "Job 1        done in 10.0 s: AUC 0.9000",
        "Sweep        2 of 5 jobs done (1 before), about 30 s left, best: job 1, AUC 0.9000",
        "Job 2        sgb.max_depth=4",
        "Job 2        failed: stage error: it failed (so it is); sweep/2/status.json",
        "Sweep        2 of 5 jobs done (1 before), 1 failed, about 20 s left, best: job 1, AUC 0.9000",
        "Job 3        note: alice: a word",
    ]


def test_time_left_is_shared_by_the_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    progress = Progress([job(number, f"a={number}") for number in range(5)], 2, Console(file=io.StringIO()))
    progress.started(0)
    now[0] = 20.0
    progress.ended(JobResult(0, "done", FOLDER / "0"), None)
    progress.started(1)
    now[0] = 25.0
    assert progress.summary() == "1 of 5 jobs done, 1 running, about 38 s left"


def test_the_command_that_goes_on_names_the_folder_once() -> None:
    typed = ["-m", "hydra.sweep.dir=old", "sgb.max_depth=2,3"]
    assert continuation(Path("new/1"), typed) == "python -m runner -m sgb.max_depth=2,3 hydra.sweep.dir=new/1"


@pytest.mark.parametrize("folder", ["a b", "it's, so", "x=1"])
def test_an_odd_folder_is_written_as_hydra_reads_it(folder: str) -> None:
    override = shlex.split(continuation(Path(folder), ["-m"]))[-1]
    (read,) = OverridesParser.create().parse_overrides([override])
    assert read.value() == folder
