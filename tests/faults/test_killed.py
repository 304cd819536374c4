"""Whatever is killed, stopped, interrupted or fails, the whole run ends within seconds and leaves nothing behind."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import pytest
from integration.launch import (
    AT_MOST,
    LONG,
    PARTIES,
    SMALL,
    Ended,
    Launch,
    assert_interrupted,
    listening,
    seconds_until_nothing_runs,
    table_path,
    write_tables,
)
from support import type_command

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with the built-in tables."""
    place = tmp_path_factory.mktemp("tables")
    write_tables(place)
    return place


@pytest.fixture
def place(tmp_path: Path, tables: Path) -> Path:
    """A folder of the test's own, in which the tables are ready."""
    tmp_path.joinpath("outputs").mkdir()
    tmp_path.joinpath("outputs", "data").symlink_to(tables / "outputs" / "data")
    return tmp_path


@pytest.fixture
def training(place: Path) -> Iterator[Launch]:
    """A run in the middle of a long training."""
    with Launch(*LONG, place=place) as launch:
        launch.wait_for_line("tree 2/")
        yield launch


@pytest.fixture
def typed_training(place: Path) -> Iterator[Launch]:
    """The same, typed in earnest, without the warm process: where who started whom, and how, is what counts."""
    with Launch(*LONG, place=place, warm=False) as launch:
        launch.wait_for_line("tree 2/")
        yield launch


def status(launch: Launch) -> Any:
    return json.loads(launch.folder.joinpath("status.json").read_bytes())


def assert_soon(began: float, ended: Ended, what: str) -> None:
    """The end came in time; the time goes to the report (``pytest -rP`` shows it)."""
    print(f"{what}: ended {ended.at - began:.2f} s after it")
    assert ended.at - began < AT_MOST


def assert_nothing_left(launch: Launch, ports: dict[str, tuple[str, int]] | None = None) -> None:
    """No process and no open port, as soon as the kernel has done away with what was killed."""
    seconds_until_nothing_runs(launch.place, ports or {})


def assert_failed(launch: Launch, ended: Ended, code: int, *words: str) -> None:
    """One error of four lines with these words, the same on the terminal and on the disk; no sign of success."""
    assert ended.code == code, ended.err
    lines = ended.err.strip().splitlines()
    assert len(lines) == 4, ended.err
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["where", "why", "fix"]
    for word in words:
        assert word in ended.err
    found = status(launch)
    assert (found["state"], found["exit_code"]) == ("failed", code)
    assert found["error"]["what"] in ended.err
    assert not launch.folder.joinpath("manifest.json").exists()
    assert "Model " not in ended.out


def assert_no_manifest_of_a_model(launch: Launch) -> None:
    """Without it, a bundle is not taken for one."""
    assert list(launch.folder.rglob("bundle/manifest.json")) == []


def assert_no_model(launch: Launch) -> None:
    """What is there of a bundle is not taken for one."""
    assert_no_manifest_of_a_model(launch)
    done = type_command("task=predict", f"model={launch.folder}", cwd=launch.place)
    assert done.returncode == 8, done.stderr
    assert "bundle error" in done.stderr


def suspend_before_its_job(launch: Launch, party: str) -> psutil.Process:
    """Stop a worker that was forked and has not said a word: workers get their jobs when all tables are checked."""
    checker = launch.party("check", "alice")
    checker.suspend()
    worker = launch.party("work", party)
    worker.suspend()
    checker.resume()
    return worker


def test_worker_killed_in_training(training: Launch) -> None:
    """The label holder's; ``test_processes.py`` kills others."""
    workers = training.workers()
    ports = listening(workers)
    began = time.monotonic()
    workers["carol"].kill()
    ended = training.end()
    assert_soon(began, ended, "kill -9 of carol in train")
    assert_failed(training, ended, 5, "carol", "stage train", "signal 9")
    assert_nothing_left(training, ports)
    assert_no_manifest_of_a_model(training)


def test_checker_killed(place: Path) -> None:
    with Launch(*LONG, place=place, warm=False) as launch:
        checker = launch.party("check", "bob")
        checker.suspend()  # it cannot be done before it is killed
        began = time.monotonic()
        checker.kill()
        ended = launch.end()
        assert_soon(began, ended, "kill -9 of bob in validate")
        assert_failed(launch, ended, 5, "bob", "stage validate")
        assert_nothing_left(launch)
        assert_no_manifest_of_a_model(launch)


def test_worker_killed_while_the_cluster_opens(place: Path) -> None:
    with Launch(*LONG, place=place) as launch:
        worker = suspend_before_its_job(launch, "bob")  # the others wait for it in the next stage
        launch.wait_for_line("check tables  done")
        time.sleep(0.2)
        began = time.monotonic()
        worker.kill()
        ended = launch.end()
        assert_soon(began, ended, "kill -9 of bob in open")
        assert_failed(launch, ended, 5, "bob", "stage open")
        assert_nothing_left(launch)
        assert_no_manifest_of_a_model(launch)


