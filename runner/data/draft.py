"""A draft of a contract as the text of a file, in YAML or in Python."""

from __future__ import annotations

import keyword
from collections.abc import Sequence
from typing import Any, Literal

import pandera.polars as pa
import yaml

from runner.data.contract_yaml import DTYPES
from runner.data.infer import ColumnDraft
from runner.data.place import class_name

Format = Literal["yaml", "python"]
_CLOSED = "No value of the table stands here: ranges are rounded outward, and of ids only the form is told."
_OPEN = "Where a column has few values, they stand here, as include_values=true asked."


def draft_text(kind: Format, party: str, data: str, columns: Sequence[ColumnDraft], include_values: bool) -> str:
    """The whole file."""
    head = [f"First draft of {party}'s contract for data={data}, from its table. Tighten it by what you know."]
    head.append(_OPEN if include_values else _CLOSED)
    return _python(party, head, columns) if kind == "python" else _yaml(head, columns)


def _yaml(head: Sequence[str], columns: Sequence[ColumnDraft]) -> str:
    lines = [f"# {line}" for line in head] + ["columns:"]
    for column in columns:
        text = yaml.safe_dump(
            {column.name: column.settings}, default_flow_style=None, sort_keys=False, allow_unicode=True, width=10**6
        )
        lines += [f"  # {column.note}"] if column.note else []
        lines += [f"  {line}" for line in text.splitlines()]
    return "\n".join(lines) + "\n"


def _python(party: str, head: Sequence[str], columns: Sequence[ColumnDraft]) -> str:
    fields = []
    for at, column in enumerate(columns):
        fields += [f"    # {column.note}"] if column.note else []
        fields.append(f"    {_field(at, column)}")
    body = "\n".join(fields)
    standard = ["import datetime", ""] if "=datetime." in body else []
    imports = [*standard, "import pandera.polars as pa", *(["import polars as pl"] if ": pl." in body else [])]
    start = ['"""' + "\n\n".join(head) + '"""', "", *imports, "", "", f"class {class_name(party)}(pa.DataFrameModel):"]
    return "\n".join([*start, body]) + "\n"


_CHECKS = ("ge", "le", "isin", "nullable")
_OWN = ("id", "feature")
# Names that a class of pandera's has, or that the lines after would look up.
_TAKEN = frozenset(("pa", "pl", "datetime", "str", "int", "float", "bool", "object", "Config", *dir(pa.DataFrameModel)))


def _field(at: int, column: ColumnDraft) -> str:
    settings, name = column.settings, column.name
    arguments = [f"{key}={_literal(settings, key)}" for key in _CHECKS if key in settings]
    if "matches" in settings:
        arguments.append(f"str_matches={settings['matches']!r}")
    if own := {key: settings[key] for key in _OWN if key in settings}:
        arguments.append(f"metadata={own!r}")
    if not name.isidentifier() or name.startswith("_") or keyword.iskeyword(name) or name in _TAKEN:
        arguments.append(f"alias={name!r}")
        name = f"column_{at}"
    made = f" = pa.Field({', '.join(arguments)})" if arguments else ""
    return f"{name}: {_annotation(settings.get('dtype'))}{made}"


def _annotation(dtype: str | None) -> str:
    if dtype is None:
        return "object"
    if dtype in ("str", "int", "float", "bool"):
        return dtype
    return f"pl.{'Categorical' if dtype == 'category' else DTYPES[dtype].__name__}"


def _literal(settings: dict[str, Any], key: str) -> str:
    value, dtype = settings[key], settings.get("dtype")
    if key in ("ge", "le") and dtype in ("date", "datetime"):
        return f"datetime.{dtype}.fromisoformat({value!r})"
    return repr(value)
