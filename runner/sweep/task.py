"""What Hydra calls with a configuration: a single run, or a job that another launcher carries to its process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict

from runner.errors import RunnerError
from runner.spec.compose import choices_of
from runner.sweep.elsewhere import do_job

Execute = Callable[[DictConfig, Sequence[str], Mapping[str, str], "Path | None"], None]


class HydraTask:
    """Hydra's task function.

    Args:
        execute: does the task of a configuration, given the overrides, the choices and the folder of a sweep's job.

    Attributes:
        codes: the exit codes of what failed, in order.
    """

    def __init__(self, execute: Execute) -> None:
        self.codes: list[int] = []
        self._execute = execute

    def __call__(self, config: DictConfig) -> Any:
        """Called for a single run, and by launchers that are not the runner's own, in the process of a job.

        Returns:
            how the job ended, for the driver; None for a single run.
        """
        settings = HydraConfig.get()
        overrides, choices = list(settings.overrides.task), choices_of(settings.runtime.choices)
        if settings.mode == RunMode.MULTIRUN:
            return do_job(config, overrides, choices, Path(settings.sweep.dir))
        self._do(config, overrides, choices, None)
        return None

    def answer(self, config: DictConfig, overrides: Sequence[str], folder: Path) -> None:
        """Do what is no run, or more than one, as one of several.

        Args:
            config: with Hydra's own section.
            folder: the job's, should it need one.
        """
        choices = choices_of(config.hydra.runtime.choices)
        with open_dict(config):
            del config["hydra"]
        self._do(config, overrides, choices, folder)

    def _do(
        self, config: DictConfig, overrides: Sequence[str], choices: Mapping[str, str], folder: Path | None
    ) -> None:
        try:
            self._execute(config, overrides, choices, folder)
        except RunnerError as error:  # told here, and not raised: an exception would end a sweep
            print(f"\n{error}", file=sys.stderr, flush=True)
            self.codes.append(error.code)
