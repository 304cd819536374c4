"""Starting the processes of a run, and making sure that none outlives it.

A *template* process imports the heavy libraries once and then forks one child per party (see
``runner.worker.template``). Two templates run side by side: while one imports secretflow, the children of the
other read and check the tables. A checked table goes to its party's worker through anonymous memory, never
through a second file on the disk, and the driver does not read it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from runner.cluster.channel import Channel
from runner.spec.model import Cluster

ALL_PARTIES = "all parties"  # the one child of debug mode
CHECK_LOG = "check.log"
START_LOG = "start.log"
LEAVE_SECONDS = 5.0

Children = Mapping[str, tuple[str, ...]]  # name of a child → the parties whose tables it handles


class Template:
    """A template process and its children, in a process group of their own, which ends with the ``with`` block.

    Attributes:
        channels: the control connection to each child, by name.
        control: the control connection to the template itself, which reports how its children ended.
        pids: the process id of each child that was forked.
    """

    def __init__(
        self,
        kind: str,
        children: Children,
        tables: Mapping[str, int],
        log: Path,
        preload: Iterable[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._kind = kind
        self.pids: dict[str, int] = {}
        ours, theirs = {}, {}
        for name in ("", *children):
            here, there = socket.socketpair()
            ours[name], theirs[name] = Channel(here), there
        self.control = ours.pop("")
        self.channels = ours
        arguments = {
            "kind": kind,
            "preload": list(preload),
            "control": theirs[""].fileno(),
            "children": {
                name: {"channel": theirs[name].fileno(), "tables": {party: tables[party] for party in parties}}
                for name, parties in children.items()
            },
        }
        handed = {tables[party] for parties in children.values() for party in parties}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "runner.worker", json.dumps(arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[there.fileno() for there in theirs.values()] + sorted(handed),
                start_new_session=True,
                env={**os.environ, **_ENVIRONMENT, **(environment or {})},
            )
        for there in theirs.values():
            there.close()

    def log_of(self, child: str) -> str:
        """The log of a child, relative to the run folder."""
        if self._kind == "check":
            return CHECK_LOG
        return "debug.log" if child == ALL_PARTIES else f"parties/{child}/worker.log"

    def cpu_seconds(self, child: str) -> float:
        """The CPU time that a child has used; 0 where it is not known."""
        try:
            fields = Path(f"/proc/{self.pids[child]}/stat").read_text().rpartition(")")[2].split()
        except (KeyError, OSError):
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> Template:
        return self

    def __exit__(self, kind: object, *exception: object) -> None:
        """Let the template leave by itself where all went well, and end what is left of it and its children."""
        if kind is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=LEAVE_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for channel in (self.control, *self.channels.values()):
            channel.close()


# Fewer malloc arenas hold the workers' memory down.
_ENVIRONMENT = {"MALLOC_ARENA_MAX": "2", "PYTHONUNBUFFERED": "1"}


def table_memory(parties: Iterable[str]) -> dict[str, int]:
    """Anonymous memory for each party's checked table, as file descriptors."""
    return {party: os.memfd_create(f"table-{party}") for party in parties}


def conditions(cluster: Cluster) -> dict[str, str]:
    """The environment variables that the cluster's settings come to."""
    found = {}
    if cluster.hash_seed is not None:
        found["PYTHONHASHSEED"] = str(cluster.hash_seed)
    if cluster.threads is not None:
        pools = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "YACL_NUM_THREADS", "POLARS_MAX_THREADS")
        found |= dict.fromkeys(pools, str(cluster.threads))
        found["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={'true' if cluster.threads > 1 else 'false'}"
    return found
