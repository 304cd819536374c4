"""The table of faults × stages × outcomes: each fault, in each stage, at each party of a run over three hosts.

In the checkout: ``PYTHONPATH=tests python -m faults.table`` (300 runs, and as many after them); fewer with
``--faults``, ``--stages`` and ``--parties``, each a list of names between commas. ``--rows FILE`` keeps the rows that
are done, one JSON object a line, and goes on after them. The exit code is 1 where something is not as it must be.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path

from faults.ground import a_ground
from faults.inject import FAULTS
from faults.processes import STAGES, following_run, process_faults, try_fault
from faults.rows import Row, markdown
from integration.launch import PARTIES


def main() -> int:
    """Make the rows that are asked for, and print the table."""
    asked = _asked()
    rows = _kept(asked.rows)
    done = {(row.fault, row.stage, row.party) for row in rows}
    wanted = [row for row in process_faults(asked.faults, asked.stages, asked.parties) if row not in done]
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, a_ground(Path(folder)) as ground:
        for number, (fault, stage, party) in enumerate(wanted, start=1):
            row = try_fault(ground, fault, stage, party)
            row.wrong.extend(following_run(ground))
            rows.append(row)
            print(f"{number}/{len(wanted)} {fault}, {stage}, {party}: {row.wrong or 'as it must be'}", file=sys.stderr)
            if asked.rows is not None:
                with asked.rows.open("a") as file:
                    file.write(json.dumps(dataclasses.asdict(row)) + "\n")
        print(markdown(ground.kind, rows))
    return 1 if any(row.wrong for row in rows) else 0


def _kept(path: Path | None) -> list[Row]:
    if path is None or not path.exists():
        return []
    return [Row(**json.loads(line)) for line in path.read_text().splitlines()]


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, known in (("faults", FAULTS), ("stages", STAGES), ("parties", PARTIES)):
        parser.add_argument(f"--{name}", default=known, type=_names(known))
    parser.add_argument("--rows", type=Path)
    return parser.parse_args()


def _names(known: tuple[str, ...]):
    def read(text: str) -> tuple[str, ...]:
        names = tuple(name.strip() for name in text.split(","))
        if unknown := set(names) - set(known):
            raise argparse.ArgumentTypeError(f"{sorted(unknown)} not among {known}")
        return names

    return read


if __name__ == "__main__":
    sys.exit(main())
