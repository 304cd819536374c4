"""Finished runs of real party processes; each is made once and serves many tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest
from integration.launch import PARTIES, SMALL, Ended, Launch, write_tables

# Deep trees on little data: many splits gain the same, so that the shuffles decide between them.
DEEP = ("crypto=ou_2048", "sgb.num_boost_round=2", "sgb.max_depth=4", "sgb.sketch_eps=0.1")


class Finished(NamedTuple):
    """A run that is over: where it was typed, its folder (None if it made none), and how it ended."""

    place: Path
    folder: Path
    ended: Ended

    def json(self, *names: str) -> Any:
        """A JSON file of the run folder."""
        return json.loads(self.folder.joinpath(*names).read_bytes())

    def own(self, party: str, *names: str) -> Path:
        """A file of one party's own folder."""
        return self.folder.joinpath("parties", party, *names)

    def part(self, party: str) -> Any:
        """A party's part of the saved model."""
        return self.json("parties", party, "bundle", "part.json")

    def predictions(self, party: str = "carol") -> pl.DataFrame:
        """The predictions that one party received."""
        return pl.read_parquet(self.own(party, "predictions.parquet"))


Finish = Callable[..., Finished]


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
    with Launch(*SMALL, place=place) as first, Launch(*SMALL, place=place) as second:
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
