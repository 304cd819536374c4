"""Fixtures of all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import Command, type_command


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Types ``python -m runner`` in a folder of the test's own."""
    return lambda *arguments, **options: type_command(*arguments, cwd=tmp_path, **options)


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ask for one worker for the tests that start party processes, which then shares their finished runs."""
    for item in items:
        if item.get_closest_marker("processes"):
            item.add_marker(pytest.mark.xdist_group("processes"))
