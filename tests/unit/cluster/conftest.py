"""Fixtures of the tests of links between sites."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from made_links import GRACE, Site
from made_sites import make_sites

from runner.cluster.link import Links


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an authority and three parties' certificates."""
    make_sites(tmp_path, ("alice", "bob", "carol"))
    return tmp_path


@pytest.fixture
def started() -> Iterator[list[Links]]:
    links: list[Links] = []
    yield links
    with contextlib.ExitStack() as stack:
        for one in links:
            stack.callback(one.close)


@pytest.fixture
def site(folder: Path, started: list[Links]) -> Callable[..., Site]:
    def make(party: str, grace: float = GRACE, port: int = 0) -> Site:
        made = Site(folder, party, grace, port)
        started.append(made.links)
        return made

    return make
