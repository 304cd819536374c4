"""Where the checkpoints of a training lie. No secretflow: the driver looks for them too.

A checkpoint is one sealed file at each party, named after the number of trees that it holds. A file is whole or absent,
and a party removes older ones only when it knows that all parties have the newer, so that at every moment there is a
number of trees that all parties have.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from runner.errors import BundleError
from runner.files import make_private_dir, write_bytes

FOLDER = "checkpoint"
_NAME = re.compile(r"trees-(\d{6})\.sealed")


def checkpoint_folder(run: Path, party: str) -> Path:
    """A party's own checkpoints in a run folder."""
    return run / "parties" / party / FOLDER


def list_checkpoints(folder: Path) -> list[int]:
    """The numbers of trees of a party's checkpoints, in ascending order."""
    names = [path.name for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    return sorted(int(match[1]) for name in names if (match := _NAME.fullmatch(name)))


def write_checkpoint(folder: Path, trees: int, sealed: bytes) -> None:
    """Write a party's checkpoint, whole or not at all."""
    make_private_dir(folder)
    write_bytes(_path(folder, trees), sealed)


def read_checkpoint(folder: Path, party: str, trees: int) -> bytes:
    """The sealed content of a party's checkpoint.

    Raises:
        BundleError: where it is not there.
    """
    try:
        return _path(folder, trees).read_bytes()
    except OSError as error:
        raise BundleError(
            f"{party}'s checkpoint after {trees} trees is not there",
            where=str(_path(folder, trees)),
            why=error.strerror or type(error).__name__,
            fix="restore the file, or train from the start",
        ) from None


def remove_checkpoints(folder: Path, before: int | None = None) -> None:
    """Remove a party's checkpoints of fewer than ``before`` trees; without it, all of them, and their folder."""
    for trees in list_checkpoints(folder):
        if before is None or trees < before:
            _path(folder, trees).unlink(missing_ok=True)
    if before is None:
        with contextlib.suppress(OSError):  # the folder is not there, or something else is in it
            folder.rmdir()


def newest_common(found: Mapping[str, Sequence[int]], run: str) -> int:
    """The largest number of trees of which every party has a checkpoint.

    Args:
        found: party → the numbers of trees of its checkpoints.
        run: the run folder, for the error.

    Raises:
        BundleError: where there is none.
    """
    common = set.intersection(*(set(numbers) for numbers in found.values()))
    if common:
        return max(common)
    without = [party for party, numbers in found.items() if not numbers]
    missing = f"{', '.join(without)} has none" if without else "no number of trees is there at all of them"
    raise BundleError(
        "there is no checkpoint to go on from",
        where=f"resume = {run}",
        why=f"every party needs one after the same tree: {missing}",
        fix="restore the files, or train from the start, with train.checkpoint_every=<number of trees>",
    )


def _path(folder: Path, trees: int) -> Path:
    return folder / f"trees-{trees:06d}.sealed"
