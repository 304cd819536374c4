"""What a search's trials are: which settings may be searched, and the overrides that a trial has besides."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from runner.errors import SpecError
from runner.spec.identity import spec_values
from runner.spec.model import Spec
from runner.spec.parse import allowed, parse
from runner.spec.suggest import advise
from runner.spec.sweep import Tune
from runner.spec.tune import Range, Scalar, space_of

# Trials differ in the model that they train. The rows, who sees what, and what is measured are the same for all.
ROOMS = ("sgb", "crypto", "prepare", "label")
OF_LABEL = ("weight", "class_weight")
KEPT = ("sgb.objective",)
ON: dict[str, tuple[str, ...]] = {
    "validation": ("++data.split.hold_out=validation",),
    "cv": ("task=cv", "++data.split.hold_out=validation"),
    "test": (),
}


def overrides_of_search(tune: Tune) -> tuple[str, ...]:
    """What every trial has: it is no search itself, and is measured on the rows that ``tune.by`` names."""
    curve = ("++train.validation_curve=true",) if tune.pruner != "none" else ()
    return ("tune=none", *ON[tune.by], *curve)


def overrides_of_trial(values: Mapping[str, Scalar]) -> tuple[str, ...]:
    """The settings of one trial as they are typed, in the order of their names."""
    return tuple(f"++{path}={_written(value)}" for path, value in sorted(values.items()))


def of_search(override: str) -> bool:
    """Whether an override says how the search goes, and nothing of its trials."""
    return override.lstrip("+~").startswith(("tune=", "tune."))


def force_space(arguments: Sequence[str]) -> list[str]:
    """The same arguments with ``++`` before ``tune.space.…``: its entries are new, and Hydra wants to be told so."""
    return [f"++{argument}" if argument.startswith("tune.space.") else argument for argument in arguments]


def check_space(spec: Spec) -> dict[str, Range]:
    """The space of the search, after making sure that each of its settings is one, and takes all of its range.

    Raises:
        SpecError: naming the first that is wrong.
    """
    space = space_of(spec.tune)
    base = spec_values(spec)
    base["tune"] = msgspec.to_builtins(Tune())
    for path, searched in space.items():
        _require_searchable(path)
        for value in searched.probes():
            _require_valid(base, path, value)
    return space


def _require_searchable(path: str) -> None:
    room, _, name = path.partition(".")
    if room not in ROOMS and allowed(room):
        why = "trials differ in the model that they train; rows, parties, policy and measures are the same for all"
    elif path in KEPT or (room == "label" and name and name not in OF_LABEL and allowed(path)):
        why = "it says what is predicted, and metrics of different things cannot be compared"
    elif room in ROOMS and name:
        return  # a wrong name is found where its values are tried
    else:
        raise SpecError(
            f"unknown setting {path!r}",
            where=f"tune.space.{path}",
            why="no setting has that name",
            fix=advise(room, ROOMS) if not allowed(room) else f"name one setting: tune.space.{room}.<name>={{…}}",
        )
    raise SpecError(
        f"{path} has no place in a search",
        where=f"tune.space.{path}",
        why=why,
        fix=f"remove it from tune.space; settings of {', '.join(ROOMS[:-1])} and of label's weights can be searched",
    )


def _require_valid(base: Mapping[str, Any], path: str, value: Scalar) -> None:
    values: Any = copy.deepcopy(base)
    *sections, name = path.split(".")
    place = values
    for section in sections:
        place = place.get(section) if isinstance(place, dict) else None
    if isinstance(place, dict):
        place[name] = value
    else:
        values[path] = value  # no such section: told as any unknown setting is
    try:
        parse(values)
    except SpecError as error:
        what, why = error.what, error.why
        if not what.startswith("unknown"):
            what, why = f"{path} = {value!r} is in its range, and not valid", f"{error.what}: {error.why}"
        raise SpecError(what, where=f"tune.space.{path}", why=why, fix=error.fix) from None


def _written(value: Scalar) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return repr(value)
    plain = value.replace("_", "").replace("-", "").isalnum() and value.lower() not in ("true", "false", "null", "nan")
    return value if plain and not value[0].isdigit() else "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
