"""The wheel: complete, and working where there is no checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support import PROJECT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the unpacked wheel in it, as an installer leaves it."""
    folder = tmp_path_factory.mktemp("wheel")
    uv = shutil.which("uv")
    build = [uv, "build", "--wheel"] if uv else [sys.executable, "-m", "build", "--wheel"]
    done = subprocess.run(
        [*build, "--out-dir" if uv else "--outdir", str(folder), str(PROJECT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def relative(folder: Path, pattern: str) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob(pattern)}


def test_wheel_has_all_code_settings_and_contracts(site: Path) -> None:
    assert relative(site / "runner" / "_conf", "*.yaml") == relative(PROJECT / "conf", "*.yaml")
    assert relative(site / "runner" / "_schemas", "*.py") == relative(PROJECT / "schemas", "*.py")
    assert relative(site / "runner", "report/templates/*") == relative(PROJECT / "runner", "report/templates/*")
    code = {file for file in relative(site / "runner", "*.py") if not file.startswith("_schemas/")}
    assert code == relative(PROJECT / "runner", "*.py")


def test_wheel_has_nothing_else(site: Path) -> None:
    assert {path.name.split("-")[0] for path in site.iterdir()} == {"runner", "sgb_runner"}


def test_wheel_works_in_an_empty_folder(site: Path, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    show = "from runner.spec.compose import config_dir; print(config_dir())"
    runs = [
        subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**environment, "PYTHONPATH": str(site)},
            capture_output=True,
            text=True,
            check=False,
        )
        for arguments in (["-m", "runner", "task=check"], ["-c", show])
    ]
    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr
    assert "This run may start" in runs[0].stdout
    assert runs[1].stdout.strip() == str(site / "runner" / "_conf")
    assert list(tmp_path.iterdir()) == []
