"""Hydra's errors, told as ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.errors import SpecError
from runner.spec.base import PartyName
from runner.spec.model import Party, Spec
from runner.spec.parse import allowed, parse, setting_names
from runner.spec.privacy import LEFT_OUT
from runner.spec.request import KEYS, SETTINGS, Request, split_request
from runner.spec.suggest import advise, closest

_FEW = 2  # choices that are named as having a setting

# The launcher and the sweeper of the runner's own, by the names that Hydra looks for plugins under.
PLUGINS = "hydra_plugins.runner"
for _group, _plugin in (("launcher", "SweepLauncher"), ("sweeper", "JobSweeper")):
    ConfigStore.instance().store("runner", {"_target_": f"{PLUGINS}.{_plugin}"}, f"hydra/{_group}")


def config_dir() -> str:
    """The folder of config groups: the wheel's copy inside the package, else the checkout's ``conf/``."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_conf"
    return str(installed if installed.is_dir() else package.parent / "conf")


def to_spec(config: DictConfig) -> Spec:
    """Resolve and type-check a composed configuration.

    Raises:
        SpecError: for anything that the typed spec does not allow.
    """
    return parse(split_request(to_values(config))[0])


def to_request(config: DictConfig) -> Request:
    """What a composed configuration asks about runs that are over.

    Raises:
        SpecError: where it asks for nothing that the task can do.
    """
    return split_request(to_values(config))[1]


def to_values(config: DictConfig) -> dict[str, Any]:
    """A composed configuration as plain values, resolved.

    Raises:
        SpecError: where a value is missing or an interpolation leads nowhere.
    """
    try:
        values: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise _plain(error, str(getattr(error, "full_key", "") or "configuration")) from None
    values.pop("hydra", None)
    values.pop("experiment", None)
    resolved: dict[str, Any] = values
    return resolved


def choices_of(chosen: Mapping[str, Any]) -> dict[str, str]:
    """The choice of each of the runner's own groups."""
    return {group: choice for group, choice in chosen.items() if not group.startswith("hydra/") and choice is not None}


def to_parties(config: DictConfig) -> dict[str, Party]:
    """The parties of a composed configuration, whatever else it says.

    Raises:
        SpecError: where one of them is not valid.
    """
    try:
        return msgspec.convert(to_values(config).get("parties"), dict[PartyName, Party])
    except msgspec.ValidationError as error:
        raise _plain(error, "parties") from None


def unforeseen(error: Exception, overrides: list[str]) -> SpecError:
    """Hydra raises a bare ValueError or TypeError for a choice that is no name, as in ``experiment=null``."""
    return SpecError(
        f"an override among {' '.join(overrides)!r} is not valid",
        where=" ".join(override.partition("=")[0] for override in overrides) or "command line",
        why=_first_line(str(error)),
        fix="write group=choice with a choice of conf/<group>/, or leave the group out for its default",
    )


def explain(error: HydraException | OmegaConfBaseException, overrides: list[str]) -> SpecError:
    """A composition error of Hydra as a :class:`SpecError` with the allowed choices."""
    text = str(error)
    if match := re.search(r"Could not override '([^']+)'", text):
        return _unknown_key(match.group(1), _meant(error.__cause__))
    if isinstance(error, MissingConfigException) and error.options is not None:
        group, _, choice = (error.missing_cfg_file or "").rpartition("/")
        if group == "privacy" and choice in LEFT_OUT:
            return SpecError(
                f"there is no privacy={choice}",
                where=group,
                why=LEFT_OUT[choice],
                fix="protect training labels with privacy=label_dp, and what is told of test rows with output_dp",
            )
        return SpecError(
            f"no choice {choice!r} in group {group!r}",
            where=group,
            why="there is no such file in the group's folder",
            fix=advise(choice, error.options),
        )
    if match := re.search(r"Could not find '([^']+)'", text):
        group, _, choice = match.group(1).rpartition("/")
        folder = Path(config_dir()) / group
        options = sorted(path.stem for path in folder.glob("*.yaml")) if folder.is_dir() else []
        return SpecError(
            f"no choice {choice!r} in group {group!r}",
            where=group,
            why="there is no such file",
            fix=advise(choice, options),
        )
    if "Ambiguous value" in text:
        return SpecError(
            "one setting has several values",
            where="command line",
            why=_first_line(text),
            fix="add -m for a sweep over the values, or write a list as [value,value]",
        )
    if isinstance(error, OverrideParseException):
        return SpecError(
            f"override {error.override!r} cannot be read",
            where="command line",
            why=_first_line(text),
            fix="write group.key=value; put a value with spaces, brackets, commas, semicolons or = in quotes of its "
            "own, and all of it in the shell's: 'group.key=\";\"'",
        )
    return _plain(error, "command line" if overrides else "configuration")


def _meant(cause: BaseException | None) -> str:
    """A did-you-mean for the first name of a setting that is not there, or nothing."""
    parent = getattr(cause, "parent_node", None)
    names = [str(name) for name in parent] if isinstance(parent, DictConfig) else []
    near = closest(str(getattr(cause, "key", "")), names)
    return f"did you mean {near!r}? else " if near else ""


def _elsewhere(path: str) -> str:
    """Where one or two choices of a group have the setting: advice to take such a one."""
    group, *parts = path.lstrip("+~").split(".")
    having = []
    for file in sorted(Path(config_dir(), group).glob("*.yaml")):
        values: Any = OmegaConf.to_container(OmegaConf.load(file))
        for part in parts:
            values = values[part] if isinstance(values, dict) and part in values else ...
        if values is not ...:
            having.append(f"{group}={file.stem}")
    return f"use {' or '.join(having)}, where it is there, or " if 0 < len(having) <= _FEW else ""


def _unknown_key(path: str, meant: str = "") -> SpecError:
    parts = path.lstrip("+~").split(".")
    section, name = "", parts[0]
    if kind := allowed(".".join(parts)):
        several = kind.startswith(("a section", "a mapping"))
        replace = f"; or, in place of all that are there, ~{path} and +{path}={{…}}" if several else ""
        return SpecError(
            f"{path!r} has no such entry yet",
            where=path,
            why="Hydra changes entries that exist; a new one is added with +",
            fix=f"{meant}{_elsewhere(path)}write +{path}{'.<name>' if several else ''}=<value>{replace}",
        )
    if parts[0] in KEYS:
        section = parts[0]
        return SpecError(
            f"unknown setting {path!r}",
            where=path,
            why="no setting has that name",
            fix=advise(parts[-1], SETTINGS.get(section, ())),
        )
    for depth, name in enumerate(parts):  # noqa: B007 - the first that is wrong is used below
        section = ".".join(parts[:depth])
        if not allowed(".".join(parts[: depth + 1])):
            break
    return SpecError(
        f"unknown setting {path!r}",
        where=path,
        why="no setting has that name",
        fix=advise(name, [*setting_names(section), *(KEYS if not section else ())]),
    )


def _plain(error: Exception, where: str) -> SpecError:
    return SpecError(
        "the configuration cannot be composed",
        where=where,
        why=_first_line(str(error)),
        fix="compare the key with `python -m runner --help` and the files in conf/",
    )


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")
