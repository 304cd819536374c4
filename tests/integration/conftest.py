"""Finished runs of real party processes; each is made once and serves many tests, of both pytest workers.

So nothing may change what lies in their places: a further command is typed in a place of its own (``Finished.copy``).
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from integration.launch import DEEP, NO_REPORT, PARTIES, SMALL, Ended, Finish, Finished, Launch, write_tables

Once = Callable[[str, Callable[[Path], list[Finished]]], list[Finished]]


@pytest.fixture(scope="session")
def finish() -> Finish:
    """Types a command in a place, waits for its end, and insists on exit code 0."""

    def run(place: Path, *arguments: str) -> Finished:
        with Launch(*arguments, place=place) as launch:
            return _end_well(launch)

    return run


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Once:
    """Has runs made by the pytest worker that asks first, in a new folder; another one that asks waits for them."""
    base = tmp_path_factory.getbasetemp()
    common = (base if worker_id == "master" else base.parent) / "once"
    common.mkdir(exist_ok=True)

    def ask(name: str, make: Callable[[Path], list[Finished]]) -> list[Finished]:
        record = common / f"{name}.json"
        with common.joinpath(f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not record.exists():
                place = tmp_path_factory.mktemp(name)
                record.write_text(json.dumps([(str(run.place), str(run.folder), run.ended) for run in make(place)]))
        return [
            Finished(Path(place), Path(folder), Ended(*ended))
            for place, folder, ended in json.loads(record.read_bytes())
        ]

    return ask


@pytest.fixture(scope="session")
def twins(once: Once) -> tuple[Finished, Finished]:
    """The same command typed twice at the same time in an empty folder: tables and keys are yet to be made.

    Typed in earnest, without the warm process.
    """

    def make(place: Path) -> list[Finished]:
        command = [override for override in SMALL if override != NO_REPORT]
        with Launch(*command, place=place, warm=False) as first, Launch(*command, place=place, warm=False) as second:
            return [_end_well(first), _end_well(second)]

    first, second = once("twins", make)
    return first, second


@pytest.fixture(scope="session")
def main_run(twins: tuple[Finished, Finished]) -> Finished:
    """``python -m runner`` with small settings."""
    return twins[0]


@pytest.fixture(scope="session")
def paillier_run(once: Once, finish: Finish, main_run: Finished) -> Finished:
    """The main run under another scheme, and through the eyes of alice, who may not see metrics."""

    def make(place: Path) -> list[Finished]:
        main_run.copy(place)
        scheme = ("crypto=paillier_2048", *SMALL[1:])
        return [finish(place, *scheme, "policy.metrics.recipients=[carol]", "cluster.viewer=alice")]

    (run,) = once("paillier", make)
    return run


@pytest.fixture(scope="session")
def deep_run(once: Once, finish: Finish) -> Finished:
    """Deep trees with private shuffles, from keys known beforehand: the same in every test session."""

    def make(place: Path) -> list[Finished]:
        write_tables(place)
        for number, party in enumerate(PARTIES, start=1):
            key = place / "outputs" / "keys" / party / "secret.key"
            key.parent.mkdir(mode=0o700, parents=True)
            key.write_text(f"{number:02x}" * 32)
            key.chmod(0o600)
        return [finish(place, *DEEP)]

    (run,) = once("deep", make)
    return run


def _end_well(launch: Launch) -> Finished:
    ended = launch.end()
    assert ended.code == 0, ended.out + ended.err
    return Finished(launch.place, launch.folder, ended)
