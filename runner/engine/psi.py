"""Private set intersection with SPU's library, over Unix sockets in a folder of the run's own.

Two parties use RR22 (Raghuraman and Rindal 2022), KKRT (Kolesnikov et al. 2016) or ECDH (after Meadows 1986); three a
form of ECDH in which the first and the second learn how many ids the second and the third have in common; more run KKRT
or ECDH two by two, round after round, and learn the ids that such two have in common. All are for parties that follow
the protocol.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner.engine.psi_process import REPORT
from runner.errors import StageError
from runner.files import PRIVATE_DIR
from runner.logs import How
from runner.spec.align import Protocol

PAUSE = 0.05  # seconds


class LogOfParty(NamedTuple):
    """Where a process of the party's writes its structured log, in which way, and of which run."""

    path: str
    how: How
    run: str


@dataclass(frozen=True)
class Intersection:
    """What one party learns of a private set intersection.

    Attributes:
        rows: the places of its ids that all parties have, shape (common,), ascending.
        peak_bytes: the most memory that its process took.
    """

    rows: NDArray[np.intp]
    peak_bytes: int


def intersect(
    digests: Sequence[bytes],
    party: str,
    parties: Sequence[str],
    protocol: Protocol,
    sockets: Path,
    seconds: float,
    log: LogOfParty | None = None,
) -> Intersection:
    """Find which of ``digests`` all parties have; each party calls this in a process of its own, at the same step.

    The library reads and writes files: all lie in a folder that only this user can enter, hold the digests in a random
    order (a peer could tell from the places of common ids how many others lie between them), and go at the end; if this
    process is killed, with ``sockets``. A trace of the library's steps, which it writes elsewhere, goes at once.

    Args:
        digests: one a row, of one length, no two equal.
        parties: all of them, in the order that all use; the first learns the result first and tells the others.
        sockets: the run's folder for sockets, which has a short path.
        seconds: how long the whole may take.
        log: of the process that carries it out; None: it has none.

    Raises:
        StageError: where the protocol fails or takes too long; the party's log has the library's words.
    """
    folder = sockets / f"psi-{party}"
    folder.mkdir(mode=PRIVATE_DIR)
    try:
        _write(folder / "in.csv", digests)
        arguments = {
            "rank": list(parties).index(party),
            "addresses": [f"unix:{sockets / f'psi-{name}.s'}" for name in parties],
            "protocol": protocol,
            "seconds": seconds,
            "input": str(folder / "in.csv"),
            "output": str(folder / "out.csv"),
            "report": str(folder / REPORT),
            "party": party,
            "log": log,
        }
        _run(party, protocol, arguments, seconds)
        return _read(folder, digests)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, digests: Sequence[bytes]) -> None:
    order = np.random.default_rng(secrets.randbits(256)).permutation(len(digests))
    with path.open("w") as file:
        file.write("id\n")
        file.writelines(f"{digests[place].hex()}\n" for place in order.tolist())


def _run(party: str, protocol: Protocol, arguments: dict[str, object], seconds: float) -> None:
    command = [sys.executable, "-m", "runner.engine.psi_process", json.dumps(arguments)]
    why = f"it took more than {seconds:g} s"
    process = subprocess.Popen(command)
    try:
        if (code := _await(process, seconds)) == 0:
            return
    finally:
        process.kill()
        process.wait()
    if code is not None:
        why = f"its process left with code {code}"
    raise StageError(
        "the private set intersection failed",
        where=f"party {party}, protocol {protocol}",
        why=why,
        fix="see the party's worker.log in the run folder; raise cluster.stage_timeout if it was slow",
    )


def _await(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """The exit code, or None after ``seconds``."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(PAUSE)
        _remove_traces(process.pid)
    return None


def _remove_traces(pid: int) -> None:
    """Take away the trace that the library has open; its name is its own, and no setting changes its place."""
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                name = descriptor.readlink()
                if name.match("/tmp/psi_*.trace"):
                    name.unlink()


def _read(folder: Path, digests: Sequence[bytes]) -> Intersection:
    report = json.loads((folder / REPORT).read_bytes())
    with (folder / "out.csv").open() as file:
        next(file, None)
        common = {bytes.fromhex(line.strip().strip('"')) for line in file}
    rows = np.flatnonzero(np.fromiter((digest in common for digest in digests), np.bool_, len(digests)))
    if len(rows) != len(common) or len(rows) != report["common"]:
        raise AssertionError("the intersection is not a part of what was brought")
    return Intersection(rows, report["peak_bytes"])
