"""The table of faults × stages × outcomes: each fault, in each stage, at each party of a run over three hosts.

In the checkout: ``PYTHONPATH=tests python -m faults.table`` (300 runs, and as many after them); fewer with
``--faults``, ``--stages`` and ``--parties``, each a list of names between commas. ``--rows FILE`` keeps the rows that
are done, one JSON object a line, and goes on after them. The exit code is 1 where something is not as it must be.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

from faults.ground import Ground, a_ground
from faults.inject import FAULTS
from faults.processes import STAGES, following_run, process_faults, try_fault
from faults.rows import Key, Row, make_table, names_among
from integration.launch import PARTIES


def main() -> int:
    """Make the rows that are asked for, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, known in (("faults", FAULTS), ("stages", STAGES), ("parties", PARTIES)):
        parser.add_argument(f"--{name}", default=known, type=names_among(known))
    parser.add_argument("--rows", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, a_ground(Path(folder)) as ground:
        keys = process_faults(asked.faults, asked.stages, asked.parties)
        return make_table(ground.kind, ((key, partial(_row, ground, key)) for key in keys), asked.rows, STAGES)


def _row(ground: Ground, key: Key) -> Row:
    row = try_fault(ground, *key)
    row.wrong.extend(following_run(ground))
    return row


if __name__ == "__main__":
    sys.exit(main())
