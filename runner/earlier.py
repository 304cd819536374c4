"""What a run takes from an earlier one: the model that it applies, or the training that it goes on with.

Everything here is found before any process starts, and without a key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from omegaconf import DictConfig, OmegaConf

from runner.bundle.checkpoint import FOLDER as CHECKPOINTS
from runner.bundle.checkpoint import checkpoint_folder, list_checkpoints, newest_common
from runner.bundle.layout import bundle_folder, find_run
from runner.bundle.manifest import read_manifest, read_signatures
from runner.bundle.roles import WHERE, WHO_IS_WHO, require_one_model, require_roles
from runner.errors import BundleError, SpecError
from runner.files import link_below
from runner.provenance.folder import SPEC, STATUS
from runner.spec.applied import settle_applied
from runner.spec.model import APPLIES_MODEL, Spec
from runner.spec.resumed import settle_resumed

NEWEST = "newest"  # of the interrupted runs


def settle(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The composed configuration, with the settings that the earlier run decides, whatever the groups say now.

    Args:
        config: what was composed.
        overrides: the overrides as typed.

    Raises:
        SpecError: for an override that asks for something else.
        BundleError: where the earlier run's settings cannot be read.
    """
    outputs = str(config.outputs)
    if isinstance(interrupted := OmegaConf.select(config, "resume"), str):
        run = _newest_unfinished(Path(outputs)) if interrupted == NEWEST else Path(interrupted)
        config = config.copy()
        config.resume = str(run)
        return settle_resumed(config, overrides, _settings_of(_own_folder(run, outputs), "resume"))
    model, task = OmegaConf.select(config, "model"), OmegaConf.select(config, "task.name")
    plan = OmegaConf.select(config, "task.plan") if task == "check" else task
    if plan not in APPLIES_MODEL or not isinstance(model, str):
        return config
    saved = _settings_of(_own_folder(find_run(model), outputs), "model")
    settled = settle_applied(config, overrides, saved, plan)
    _require_label_holder(settled, saved)
    return settled


def look_at_earlier(spec: Spec) -> None:
    """Find what is wrong with the earlier run.

    Raises:
        SpecError: where there is nothing to go on with.
        BundleError: for a model or a checkpoint that is missing, altered, mixed, behind a link, or of other roles.
    """
    if spec.model is not None:
        _look_at_model(spec, str(spec.model))
    if spec.resume is not None:
        _look_at_checkpoints(spec, Path(spec.resume))


def _newest_unfinished(outputs: Path) -> Path:
    """The folder of the newest run in ``outputs`` that left a checkpoint, and that no run has finished.

    Sites that all name theirs in this way go on from one training or from none: the checkpoints know its name.
    """
    finished: set[tuple[str, ...]] = set()
    for spec in sorted(outputs.glob(f"*/*/{SPEC}"), reverse=True):
        run = spec.parent
        if _state_of(run) == "done" or _name_of(run) in finished:
            finished |= _gone_on_from(run)
        elif any(map(list_checkpoints, run.glob(f"parties/*/{CHECKPOINTS}"))):
            print(f"Goes on from {run}")
            return run
    raise SpecError(
        "there is nothing to resume",
        where=f"resume = {NEWEST}",
        why=f"no run in {outputs} has a checkpoint, but those that are finished, or that a later run has finished",
        fix="name the run folder, or train from the start, with train.checkpoint_every=<number of trees>",
    )


def _gone_on_from(run: Path) -> set[tuple[str, ...]]:
    """The name of the run that this one went on from, if it did; settings that cannot be read name none."""
    try:
        resumed = json.loads((run / SPEC).read_bytes())["resume"]
    except (OSError, ValueError, LookupError, TypeError):
        return set()
    return {_name_of(Path(resumed))} if isinstance(resumed, str) else set()


def _name_of(run: Path) -> tuple[str, ...]:
    """Day, and time with what sets it apart: whatever folder the command was typed in."""
    return run.parts[-2:]


def _state_of(run: Path) -> str:
    """How a run ended, or that it has not; a status that cannot be read is not known."""
    try:
        return str(json.loads((run / STATUS).read_bytes())["state"])
    except (OSError, ValueError, LookupError, TypeError):
        return "unknown"


def _own_folder(run: Path, outputs: str) -> Path:
    """The run folder; neither it nor a folder on its way from ``outputs`` may be a link."""
    _refuse_link(link_below(Path(outputs), run) or link_below(run, run / SPEC))
    return run


def _refuse_link(link: Path | None) -> None:
    if link is not None:
        raise BundleError(
            "the earlier run is behind a symbolic link",
            where=str(link),
            why="it may lead to another run than the one that was named",
            fix="give the real run folder",
        )


def _settings_of(run: Path, setting: str) -> dict[str, Any]:
    """The earlier run's resolved settings."""
    try:
        settings: dict[str, Any] = json.loads((run / SPEC).read_bytes())
        msgspec.convert(settings, Spec)
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(
            "the settings of the earlier run cannot be read",
            where=f"{setting} = {run}",
            why=f"{SPEC} is missing or damaged ({type(error).__name__})",
            fix=f"give the folder that the earlier run printed, for instance {setting}=outputs/<day>/<time>-<id>",
        ) from None
    return settings


def _require_label_holder(settled: DictConfig, saved: Mapping[str, Any]) -> None:
    """A party that is gone is told as such, before its name is found missing in a setting."""
    holder, parties = settled.label.holder, OmegaConf.select(settled, "parties")
    if isinstance(parties, DictConfig) and holder not in parties:
        raise BundleError(
            "the model was trained with other roles",
            where=WHERE,
            why=f"in training the label holder was {saved['label']['holder']}, and {holder} is no party now",
            fix=WHO_IS_WHO,
        )


def _look_at_model(spec: Spec, model: str) -> None:
    source = _own_folder(find_run(model), spec.outputs)
    folders = {party: bundle_folder(source, spec.trained_as(party)) for party in spec.parties_here()}
    for folder in folders.values():
        for path in (folder, *folder.glob("*")):
            _refuse_link(link_below(source, path))
    manifests = {}
    for party, folder in folders.items():
        manifests[party] = read_manifest(folder, party)
        read_signatures(folder, party, manifests[party])
        require_roles(spec, manifests[party])
    require_one_model({party: manifest.digest() for party, manifest in manifests.items()})


def _look_at_checkpoints(spec: Spec, run: Path) -> None:
    if _state_of(run) == "done":
        raise SpecError(
            "there is nothing to resume",
            where=f"resume = {run}",
            why="that run is finished",
            fix=f"apply its model with task=predict model={run}, or train anew without resume=…",
        )
    newest_common({party: list_checkpoints(checkpoint_folder(run, party)) for party in spec.parties_here()}, str(run))
