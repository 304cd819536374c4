"""Runs one after another on processes that stay up: each is as if alone, whatever came before it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support import run_program

pytestmark = pytest.mark.processes

SMALL = (
    "data=unaligned_clinics align=join_on_digest policy.ids.form=digests crypto=ou_2048 report.html=false "
    "sgb.num_boost_round=2 sgb.sketch_eps=0.25 evaluate.bootstrap=0 policy.metrics.recipients=[all] "
)
PLAIN = SMALL + "sgb.max_depth=2"
JOBS = (
    PLAIN,
    SMALL + "sgb.max_depth=3 sgb.objective=linear sgb.rowsample_by_tree=0.5 sgb.colsample_by_tree=0.5 sgb.seed=7",
    SMALL + "sgb.max_depth=3 sgb.enable_early_stop=true sgb.validation_fraction=0.3 sgb.base_score=auto",
    "stop=1 " + PLAIN,
    PLAIN,
    "kill=bob " + PLAIN,
    PLAIN + " sgb.gamma=10000",
    PLAIN,
)
AFTER_OTHERS, AFTER_A_DEATH, FAILED, AFTER_A_FAILURE = 4, 5, 6, 7


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("warm")


@pytest.fixture(scope="module")
def done(place: Path) -> subprocess.CompletedProcess[str]:
    """All jobs, in their order."""
    program = Path(__file__).with_name("warm_jobs.py")
    return run_program(str(program), str(place / "jobs"), *JOBS, cwd=place)


def manifest(place: Path, job: int) -> Any:
    return json.loads((place / "jobs" / str(job) / "manifest.json").read_bytes())


def status(place: Path, job: int) -> Any:
    return json.loads((place / "jobs" / str(job) / "status.json").read_bytes())


def results(place: Path, job: int) -> dict[str, bytes]:
    """What a run leaves that is the same in a run of the same settings."""
    names = ("predictions.parquet", "metrics.json", "alignment.json", "data.json", "curve.json")
    folder = place / "jobs" / str(job) / "parties"
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for name in names for path in folder.glob(f"*/{name}")
    }


def test_each_job_ends_as_it_should(done: subprocess.CompletedProcess[str], place: Path) -> None:
    assert done.returncode == 0, done.stderr
    states = [status(place, job)["state"] for job in range(len(JOBS))]
    assert states == ["done", "done", "done", "stopped", "done", "done", "failed", "done"], done.stdout


@pytest.mark.parametrize("job", [AFTER_OTHERS, AFTER_A_DEATH, AFTER_A_FAILURE])
def test_a_job_is_the_same_whatever_came_before(done: subprocess.CompletedProcess[str], place: Path, job: int) -> None:
    assert manifest(place, job)["digest"] == manifest(place, 0)["digest"]
    first = results(place, 0)
    assert len(first) >= 3 * 3
    assert results(place, job) == first


def test_the_manifest_says_what_was_reused(done: subprocess.CompletedProcess[str], place: Path) -> None:
    nothing = {"processes": False, "keys": False, "tables": [], "alignment": False}
    parties = ["alice", "bob", "carol"]
    assert manifest(place, 0)["observed"]["reused"] == nothing
    after_others = {"processes": True, "keys": True, "tables": parties, "alignment": True}
    assert manifest(place, AFTER_OTHERS)["observed"]["reused"] == after_others
    for job, why in (
        (AFTER_A_DEATH, "one of them was gone"),
        (AFTER_A_FAILURE, "the run before ended with StageError"),
    ):
        assert manifest(place, job)["observed"]["reused"] == {**nothing, "tables": parties, "restarted": why}
        assert f"note: the parties' processes were started anew: {why}" in done.stdout


def test_the_audit_says_that_an_alignment_was_reused(done: subprocess.CompletedProcess[str], place: Path) -> None:
    logs = {job: place / "jobs" / str(job) / "parties" / "bob" / "audit.jsonl" for job in (0, AFTER_OTHERS)}
    directions = {job: [json.loads(line)["direction"] for line in log.open()] for job, log in logs.items()}
    assert "reused" not in directions[0]
    assert directions[AFTER_OTHERS].count("reused") == 1


def test_what_fails_is_told_by_the_job_that_failed(done: subprocess.CompletedProcess[str], place: Path) -> None:
    assert f"job {FAILED}: stage error: training grew no tree" in done.stdout
    assert status(place, FAILED)["exit_code"] == 6
