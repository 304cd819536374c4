"""The settings of a run that applies a saved model: those of the training, with the names that the parties have now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from runner.errors import SpecError

FIXED = (
    "sgb.",
    "sgb=",
    "crypto.",
    "crypto=",
    "label.",
    "label=",
    "prepare.",
    "prepare=",
    "cv.",
    "cv=",
)
OF_PREDICTION = ("predict", "predict_column")  # of the label section, this run's own


def settle_applied(config: DictConfig, overrides: Sequence[str], saved: Mapping[str, Any], plan: str) -> DictConfig:
    """The training's settings of model, encryption and label, with this run's of everything else.

    Args:
        config: what was composed now.
        overrides: the overrides as typed.
        saved: the training's resolved settings.
        plan: the task, for messages.

    Raises:
        SpecError: for an override of what the training decided.
    """
    own = tuple(f"label.{name}=" for name in OF_PREDICTION)
    for override in overrides:
        setting = override.lstrip("+~")
        if setting.startswith(FIXED) and not setting.startswith(own):
            raise SpecError(
                f"{override!r} has no effect",
                where=setting.partition("=")[0],
                why=f"task={plan} takes a model as it was trained",
                fix="remove the override, or train a model with it",
            )
    names = {str(then): str(now) for now, then in (OmegaConf.select(config, "roles") or {}).items()}
    label = _renamed(saved["label"], names)
    for name in OF_PREDICTION:
        if any(override.lstrip("+").startswith(f"label.{name}=") for override in overrides):
            label[name] = config.label[name]
    settled = config.copy()
    OmegaConf.set_struct(settled, False)
    cv = dict(saved.get("cv", {}))
    if "at" in cv:
        cv["at"] = names.get(cv["at"], cv["at"])
    taken = {"sgb": saved["sgb"], "crypto": saved["crypto"], "label": label, "prepare": saved.get("prepare", {})}
    taken["cv"] = cv
    for section, values in OmegaConf.create(taken).items():
        settled[section] = values
    return settled


def _renamed(label: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The label section with the names that the parties have now."""
    renamed = dict(label)
    for name in ("holder", "predict"):
        renamed[name] = names.get(label[name], label[name])
    if "owners" in label:
        renamed["owners"] = [names.get(owner, owner) for owner in label["owners"]]
    if "inputs" in label:
        renamed["inputs"] = {names.get(owner, owner): column for owner, column in label["inputs"].items()}
    return renamed
