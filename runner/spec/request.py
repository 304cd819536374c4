"""What is asked without a run: about runs that are over, keys and certificates, contracts, and the health of sites."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, field

from runner.errors import SpecError
from runner.spec.base import PartyName, Seconds, Section
from runner.spec.parse import allowed
from runner.spec.suggest import advise

Condition = Literal["ports", "hashseed", "threads", "row_order", "cluster"]
TASKS = (
    *("reproduce", "verify", "diff", "report", "summary", "rekey", "ledger", "infer_schema"),
    *("keygen", "pki", "doctor"),
)


class Reproduce(Section, frozen=True, kw_only=True):
    """Conditions under which the run is repeated, one run each, to show that its results do not depend on them."""

    vary: tuple[Condition, ...] = ()


class Rekey(Section, frozen=True, kw_only=True):
    """Whose key is changed; models outside of ``outputs`` that are encrypted with it; what locks the new one."""

    party: PartyName | None = None
    models: tuple[str, ...] = ()
    passphrase_env: str | None = None


class LedgerView(Section, frozen=True, kw_only=True):
    """How ledgers are shown; ``delta``: at which zCDP is converted to an epsilon."""

    format: Literal["text", "json"] = "text"
    delta: Annotated[float, Meta(gt=0, lt=1)] = 1e-6


class Infer(Section, frozen=True, kw_only=True):
    """In which form contracts are drafted, and whether a draft may replace one that is there."""

    format: Literal["yaml", "python"] = "yaml"
    overwrite: bool = False


Host = Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:_-]+\Z")]


class Keygen(Section, frozen=True, kw_only=True):
    """Whose keys are made (by default, this site's); names and addresses of its machine, for its certificate."""

    party: PartyName | None = None
    hosts: tuple[Host, ...] = ()


class Pki(Section, frozen=True, kw_only=True):
    """A certificate authority for trials: its folder, the requests that it signs, and for how many days."""

    folder: str | None = None
    sign: tuple[str, ...] = ()
    days: Annotated[int, Meta(ge=1, le=3650)] = 365


class Doctor(Section, frozen=True, kw_only=True):
    """Whether the other sites' doctors are asked, and how many seconds they are waited for."""

    peers: bool = True
    wait: Seconds = 60.0


class Request(Section, frozen=True, kw_only=True):
    """The settings of the tasks that need no run: ``TASKS``.

    ``sweep`` is the folder of a sweep where it is a text; else it is a section of the spec. With ``include_values`` a
    drafted contract lists the values of columns that have few.
    """

    run: str | None = None
    other: str | None = None
    sweep: str | None = None
    allow_overrides: bool = False
    reproduce: Reproduce = field(default_factory=Reproduce)
    rekey: Rekey = field(default_factory=Rekey)
    ledger: LedgerView = field(default_factory=LedgerView)
    infer: Infer = field(default_factory=Infer)
    include_values: bool = False
    keygen: Keygen = field(default_factory=Keygen)
    pki: Pki = field(default_factory=Pki)
    doctor: Doctor = field(default_factory=Doctor)


SWEEP = "sweep"
KEYS = tuple(name for name in Request.__struct_fields__ if name != SWEEP)  # those that no spec has
OF_REQUEST = ("task=", *(f"{key}=" for key in KEYS), *(f"{key}." for key in KEYS), f"{SWEEP}=", "hydra.")
# What else each task heeds; reproduce looks at the others itself.
HEEDED: dict[str, tuple[str, ...]] = {
    "verify": ("parties", "outputs=", "experiment="),
    "rekey": ("parties", "outputs=", "experiment="),
    "ledger": ("parties", "outputs=", "experiment="),
    "diff": (),
    "report": (),
    "summary": (),
    "infer_schema": ("parties", "outputs=", "data", "label", "experiment="),
    "keygen": ("parties", "outputs=", "experiment="),
    "pki": (),
}
OF_SITE = ("site", "self_party=", "cluster=")  # whose site this is may be said with every task
WHY_UNHEEDED = {
    "infer_schema": "it drafts contracts of the tables in data, and runs nothing",
    "keygen": "it makes keys, and runs nothing",
    "pki": "it signs certificate requests, and runs nothing",
}
NEEDED: dict[str, tuple[str, ...]] = {
    "reproduce": ("run",),
    "verify": ("run",),
    "report": ("run",),
    "diff": ("run", "other"),
    "summary": ("sweep",),
    "rekey": ("rekey",),
    "pki": ("pki",),
}
# Of a section that a task needs, the setting that has no default.
NEEDED_OF = {"rekey": "party", "pki": "folder"}


def refuse_unheeded(task: str, overrides: Iterable[str]) -> None:
    """Refuse overrides that the task would not look at.

    Raises:
        SpecError: naming the first one.
    """
    for override in overrides:
        if task in HEEDED and not override.lstrip("+~").startswith((*OF_REQUEST, *OF_SITE, *HEEDED[task])):
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
    "ledger": LedgerView.__struct_fields__,
    "infer": Infer.__struct_fields__,
    "keygen": Keygen.__struct_fields__,
    "pki": Pki.__struct_fields__,
    "doctor": Doctor.__struct_fields__,
}


_SEE = "see `python -m runner --help` and conf/config.yaml"
_WORDS = {"infer.format": ("yaml", "python"), "ledger.format": ("text", "json")}


def split_request(values: Mapping[str, Any]) -> tuple[dict[str, Any], Request]:
    """The settings of a spec, and those of a request, out of one composed configuration.

    Raises:
        SpecError: for a setting of the request that is not valid, or has no effect with this task, or is missing.
    """
    asked = (*KEYS, SWEEP) if isinstance(values.get(SWEEP), str) else KEYS
    rest = {key: value for key, value in values.items() if key not in asked}
    try:
        request = msgspec.convert({key: values[key] for key in asked if key in values}, Request)
    except msgspec.ValidationError as error:
        reason, _, location = str(error).partition(" - at `$.")
        where = location.rstrip("`") or "command line"
        fix = f"set {where} to {kind}" if (kind := allowed(where, Request)) else _SEE
        if unknown := re.match(r"Invalid enum value '(.*)'", reason):
            fix = advise(unknown[1], _WORDS.get(where, get_args(Condition)))
        raise SpecError(f"{where} is not valid", where=where, why=reason, fix=fix) from None
    _check(request, str((values.get("task") or {}).get("name")))
    return rest, request


_BESIDES = {
    "reproduce": ("allow_overrides", "reproduce"),
    "infer_schema": ("infer", "include_values"),
    "ledger": ("ledger",),
    "doctor": ("doctor",),
    "keygen": ("keygen",),
}


def _check(request: Request, task: str) -> None:
    needed = NEEDED.get(task, ())
    taken = (*needed, *_BESIDES.get(task, ()))
    plain = Request()
    for key in (*KEYS, SWEEP):
        if key not in taken and getattr(request, key) != getattr(plain, key):
            raise SpecError(
                f"{key} has no effect",
                where=key,
                why=f"task={task} does not heed it",
                fix=f"remove {key} from the command",
            )
    for key in needed:
        part = NEEDED_OF.get(key)
        if getattr(request, key) is None or (part and getattr(getattr(request, key), part) is None):
            folder = "sweeps/<day>/<time>" if key == SWEEP else "<day>/<time>-<id>"
            setting = f"{key}.{part}=<{part}>" if part else f"{key}=outputs/{folder}"
            raise SpecError(f"{key} is not given", where=key, why=f"task={task} is about it", fix=f"add {setting}")
