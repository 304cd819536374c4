"""Commands of the warm process begin, print, end and die as typed ones do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support import command_environment, run_program
from warm.client import WarmDriver
from warm.process import start_template

PROGRAM = """
import os, sys, time
print(os.getcwd(), sys.argv[1:], os.environ["OWN"], "PYTEST_CURRENT_TEST" in os.environ, __name__, sys.path[0])
print("error", file=sys.stderr)
{end}
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return tmp_path / "program.py"


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize(
    ("end", "code", "told"),
    [
        ("", 0, ""),
        ("sys.exit(7)", 7, ""),
        ("sys.exit('in words')", 1, "in words\n"),
        ("os.kill(os.getpid(), 9)", -9, ""),
        ("signal = __import__('signal'); signal.raise_signal(signal.SIGTERM)", -15, ""),
    ],
)
def test_a_program_runs_alike(program: Path, warm: bool, end: str, code: int, told: str) -> None:
    program.write_text(PROGRAM.format(end=f"sys.stdout.flush()\n{end}"))
    folder = program.parent / "elsewhere"
    folder.mkdir()
    done = run_program(str(program), "a", "b c", cwd=folder, warm=warm, OWN="mine")
    assert done.returncode == code
    assert done.stdout == f"{folder} ['a', 'b c'] mine False __main__ {program.parent}\n"
    assert done.stderr == f"error\n{told}"


def test_an_exception_is_told_with_code_1(program: Path) -> None:
    program.write_text("1 / 0")
    done = run_program(str(program), cwd=program.parent)
    assert done.returncode == 1
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


@pytest.fixture
def sleeping(program: Path) -> Iterator[WarmDriver]:
    """A program that waits to be interrupted."""
    program.write_text("import time\nprint('ready', flush=True)\ntime.sleep(60)")
    reading, writing = os.pipe()
    driver = WarmDriver(
        [str(program)], cwd=program.parent, environment=command_environment(), stdout=writing, stderr=writing
    )
    os.close(writing)
    with os.fdopen(reading) as lines:
        assert lines.readline() == "ready\n"
        yield driver
    if driver.poll() is None:
        driver.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it(sleeping: WarmDriver, number: signal.Signals) -> None:
    assert sleeping.poll() is None
    assert Path(sleeping.cwd()) != Path.cwd()
    assert os.getsid(sleeping.pid) == sleeping.pid
    with pytest.raises(psutil.TimeoutExpired):
        sleeping.wait(timeout=0.01)
    sleeping.send_signal(number)
    assert sleeping.wait(timeout=60) == sleeping.poll() == -number
    assert not psutil.pid_exists(sleeping.pid)


def test_it_holds_no_descriptor_but_its_own(program: Path) -> None:
    program.write_text("import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])")
    assert run_program(str(program), cwd=program.parent).stdout == "[0, 1, 2]\n"


def test_a_template_with_conditions_of_its_own_is_started_and_not_forked() -> None:
    command = [sys.executable, "-m", "runner.worker", "{}"]
    process = start_template(command, env={**os.environ, "PYTHONHASHSEED": "5"}, stderr=subprocess.PIPE)
    assert isinstance(process, subprocess.Popen)
    assert "KeyError" in process.communicate()[1].decode()
