"""The main job against the same program written by hand with SecretFlow: whole commands, in turn, in one run.

    python tests/benchmarks/main_job.py [--pairs 3] [overrides of the runner …]

Prints wall and CPU seconds of each (all processes together), and the ratios runner / by hand pair by pair. The
hand-written program (tests/integration/handwritten.py) does less: it checks no table, has no TLS, and does not load.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests")]

from support import make_spec  # noqa: E402

from runner.spec.model import Spec  # noqa: E402

Cost = tuple[float, float]  # wall and CPU seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The main job against the same program written by hand.")
    parser.add_argument("--pairs", type=int, default=3)
    options, overrides = parser.parse_known_args()
    spec = make_spec(*overrides, "sgb.shuffle=shared")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        by_runner(overrides, place)  # not counted: writes the tables, fills the disk's cache
        by_hand(spec, place)
        pairs = [(by_runner(overrides, place), by_hand(spec, place)) for _ in range(options.pairs)]
    for index, unit in enumerate(("wall", "CPU")):
        runner = [pair[0][index] for pair in pairs]
        hand = [pair[1][index] for pair in pairs]
        ratios = sorted(a / b for a, b in zip(runner, hand, strict=True))
        print(
            f"{unit:>4} s: runner median {statistics.median(runner):6.1f}, by hand {statistics.median(hand):6.1f}, "
            f"ratio median {statistics.median(ratios):.2f} (from {ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


def by_runner(overrides: list[str], place: Path) -> Cost:
    """``python -m runner`` with these overrides."""
    return measure([[sys.executable, "-m", "runner", *overrides]], place)


def by_hand(spec: Spec, place: Path) -> Cost:
    """Three processes of the hand-written program, with the same tables, split and parameters."""
    folder = place / secrets.token_hex(4)
    folder.mkdir()
    settings: dict[str, Any] = {
        "tables": {party: str(place / table.path) for party, table in spec.data.tables.items()},
        "id": spec.data.id,
        "label": spec.label.columns()[spec.label.holder],
        "split_key": spec.data.split.key,
        "test_fraction": spec.data.split.test_fraction,
        "order": spec.party_order(),
        "scheme": spec.crypto.scheme,
        "key_bits": spec.crypto.key_bits,
        "parameters": spec.sgb.parameters(),
        "folder": str(folder),
        "job": folder.name,
        "ports": free_ports(spec.party_order()),
        "shuffle_seeds": None,
    }
    path = folder / "settings.json"
    path.write_text(json.dumps(settings))
    (folder / "shared").mkdir()
    program = str(PROJECT / "tests" / "integration" / "handwritten.py")
    return measure([[sys.executable, program, str(path), party] for party in spec.party_order()], place)


def free_ports(parties: tuple[str, ...]) -> dict[str, int]:
    """A free port for each party."""
    sockets = {party: socket.socket() for party in parties}
    for bound in sockets.values():
        bound.bind(("127.0.0.1", 0))
    ports = {party: int(bound.getsockname()[1]) for party, bound in sockets.items()}
    for bound in sockets.values():
        bound.close()
    return ports


def measure(commands: list[list[str]], place: Path) -> Cost:
    """Start all commands at once; wall and CPU seconds until the last has ended."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    started = [
        subprocess.Popen(command, cwd=place, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for command in commands
    ]
    for process in started:
        _, errors = process.communicate(timeout=900)
        if process.returncode != 0:
            raise SystemExit(errors.decode())
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
