"""Fixtures of the tests of tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_desks
import made_sources
import pytest


@pytest.fixture
def reading(tmp_path: Path, changed: Callable[..., dict[str, Any]]) -> made_sources.Desk:
    return made_sources.Desk(tmp_path, changed)


@pytest.fixture
def desk(tmp_path: Path, changed: Callable[..., dict[str, Any]]) -> made_desks.Desk:
    return made_desks.Desk(tmp_path, changed)
