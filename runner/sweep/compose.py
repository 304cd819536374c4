"""Composing the jobs of a sweep: what groups decide once, and each job's values on a copy of it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.spec.compose import explain, unforeseen


class Composer:
    """Composes as Hydra does, and quicker: jobs that choose the same of every group share the reading of its files.

    Args:
        loader: Hydra's, which knows where the configuration lies.
        master: what was composed of the sweep's own command line.
    """

    def __init__(self, loader: ConfigLoaderImpl, master: DictConfig) -> None:
        self._loader = loader
        self._master = master
        self._parser = OverridesParser.create(config_loader=loader)
        self._bases: dict[tuple[str, ...], DictConfig] = {}
        self._looked: dict[tuple[str, ...], DictConfig] = {}

    def __call__(self, overrides: Sequence[str]) -> DictConfig:
        """The configuration of a job, with Hydra's own section; the caller's to change.

        Raises:
            SpecError: where an override chooses or changes what is not there.
        """
        looked = self._looked.pop(tuple(overrides), None)
        return looked if looked is not None else self._checked(overrides)

    def look(self, overrides: Sequence[str]) -> DictConfig:
        """The same, to look at only: it is kept for the caller who wants it to change."""
        if tuple(overrides) not in self._looked:
            self._looked[tuple(overrides)] = self._checked(overrides)
        return self._looked[tuple(overrides)]

    def _checked(self, overrides: Sequence[str]) -> DictConfig:
        try:
            return self._compose(list(overrides))
        except (HydraException, OmegaConfBaseException) as error:
            raise explain(error, list(overrides)) from None
        except (TypeError, ValueError) as error:
            raise unforeseen(error, list(overrides)) from None

    def _compose(self, overrides: list[str]) -> DictConfig:
        parsed = self._parser.parse_overrides(overrides)
        chosen = [one for one in parsed if self._loader.repository.group_exists(one.key_or_group)]
        values = [one for one in parsed if one not in chosen]
        groups = tuple(str(one.input_line) for one in chosen)
        if groups not in self._bases:
            self._bases[groups] = self._load(groups)
        config = copy.deepcopy(self._bases[groups])
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
        OmegaConf.copy_cache(from_config=self._master, to_config=config)
        return config

    def _load(self, groups: Sequence[str]) -> DictConfig:
        own: Any = OmegaConf.to_container(self._master.hydra.overrides.hydra)
        return self._loader.load_configuration(self._master.hydra.job.config_name, [*own, *groups], RunMode.RUN)
