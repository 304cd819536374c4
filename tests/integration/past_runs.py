"""Runs that are over, copied to where a test stands, and verified without processes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from integration.launch import Finished
from omegaconf import DictConfig

from runner.files import write_json
from runner.records import verify_run
from runner.spec.compose import config_dir, to_request
from runner.worker.verify import verify

KEY = "outputs/keys/{}/secret.key"


def copy_here(run: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the main run (in ``RUN``), the keys and the tables; what works in this process works there."""
    copy_to(tmp_path, run, "keys", "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def in_this_process(orders: Any, limits: Any) -> dict[str, Any]:
    """Each party's answer as it would come over its channel."""
    return {party: json.loads(json.dumps(verify(json.loads(json.dumps(order))))) for party, order in orders.items()}


def check(*overrides: str) -> None:
    """``task=verify run=RUN`` in the working folder."""
    config = composed(*overrides)
    verify_run(config, to_request(config), in_this_process)


@cache
def composed(*overrides: str) -> DictConfig:
    """The configuration of ``task=verify run=RUN``."""
    with initialize_config_dir(config_dir(), version_base="1.3"):
        return compose("config", ["task=verify", "run=RUN", *overrides])


def edit(path: Path, change: Callable[[Any], Any]) -> None:
    """Change what a JSON file holds."""
    content = json.loads(path.read_bytes())
    change(content)
    write_json(path, content)


def copy_to(place: Path, run: Finished, *names: str) -> None:
    """A run (as ``RUN``), and some of what lies in ``outputs`` beside it."""
    shutil.copytree(run.folder, place / "RUN")
    for name in names:
        shutil.copytree(run.place / "outputs" / name, place / "outputs" / name)
