"""What all tests use: composing a spec as the command line would, and typing commands."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import psutil
from hydra import compose, initialize_config_dir
from warm.client import WarmDriver, environment

from runner.environment import VARIABLES
from runner.spec.compose import config_dir, to_spec
from runner.spec.model import Spec

PROJECT = Path(__file__).resolve().parent.parent


@cache
def make_spec(*overrides: str) -> Spec:
    """The spec of ``python -m runner`` with these overrides (immutable, and so made once)."""
    with initialize_config_dir(config_dir(), version_base="1.3"):
        return to_spec(compose("config", list(overrides)))


def type_command(
    *arguments: str, cwd: Path, timeout: float = 280, warm: bool = True, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Type ``python -m runner …`` in ``cwd``, as a user would (without pytest's mark in the environment).

    Args:
        warm: whether the warm process may stand in for the start of Python and all imports.
        variables: of the environment, besides pytest's own.
    """
    return run_program("-m", "runner", *arguments, cwd=cwd, timeout=timeout, warm=warm, **variables)


def run_program(
    *arguments: str, cwd: Path, timeout: float = 280, warm: bool = True, **variables: str
) -> subprocess.CompletedProcess[str]:
    """``python ARGUMENTS`` in ``cwd``, for a program that does what ``python -m runner`` does."""
    whole = command_environment(**variables)
    if not warm or set(variables) & set(VARIABLES):  # these are read when Python or a library starts
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd,
            env=whole,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        driver = WarmDriver(arguments, cwd=cwd, environment=whole, stdout=out.fileno(), stderr=err.fileno())
        try:
            code = driver.wait(timeout)
        except psutil.TimeoutExpired:
            driver.kill()
            raise
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(list(arguments), code, out.read(), err.read())


def command_environment(**variables: str) -> dict[str, str]:
    """The environment in which commands are typed."""
    return {**environment(), "PYTHONPATH": str(PROJECT), "COLUMNS": "160", **variables}


Command = Callable[..., "subprocess.CompletedProcess[str]"]


def assert_told(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """The command failed, and said so in four parts with these words."""
    assert done.returncode == code, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["where", "why", "fix"], done.stderr
    for word in words:
        assert word in done.stderr


def flip(path: Path, position: int | None = None) -> None:
    """Change one bit in the middle of a file, or at a position."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if position is None else position] ^= 1
    path.write_bytes(content)
