"""Whatever happens to networks, disks, clocks, certificates and models: all sites end in time, or go on as ever.

``faults.world_table`` tries more of them, for longer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from faults.belongings import certificate, clock, damaged_model, disk_full, second_run
from faults.ground import Ground
from faults.hosts import NAMESPACES, Hosts
from faults.network import cut, cut_and_heal, flapping, late, slow
from faults.rows import Row, markdown
from faults.world import World
from integration.launch import PARTIES

pytestmark = pytest.mark.processes

Try = Callable[[World], Row]
# The last one goes on to its end: a run after all the others that succeeds.
ANYWHERE: dict[str, Try] = {
    "expired certificate": lambda world: certificate(world, "carol", fault="expired certificate"),
    "another authority's certificate": lambda world: certificate(world, "bob", fault="another authority's certificate"),
    "clock ahead": lambda world: clock(world, "bob"),
    "disk full": lambda world: disk_full(world, "bob"),
    "damaged model": lambda world: damaged_model(world, "carol"),
    "second run": lambda world: second_run(world, "alice"),
    "late site": lambda world: late(world, "bob", seconds=7.0),
}
BY_CABLE: dict[str, Try] = {
    "link cut": lambda world: cut(world, "bob"),
    "link cut and healed in training": lambda world: cut_and_heal(world, "carol"),
    "link flaps in psi": lambda world: flapping(world, "alice"),
    "slow link": lambda world: slow(world, "carol"),
}


def _possible() -> dict[str, Try]:
    """Loopback has no cable that could be pulled."""
    with Hosts(()) as hosts:
        return {**(BY_CABLE if hosts.kind == NAMESPACES else {}), **ANYWHERE}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with Hosts(PARTIES) as hosts:
        yield World(Ground(tmp_path_factory.mktemp("world"), hosts), hosts)


@pytest.fixture(scope="module")
def rows(world: World) -> Iterator[list[Row]]:
    """Those that were tried; at the end the table is printed (``pytest -rP`` shows it)."""
    rows: list[Row] = []
    yield rows
    print(markdown(world.ground.kind, rows))


@pytest.mark.parametrize(("name", "fault"), _possible().items())
def test_fault(world: World, rows: list[Row], name: str, fault: Try) -> None:
    rows.append(fault(world))
    assert rows[-1].wrong == []
