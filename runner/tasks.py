"""What each task does, from a composed configuration to an exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from runner.bundle.layout import bundle_folder, find_run
from runner.bundle.manifest import read_manifest, read_signatures
from runner.bundle.roles import WHERE, WHO_IS_WHO, require_one_model, require_roles
from runner.errors import BundleError, SpecError
from runner.policy.decide import decide, require
from runner.policy.grants import load_grants
from runner.provenance.folder import SPEC
from runner.report.check import describe_plan
from runner.report.warnings import warnings_of
from runner.spec.compose import to_request, to_spec
from runner.spec.model import Spec
from runner.spec.request import TASKS, Request


def execute(config: DictConfig, overrides: Sequence[str], sweep_folder: Path | None) -> None:
    """Do the task of one configuration.

    Args:
        config: what Hydra composed.
        overrides: the overrides as typed, in order.
        sweep_folder: the folder of this job in a sweep, or None for a single run.

    Raises:
        RunnerError: with the exit code of what went wrong.
    """
    request = to_request(config)
    if OmegaConf.select(config, "task.name") in TASKS:
        _answer(config, overrides, request)
        return
    config = _settled(config, overrides)
    spec = to_spec(config)
    decisions = decide(spec, load_grants(spec, spec.parties))
    for warning in warnings_of(spec):
        print(warning, file=sys.stderr)
    if spec.task.name == "check":
        print(describe_plan(spec, decisions))
    require(decisions)
    if spec.model is not None:
        _look_at_model(spec)
    if spec.task.name == "check":
        print("\nThis run may start: python -m runner with the same settings and without task=check")
    else:
        from runner.execution import carry_out  # late: a check needs none of it, and must be quick

        carry_out(spec, decisions, config, {"overrides": list(overrides)}, sweep_folder)


def _answer(config: DictConfig, overrides: Sequence[str], request: Request) -> None:
    """Do what is asked about runs that are over."""
    from runner import records, reproduction

    match config.task.name:
        case "reproduce":
            reproduction.reproduce_run(overrides, request)
        case "verify":
            records.verify_run(config, request)
        case "diff":
            records.diff_runs(request)
        case "rekey":
            records.rekey_party(config, request)


def _settled(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """To apply a model is to use the settings that it was trained with, whatever the groups say now."""
    model = OmegaConf.select(config, "model")
    if OmegaConf.select(config, "task.name") != "predict" or not isinstance(model, str):
        return config
    for override in overrides:
        if override.lstrip("+").startswith(_FIXED_BY_MODEL):
            raise SpecError(
                f"{override!r} has no effect",
                where=override.partition("=")[0],
                why="task=predict applies a model as it was trained",
                fix="remove the override, or train a model with it",
            )
    try:
        saved = json.loads((find_run(model) / SPEC).read_bytes())
        now = {str(then): str(name) for name, then in (OmegaConf.select(config, "roles") or {}).items()}
        label = _renamed(saved["label"], now)
        for name in ("predict", "predict_column"):
            if any(override.lstrip("+").startswith(f"label.{name}=") for override in overrides):
                label[name] = config.label[name]
        settled = OmegaConf.create({"sgb": saved["sgb"], "crypto": saved["crypto"], "label": label})
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BundleError(
            "the settings of the model cannot be read",
            where=str(find_run(model) / SPEC),
            why=str(error).splitlines()[0],
            fix="give the run folder of a training that finished",
        ) from None
    parties = OmegaConf.select(config, "parties")
    if isinstance(parties, DictConfig) and label["holder"] not in parties:
        raise BundleError(
            "the model was trained with other roles",
            where=WHERE,
            why=f"in training the label holder was {saved['label']['holder']}, and {label['holder']} is no party now",
            fix=WHO_IS_WHO,
        )
    merged = config.copy()
    OmegaConf.set_struct(merged, False)
    for section, values in settled.items():
        merged[section] = values
    return merged


def _renamed(label: dict[str, Any], now: Mapping[str, str]) -> dict[str, Any]:
    """The label section with the names that the parties have now."""
    renamed = dict(label)
    for name in ("holder", "predict"):
        renamed[name] = now.get(label[name], label[name])
    if "owners" in label:
        renamed["owners"] = [now.get(owner, owner) for owner in label["owners"]]
    if "inputs" in label:
        renamed["inputs"] = {now.get(owner, owner): column for owner, column in label["inputs"].items()}
    return renamed


_FIXED_BY_MODEL = ("sgb.", "sgb=", "crypto.", "crypto=", "label=", "label.holder=", "label.column=")


def _look_at_model(spec: Spec) -> None:
    """Find before any process starts what can be found without a key: other roles; files missing, altered or mixed."""
    source = find_run(str(spec.model))
    manifests = {}
    for party in spec.parties:
        folder = bundle_folder(source, spec.trained_as(party))
        manifests[party] = read_manifest(folder, party)
        read_signatures(folder, party, manifests[party])
        require_roles(spec, manifests[party])
    require_one_model({party: manifest.digest() for party, manifest in manifests.items()})
