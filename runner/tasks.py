"""What each task does, from a composed configuration to an exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from omegaconf import DictConfig, OmegaConf

from runner.bundle.checkpoint import checkpoint_folder, list_checkpoints, newest_common
from runner.bundle.layout import bundle_folder, find_run
from runner.bundle.manifest import read_manifest, read_signatures
from runner.bundle.roles import WHERE, WHO_IS_WHO, require_one_model, require_roles
from runner.errors import BundleError, SpecError
from runner.files import link_below
from runner.policy.decide import decide, require
from runner.policy.grants import load_grants
from runner.provenance.folder import SPEC, STATUS
from runner.report.check import describe_plan
from runner.report.warnings import warnings_of
from runner.spec.compose import to_request, to_spec
from runner.spec.model import APPLIES_MODEL, Spec
from runner.spec.request import TASKS, Request
from runner.spec.resumed import settle_resumed


def execute(
    config: DictConfig, overrides: Sequence[str], choices: Mapping[str, str], sweep_folder: Path | None = None
) -> None:
    """Do the task of one configuration.

    Args:
        config: what Hydra composed.
        overrides: the overrides as typed, in order.
        choices: group → the choice that was made.
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
    if spec.resume is not None:
        _look_at_checkpoints(spec)
    if spec.task.name == "check":
        print("\nThis run may start: python -m runner with the same settings and without task=check")
    else:
        from runner.execution import carry_out  # late: a check needs none of it, and must be quick

        carry_out(spec, decisions, config, {"overrides": list(overrides), "choices": dict(choices)}, sweep_folder)


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
    if isinstance(interrupted := OmegaConf.select(config, "resume"), str):
        return settle_resumed(config, overrides, _settings_of(Path(interrupted)))
    model, task = OmegaConf.select(config, "model"), OmegaConf.select(config, "task.name")
    plan = OmegaConf.select(config, "task.plan") if task == "check" else task
    if plan not in APPLIES_MODEL or not isinstance(model, str):
        return config
    for override in overrides:
        if override.lstrip("+").startswith(_FIXED_BY_MODEL):
            raise SpecError(
                f"{override!r} has no effect",
                where=override.partition("=")[0],
                why=f"task={plan} takes a model as it was trained",
                fix="remove the override, or train a model with it",
            )
    run = _own_run(model, str(config.outputs))
    try:
        saved = json.loads((run / SPEC).read_bytes())
        now = {str(then): str(name) for name, then in (OmegaConf.select(config, "roles") or {}).items()}
        label = _renamed(saved["label"], now)
        for name in ("predict", "predict_column"):
            if any(override.lstrip("+").startswith(f"label.{name}=") for override in overrides):
                label[name] = config.label[name]
        settled = OmegaConf.create({"sgb": saved["sgb"], "crypto": saved["crypto"], "label": label})
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BundleError(
            "the settings of the model cannot be read",
            where=str(run / SPEC),
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


def _own_run(model: str, outputs: str) -> Path:
    """The run folder that ``model`` names; neither it nor a folder on its way from ``outputs`` may be a link."""
    run = find_run(model)
    _refuse_link(link_below(Path(outputs), run) or link_below(run, run / SPEC))
    return run


def _refuse_link(link: Path | None) -> None:
    if link is not None:
        raise BundleError(
            "the model is behind a symbolic link",
            where=str(link),
            why="it may lead to another run than the one that was named",
            fix="give the real run folder",
        )


def _look_at_model(spec: Spec) -> None:
    """Find before any process starts what can be found without a key: links; other roles; files altered or mixed."""
    source = _own_run(str(spec.model), spec.outputs)
    folders = {party: bundle_folder(source, spec.trained_as(party)) for party in spec.parties}
    for folder in folders.values():
        for path in (folder, *folder.glob("*")):
            _refuse_link(link_below(source, path))
    manifests = {}
    for party, folder in folders.items():
        manifests[party] = read_manifest(folder, party)
        read_signatures(folder, party, manifests[party])
        require_roles(spec, manifests[party])
    require_one_model({party: manifest.digest() for party, manifest in manifests.items()})


def _settings_of(run: Path) -> dict[str, Any]:
    """The settings of the run to go on from."""
    try:
        settings: dict[str, Any] = json.loads((run / SPEC).read_bytes())
        msgspec.convert(settings, Spec)
    except (OSError, ValueError) as error:
        raise BundleError(
            "there is no run to go on from",
            where=f"resume = {run}",
            why=f"its {SPEC} cannot be read ({type(error).__name__})",
            fix="give the run folder that the interrupted run printed, for instance resume=outputs/<day>/<time>-<id>",
        ) from None
    return settings


def _look_at_checkpoints(spec: Spec) -> None:
    """Find a run that is finished, or that left nothing to go on from, before any process starts."""
    run = Path(str(spec.resume))
    try:
        state = json.loads((run / STATUS).read_bytes())["state"]
    except (OSError, ValueError, LookupError, TypeError):
        state = "unknown"  # its checkpoints speak for themselves
    if state == "done":
        raise SpecError(
            "there is nothing to resume",
            where=f"resume = {run}",
            why="that run is finished",
            fix=f"apply its model with task=predict model={run}, or train anew without resume=…",
        )
    newest_common({party: list_checkpoints(checkpoint_folder(run, party)) for party in spec.parties}, str(run))
