"""Hosts of their own for the sites of a test: network namespaces on one bridge, where this machine lets us make them.

Each host then has an address, ports and a ``/dev/shm`` that no other has; its network can be slowed down, cut and
healed (``Host.run``, ``Hosts.cut``). Root has namespaces, and so has anybody who may make user
namespaces. Where neither can be had, hosts are addresses 127.0.0.2 and up of this machine: ``Hosts.kind`` says which.
Nothing of them outlives the process that made them: their namespaces end with the processes that hold them, which end
when their standard input does.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from warm.client import entering_users

NAMESPACES = "network namespaces"
LOOPBACK = "loopback addresses"
PORTS = 3  # of a site: its driver's, its worker's, its relay's
_LISTENING = "0A"  # the state of a connection, in /proc/net/tcp


class Host:
    """A host of one organisation.

    Attributes:
        name: the organisation's.
        address: of the host.
        port: the first of the ``PORTS`` that its site may use.
        pid: of the process that holds its namespaces; None where it has none.
    """

    def __init__(self, name: str, address: str, port: int, pid: int | None = None) -> None:
        self.name = name
        self.address = address
        self.port = port
        self.pid = pid

    def entering(self) -> list[str]:
        """What to type before a command so that it runs on this host."""
        return [] if self.pid is None else _entering(self.pid, "-m")

    def run(self, *command: str) -> str:
        """Run a command on this host, as its administrator; what it printed."""
        return _run([*self.entering(), *command])

    def listening(self) -> set[int]:
        """The TCP ports that somebody listens on: of the host, or where it has no namespace, of the site."""
        found = set()
        for name in ("tcp", "tcp6"):
            for line in Path(f"/proc/{self.pid or 'self'}/net/{name}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING:
                    found.add(int(fields[1].rpartition(":")[2], 16))
        return found if self.pid is not None else found & set(range(self.port, self.port + PORTS))

    def memory_folder(self) -> Path | None:
        """The host's ``/dev/shm``, as it is seen from here; None where it has none of its own."""
        return None if self.pid is None else Path(f"/proc/{self.pid}/root/dev/shm")


class Hosts:
    """A host for each name; ``with`` ends them."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = tuple(names)
        self._holders = contextlib.ExitStack()
        self._bridge: int | None = None
        self.kind = LOOPBACK
        self.by_name: dict[str, Host] = {}

    def __enter__(self) -> Hosts:
        try:
            self._make_namespaces()
            self.kind = NAMESPACES
        except (OSError, subprocess.SubprocessError):
            self._holders.close()
            self._bridge = None
            self._take_addresses()
        return self

    def __exit__(self, *exception: object) -> None:
        self._holders.close()

    def cut(self, name: str) -> None:
        """Pull the cable of a host out of the switch: what is sent to it, or by it, is lost, and nobody is told."""
        self._switch(name, "nomaster")

    def heal(self, name: str) -> None:
        """Plug it in again."""
        self._switch(name, "master", "bridge")

    def _switch(self, name: str, *where: str) -> None:
        """Not ``down`` and ``up``: the kernel may take a second or two to hear of a carrier that came back."""
        assert self._bridge is not None, "only hosts with namespaces have cables"
        _run([*_entering(self._bridge), "ip", "link", "set", f"to-{name}", *where])

    def _make_namespaces(self) -> None:
        enter = [] if os.geteuid() == 0 else entering_users(_users())
        self._bridge = _hold(self._holders, [*enter, "unshare", "-n"], "true")
        _run([*_entering(self._bridge), "sh", "-ec", "ip link add bridge type bridge; ip link set bridge up"])
        for number, name in enumerate(self._names, start=1):
            pid = _hold(
                self._holders,
                [*enter, "unshare", "-n", "-m"],
                "mount -t tmpfs tmpfs /dev/shm && ip link set lo up",
            )
            cable = f"to-{name}"
            _run(
                [
                    *_entering(self._bridge),
                    "sh",
                    "-ec",
                    f"ip link add {cable} type veth peer name eth0 netns {pid};ip link set {cable} master bridge up",
                ]
            )
            host = Host(name, f"10.77.0.{number}", 7200, pid)
            host.run("sh", "-ec", f"ip addr add {host.address}/24 dev eth0; ip link set eth0 up")
            self.by_name[name] = host

    def _take_addresses(self) -> None:
        for number, name in enumerate(self._names, start=2):
            address = f"127.0.0.{number}"
            self.by_name[name] = Host(name, address, _free_ports(address))


_SESSION = contextlib.ExitStack()
atexit.register(_SESSION.close)


@cache
def _users() -> int:
    """A process in whose user namespace whoever is not root makes hosts."""
    return _hold(_SESSION, ["unshare", "-U", "-r"], "true")


def _hold(stack: contextlib.ExitStack, enter: list[str], ready: str) -> int:
    """A process that stays in the namespaces which ``enter`` makes; it ends with ``stack``."""
    holder = subprocess.Popen(
        [*enter, "sh", "-c", f"{ready} && echo ready && exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    stack.callback(_release, holder)
    assert holder.stdout is not None
    if holder.stdout.readline() != "ready\n":
        raise OSError("this machine gives us no namespaces")
    return holder.pid


def _entering(pid: int, *kinds: str) -> list[str]:
    users = entering_users(pid) if os.geteuid() != 0 else ["nsenter", "-t", str(pid)]
    return [*users, "-n", *kinds]


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def _release(holder: subprocess.Popen[str]) -> None:
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdin.close()
    holder.stdout.close()
    holder.wait()


def _free_ports(address: str) -> int:
    """The first of a site's ports in a row, on all addresses (a worker may listen on all of them) free now."""
    while True:
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(socket.socket())
            first.bind((address, 0))
            start = int(first.getsockname()[1])
            if start + PORTS <= 65535 and all(_bound(stack, port) for port in range(start + 1, start + PORTS)):
                return start


def _bound(stack: contextlib.ExitStack, port: int) -> bool:
    with contextlib.suppress(OSError):
        stack.enter_context(socket.socket()).bind(("", port))
        return True
    return False


def ports_of(hosts: Iterable[Host]) -> Iterator[tuple[str, int]]:
    """Host and port of everything that listens on these hosts."""
    for host in hosts:
        for port in sorted(host.listening()):
            yield host.name, port
