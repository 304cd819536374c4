"""The digest of a spec: the same for what computes the same, another for anything that can change a result."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from support import make_spec

from runner.spec.identity import spec_digest, spec_values
from runner.spec.model import STAGES, Plan, Spec, Task
from runner.spec.parse import allowed, parse

DEFAULT = make_spec()
DIGEST = spec_digest(DEFAULT)
# Settings with one choice only, as long as nothing else changes with them.
FIXED = {"label.mode", "privacy.name", "sgb.audit_paths"}
# What counts is the plan that they come to.
TASK = {"task.name", "task.plan"}


def leaves(values: Any, path: str = "") -> Iterator[str]:
    """The dotted paths of all settings that are no sections."""
    if isinstance(values, dict) and values:
        for name, value in values.items():
            yield from leaves(value, f"{path}.{name}".lstrip("."))
    else:
        yield path


def others(path: str, value: Any) -> Iterator[Any]:
    """Values that might stand at ``path`` in place of ``value``."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, (int, float)):
        yield from (value + 1, value * 1.1, value * 2, value / 2, value + 1024)
    elif isinstance(value, (list, tuple)):
        yield from ([*value, "alice"], [*value, 0.25])
    elif value == {}:
        yield {"alice": 7000}
        yield {"alice": "class"}
    elif allowed(path).startswith("one of "):
        yield from re.split(r"[ ,]+", allowed(path))[2:]
    else:
        numbers = (3, 0.5, {"alice": "folder"}, {"alice": 2.0}, {"epsilon": 2.0}, [0.1, 0.9])
        yield from ("alice", "ab" * 32, "host:7000", *numbers, ";")


def other_specs(path: str) -> list[Spec]:
    """Every spec that differs from the default one at ``path`` only, among those that :func:`others` thinks of."""
    *sections, name = path.split(".")
    found = []
    for other in others(path, read(spec_values(DEFAULT), path)):
        values = spec_values(DEFAULT)
        read(values, ".".join(sections))[name] = other
        try:
            found.append(msgspec.convert(values, Spec))
        except msgspec.ValidationError:
            continue
    return [spec for spec in found if spec != DEFAULT]


def read(values: Any, path: str) -> Any:
    for part in filter(None, path.split(".")):
        values = values[part]
    return values


ALL = sorted(leaves(spec_values(DEFAULT)))
HOW = (
    *("cluster.", "site.", "parties.", "train.", "report.", "log.", "sweep.", "tune.", "tracking."),
    "policy.privacy.",
)
FREE_ALONE = ("outputs", "self_party", "resume", "data.max_memory", "predict.chunk_rows")
FREE = [path for path in ALL if path.startswith(HOW) or path in FREE_ALONE]


def test_digest_is_a_sha256_and_repeats() -> None:
    assert re.fullmatch("[0-9a-f]{64}", DIGEST)
    assert spec_digest(parse(spec_values(DEFAULT))) == DIGEST


@pytest.mark.parametrize("path", FREE)
def test_where_and_how_it_runs_does_not_count(path: str) -> None:
    specs = other_specs(path)
    assert specs, "no other value was found to try"
    assert {spec_digest(spec) for spec in specs if not spec.is_remote()} == {DIGEST}


@pytest.mark.parametrize("path", sorted(set(ALL) - set(FREE) - FIXED - TASK))
def test_every_other_setting_counts(path: str) -> None:
    specs = other_specs(path)
    assert specs, "no other value was found to try"
    assert DIGEST not in {spec_digest(spec) for spec in specs}


@pytest.mark.parametrize("name", STAGES)
def test_plan_counts_and_whether_it_is_only_checked_does_not(name: Plan) -> None:
    def digest(task: Task) -> str:
        return spec_digest(msgspec.structs.replace(DEFAULT, task=task))

    assert digest(Task(name="check", plan=name)) == digest(Task(name=name))
    others = [other for other in STAGES if other != name]
    assert {digest(Task(name=name, plan=other)) for other in others} == {digest(Task(name=name))}
    assert digest(Task(name=name)) not in {digest(Task(name=other)) for other in others}


@pytest.mark.parametrize("path", sorted(FIXED))
def test_setting_left_out_above_has_no_other_value(path: str) -> None:
    assert other_specs(path) == []


def test_order_of_mappings_does_not_count() -> None:
    values = spec_values(DEFAULT)
    values["parties"] = dict(reversed(values["parties"].items()))
    assert list(values["parties"]) != list(DEFAULT.parties)
    assert spec_digest(parse(values)) == DIGEST
