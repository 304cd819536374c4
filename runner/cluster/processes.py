"""The processes of a cluster, and making sure that none outlives it.

A *template* process imports the heavy libraries once, and forks a *crew* on order: one child per party (see
``runner.worker.template``). Two templates run side by side: while one imports secretflow, the children of the
other read and check the tables. A checked table goes to its party's worker through anonymous memory (one that came
in pieces, through a file without a name), and the driver does not read it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

from runner.cluster.channel import Channel, Message
from runner.cluster.peers import PeerChannel, said_to_all
from runner.cluster.sockets import Sockets
from runner.errors import RunnerError
from runner.logs import How, structured

ALL_PARTIES = "all parties"  # the one child of debug mode
CHECK_LOG = "check.log"
START_LOG = "start.log"
LEAVE_SECONDS = 5.0
RESERVED = 1 << 30  # bytes that a process reserves and never holds, at most: stacks of threads


class Bounds(NamedTuple):
    """Child → bytes that it and its children may hold, and the cores that it may run on; who is not there: any."""

    memory: Mapping[str, int] = {}
    cores: Mapping[str, list[int]] = {}


class Template:
    """A template process; it and its children are a process group of their own.

    Attributes:
        control: the control connection to it: it takes orders to fork, and reports how its children ended.
        pid: its process id.

    Args:
        log: where it prints to.
        how: of the structured log beside that; None: it has none.
    """

    def __init__(
        self,
        kind: str,
        log: Path,
        preload: Iterable[str] = (),
        environment: Mapping[str, str] | None = None,
        how: How | None = None,
    ) -> None:
        self._kind = kind
        self._numbers = itertools.count()
        self._temporary = Sockets()  # removed by the driver, as the process never ends in the usual way
        here, there = socket.socketpair()
        self.control = Channel(here)
        arguments = {
            "kind": kind,
            "preload": list(preload),
            "control": there.fileno(),
            "temporary": str(self._temporary.path),
        }
        if how is not None:
            arguments |= {"log": str(structured(log).absolute()), "how": how}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "runner.worker", json.dumps(arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[there.fileno()],
                start_new_session=True,
                env={**os.environ, **_ENVIRONMENT, **(environment or {})},
            )
        there.close()
        self.pid: int = self._process.pid

    def fork(self, children: Iterable[str], log: Path, bounds: Bounds = Bounds()) -> Crew:  # noqa: B008 - immutable
        """Order a crew; its processes print to ``log`` until they have an order that says another place."""
        ours, theirs = {}, []
        for name in children:
            here, there = socket.socketpair()
            ours[name] = Channel(here)
            theirs.append(there)
        crew = Crew(next(self._numbers), self._kind, self.control, ours, bounds.memory, self.pid)
        self.control.send(
            [there.fileno() for there in theirs],
            order="fork",
            crew=crew.number,
            children=list(ours),
            log=str(log.absolute()),
            reserve={name: memory + RESERVED for name, memory in bounds.memory.items()},
            cores=dict(bounds.cores),
        )
        for there in theirs:
            there.close()
        return crew

    def is_there(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def close(self) -> None:
        """End what is left of it and its children, and wait until all of them are gone, but not for long."""
        until = time.monotonic() + LEAVE_SECONDS
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            while time.monotonic() < until:
                os.killpg(self._process.pid, 0)
                time.sleep(0.005)
        self._process.wait()
        self._temporary.remove()
        self.control.close()


class Crew:
    """The children that a template forked together.

    Attributes:
        number: what the template calls them by.
        channels: the control connection to each child, by name.
        control: that to the template.
        memory: child → bytes that it may hold, where that is bounded.
        template: the process id of the template, where it is known.
        pids: the process id of each child that was forked.
        exit_codes: how each child ended that has.
        peers: of ``channels``, those to the drivers of other sites, which have their own children.
        faults: errors from elsewhere that end what the crew is at.
    """

    def __init__(
        self,
        number: int,
        kind: str,
        control: Channel,
        channels: dict[str, Channel],
        memory: Mapping[str, int] | None = None,
        template: int | None = None,
    ) -> None:
        self.number = number
        self.memory = memory or {}
        self.peers: dict[str, PeerChannel] = {}
        self.faults: SimpleQueue[RunnerError] = SimpleQueue()
        self._kind = kind
        self.control = control
        self.channels = channels
        self.template = template
        self.pids: dict[str, int] = {}
        self.exit_codes: dict[str, int] = {}

    def log_of(self, child: str) -> str:
        """The log of a child, relative to the run folder."""
        if self._kind == "check":
            return f"parties/{child}/{CHECK_LOG}"
        return "debug.log" if child == ALL_PARTIES else f"parties/{child}/worker.log"

    def cpu_seconds(self, child: str) -> float:
        """The CPU time that a child has used; 0 where it is not known."""
        return vital_signs(self.pids[child]).seconds if child in self.pids else 0.0

    def join(self, peers: Mapping[str, PeerChannel], faults: SimpleQueue[RunnerError]) -> None:
        """Work together with the children of other sites, by way of their drivers."""
        self.peers, self.faults = dict(peers), faults
        self.channels = {**self.own(), **peers}

    def own(self) -> dict[str, Channel]:
        """The connections to the children of this site."""
        return {name: channel for name, channel in self.channels.items() if name not in self.peers}

    def say(self, **order: Any) -> None:
        """Give all children of this site an order."""
        for channel in self.own().values():
            channel.send(**order)

    def pass_on(self, name: str, message: Message) -> None:
        """Tell the other sites what a child of this one said, if it is for them."""
        if self.peers and name not in self.peers and (for_all := said_to_all(message)) is not None:
            for peer in self.peers.values():
                peer.send(**for_all)

    def lost(self) -> str | None:
        """A child of this site that is gone, or any where the template is; what they have said is left unread."""
        ends = {channel.fileno(): name for name, channel in {**self.own(), "": self.control}.items()}
        watched = select.poll()
        for end in ends:
            watched.register(end, select.POLLRDHUP)
        gone = [ends[end] for end, _ in watched.poll(0)]
        return min((name for name in gone if name), default=min(self.own())) if gone else None

    def stands(self) -> bool:
        """Whether all of its connections do; what idle children said meanwhile, heartbeats alone, is dropped."""
        while ready := select.select(list(self.own().values()), [], [], 0)[0]:
            if not all(channel.receive_ready()[1] for channel in ready):
                return False
        return True

    def leave(self) -> None:
        """Let the children go, and wait until they have gone, but not for long."""
        self.say(order="leave")
        until, staying = time.monotonic() + LEAVE_SECONDS, set(self.own().values())
        while staying and time.monotonic() < until:
            for channel in select.select(list(staying), [], [], 0.1)[0]:
                if not channel.receive_ready()[1]:
                    staying.remove(channel)
        self._close()

    def end(self) -> None:
        """Have the template kill the children, whatever they are at."""
        self.control.send(order="end", crew=self.number)
        self._close()

    def _close(self) -> None:
        for channel in self.own().values():
            channel.close()


class VitalSigns(NamedTuple):
    """The state of a process, as the system has it in one letter (none: it is gone), and the CPU time that it used."""

    state: str
    seconds: float


def vital_signs(pid: int) -> VitalSigns:
    """What a process is at."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return VitalSigns("", 0.0)
    return VitalSigns(fields[0], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))


# Fewer malloc arenas hold the workers' memory down.
_ENVIRONMENT = {"MALLOC_ARENA_MAX": "2", "PYTHONUNBUFFERED": "1"}
