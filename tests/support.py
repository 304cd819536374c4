"""What all tests use: composing a spec as the command line would, and typing commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from hydra import compose, initialize_config_dir

from runner.spec.compose import config_dir, to_spec
from runner.spec.model import Spec

PROJECT = Path(__file__).resolve().parent.parent


@cache
def make_spec(*overrides: str) -> Spec:
    """The spec of ``python -m runner`` with these overrides (immutable, and so made once)."""
    with initialize_config_dir(config_dir(), version_base="1.3"):
        return to_spec(compose("config", list(overrides)))


def type_command(
    *arguments: str, cwd: Path, timeout: float = 280, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Type ``python -m runner …`` in ``cwd``, as a user would (without pytest's mark in the environment)."""
    clean = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    return subprocess.run(
        [sys.executable, "-m", "runner", *arguments],
        cwd=cwd,
        env={**clean, "PYTHONPATH": str(PROJECT), "COLUMNS": "160", **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


Command = Callable[..., "subprocess.CompletedProcess[str]"]
