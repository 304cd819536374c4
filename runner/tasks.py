"""What each task does, from a composed configuration to an exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from runner.bundle.layout import bundle_folder, find_run, read_manifest
from runner.errors import BundleError, SpecError
from runner.files import link_below
from runner.policy.decide import decide, require
from runner.policy.grants import load_grants
from runner.provenance.folder import SPEC
from runner.report.check import describe_plan
from runner.report.warnings import warnings_of
from runner.spec.compose import to_spec
from runner.spec.model import Spec


def execute(config: DictConfig, overrides: Sequence[str], sweep_folder: Path | None) -> None:
    """Do the task of one configuration.

    Args:
        config: what Hydra composed.
        overrides: the overrides as typed, in order.
        sweep_folder: the folder of this job in a sweep, or None for a single run.

    Raises:
        RunnerError: with the exit code of what went wrong.
    """
    spec = to_spec(_settled(config, overrides))
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

        carry_out(spec, decisions, config, overrides, sweep_folder)


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
    run = _own_run(model, str(config.outputs))
    try:
        saved = json.loads((run / SPEC).read_bytes())
        label = dict(saved["label"])
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
    merged = config.copy()
    OmegaConf.set_struct(merged, False)
    for section, values in settled.items():
        merged[section] = values
    return merged


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
    """Find a missing or unreadable bundle before any process starts."""
    source = _own_run(str(spec.model), spec.outputs)
    for party in spec.parties:
        for path in (bundle_folder(source, party), *bundle_folder(source, party).glob("*")):
            _refuse_link(link_below(source, path))
    for party in spec.parties:
        read_manifest(bundle_folder(source, party), party)
