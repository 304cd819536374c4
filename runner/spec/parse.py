"""From plain values to a typed :class:`Spec`, or a :class:`SpecError` that says which setting is wrong and how."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import inspect

from runner.errors import SpecError
from runner.spec.check import check
from runner.spec.model import PLAIN_SCHEMES, Spec
from runner.spec.suggest import advise, closest

PATTERNS = {  # of texts, in words
    r"^[a-z][a-z0-9_]{0,30}\Z": "a name of a-z, 0-9 and _ that begins with a letter",
    r"^[A-Za-z_][A-Za-z0-9_]*\Z": "the name of an environment variable",
    r"^[\x01-\x7f]\Z": "one character (ASCII)",
    r"^[0-9a-f]{64}\Z": "64 hexadecimal digits",
    r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}\Z": "host:port",
}


def parse(values: Mapping[str, Any]) -> Spec:
    """Type-check and cross-check ``values``.

    Raises:
        SpecError: for an unknown key, a wrong type, a value out of range, or values that contradict each other.
    """
    spec = convert(values)
    _require_floors(values)
    check(spec)
    return spec


def convert(values: Mapping[str, Any]) -> Spec:
    """Type-check ``values`` alone, for a task that looks at a part of them before the others are settled.

    Raises:
        SpecError: for an unknown key, a wrong type, or a value out of range.
    """
    values = _with_class_names(values)
    _refuse_odd(values, "")
    try:
        return msgspec.convert(values, Spec)
    except msgspec.ValidationError as invalid:
        raise _explain(str(invalid), values) from None


def _with_class_names(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same values, with the classes of ``label.class_weight``, which may be written as numbers, as texts."""
    label = values.get("label") if isinstance(values, Mapping) else None
    weights = label.get("class_weight") if isinstance(label, Mapping) else None
    if not isinstance(label, Mapping) or not isinstance(weights, Mapping):
        return values
    return {**values, "label": {**label, "class_weight": {str(name): weight for name, weight in weights.items()}}}


def setting_names(path: str) -> list[str]:
    """The names allowed under the section at ``path`` (dotted; empty: the top), or none where it is no section."""
    kind: Any = inspect.type_info(Spec)
    for part in [part for part in path.split(".") if part]:
        kind = _child(kind, part)
    sections = [option for option in _options(kind) if isinstance(option, inspect.StructType)]
    tags = {str(option.tag_field): None for option in sections if option.tag_field}
    return list({**tags, **{field.encode_name: None for option in sections for field in option.fields}})


def _explain(message: str, values: Mapping[str, Any]) -> SpecError:
    reason, _, location = message.partition(" - at ")
    path = _dotted(location, values)
    if unknown := re.search(r"unknown field `(.+?)`", reason):
        where = f"{path}.{unknown[1]}".lstrip(".")
        return SpecError(
            f"unknown setting {where!r}",
            where=where,
            why="no setting has that name",
            fix=advise(unknown[1], setting_names(path)),
        )
    if missing := re.search(r"missing required field `(.+?)`", reason):
        where = f"{path}.{missing[1]}".lstrip(".")
        return SpecError(f"setting {where!r} is missing", where=where, why="it has no default", fix=f"set {where}=…")
    given = _value_at(values, path)
    near = closest(given, _choices(path)) if isinstance(given, str) else None
    return SpecError(
        f"{path} = {given!r} is not valid",
        where=path,
        why=reason,
        fix=(f"did you mean {near!r}? " if near else "") + f"set {path} to {allowed(path) or 'a section'}",
    )


def _choices(path: str) -> list[str]:
    """The words that may stand at ``path``."""
    kind: Any = inspect.type_info(Spec)
    for part in path.split("."):
        kind = _child(kind, part)
    literals = [option for option in _options(kind) if isinstance(option, inspect.LiteralType)]
    return [str(value) for option in literals for value in option.values if value not in PLAIN_SCHEMES]


def allowed(path: str, of: type = Spec) -> str:
    """What may stand at ``path``, in words: its type and range, or its choices; nothing where there is no such path."""
    kind: Any = inspect.type_info(of)
    for part in path.split("."):
        kind = _child(kind, part)
    if path == "crypto.scheme":
        return "one of " + ", ".join(scheme for scheme in unwrap(kind).values if scheme not in PLAIN_SCHEMES)
    return describe(kind)


