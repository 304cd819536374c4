"""Fixtures of all tests."""

from __future__ import annotations

# ruff: isort: off
import bytecode  # noqa: F401 - first: it is there for its effect
# ruff: isort: on

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from support import PROJECT, Command, type_command

# How long an example takes says more of the machine than of the code.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

# Of those that start party processes; all other files come after these.
LONGEST = (
    "test_processes.py",
    "test_world.py",
    "test_killed.py",
    "test_main_job.py",
    "test_label_modes.py",
    "test_canaries.py",
    "test_same_bits.py",
    "test_records.py",
    "test_load.py",
    "test_resume.py",
    "test_export.py",
    "test_experiments.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first, so that the pytest workers end at about the same time."""
    order = {name: number for number, name in enumerate(LONGEST)}

    def place(item: pytest.Item) -> tuple[bool, int]:
        return item.get_closest_marker("processes") is None, order.get(item.path.name, len(order))

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def clean_checkout() -> Iterator[None]:
    """Tests work in folders of their own: a user's keys and runs in the checkout are none of theirs."""
    outputs = PROJECT / "outputs"
    before = set(outputs.rglob("*"))
    yield
    left = sorted(str(path) for path in set(outputs.rglob("*")) - before)
    assert not left, f"tests left files in {outputs}: {left[:10]}"


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Types ``python -m runner`` in a folder of the test's own."""
    return lambda *arguments, **options: type_command(*arguments, cwd=tmp_path, **options)
