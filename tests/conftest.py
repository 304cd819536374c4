"""Fixtures of all tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

if sys.dont_write_bytecode:
    # Every process would compile all that it imports, which takes most of the time of importing it. So bytecode is
    # written after all, where it disturbs nobody; the pytest workers and all commands inherit this.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(Path(__file__).resolve().parent.parent / ".pytest_cache" / "bytecode")
    sys.dont_write_bytecode, sys.pycache_prefix = False, os.environ["PYTHONPYCACHEPREFIX"]

from support import Command, type_command


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Types ``python -m runner`` in a folder of the test's own."""
    return lambda *arguments, **options: type_command(*arguments, cwd=tmp_path, **options)