def describe(kind: Any) -> str:
    """A type of msgspec's in words."""
    options = _options(kind)
    if len(options) > 1 and not isinstance(options[0], inspect.StructType):
        return " or ".join(describe(option) for option in options)
    kind = options[0] if options else None
    if isinstance(kind, inspect.LiteralType) and len(kind.values) == 1:
        return str(kind.values[0])
    if isinstance(kind, inspect.LiteralType):
        return "one of " + ", ".join(str(value) for value in kind.values)
    if isinstance(kind, (inspect.IntType, inspect.FloatType)):
        word = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
        limits = [
            f"{sign} {int(limit) if limit == int(limit) else limit}"
            for sign, limit in ((">=", kind.ge), (">", kind.gt), ("<=", kind.le), ("<", kind.lt))
            if limit is not None
        ]
        if kind.multiple_of is not None:
            limits.append(f"a multiple of {kind.multiple_of:g}")
        return " ".join((word, " and ".join(limits))).strip()
    if isinstance(kind, inspect.BoolType):
        return "true or false"
    if isinstance(kind, inspect.StrType):
        return PATTERNS.get(kind.pattern, f"text like {kind.pattern}") if kind.pattern else "text"
    if isinstance(kind, inspect.TupleType):
        return f"a list of {len(kind.item_types)}; each item {describe(unwrap(kind.item_types[0]))}"
    if isinstance(kind, (inspect.VarTupleType, inspect.ListType)):
        return f"a list; each item {describe(unwrap(kind.item_type))}"
    if isinstance(kind, inspect.DictType):
        value = describe(unwrap(kind.value_type))
        return "{}" if kind.max_length == 0 else f"a mapping; each value {value}" if value else "a mapping"
    if isinstance(kind, inspect.StructType):
        return "a section with " + ", ".join(field.name for field in kind.fields)
    return ""


def _child(kind: Any, part: str) -> Any:
    tags = [option.tag for option in _options(kind) if getattr(option, "tag_field", None) == part]
    if tags:
        return inspect.LiteralType(tuple(tags))
    for option in _options(kind):
        if isinstance(option, inspect.StructType):
            found = [field.type for field in option.fields if field.encode_name == part]
            if found:
                return found[0]
        elif isinstance(option, inspect.DictType):
            return option.value_type
        elif isinstance(option, (inspect.VarTupleType, inspect.ListType)):
            return option.item_type
    return None


def unwrap(kind: Any) -> Any:
    """The type itself, without its metadata and without ``| None``; of several sections, the first."""
    options = _options(kind)
    return options[0] if options else None


def _options(kind: Any) -> list[Any]:
    """What a type may be, without metadata and without None."""
    if isinstance(kind, inspect.Metadata):
        return _options(kind.type)
    if isinstance(kind, inspect.UnionType):
        return [option for part in kind.types for option in _options(part)]
    return [] if kind is None or isinstance(kind, inspect.NoneType) else [kind]


def _dotted(location: str, values: Mapping[str, Any]) -> str:
    """``sgb.max_depth`` from msgspec's ```$.sgb.max_depth```; entries of a mapping, which it leaves out, by name."""
    path = location.rpartition("$")[2].strip("`.")
    before, entry, after = path.partition("[...]")
    if "`key`" in location:
        before, entry = path, "[...]"
    if entry:
        before = before.strip(".")
        path = f"{before}.{_wrong_entry(values, before)}{after}"
    return re.sub(r"\[.*?\]", "", path)


def _wrong_entry(values: Mapping[str, Any], path: str) -> str:
    """The key of the first entry of the mapping at ``path`` that is not valid by itself."""
    entries = _value_at(values, path)
    for key in entries if isinstance(entries, Mapping) else ():
        alone = copy.deepcopy(dict(values))
        parent = _value_at(alone, path)
        for other in set(parent) - {key}:
            del parent[other]
        try:
            msgspec.convert(alone, Spec)
        except msgspec.ValidationError:
            return str(key)
    return "?"


def _require_floors(values: Mapping[str, Any]) -> None:
    """A policy has no floor only where it says so: a line that was taken away must not open anything."""
    for name in ("min_rows", "min_batch"):
        if name not in values["policy"]:
            raise SpecError(
                f"setting 'policy.{name}' is missing",
                where=f"policy.{name}",
                why="without it a run would have no such floor",
                fix=f"set policy.{name}=…, to 0 for no floor",
            )


def _value_at(values: Any, path: str) -> Any:
    for part in path.split("."):
        if not isinstance(values, Mapping) or part not in values:
            return values
        values = values[part]
    return values


def _refuse_odd(value: Any, path: str) -> None:
    """Refuse what msgspec would take or tell badly: numbers that are not finite, and keys that are no text."""
    if isinstance(value, float) and not math.isfinite(value) and allowed(path):
        raise SpecError(
            f"{path} = {value} is not valid",
            where=path,
            why="it is not a finite number",
            fix=f"set {path} to {allowed(path)}",
        )
    if isinstance(value, Mapping):
        for key, item in value.items():
            where = f"{path}.{key}".lstrip(".")
            if not isinstance(key, str):
                raise SpecError(
                    f"the name {key!r} is not valid", where=where, why="names are text", fix="write it in quotes"
                )
            _refuse_odd(item, where)
    elif isinstance(value, list):
        for item in value:
            _refuse_odd(item, path)
