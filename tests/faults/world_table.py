"""The table of the world's faults over three hosts, each followed by a whole run: some forty rows.

In the checkout: ``PYTHONPATH=tests python -m faults.world_table``; fewer with ``--only WORD``, which names rows that
have the word. The exit code is 1 where something is not as it must be.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from faults.belongings import certificate, clock, damaged_model, disk_full, other_settings, second_run
from faults.ground import Ground
from faults.hosts import NAMESPACES, Hosts
from faults.network import cut, cut_and_heal, flapping, late, slow
from faults.processes import following_run
from faults.rows import Row, markdown
from faults.world import World
from integration.launch import PARTIES

CERTIFICATES = (
    "no certificate",
    "expired certificate",
    "another party's certificate",
    "another authority's certificate",
)
HOUR = 3600


def world_faults(kind: str) -> Iterator[tuple[str, Callable[[World], Row]]]:
    """What it is → what does it, of every row that these hosts can have."""
    for party in PARTIES:
        for fault in CERTIFICATES:
            yield f"{fault}, {party}", partial(certificate, party=party, fault=fault)
        for seconds in (HOUR, -HOUR):
            yield f"clock {seconds:+d} s, {party}", partial(clock, party=party, seconds=seconds)
        for stage in ("start", "train") if kind == NAMESPACES else ("train",):
            yield f"disk full, {stage}, {party}", partial(disk_full, party=party, stage=stage)
        yield f"other settings, {party}", partial(other_settings, party=party)
        yield f"damaged model, {party}", partial(damaged_model, party=party)
        yield f"second run, {party}", partial(second_run, party=party)
        yield f"late, {party}", partial(late, party=party, seconds=60.0)
        if kind == NAMESPACES:
            yield f"slow link, {party}", partial(slow, party=party)
            for stage in ("align", "train"):
                yield f"cut, {stage}, {party}", partial(cut, party=party, stage=stage)
                yield f"cut and healed, {stage}, {party}", partial(cut_and_heal, party=party, stage=stage)
                yield f"flapping, {stage}, {party}", partial(flapping, party=party, stage=stage)


def main() -> int:
    """Make the rows, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="")
    only = parser.parse_args().only
    rows = []
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, Hosts(PARTIES) as hosts:
        world = World(Ground(Path(folder), hosts), hosts)
        for name, fault in world_faults(hosts.kind):
            if only in name:
                rows.append(fault(world))
                rows[-1].wrong.extend(following_run(world.ground))
                print(f"{name}: {rows[-1].wrong or 'as it must be'}", file=sys.stderr)
        print(markdown(hosts.kind, rows))
    return 1 if any(row.wrong for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
