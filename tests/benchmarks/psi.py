"""What private set intersection costs: wall seconds, and the most memory of each party's process, by number of ids.

    python tests/benchmarks/psi.py [--ids 10000 100000] [--parties 3] [--protocol auto]

Each party has so many ids, nine in ten of which all parties have. Nothing else is measured: no table is read.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(PROJECT)]

from runner.cluster.sockets import memory_folder  # noqa: E402
from runner.engine.psi import intersect  # noqa: E402
from runner.spec.align import Align  # noqa: E402


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What private set intersection costs.")
    parser.add_argument("--ids", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--parties", type=int, default=3)
    parser.add_argument("--protocol", default="auto")
    options = parser.parse_args()
    protocol = Align(method="psi", protocol=options.protocol).psi_protocol(options.parties)
    parties = [f"party{place}" for place in range(options.parties)]
    assert protocol is not None
    for ids in options.ids:
        common = ids * 9 // 10
        shared = [_digest(f"all {number}") for number in range(common)]
        own = {party: shared + [_digest(f"{party} {number}") for number in range(ids - common)] for party in parties}
        with tempfile.TemporaryDirectory(prefix="sgb-", dir=memory_folder()) as folder, ThreadPoolExecutor() as threads:
            began = time.monotonic()
            calls = [
                threads.submit(intersect, own[party], party, parties, protocol, Path(folder), 7200.0)
                for party in parties
            ]
            found = [call.result() for call in calls]
            seconds = time.monotonic() - began
        assert all(len(result.rows) == common for result in found)
        memory = ", ".join(f"{result.peak_bytes / 2**20:.0f}" for result in found)
        print(f"{protocol}, {options.parties} × {ids:,} ids: {seconds:.1f} s; peak MB by party: {memory}", flush=True)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


if __name__ == "__main__":
    main()
