"""Run folders: one per run, claimed atomically, with the run's state on disk from its first to its last moment."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from runner.errors import RunnerError
from runner.files import write_bytes, write_json
from runner.spec.identity import spec_values
from runner.spec.model import Spec

SPEC = "spec.json"
STATUS = "status.json"
CONFIG = ".hydra/config.yaml"
OVERRIDES = ".hydra/overrides.yaml"


def make_run_folder(outputs: str) -> Path:
    """A new folder ``<outputs>/<day>/<time>-<id>``. Two runs never get the same: mkdir fails where the name exists."""
    now = datetime.datetime.now()
    while True:
        folder = Path(outputs) / f"{now:%Y-%m-%d}" / f"{now:%H-%M-%S}-{secrets.token_hex(3)}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder


def write_snapshot(folder: Path, config: DictConfig, spec: Spec, overrides: Sequence[str]) -> None:
    """The configuration as composed, the overrides in order, and the resolved spec."""
    folder.joinpath(CONFIG).parent.mkdir()
    write_bytes(folder / CONFIG, OmegaConf.to_yaml(config, resolve=True).encode())
    write_bytes(folder / OVERRIDES, OmegaConf.to_yaml(list(overrides)).encode())
    write_json(folder / SPEC, spec_values(spec))


def write_status(folder: Path, state: str, error: RunnerError | None = None) -> None:
    """``running``, ``done``, ``failed`` or ``interrupted``, and the error if there was one."""
    status: dict[str, Any] = {"state": state}
    if error is not None:
        status |= {"exit_code": error.code, "error": error.to_dict()}
    write_json(folder / STATUS, status)
