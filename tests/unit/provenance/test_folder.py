"""Run folders: one per run, with its settings and its state on the disk."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import runner.provenance.folder
from runner.errors import DataError
from runner.provenance.folder import SPEC, STATUS, make_run_folder, write_snapshot, write_status
from runner.spec.compose import config_dir, to_spec
from runner.spec.parse import parse


def test_folder_is_made_where_it_belongs(tmp_path: Path) -> None:
    folder = make_run_folder(str(tmp_path / "out"))
    assert folder.is_dir()
    assert re.fullmatch(r"out/\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d-[0-9a-f]{6}", str(folder.relative_to(tmp_path)))


def test_runs_at_once_get_folders_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        folders = list(pool.map(lambda _: make_run_folder(str(tmp_path)), range(200)))
    assert len(set(folders)) == 200
    assert all(folder.is_dir() for folder in folders)


def test_name_that_is_taken_is_not_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if the random part repeats, as it does once in millions of runs."""
    names = iter(["aaaaaa"] * 20 + ["bbbbbb"] * 20)
    monkeypatch.setattr(runner.provenance.folder.secrets, "token_hex", lambda size: next(names))
    first = make_run_folder(str(tmp_path))
    (first / "kept").touch()
    second = make_run_folder(str(tmp_path))
    assert first != second
    assert (first / "kept").exists()


def test_snapshot_gives_the_same_spec_again(tmp_path: Path) -> None:
    overrides = ["experiment=breast_cancer_quick", "sgb.seed=7"]
    with initialize_config_dir(config_dir(), version_base="1.3"):
        config = compose("config", overrides)
    spec = to_spec(config)
    write_snapshot(tmp_path, config, spec, overrides)
    assert parse(json.loads((tmp_path / SPEC).read_bytes())) == spec
    assert OmegaConf.load(tmp_path / ".hydra" / "overrides.yaml") == overrides
    assert to_spec(OmegaConf.create(OmegaConf.load(tmp_path / ".hydra" / "config.yaml"))) == spec  # type: ignore[arg-type]


@pytest.mark.parametrize("state", ["running", "done", "interrupted"])
def test_status_is_the_last_one_written(tmp_path: Path, state: str) -> None:
    write_status(tmp_path, "running")
    write_status(tmp_path, state)
    assert json.loads((tmp_path / STATUS).read_bytes()) == {"state": state}


def test_status_of_a_failure_tells_the_error(tmp_path: Path) -> None:
    error = DataError("it broke", where="here", why="so", fix="mend it")
    write_status(tmp_path, "failed", error)
    status = json.loads((tmp_path / STATUS).read_bytes())
    assert status == {"state": "failed", "exit_code": 4, "error": error.to_dict()}
