"""A training that is killed, twice, and goes on each time: it ends with the model of one that never was."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
from integration.launch import PARTIES, Ended, Finish, Finished, Launch, seconds_until_nothing_runs, write_tables
from support import type_command

pytestmark = pytest.mark.processes

SETTINGS = (
    "crypto=ou_2048",
    "sgb.num_boost_round=6",
    "sgb.max_depth=3",
    "sgb.sketch_eps=0.25",
    "sgb.rowsample_by_tree=0.6",
    "sgb.colsample_by_tree=0.5",
    "policy=label_owner",  # the default, with lists in it: to type it again is no conflict
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with the built-in tables; keys are made by the first run in it."""
    place = tmp_path_factory.mktemp("resume")
    write_tables(place)
    return place


@pytest.fixture(scope="module")
def whole(finish: Finish, place: Path) -> Finished:
    """A run that nobody interrupted, and that wrote no checkpoint."""
    return finish(place, *SETTINGS)


@pytest.fixture(scope="module")
def killed(whole: Finished) -> Finished:
    """The same with checkpoints; bob's process was killed in the fourth tree."""
    with Launch(*SETTINGS, "train.checkpoint_every=2", place=whole.place) as launch:
        launch.wait_for_line("tree 3/")
        launch.party("work", "bob").kill()
        ended = launch.end()
        seconds_until_nothing_runs(launch.place, {})
        return Finished(launch.place, launch.folder, ended)


@pytest.fixture(scope="module")
def killed_again(killed: Finished) -> Finished:
    """It went on with the command that was printed; then its driver was killed in the last tree."""
    with Launch(*next_command(killed.ended), place=killed.place) as launch:
        launch.wait_for_line("tree 5/")
        launch.driver.kill()
        seconds_until_nothing_runs(launch.place, {})
        return Finished(launch.place, launch.folder, Ended(-9, launch.printed(), "", 0.0))


@pytest.fixture(scope="module")
def resumed(finish: Finish, killed_again: Finished) -> Finished:
    """It went on again, and to the end."""
    return finish(killed_again.place, f"resume={killed_again.folder}")


def next_command(ended: Ended) -> list[str]:
    """What the run told to type next, without ``python -m runner``."""
    (line,) = (line for line in ended.out.splitlines() if line.startswith("Next "))
    return shlex.split(line)[4:]


def part(run: Finished, party: str) -> bytes:
    """A party's part of the model in the clear, as bytes."""
    return json.dumps(run.part(party), sort_keys=True).encode()


def checkpoints(run: Finished) -> set[str]:
    """The checkpoint files of a run, by party and name."""
    return {f"{path.parent.parent.name} {path.name}" for path in run.folder.rglob("checkpoint/*")}


def test_failed_run_says_how_to_go_on(killed: Finished) -> None:
    assert killed.ended.code == 5, killed.ended.err
    assert "Checkpoint   after tree 2 at every party" in killed.ended.out
    assert next_command(killed.ended)[-1] == f"resume={killed.folder.relative_to(killed.place)}"
    assert checkpoints(killed) == {f"{party} trees-000002.sealed" for party in PARTIES}


def test_it_goes_on_after_the_checkpoint_and_writes_its_own(killed_again: Finished) -> None:
    assert "goes on from the checkpoint after tree 2" in killed_again.ended.out
    assert "tree 2/6" not in killed_again.ended.out
    assert checkpoints(killed_again) == {f"{party} trees-000004.sealed" for party in PARTIES}
    assert "checkpoint after tree 4" in killed_again.own("alice", "worker.log").read_text()


@pytest.mark.parametrize("party", PARTIES)
def test_model_is_that_of_the_run_that_nobody_interrupted(resumed: Finished, whole: Finished, party: str) -> None:
    assert part(resumed, party) == part(whole, party)


def test_so_is_all_that_follows_from_it(resumed: Finished, whole: Finished) -> None:
    assert "goes on from the checkpoint after tree 4" in resumed.ended.out
    assert resumed.predictions().equals(whole.predictions())
    for name in ("curve.json", "metrics.json"):
        assert resumed.own("carol", name).read_bytes() == whole.own("carol", name).read_bytes()
    assert len(resumed.json("parties", "carol", "curve.json")) == 6


def test_finished_run_keeps_no_checkpoint_and_is_not_resumed(resumed: Finished) -> None:
    assert checkpoints(resumed) == set()
    done = type_command("task=train", f"resume={resumed.folder}", cwd=resumed.place)
    assert done.returncode == 2
    assert "that run is finished" in done.stderr


def test_other_settings_are_refused_before_anything_starts(killed: Finished) -> None:
    done = type_command("task=train", f"resume={killed.folder}", "sgb.max_depth=4", cwd=killed.place)
    assert done.returncode == 2
    assert "sgb.max_depth differs from the interrupted run's" in done.stderr


def test_run_without_checkpoints_is_refused_before_anything_starts(killed: Finished, tmp_path: Path) -> None:
    shutil.copy(killed.folder / "spec.json", tmp_path)
    done = type_command("task=train", f"resume={tmp_path}", cwd=killed.place)
    assert (done.returncode, done.stdout) == (8, "")
    assert "there is no checkpoint to go on from" in done.stderr
    nothing = type_command("task=train", "resume=nowhere", cwd=killed.place)
    assert nothing.returncode == 8
    assert "the settings of the earlier run cannot be read" in nothing.stderr


def test_damaged_checkpoint_is_one_error(killed: Finished, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(killed.folder, copy)
    copy.joinpath("parties", "bob", "checkpoint", "trees-000002.sealed").write_bytes(b"damaged")
    done = type_command("task=train", f"resume={copy}", cwd=killed.place)
    assert done.returncode == 8
    errors = [line for line in done.stderr.splitlines() if line]
    assert len(errors) == 4
    assert "bob's checkpoint cannot be read" in errors[0]
