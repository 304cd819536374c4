"""Fixtures of all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import Command, type_command


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Types ``python -m runner`` in a folder of the test's own."""
    return lambda *arguments, **options: type_command(*arguments, cwd=tmp_path, **options)
