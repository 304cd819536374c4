"""Fixtures of the tests of sweeps."""

from __future__ import annotations

from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from runner.spec.compose import config_dir
from runner.sweep.compose import Composer


@pytest.fixture(scope="module")
def composer() -> Composer:
    """Composes jobs as a sweep does."""
    with initialize_config_dir(config_dir(), version_base="1.3"):
        loader: Any = GlobalHydra.instance().config_loader()
        return Composer(loader, compose("config", [], return_hydra_config=True))
