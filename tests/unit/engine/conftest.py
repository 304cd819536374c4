"""Fixtures of the tests of the engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from made_proxies import PARTIES, Run


@pytest.fixture
def run(secretflow: None) -> Iterator[Run]:
    """Three parties, listening and connected."""
    run = Run()
    for party in PARTIES:
        run.start(party)
    for party in PARTIES:
        run.connect(party)
    yield run
    run.stop()
