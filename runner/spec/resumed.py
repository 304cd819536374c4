"""The settings of a run that goes on from an interrupted one: that run's own, but for the plan."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from omegaconf import DictConfig, OmegaConf

from runner.errors import SpecError
from runner.spec.compose import to_spec, to_values
from runner.spec.identity import spec_values
from runner.spec.model import Spec
from runner.spec.request import split_request

OWN = ("task", "resume", "outputs")  # always this run's
ADJUSTABLE = ("train", "cluster", "report", "log", "site")  # the interrupted run's, but for what was typed now
# What may move in between: a site to another machine, with another certificate; keys, tables and contracts elsewhere.
OF_PARTY = ("address", "tls_pin", "key_file", "key_env", "passphrase_env")
OF_ALL_SITES = ("address", "tls_pin")  # of these, what the common settings say
OF_TABLE = ("path", "source", "contract")  # the table itself is known by a digest in the checkpoint
CHOSEN_AGAIN = "experiment"  # it may stand for settings of any section
HOW = "cluster.mode"  # not adjustable: one process or several draw stock SecretFlow's shuffles in another order


def settle_resumed(config: DictConfig, overrides: Sequence[str], saved: Mapping[str, Any]) -> DictConfig:
    """The interrupted run's settings, with this run's plan.

    Args:
        config: what was composed now.
        overrides: the overrides as typed.
        saved: the interrupted run's resolved settings.

    Raises:
        SpecError: for an override that is not valid, or asks for something else than the interrupted run had. (To type
            that run's own command once more, with ``resume=…`` added, is no conflict.)
    """
    typed = [override.lstrip("+~").partition("=")[0] for override in overrides]
    _refuse_others(_completed(config), saved, typed)
    merged = config.copy()
    OmegaConf.set_struct(merged, False)
    for section, values in OmegaConf.create(dict(saved)).items():
        if section not in OWN:
            merged[section] = values
    if {"parties", CHOSEN_AGAIN} & set(typed):
        for place in (f"parties.{party}.{name}" for party in merged.parties for name in OF_ALL_SITES):
            if (value := OmegaConf.select(config, place)) is not None:
                OmegaConf.update(merged, place, value)
    for path in typed:
        if path.partition(".")[0] in ADJUSTABLE or _is_place(path):
            OmegaConf.update(merged, path, OmegaConf.select(config, path), merge=False)
    return merged


def _is_place(path: str) -> bool:
    match path.split("."):
        case ["parties", _, name]:
            return name in OF_PARTY
        case ["data", "tables", _, name, *_]:
            return name in OF_TABLE
    return False


def _completed(config: DictConfig) -> dict[str, Any]:
    """What was composed, with all defaults, as a run folder has it; sections may contradict each other."""
    try:
        spec = msgspec.convert(split_request(to_values(config))[0], Spec)
    except msgspec.ValidationError:
        spec = to_spec(config)  # raises the error in our words
    values: dict[str, Any] = json.loads(json.dumps(spec_values(spec)))  # tuples are lists there
    return values


def _unmoved(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without where parties, keys and tables are."""
    parties = {party: _without(settings, OF_PARTY) for party, settings in values["parties"].items()}
    tables = {party: _without(settings, OF_TABLE) for party, settings in values["data"]["tables"].items()}
    return {**values, "parties": parties, "data": {**values["data"], "tables": tables}}


def _without(settings: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in names}


def _refuse_others(composed: Mapping[str, Any], saved: Mapping[str, Any], typed: Sequence[str]) -> None:
    composed, saved = _unmoved(composed), _unmoved(saved)
    for path in typed:
        section = path.partition(".")[0]
        if section in OWN:
            continue
        if section in ADJUSTABLE:
            compared = [HOW] if path in ("cluster", HOW) else []
        elif section == CHOSEN_AGAIN:
            compared = [name for name in saved if name not in (*OWN, *ADJUSTABLE)]
        else:
            compared = [path]
        for name in compared:
            if _value_at(composed, name) != _value_at(saved, name):
                raise SpecError(
                    f"{path} differs from the interrupted run's",
                    where=name,
                    why="a training goes on with the settings that it began with",
                    fix=f"remove the override of {path}, or train anew without resume=…",
                )


def _value_at(values: Any, path: str) -> Any:
    for part in path.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values
