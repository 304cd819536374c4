"""The tree of errors: codes, the four lines, and the way through the control channel."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

import runner.errors
from runner.errors import ClusterError, RunnerError, SecurityError


def kinds(kind: type[RunnerError] = RunnerError) -> Iterator[type[RunnerError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == "runner.errors":
            yield from kinds(child)


KINDS = list(kinds())
# DESIGN.md: 0 done · 2 spec · 3 policy · 4 data · 5 cluster · 6 stage · 7 not reproduced · 8 bundle
CODES = {
    "RunnerError": 1,
    "SpecError": 2,
    "PolicyError": 3,
    "DataError": 4,
    "ClusterError": 5,
    "SecurityError": 5,
    "StageError": 6,
    "ReproductionError": 7,
    "BundleError": 8,
    "Stopped": 9,
}


def make(kind: type[RunnerError]) -> RunnerError:
    return kind("it broke", where="sgb.max_depth", why="it is 17", fix="make it 16")


def test_exit_codes_are_those_of_the_design() -> None:
    assert {kind.__name__: kind.code for kind in KINDS} == CODES


def test_codes_and_titles_are_one_per_kind() -> None:
    separate = [kind for kind in KINDS if kind is not SecurityError]
    assert len({kind.code for kind in separate}) == len(separate)
    assert len({kind.title for kind in KINDS}) == len(KINDS)


def test_security_error_is_a_cluster_error() -> None:
    assert issubclass(SecurityError, ClusterError)


def test_docstring_draws_the_whole_tree() -> None:
    drawn = dict(re.findall(r"── (\w+) +(\d)", runner.errors.__doc__ or ""))
    assert {name: int(code) for name, code in drawn.items()} == {k: v for k, v in CODES.items() if k != "RunnerError"}


@pytest.mark.parametrize("kind", KINDS)
def test_error_prints_as_four_lines(kind: type[RunnerError]) -> None:
    assert str(make(kind)).splitlines() == [
        f"{kind.title}: it broke",
        "  where: sgb.max_depth",
        "  why:   it is 17",
        "  fix:   make it 16",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_error_survives_the_control_channel(kind: type[RunnerError]) -> None:
    rebuilt = RunnerError.from_dict(json.loads(json.dumps(make(kind).to_dict())))
    assert type(rebuilt) is kind
    assert str(rebuilt) == str(make(kind))


@pytest.mark.parametrize("fields", [{}, {"type": "OSError", "what": 3}, {"type": None}, {"type": "RunnerError"}])
def test_unknown_kind_becomes_the_base_error(fields: dict[str, object]) -> None:
    assert type(RunnerError.from_dict(fields)) is RunnerError


@pytest.mark.parametrize("kind", KINDS)
def test_error_needs_all_its_parts(kind: type[RunnerError]) -> None:
    with pytest.raises(TypeError):
        kind("it broke", where="here", why="so")  # type: ignore[call-arg]
