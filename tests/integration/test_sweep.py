"""Sweeps as they are typed: what is killed goes on where it was, and jobs of other processes are the sweep's, too."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from integration.launch import GIVE_UP, Launch, seconds_until_nothing_runs, write_tables
from support import type_command

from runner.cluster.processes import ALL_PARTIES

pytestmark = pytest.mark.processes

SMALL = ("cluster=debug", "crypto=ou_2048", "sgb.num_boost_round=6", "sgb.sketch_eps=0.25", "report.html=false")
HERE = "hydra.sweep.dir=outputs/sweep"


def wait_until_at_work(place: Path, number: int) -> None:
    """Return as soon as the parties are at a job."""
    limit = time.monotonic() + GIVE_UP
    while not list(place.glob(f"outputs/sweep/{number}/parties/*/audit.jsonl")):
        assert time.monotonic() < limit, f"job {number} never began"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a sweep lost a worker in its second job, and its driver in the third."""
    place = tmp_path_factory.mktemp("sweep")
    write_tables(place)
    with Launch("-m", *SMALL, "sgb.max_depth=2,3,4,17", "sweep.retries=1", HERE, place=place) as launch:
        launch.wait_for_line("Job 0        done")
        wait_until_at_work(place, 1)
        launch.party("work", ALL_PARTIES).kill()
        wait_until_at_work(place, 2)
        launch.driver.kill()
        assert launch.end().code != 0
        seconds_until_nothing_runs(place, {})
    return place


@pytest.fixture(scope="module")
def before(place: Path) -> dict[int, bytes]:
    """The manifests of the jobs that were finished when the driver was killed."""
    return manifests(place)


@pytest.fixture(scope="module")
def resumed(place: Path, before: dict[int, bytes]) -> Any:
    """The same command again, with one more job."""
    return type_command("-m", *SMALL, "sgb.max_depth=5,4,3,2,17", "sweep.retries=1", HERE, cwd=place)


def manifests(place: Path) -> dict[int, bytes]:
    found = (place / "outputs" / "sweep").glob("[0-9]*/manifest.json")
    return {int(path.parent.name): path.read_bytes() for path in found}


def state(place: Path, job: str) -> str:
    return str(json.loads(place.joinpath("outputs", "sweep", job, "status.json").read_bytes())["state"])


def jobs(place: Path) -> dict[int, tuple[str, int]]:
    """Number → the depth and the attempts."""
    entries = json.loads(place.joinpath("outputs", "sweep", "sweep.json").read_bytes())["jobs"]
    depth = {entry["number"]: next(one for one in entry["overrides"] if "max_depth" in one) for entry in entries}
    return {entry["number"]: (depth[entry["number"]].rpartition("=")[2], entry["attempts"]) for entry in entries}


def test_a_job_that_lost_its_worker_is_begun_again(place: Path, before: dict[int, bytes]) -> None:
    assert sorted(before) == [0, 1]
    assert state(place, "attempts/1-1") == "failed"
    assert jobs(place) == {0: ("2", 1), 1: ("3", 2), 2: ("4", 1), 3: ("17", 0)}
    assert state(place, "2") == "running"


def test_after_a_kill_no_job_is_lost_and_none_is_done_twice(
    place: Path, before: dict[int, bytes], resumed: Any
) -> None:
    assert resumed.returncode == 2, resumed.stderr  # the wrong job's
    assert jobs(place) == {0: ("2", 1), 1: ("3", 2), 2: ("4", 2), 3: ("17", 0), 4: ("5", 1)}
    assert [state(place, str(number)) for number in range(5)] == ["done", "done", "done", "failed", "done"]
    assert state(place, "attempts/2-1") == "running"
    after = manifests(place)
    assert sorted(after) == [0, 1, 2, 4]
    assert {number: after[number] for number in before} == before


def test_the_terminal_says_how_each_job_ended(resumed: Any) -> None:
    lines = [line.partition(": AUC")[0] for line in resumed.stdout.splitlines()]
    assert {"Job 0        done before", "Job 1        done before", "Job 4        sgb.max_depth=5"} < set(lines)
    assert "4 of 5 jobs done (2 before), 1 failed, best: job" in resumed.stdout
    assert f"python -m runner -m {' '.join(SMALL)} sgb.max_depth=5,4,3,2,17 sweep.retries=1 {HERE}" in resumed.stdout
    assert "check tables" not in resumed.stdout
    assert "where: sgb.max_depth" in resumed.stderr


def test_jobs_in_joblibs_processes_join_the_sweep(place: Path, resumed: Any) -> None:
    typed = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "sgb.max_depth=2,6,7", HERE)
    done = type_command("-m", *SMALL, *typed, cwd=place, warm=False)
    assert done.returncode == 0, done.stderr
    assert {number: jobs(place)[number] for number in (0, 5, 6)} == {0: ("2", 1), 5: ("6", 1), 6: ("7", 1)}
    assert [state(place, number) for number in ("0", "5", "6")] == ["done"] * 3
    assert "3 of 3 jobs done (1 before), best: job" in done.stdout
    seconds_until_nothing_runs(place, {})
