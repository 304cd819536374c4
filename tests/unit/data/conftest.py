"""Fixtures of the tests of tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_sources import Desk


@pytest.fixture
def reading(tmp_path: Path, changed: Callable[..., dict[str, Any]]) -> Desk:
    return Desk(tmp_path, changed)
