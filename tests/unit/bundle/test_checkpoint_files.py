"""Checkpoint files: whole or absent, and a number of trees that all parties have."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.bundle.checkpoint import (
    checkpoint_folder,
    list_checkpoints,
    newest_common,
    read_checkpoint,
    remove_checkpoints,
    write_checkpoint,
)
from runner.errors import BundleError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return checkpoint_folder(tmp_path, "bob")


def test_written_checkpoint_is_listed_and_read(folder: Path) -> None:
    assert list_checkpoints(folder) == []
    for trees in (10, 2):
        write_checkpoint(folder, trees, bytes([trees]))
    assert list_checkpoints(folder) == [2, 10]
    assert read_checkpoint(folder, "bob", 10) == b"\x0a"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_what_is_no_whole_checkpoint_is_not_listed(folder: Path) -> None:
    """A temporary name is what a kill in the middle of writing leaves."""
    write_checkpoint(folder, 2, b"x")
    for name in (".trees-000004.sealed.0a1b.tmp", "trees-4.sealed", "trees-000004.sealed.bak", "notes"):
        (folder / name).write_bytes(b"x")
    (folder / "trees-000006.sealed").mkdir()
    assert list_checkpoints(folder) == [2]


def test_older_ones_are_removed_and_nothing_else(folder: Path) -> None:
    for trees in (2, 4, 6):
        write_checkpoint(folder, trees, b"x")
    remove_checkpoints(folder, before=4)
    assert list_checkpoints(folder) == [4, 6]
    (folder / "notes").touch()
    remove_checkpoints(folder)
    assert [path.name for path in folder.iterdir()] == ["notes"]
    (folder / "notes").unlink()
    remove_checkpoints(folder)
    assert not folder.exists()


def test_missing_file_is_one_error(folder: Path) -> None:
    with pytest.raises(BundleError, match="bob's checkpoint after 2 trees is not there"):
        read_checkpoint(folder, "bob", 2)


def test_newest_that_all_have_is_taken() -> None:
    assert newest_common({"alice": [2], "bob": [2, 4], "carol": [2, 4]}, "run") == 2
    assert newest_common({"alice": [2, 4], "bob": [4], "carol": [2, 4]}, "run") == 4


@pytest.mark.parametrize(
    ("found", "why"),
    [({"alice": [], "bob": [2]}, "alice has none"), ({"alice": [2], "bob": [4]}, "no number of trees")],
)
def test_nothing_in_common_is_an_error(found: dict[str, list[int]], why: str) -> None:
    with pytest.raises(BundleError) as error:
        newest_common(found, "outputs/run")
    assert why in error.value.why
    assert "outputs/run" in error.value.where


@pytest.mark.parametrize("writers", [0, 1, 2, 3])
@pytest.mark.parametrize("removers", [0, 1, 2, 3])
def test_a_kill_between_any_two_steps_leaves_a_number_that_all_have(
    tmp_path: Path, writers: int, removers: int
) -> None:
    """All have written before the first removes: so say the stages, and so do the steps here."""
    parties = ("alice", "bob", "carol")
    folders = {party: checkpoint_folder(tmp_path, party) for party in parties}
    for own in folders.values():
        write_checkpoint(own, 2, b"x")
    for party in parties[:writers]:
        write_checkpoint(folders[party], 4, b"x")
    for party in parties[: removers if writers == len(parties) else 0]:
        remove_checkpoints(folders[party], before=4)
    found = {party: list_checkpoints(own) for party, own in folders.items()}
    assert newest_common(found, "run") == (4 if writers == len(parties) else 2)
