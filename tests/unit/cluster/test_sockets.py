"""A crew's folder for sockets: its owner's alone, and gone with it."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support import PROJECT

from runner.cluster import sockets
from runner.cluster.sockets import Sockets

DRIVER = """
import sys
from pathlib import Path
from runner.cluster import sockets
sockets.MEMORY, sockets.ENOUGH = Path(sys.argv[1]), 0
made = sockets.Sockets()
(made.path / "ids").write_text("7")
print(made.path, flush=True)
input()
"""


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands for the machine's place for files in memory."""
    monkeypatch.setattr(sockets, "MEMORY", tmp_path)
    monkeypatch.setattr(sockets, "ENOUGH", 0)
    return tmp_path


def test_it_is_the_owners_alone_and_goes_with_all_that_is_in_it(memory: Path) -> None:
    made = Sockets()
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o700
    (made.path / "1").mkdir()
    (made.path / "1" / "in.csv").touch()
    made.remove()
    assert list(memory.iterdir()) == []


def test_what_a_killed_driver_left_is_removed_by_the_next_and_nothing_else(memory: Path) -> None:
    command = [sys.executable, "-c", DRIVER, str(memory)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, cwd=PROJECT, text=True) as driver:
        assert driver.stdout is not None
        left = Path(driver.stdout.readline().strip())
        others = memory / "sgb-another"
        others.mkdir()
        Sockets().remove()
        assert (left / "ids").exists(), "its driver lives"
        driver.kill()
        driver.wait()
        own = Sockets()
    assert sorted(memory.iterdir()) == sorted([others, own.path])
    own.remove()


def test_a_link_of_that_name_leads_nowhere(memory: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whoever can write to the place cannot have another folder emptied."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "kept").touch()
    (memory / f"{sockets.PREFIX}trap").symlink_to(elsewhere)
    Sockets().remove()
    assert (elsewhere / "kept").exists()
