"""Numbers of jobs: stable, whoever asks, and never half written."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import PROJECT

from runner.errors import BundleError
from runner.sweep.record import RECORD, Record, read_record


def numbers(folder: Path) -> dict[int, tuple[list[str], str | None, int]]:
    return {job.number: (job.overrides, job.spec_digest, job.attempts) for job in read_record(folder).jobs}


def test_a_digest_keeps_its_number_and_new_ones_come_after(tmp_path: Path) -> None:
    record = Record(tmp_path, ["-m", "a=1,2"])
    assert [record.number([f"a={name}"], f"digest {name}") for name in "123"] == [0, 1, 2]
    again = Record(tmp_path, ["-m", "a=3,0,1"])
    assert [again.number([f"a={name}", "b=0"], f"digest {name}") for name in "301"] == [2, 3, 0]
    assert again.count_attempt(3) == 1
    assert again.count_attempt(3) == 2
    assert numbers(tmp_path) == {
        0: (["a=1"], "digest 1", 0),
        1: (["a=2"], "digest 2", 0),
        2: (["a=3"], "digest 3", 0),
        3: (["a=0", "b=0"], "digest 0", 2),
    }
    assert read_record(tmp_path).typed == ["-m", "a=1,2"]


def test_a_job_without_a_spec_is_known_by_its_overrides_until_it_has_one(tmp_path: Path) -> None:
    record = Record(tmp_path, [])
    assert record.number(["a=wrong"], None) == 0
    assert record.number(["b=wrong"], None) == 1
    assert record.number(["a=wrong"], None) == 0
    assert record.number(["a=wrong"], "digest") == 0
    assert record.number(["c=1"], "digest") == 0
    assert numbers(tmp_path)[0] == (["a=wrong"], "digest", 0)


def test_processes_that_add_at_a_time_get_different_numbers(tmp_path: Path) -> None:
    code = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from runner.sweep.record import Record
record = Record(Path(sys.argv[1]), [])
for number in range(20):
    record.number([sys.argv[2]], f"{sys.argv[2]} {number}")
"""
    started = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name], cwd=PROJECT) for name in "ab"]
    assert [process.wait() for process in started] == [0, 0]
    found = numbers(tmp_path)
    assert sorted(found) == list(range(40))
    assert len({digest for _, digest, _ in found.values()}) == 40


def test_what_the_tuner_keeps_stays(tmp_path: Path) -> None:
    Record(tmp_path, []).note_tune({"sampler": "tpe"})
    Record(tmp_path, []).number(["a=1"], "digest")
    assert read_record(tmp_path).tune == {"sampler": "tpe"}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"version": 2}', '{"jobs": [{"number": "0"}]}'])
def test_damaged_record_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(BundleError, match="record of the sweep"):
        Record(tmp_path, [])
    assert (tmp_path / RECORD).read_text() == text


def test_nothing_but_the_record_and_its_lock_is_left(tmp_path: Path) -> None:
    Record(tmp_path, []).number(["a=1"], "digest")
    assert {path.name for path in tmp_path.iterdir()} == {RECORD, ".sweep.json.lock"}
    json.loads((tmp_path / RECORD).read_bytes())


def test_threads_of_one_process_lose_nothing_of_each_other(tmp_path: Path) -> None:
    record = Record(tmp_path, ["-m"])
    with ThreadPoolExecutor(4) as slots:
        numbers = list(slots.map(lambda job: record.number([f"a={job}"], f"digest {job}"), range(24)))
        attempts = list(slots.map(record.count_attempt, sorted(numbers)))
    assert sorted(numbers) == list(range(24))
    assert attempts == [1] * 24
    assert [entry.attempts for entry in read_record(tmp_path).jobs] == [1] * 24
