"""Fixtures of the unit tests."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from support import make_spec

from runner.engine.narrow import import_secretflow
from runner.spec.identity import spec_values

Changed = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def changed() -> Changed:
    """The default settings as plain values, with changes given as ``{"sgb.max_depth": 3}``."""
    defaults = spec_values(make_spec())

    def change(changes: dict[str, Any]) -> dict[str, Any]:
        values = copy.deepcopy(defaults)
        for path, value in changes.items():
            *sections, name = path.split(".")
            section = values
            for part in sections:
                section = section[part]
            section[name] = value
        return values

    return change


@pytest.fixture(scope="session")
def secretflow() -> None:
    """SecretFlow, imported as the workers do; it takes seconds, so only the tests that need it ask for it."""
    import_secretflow()


@pytest.fixture(scope="session")
def encryption(secretflow: None) -> Any:
    """A key pair and what encrypts with it; short, as making a key takes seconds."""
    from heu import numpy as hnp
    from heu import phe

    return hnp.setup(phe.SchemaType.OU, 1024)
