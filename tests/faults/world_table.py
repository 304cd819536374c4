"""The table of the world's faults over three hosts, each followed by a whole run: some 170 rows.

In the checkout: ``PYTHONPATH=tests python -m faults.world_table``; fewer with ``--faults`` and ``--parties``, lists of
names between commas. ``--rows FILE`` keeps the rows that are done, one JSON object a line, and goes on after them. The
exit code is 1 where something is not as it must be.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from faults.belongings import (
    HOUR,
    certificate,
    clock,
    clock_fault,
    damaged_model,
    disk_full,
    other_settings,
    second_run,
)
from faults.ground import Ground
from faults.hosts import NAMESPACES, Hosts
from faults.network import CUT, RATE, cut, cut_and_heal, flapping, late, slow
from faults.processes import STAGES, following_run
from faults.rows import Key, Row, make_table, names_among
from faults.world import World
from integration.launch import PARTIES

CERTIFICATES = (
    "no certificate",
    "expired certificate",
    "another party's certificate",
    "another authority's certificate",
)
LATE = 60.0  # seconds


FAULTS: tuple[str, ...] = (
    *CERTIFICATES,
    *(clock_fault(seconds) for seconds in (HOUR, -HOUR)),
    *("disk full", "other settings", "damaged model", "second run", f"{LATE:g} s late"),
    *(f"slow link ({RATE})", "link cut", f"link cut for {CUT:g} s", "flapping link"),
)


def world_faults(kind: str, parties: tuple[str, ...] = PARTIES) -> Iterator[tuple[Key, Callable[[World], Row]]]:
    """Every row that these hosts can have, and what makes it."""
    for party in parties:
        for fault in CERTIFICATES:
            yield (fault, "agree", party), partial(certificate, party=party, fault=fault)
        for seconds in (HOUR, -HOUR):
            yield (clock_fault(seconds), "agree", party), partial(clock, party=party, seconds=seconds)
        for stage in ("start", *STAGES) if kind == NAMESPACES else ("train",):
            yield ("disk full", stage, party), partial(disk_full, party=party, stage=stage)
        yield ("other settings", "agree", party), partial(other_settings, party=party)
        yield ("damaged model", "load", party), partial(damaged_model, party=party)
        yield ("second run", "train", party), partial(second_run, party=party)
        yield (f"{LATE:g} s late", "agree", party), partial(late, party=party, seconds=LATE)
        if kind == NAMESPACES:
            yield (f"slow link ({RATE})", "all", party), partial(slow, party=party)
            for stage in STAGES:
                yield ("link cut", stage, party), partial(cut, party=party, stage=stage)
                yield (f"link cut for {CUT:g} s", stage, party), partial(cut_and_heal, party=party, stage=stage)
            for stage in ("align", "train"):
                yield ("flapping link", stage, party), partial(flapping, party=party, stage=stage)


def main() -> int:
    """Make the rows that are asked for, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, known in (("faults", FAULTS), ("parties", PARTIES)):
        parser.add_argument(f"--{name}", default=known, type=names_among(known))
    parser.add_argument("--rows", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, Hosts(PARTIES) as hosts:
        world = World(Ground(Path(folder), hosts), hosts)
        faults = (one for one in world_faults(hosts.kind, asked.parties) if one[0][0] in asked.faults)
        return make_table(hosts.kind, ((key, partial(_row, world, fault)) for key, fault in faults), asked.rows, STAGES)


def _row(world: World, fault: Callable[[World], Row]) -> Row:
    row = fault(world)
    row.wrong.extend(following_run(world.ground))
    return row


if __name__ == "__main__":
    sys.exit(main())
