"""Finished runs of real party processes; each is made once and serves many tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from integration.launch import DEEP, NO_REPORT, PARTIES, SMALL, Finish, Finished, Launch, write_tables


@pytest.fixture(scope="session")
def finish() -> Finish:
    """Types a command in a place, waits for its end, and insists on exit code 0."""

    def run(place: Path, *arguments: str) -> Finished:
        with Launch(*arguments, place=place) as launch:
            return _end_well(launch)

    return run


@pytest.fixture(scope="session")
def twins(tmp_path_factory: pytest.TempPathFactory) -> tuple[Finished, Finished]:
    """The same command typed twice at the same time in an empty folder: tables and keys are yet to be made."""
    place = tmp_path_factory.mktemp("twins")
    command = [override for override in SMALL if override != NO_REPORT]
    with Launch(*command, place=place) as first, Launch(*command, place=place) as second:
        return _end_well(first), _end_well(second)


@pytest.fixture(scope="session")
def main_run(twins: tuple[Finished, Finished]) -> Finished:
    """``python -m runner`` with small settings."""
    return twins[0]


@pytest.fixture(scope="session")
def paillier_run(finish: Finish, main_run: Finished) -> Finished:
    """The main run under another scheme, and through the eyes of alice, who may not see metrics."""
    scheme = ("crypto=paillier_2048", *SMALL[1:])
    return finish(main_run.place, *scheme, "policy.metrics.recipients=[carol]", "cluster.viewer=alice")


@pytest.fixture(scope="session")
def sealed_place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place whose parties have keys known beforehand, so that runs in it are the same in every test session."""
    place = tmp_path_factory.mktemp("sealed")
    write_tables(place)
    for number, party in enumerate(PARTIES, start=1):
        key = place / "outputs" / "keys" / party / "secret.key"
        key.parent.mkdir(mode=0o700, parents=True)
        key.write_text(f"{number:02x}" * 32)
        key.chmod(0o600)
    return place


@pytest.fixture(scope="session")
def deep_run(finish: Finish, sealed_place: Path) -> Finished:
    """Deep trees with private shuffles."""
    return finish(sealed_place, *DEEP)


def _end_well(launch: Launch) -> Finished:
    ended = launch.end()
    assert ended.code == 0, ended.out + ended.err
    return Finished(launch.place, launch.folder, ended)