def test_worker_killed_in_prediction_leaves_the_saved_model(place: Path) -> None:
    with Launch(*SMALL, "sgb.num_boost_round=8", place=place) as launch:
        worker = launch.party("work", "carol")
        launch.wait_for_line("load bundle   done")
        worker.suspend()  # it may not yet have said that it is in the next stage
        began = time.monotonic()
        worker.kill()
        ended = launch.end()
        assert_soon(began, ended, "kill -9 of carol in predict")
        assert_failed(launch, ended, 5, "party carol, stage")
        assert "stage load" in ended.err or "stage predict" in ended.err
        assert_nothing_left(launch)
        assert list(launch.folder.rglob("predictions.parquet*")) == []
        look = type_command("task=check", "task.plan=predict", f"model={launch.folder}", cwd=place)
        assert look.returncode == 0, look.stderr


def test_driver_killed(typed_training: Launch) -> None:
    ports = listening(typed_training.workers())
    typed_training.driver.kill()
    print(f"kill -9 of the driver: all ended {seconds_until_nothing_runs(typed_training.place, ports):.2f} s after it")
    assert not typed_training.folder.joinpath("manifest.json").exists()
    assert_no_model(typed_training)


def test_template_of_the_workers_killed(typed_training: Launch) -> None:
    ports = listening(typed_training.workers())
    template = typed_training.template("work")
    began = time.monotonic()
    template.kill()
    ended = typed_training.end()
    assert_soon(began, ended, "kill -9 of the workers' template")
    assert_failed(typed_training, ended, 5, "stage train")
    assert_nothing_left(typed_training, ports)


def test_worker_stopped(training: Launch) -> None:
    workers = training.workers()
    ports = listening(workers)
    began = time.monotonic()
    workers["bob"].suspend()
    ended = training.end()
    assert_soon(began, ended, "SIGSTOP of bob in train")
    assert_failed(training, ended, 5, "bob", "silent", "stage train")
    assert_nothing_left(training, ports)
    assert_no_manifest_of_a_model(training)


def test_stopped_worker_that_never_said_a_word(place: Path) -> None:
    """It sends no heartbeat that could be missed, and still the run does not wait for ever."""
    with Launch(*LONG, "cluster.silence_timeout=5", place=place) as launch:
        suspend_before_its_job(launch, "bob")
        launch.wait_for_line("check tables  done")
        began = time.monotonic()
        try:
            ended = launch.end(timeout=AT_MOST)
        except psutil.TimeoutExpired:
            pytest.fail(f"the run still waits {AT_MOST:.0f} s after bob was stopped in open")
        assert_soon(began, ended, "SIGSTOP of bob in open")
        assert_failed(launch, ended, 5, "bob", "silent", "stage open")
        assert_nothing_left(launch)


def test_interrupted_before_the_cluster_opens(place: Path) -> None:
    """By a service manager. (``test_security.py`` types Ctrl-C in training.)"""
    with Launch(*LONG, place=place, warm=False) as launch:
        launch.wait_for_line("Run folder")
        launch.template("work")
        began = time.monotonic()
        launch.interrupt(signal.SIGTERM)
        ended = launch.end()
        print(f"SIGTERM in validate: ended {ended.at - began:.2f} s after it")
        assert_interrupted(launch, ended, began)


def test_failure_of_one_party_ends_all_and_tells_no_data(place: Path) -> None:
    """bob cannot save: a file has the name of his bundle's folder."""
    with Launch(*SMALL, place=place) as launch:
        own = launch.folder / "parties" / "bob"
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        own.joinpath("bundle").touch()
        launch.wait_for_line("train         done")
        began = time.monotonic()
        ended = launch.end()
        assert_soon(began, ended, "error of bob in save")
        assert_failed(launch, ended, 6, "bob", "save")
        assert "worker.log" in ended.err
        columns = [column for party in PARTIES for column in pl.read_parquet_schema(table_path(place, party))]
        assert not any(column in ended.err for column in columns)
        assert_nothing_left(launch)
        assert_no_manifest_of_a_model(launch)
        logs = {path for path in launch.folder.rglob("*.log") if "FileExistsError" in path.read_text()}
        assert logs == {own / "worker.log"}, "the log that the error names tells what happened, and no other does"


def test_no_tree_is_an_error_with_a_hint(place: Path) -> None:
    with Launch(*SMALL, "sgb.gamma=10000", place=place) as launch:
        launch.wait_for_line("align ids")
        ended = launch.end()
        assert_failed(launch, ended, 6, "no tree", "sgb.gamma", "lower")
        assert_nothing_left(launch)
        assert_no_manifest_of_a_model(launch)
