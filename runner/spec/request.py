"""What is asked without a run: to repeat, verify or compare runs that are over, change a key, or draft contracts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import msgspec
from msgspec import field

from runner.errors import SpecError
from runner.spec.base import PartyName, Section
from runner.spec.suggest import advise

Condition = Literal["ports", "hashseed", "threads", "row_order", "cluster"]
TASKS = ("reproduce", "verify", "diff", "report", "rekey", "infer_schema")


class Reproduce(Section, frozen=True, kw_only=True):
    """Conditions under which the run is repeated, one run each, to show that its results do not depend on them."""

    vary: tuple[Condition, ...] = ()


class Rekey(Section, frozen=True, kw_only=True):
    """Whose key is changed; models outside of ``outputs`` that are encrypted with it; what locks the new one."""

    party: PartyName | None = None
    models: tuple[str, ...] = ()
    passphrase_env: str | None = None


class Infer(Section, frozen=True, kw_only=True):
    """In which form contracts are drafted, and whether a draft may replace one that is there."""

    format: Literal["yaml", "python"] = "yaml"
    overwrite: bool = False


class Request(Section, frozen=True, kw_only=True):
    """The settings of ``task=reproduce``, ``verify``, ``diff``, ``report``, ``rekey`` and ``infer_schema``.

    With ``include_values`` a drafted contract lists the values of columns that have few.
    """

    run: str | None = None
    other: str | None = None
    allow_overrides: bool = False
    reproduce: Reproduce = field(default_factory=Reproduce)
    rekey: Rekey = field(default_factory=Rekey)
    infer: Infer = field(default_factory=Infer)
    include_values: bool = False


KEYS = tuple(Request.__struct_fields__)
OF_REQUEST = ("task=", *(f"{key}=" for key in KEYS), *(f"{key}." for key in KEYS), "hydra.")
# What else each task heeds; reproduce looks at the others itself.
HEEDED: dict[str, tuple[str, ...]] = {
    "verify": ("parties", "outputs=", "site", "self_party=", "cluster=remote"),
    "rekey": ("parties", "outputs="),
    "diff": (),
    "report": (),
    "infer_schema": ("parties", "outputs=", "data", "label", "experiment="),
}
WHY_UNHEEDED = {"infer_schema": "it drafts contracts of the tables in data, and runs nothing"}
NEEDED: dict[str, tuple[str, ...]] = {
    "reproduce": ("run",),
    "verify": ("run",),
    "report": ("run",),
    "diff": ("run", "other"),
    "rekey": ("rekey",),
}


def refuse_unheeded(task: str, overrides: Iterable[str]) -> None:
    """Refuse overrides that the task would not look at.

    Raises:
        SpecError: naming the first one.
    """
    for override in overrides:
        if task in HEEDED and not override.lstrip("+~").startswith((*OF_REQUEST, *HEEDED[task])):
            raise SpecError(
                f"{override!r} has no effect",
                where=override.lstrip("+~").partition("=")[0],
                why=f"task={task}: {WHY_UNHEEDED.get(task, 'it looks at what is on the disk, and runs nothing')}",
                fix="remove the override",
            )


# Section → its settings; the top's name is empty.
SETTINGS = {
    "": KEYS,
    "reproduce": Reproduce.__struct_fields__,
    "rekey": Rekey.__struct_fields__,
    "infer": Infer.__struct_fields__,
}


def split_request(values: Mapping[str, Any]) -> tuple[dict[str, Any], Request]:
    """The settings of a spec, and those of a request, out of one composed configuration.

    Raises:
        SpecError: for a setting of the request that is not valid, or has no effect with this task, or is missing.
    """
    rest = {key: value for key, value in values.items() if key not in KEYS}
    try:
        request = msgspec.convert({key: values[key] for key in KEYS if key in values}, Request)
    except msgspec.ValidationError as error:
        reason, _, location = str(error).partition(" - at `$.")
        where = location.rstrip("`") or "command line"
        fix = "see `python -m runner --help` and conf/config.yaml"
        if unknown := re.match(r"Invalid enum value '(.*)'", reason):
            fix = advise(unknown[1], ("yaml", "python") if where == "infer.format" else get_args(Condition))
        raise SpecError(f"{where} is not valid", where=where, why=reason, fix=fix) from None
    _check(request, str((values.get("task") or {}).get("name")))
    return rest, request


_DRAFTS = ("infer", "include_values")


def _check(request: Request, task: str) -> None:
    needed = NEEDED.get(task, ())
    taken = (*needed, *{"reproduce": ("allow_overrides", "reproduce"), "infer_schema": _DRAFTS}.get(task, ()))
    plain = Request()
    for key in KEYS:
        if key not in taken and getattr(request, key) != getattr(plain, key):
            raise SpecError(
                f"{key} has no effect",
                where=key,
                why=f"task={task} does not heed it",
                fix=f"remove {key} from the command",
            )
    for key in needed:
        if getattr(request, key) is None or (key == "rekey" and request.rekey.party is None):
            setting = "rekey.party=<name>" if key == "rekey" else f"{key}=outputs/<day>/<time>-<id>"
            raise SpecError(f"{key} is not given", where=key, why=f"task={task} is about it", fix=f"add {setting}")
