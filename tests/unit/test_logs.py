"""Structured logs: the fields of a line, what is left out of it, rotation, and what happens where nobody may write."""

from __future__ import annotations

import json
import logging
import resource
import signal
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from runner.errors import DataError
from runner.logs import How, RunLog, run_id, set_aside, structured

FIELDS = ["time", "level", "run", "party", "stage", "process", "pid", "thread", "event", "message"]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "worker.jsonl"


def test_a_line_says_when_where_and_what(path: Path) -> None:
    log = RunLog(path, How(), process="worker", party="alice", run="0123456789ab")
    log.stage = "train"
    log.write("tree", "a tree is done", trees=3, folder=path)
    (line,) = lines(path)
    assert list(line)[:10] == FIELDS
    assert datetime.fromisoformat(line["time"]).utcoffset() == timedelta(0)
    assert (line["level"], line["run"], line["party"], line["stage"]) == ("info", "0123456789ab", "alice", "train")
    assert (line["process"], line["thread"], line["trees"]) == ("worker", "MainThread", 3)
    assert line["folder"] == str(path)


def test_only_this_user_can_read_it(path: Path) -> None:
    RunLog(path, How(max_bytes=100), process="worker").write("begun", "x" * 200)
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(("level", "written"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_level_is_the_least_that_is_written(path: Path, level: Any, written: int) -> None:
    log = RunLog(path, How(level), process="driver")
    for one in ("debug", "info", "warning", "error"):
        log.write("said", "something", one)  # type: ignore[arg-type]
    assert len(lines(path)) == written


def test_a_line_break_in_a_message_begins_no_line_of_its_own(path: Path) -> None:
    RunLog(path, How(), process="driver").write("notice", 'one\n{"level": "error"}')
    assert [line["level"] for line in lines(path)] == ["info"]


def test_a_full_file_is_set_aside_and_the_oldest_goes(path: Path) -> None:
    log = RunLog(path, How(max_bytes=600, keep=2), process="worker")
    for number in range(20):
        log.write("tree", "a tree is done", trees=number)
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "worker.jsonl",
        "worker.jsonl.1",
        "worker.jsonl.2",
    ]
    assert all(file.stat().st_size <= 600 for file in path.parent.iterdir())
    kept = [line["trees"] for name in (".2", ".1", "") for line in lines(path.with_name(path.name + name))]
    assert kept == list(range(20))[-len(kept) :]


def test_a_readable_log_is_set_aside_when_it_is_full(tmp_path: Path) -> None:
    path, how = tmp_path / "worker.log", How(max_bytes=10, keep=2)
    assert set_aside(path, how), "who prints to it makes another one: the disk may have been full when it was set aside"
    path.write_text("short")
    assert not set_aside(path, how)
    for number in range(4):
        path.write_text(f"{number}" * 10)
        assert set_aside(path, how)
    assert {file.name: file.read_text()[0] for file in tmp_path.iterdir()} == {"worker.log.1": "3", "worker.log.2": "2"}


def test_of_a_librarys_exception_type_and_place_are_told_and_no_text(path: Path) -> None:
    log = RunLog(path, How(), process="worker", party="alice")
    with pytest.raises(pl.exceptions.PolarsError, match="canary_value") as raised:
        pl.Series("canary_column", ["canary_value"]).cast(pl.Int64)
    log.failed(raised.value)
    assert "canary" not in path.read_text()
    (line,) = lines(path)
    assert line["message"] == "InvalidOperationError was raised"
    assert "test_logs.py" in line["places"][0]


def test_an_error_of_the_runner_is_told_in_full(path: Path) -> None:
    error = DataError("a table is empty", where="data.tables.alice", why="it has no row", fix="bring rows")
    RunLog(path, How(), process="check").failed(error)
    assert lines(path)[0]["error"] == error.to_dict()


def test_who_may_not_write_says_so_once_and_goes_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    full = tmp_path / "full"
    full.symlink_to("/dev/full")
    RunLog(None, How(), process="driver").write("begun", "nobody reads this", "error")
    (tmp_path / "file").touch()
    RunLog(tmp_path / "file" / "driver.jsonl", How(), process="driver").write("begun", "there is no folder", "error")
    log = RunLog(full, How(), process="driver")
    for _ in range(2):
        log.write("begun", "there is no room for this", "error")
    log.close()
    log.write("ended", "this comes too late", "error")
    out, err = capfd.readouterr()
    assert out == ""
    missing = [line.partition("note: lines are missing in ")[2].partition(": ")[0] for line in err.splitlines()]
    assert missing == [str(tmp_path / "file" / "driver.jsonl"), str(full)]


def test_who_makes_a_log_may_be_told_of_missing_lines_in_its_own_way(tmp_path: Path) -> None:
    full, told = tmp_path / "full", list[str]()
    full.symlink_to("/dev/full")
    log = RunLog(full, How(), process="driver", tell=told.append)
    for _ in range(2):
        log.write("begun", "there is no room for this", "error")
    assert [text.partition(": ")[0] for text in told] == [f"lines are missing in {full}"]


def test_a_full_disk_leaves_whole_lines(path: Path) -> None:
    log = RunLog(path, How(), process="driver")
    before, limit = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        for room in (1000, 3000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, limit[1]))
            for number in range(20):
                log.write("said", "x" * 90, number=number)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    log.close()
    numbers = [line["number"] for line in lines(path)]
    assert numbers == [*range(numbers.index(0, 1)), *range(len(numbers) - numbers.index(0, 1))]
    assert 2500 < path.stat().st_size < 3000


def test_words_of_libraries_go_to_the_log_and_not_to_the_terminal(
    path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = RunLog(path, How(), process="driver")
    root = logging.getLogger()
    before, root.handlers = root.handlers, []
    try:
        with log.instead_of_terminal():
            logging.getLogger("asyncio").error("a task was %s", "lost")
    finally:
        root.handlers = before
    (line,) = lines(path)
    assert (line["event"], line["logger"], line["message"]) == ("library", "asyncio", "a task was lost")
    assert capfd.readouterr().err == ""


def test_lines_of_many_threads_stay_whole(path: Path) -> None:
    log = RunLog(path, How(), process="driver")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: log.write("said", "x" * 500, number=number), range(200)))
    assert sorted(line["number"] for line in lines(path)) == list(range(200))


def test_a_runs_name_is_the_same_at_all_sites_and_tells_nothing_of_its_secret() -> None:
    session = "ab" * 32
    assert run_id(session) == run_id(session) != run_id("ac" * 32)
    assert len(run_id(session)) == 12
    assert run_id(session) not in session


def test_structured_log_lies_beside_the_readable_one() -> None:
    assert structured(Path("parties/alice/worker.log")) == Path("parties/alice/logs/worker.jsonl")
