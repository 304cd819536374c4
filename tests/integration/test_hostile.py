"""A run over three sites under fire, from its first second to its last: it ends well, with the result of any other."""

from __future__ import annotations

import contextlib
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from integration.attacks import Attacker, doors
from integration.launch import PARTIES, SMALL, Ended, Finished, Launch
from integration.test_remote import Sites
from made_sites import credentials_of, make_sites

pytestmark = pytest.mark.processes

IDLE = 100  # connections that are held open at each port and say nothing


class Attacked(NamedTuple):
    """What became of a run that was attacked.

    Attributes:
        ports: party → the ports of its site that were found and attacked, and who listened: ``driver`` or ``worker``.
        folders: Unix socket of a process of the run → the strictest mode of the folders that it lies in.
    """

    runs: dict[str, Finished]
    attacker: Attacker
    ports: dict[str, set[tuple[int, str]]]
    folders: dict[str, int]
    trap: Path


class Siege:
    """Looks for open ports of the run's processes, and attacks each of them again and again until the run is over."""

    def __init__(self, launches: dict[str, Launch], attacker: Attacker) -> None:
        self._launches, self._attacker = launches, attacker
        self._over = threading.Event()
        self._held: list[socket.socket] = []
        self.ports: dict[str, set[tuple[int, str]]] = {party: set() for party in launches}
        self.folders: dict[str, int] = {}

    def __enter__(self) -> Siege:
        self._pool = ThreadPoolExecutor(max_workers=100)
        self._search = self._pool.submit(self._look)
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._pool.shutdown()
        for one in self._held:
            one.close()
        self._search.result()

    def _look(self) -> None:
        seen = set()
        while not self._over.wait(0.2):
            for party, launch in self._launches.items():
                ports, paths = doors(_processes_of(launch))
                for path in paths:
                    self._look_at(path)
                for port in ports.keys() - seen:
                    seen.add(port)
                    self.ports[party].add((port, "driver" if ports[port] == launch.driver.pid else "worker"))
                    for way in [lambda port=port: self._hold(port), *self._attacker.ways(port, party)]:
                        self._pool.submit(self._repeat, way)

    def _repeat(self, way: Callable[[], None]) -> None:
        while not self._over.is_set():
            way()
            time.sleep(1.0)

    def _hold(self, port: int) -> None:
        """Keep many connections that say nothing."""
        with contextlib.suppress(OSError):
            for _ in range(IDLE):
                self._held.append(socket.create_connection(("127.0.0.1", port), timeout=1))
            self._over.wait()

    def _look_at(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            folders = list(Path(path).parents)
            self.folders[path] = min(stat.S_IMODE(folder.stat().st_mode) for folder in folders)


def _processes_of(launch: Launch) -> list[int]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return [launch.driver.pid, *(process.pid for process in launch.driver.children(recursive=True))]
    return []


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory, main_run: Finished) -> Iterator[Attacked]:
    place = tmp_path_factory.mktemp("hostile")
    sites = Sites(place, main_run.place / "outputs" / "keys")
    trap = place / "trap"
    strangers = make_sites(place / "strangers", PARTIES)
    attacker = Attacker(trap, strangers, {party: credentials_of(place, party) for party in PARTIES})
    with sites.type_everywhere(*SMALL) as launches:
        with Siege(launches, attacker) as siege:
            ended: dict[str, Ended] = {party: launch.end() for party, launch in launches.items()}
        for one in ended.values():
            assert one.code == 0, one.out + one.err
        runs = {party: Finished(launch.place, launch.folder, ended[party]) for party, launch in launches.items()}
        yield Attacked(runs, attacker, siege.ports, siege.folders, trap)


def test_the_result_is_that_of_an_undisturbed_run(attacked: Attacked, main_run: Finished) -> None:
    assert attacked.runs["carol"].predictions().equals(main_run.predictions())


def test_nothing_that_was_sent_ran(attacked: Attacked) -> None:
    assert not attacked.trap.exists()
    assert attacked.attacker.answered == []


def test_every_port_was_found_and_attacked_in_every_way(attacked: Attacked) -> None:
    for party, found in attacked.ports.items():
        assert [who for _, who in sorted(found)] == ["driver", "worker", "driver"], party
    ways = ("plain TCP", "TLS without a certificate", "TLS by another authority", *(f"TLS as {one}" for one in PARTIES))
    sent = attacked.attacker.sent
    for way in ways:
        assert sent[way], way
    for party in PARTIES:
        assert sent[f"a message by {party}'s certificate"], "TLS let it through to the worker, as a member"


def test_who_came_is_told_and_logged(attacked: Attacked) -> None:
    for run in attacked.runs.values():
        told = run.ended.out + run.ended.err
        assert "refused a connection from 127.0.0.1" in told
        assert "refused a link of" in told
    for party, run in attacked.runs.items():
        log = run.own(party, "worker.log").read_text()
        assert any(f"refused a message of {peer}: not a message of this run" in log for peer in PARTIES)
        assert len(log) < 200_000


def test_no_unix_socket_can_be_reached_by_another_user(attacked: Attacked) -> None:
    assert attacked.folders
    assert set(attacked.folders.values()) == {0o700}
