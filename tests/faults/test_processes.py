"""Whatever happens to a site's processes, all sites end in time and say why: each fault, stage and party at least once.

``faults.table`` tries all of them with each other.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from faults.ground import Ground, a_ground
from faults.processes import following_run, try_fault
from faults.rows import Row, markdown

pytestmark = pytest.mark.processes

COVERING = (
    ("SIGTERM", "agree", "alice"),
    ("worker stopped", "validate", "bob"),
    ("worker killed", "open", "carol"),
    ("driver killed", "align", "alice"),
    ("exception", "prepare", "carol"),
    ("Ctrl-C", "label", "bob"),
    ("worker killed", "train", "carol"),
    ("driver stopped", "train", "bob"),
    ("template killed", "explain", "alice"),
    ("worker killed", "save", "bob"),
    ("exception", "load", "alice"),
    ("worker killed", "predict", "alice"),
    ("exception", "evaluate", "carol"),
    ("driver killed", "attest", "bob"),
)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with a_ground(tmp_path_factory.mktemp("faults")) as ground:
        yield ground


@pytest.fixture(scope="module")
def rows(ground: Ground) -> Iterator[list[Row]]:
    """Those that were tried; at the end the table is printed (``pytest -rP`` shows it)."""
    rows: list[Row] = []
    yield rows
    print(markdown(ground.kind, rows))


@pytest.mark.parametrize(("fault", "stage", "party"), COVERING)
def test_fault(ground: Ground, rows: list[Row], fault: str, stage: str, party: str) -> None:
    row = try_fault(ground, fault, stage, party, stop=0.0)
    rows.append(row)
    assert row.wrong == []


def test_a_run_after_all_of_them(ground: Ground) -> None:
    assert following_run(ground) == []
