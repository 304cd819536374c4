"""What a doctor says of a machine, and how findings are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.doctor.findings import describe, failed, passed, require_healthy, warning
from runner.doctor.machine import (
    look_at_clock,
    look_at_cpu,
    look_at_disk,
    look_at_entropy,
    look_at_versions,
    newest_file,
    pins,
)
from runner.environment import versions
from runner.errors import ClusterError

INSTALLED = {"python": "3.10.13", "secretflow": "1.14.0b0", "spu": "0.9.4", "sf-heu": "0.6.0", "runner": "0.1.0"}


def test_versions_are_those_that_the_runner_asks_for() -> None:
    assert look_at_versions(versions(), pins()).state == "PASSED"
    assert set(pins()) == {"secretflow", "spu", "sf-heu"}


def test_other_and_missing_packages_are_named() -> None:
    other = look_at_versions(INSTALLED, {"spu": "0.9.9"})
    assert (other.state, other.found) == ("FAILED", "spu is 0.9.4, not 0.9.9")
    missing = look_at_versions({name: text for name, text in INSTALLED.items() if name != "spu"}, {"spu": "0.9.4"})
    assert (missing.state, missing.found) == ("FAILED", "spu is not installed")


def test_cpu_must_have_what_the_libraries_use() -> None:
    assert look_at_cpu(["aes", "avx2", "sse4_1"], 4).state == "PASSED"
    lacking = look_at_cpu(["aes"], 4)
    assert (lacking.state, lacking.found) == ("FAILED", "it has no AVX2")


def test_entropy_is_there() -> None:
    assert look_at_entropy().state == "PASSED"


def test_clock_before_the_runners_own_files_is_wrong() -> None:
    newest = newest_file()
    assert look_at_clock(newest + 1, newest).state == "PASSED"
    wrong = look_at_clock(0.0, newest)
    assert wrong.state == "FAILED"
    assert wrong.found.startswith("1970-01-01 00:00:00 UTC")


@pytest.mark.parametrize(("free", "state"), [(100 << 20, "FAILED"), (1 << 30, "WARNING"), (1 << 40, "PASSED")])
def test_disk_needs_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, state: str) -> None:
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr("runner.doctor.machine.shutil.disk_usage", lambda place: usage)
    finding = look_at_disk(tmp_path / "not" / "there" / "yet")
    assert finding.state == state
    assert str(tmp_path) in finding.found


def test_one_failure_is_enough_and_a_warning_is_none() -> None:
    fine = [passed("cpu", "fast"), warning("disk", "small", "make room")]
    require_healthy(fine)
    with pytest.raises(ClusterError) as raised:
        require_healthy([*fine, failed("ports", "taken", "choose others"), failed("clock", "slow", "set it")])
    assert raised.value.code == 5
    assert raised.value.what == "2 of 4 checks failed"
    assert raised.value.where == "ports, clock"


def test_lines_say_how_to_mend() -> None:
    assert describe(passed("cpu", "fast")) == "PASSED   cpu                    fast"
    assert describe(failed("cpu", "slow", "buy one")).splitlines()[1].strip() == "fix: buy one"
